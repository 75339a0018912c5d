"""A client with callbacks, run by an event loop: ``async with running(client)``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ..enums import MQTTErrorCode, _ConnectionState
from ._runner import Runner

if TYPE_CHECKING:
    from ..client import Client

#: Seconds that the broker gets to take what is on its way when the client is left.
_LEAVE_BOUND = 5.0


@asynccontextmanager
async def running(client: Client) -> AsyncIterator[Client]:
    """Runs a client on the event loop, as ``loop_start()`` does on a thread; disconnects at the end.

    Its callbacks are called on the loop's thread, one at a time and in the order of the packets, so
    ``asyncio.create_task()`` works in them.  They may be ``async def``: what they return is awaited
    before the next callback is called, and a QoS 1 or 2 message is acknowledged after that.
    An exception of a callback goes to the loop's exception handler, and the client lives on.

    Call :meth:`~oxmqtt.client.Client.connect_async` before, so that the event loop dials; a connection
    that :meth:`~oxmqtt.client.Client.connect` has made is taken over.

    :raises RuntimeError: another loop runs the client.
    :raises ValueError: the client was never told where to connect.
    """
    if client._ox_on_event_loop or client._ox_engine.looping:
        raise RuntimeError("another loop runs the client")
    if client._state is _ConnectionState.MQTT_CS_NEW:
        raise ValueError("connect_async() has to say where to connect")
    client._ox_engine.survives_exceptions = True
    runner = Runner(client, None)
    runner.start()
    task = asyncio.create_task(
        runner.run(), name=f"oxmqtt-{client._ox_settings.client_id.decode()}"
    )
    try:
        yield client
        if client.disconnect() == MQTTErrorCode.MQTT_ERR_SUCCESS:
            await asyncio.wait({task}, timeout=_LEAVE_BOUND)
    finally:
        task.cancel()
        await asyncio.wait({task})
        client._sock_close()
        runner.stop()
        client._ox_engine.survives_exceptions = False
    if not task.cancelled():
        task.result()
