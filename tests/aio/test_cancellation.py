"""Cancellation at every await: the client is as good as before, or it is closed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from oxmqtt import aio
from oxmqtt.testing import Broker
from support.mosquitto import Mosquitto

from .conftest import Run


async def cancel_after(call: Awaitable[Any], steps: int) -> bool:
    """Cancels a call after so many turns of the loop; false if it had come to its end."""
    task = asyncio.ensure_future(call)
    for _ in range(steps):
        await asyncio.sleep(0)
        if task.done():
            task.result()
            return False
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
    return True


CALLS: dict[str, Callable[[aio.Client, str], Awaitable[Any]]] = {
    "publish": lambda client, name: client.publish(name, "m", qos=1),
    "publish 2": lambda client, name: client.publish(name, "m", qos=2),
    "publish_many": lambda client, name: client.publish_many([(name, "m")] * 2100, qos=1),
    "subscribe": lambda client, name: client.subscribe(name),
    "unsubscribe": lambda client, name: client.unsubscribe(name),
    "next": lambda client, name: client.messages.__anext__(),
    "batch": lambda client, name: client.batches().__anext__(),
    "request": lambda client, name: client.request(name, "m"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("limited", [False, True], ids=["", "limited"])
def test_a_call(run: Run, broker: Mosquitto, name: str, call: str, limited: bool) -> None:
    async def program() -> None:
        options: dict[str, Any] = {"max_concurrent_outgoing_calls": 1} if limited else {}
        protocol = aio.ProtocolVersion.V5
        async with aio.Client(broker.host, broker.port, protocol=protocol, **options) as client:
            for steps in range(0, 60, 3):
                if not await cancel_after(CALLS[call](client, name), steps):
                    break
            await client.subscribe(f"{name}/after")
            await client.publish(f"{name}/after", "still here", qos=2)
            async for message in client.messages:
                if message.payload == b"still here":
                    break
            assert client._mailbox.pending <= 2100
            assert not client._requests
            assert not client._replies

    run(program)


@pytest.mark.parametrize("reconnect", [False, True])
def test_entering(run: Run, broker: Mosquitto, name: str, reconnect: bool) -> None:
    async def program() -> None:
        client = aio.Client(broker.host, broker.port, reconnect=reconnect)
        steps = 0
        while await cancel_after(client.__aenter__(), steps):
            assert not client._is_entered
            assert client._client.socket() is None
            steps += 1
            assert steps < 100_000
        await client.__aexit__(None, None, None)
        async with client:
            await client.publish(name, "m", qos=1)

    run(program)


def test_leaving(run: Run, broker: Mosquitto, name: str) -> None:
    async def program() -> None:
        client = aio.Client(broker.host, broker.port)
        for steps in range(1, 30):
            await client.__aenter__()
            await client.publish(name, "m")
            await cancel_after(client.__aexit__(None, None, None), steps)
            assert not client._is_entered
            assert client._client.socket() is None

    run(program)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file that can be slow: a pipe")
def test_while_certificates_are_read(run: Run, tmp_path: Path) -> None:
    """The thread that reads is left behind; what it reads too late is nobody's."""
    slow_file = tmp_path / "ca.pem"
    os.mkfifo(slow_file)

    def opened() -> int | None:
        """The pipe, while somebody reads it."""
        try:
            return os.open(slow_file, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return None

    async def program() -> None:
        client = aio.Client(
            "localhost", broker.tls_port, tls_params=aio.TLSParameters(str(slow_file))
        )
        entering = asyncio.ensure_future(client.__aenter__())
        while (pipe := opened()) is None:
            await asyncio.sleep(0)
        entering.cancel()
        await asyncio.wait({entering})
        assert entering.cancelled()
        os.write(pipe, broker.ca_pem.encode())
        os.close(pipe)
        while (pipe := opened()) is not None:
            os.close(pipe)
            await asyncio.sleep(0.001)
        slow_file.unlink()
        slow_file.write_text(broker.ca_pem)
        async with client:
            assert broker.clients

    with Broker(tls=True) as broker:
        run(program)
