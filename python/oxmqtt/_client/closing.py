"""How a client closes: first it hands over what it accepted, as long as that makes progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..enums import LogLevel, _ConnectionState
from . import loops
from .greenlets import threads_are_greenlets

if TYPE_CHECKING:
    from ..client import Client

#: Seconds that it waits without progress, and at all; the engine gives a client that was collected the same.
STALLED = 5.0
LATEST = 30.0
#: Seconds between two looks at whether a signal has come, and at what no event tells of.
_LOOK_EVERY = 0.05
_SHORT = 0.01


def close(client: Client, timeout: float) -> int:
    """Disconnects and stops the loop; how many messages the broker has not got."""
    until = time.monotonic() + timeout
    _wait(client, until, _is_handed_over)
    left = client._ox_engine.not_handed_over
    if left:
        line = "Closing with %d messages that were not handed over to the broker"
        client._easy_log(LogLevel.MQTT_LOG_WARNING, line, left)
        until = time.monotonic()
    client._ox_closes_by = until
    try:
        client.disconnect()
    finally:
        del client._ox_closes_by
    _wait(client, until, lambda client: client._ox_engine.flush(0))
    client.loop_stop()
    client._reset_sockets()
    return left


def finish_disconnect(client: Client) -> None:
    """Lets a ``disconnect()`` that is under way come to its end, outside of callbacks."""
    if (
        client._state is _ConnectionState.MQTT_CS_DISCONNECTING
        and not client._ox_engine.in_callback
    ):
        _wait(client, time.monotonic() + LATEST, lambda client: client._ox_engine.flush(0))


def _is_handed_over(client: Client) -> bool:
    """What waits for a connection waits on while somebody makes one."""
    if not client._ox_engine.flush(0):
        return False
    is_connecting = client._ox_dialling or loops.has_loop(client) or client._thread is not None
    return not (client._ox_engine.unfinished and client._sock is None and is_connecting)


def _wait(client: Client, until: float, is_done: Callable[[Client], bool]) -> None:
    """Waits until something is done, at the longest until then or until nothing moves any more."""
    engine = client._ox_engine
    seen, stalled = engine.progress, time.monotonic() + STALLED
    while not is_done(client):
        now = time.monotonic()
        if engine.progress != seen:
            seen, stalled = engine.progress, now + STALLED
        left = min(until, stalled) - now
        if left <= 0:
            return
        if threads_are_greenlets() or engine.flush(min(left, _LOOK_EVERY)):
            time.sleep(min(left, _SHORT))
