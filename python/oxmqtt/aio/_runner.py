"""Runs a client on an event loop: connecting, draining its inbox, reconnecting.

There is no thread but for the moment of dialling, and no task but where a lost connection is to be made
again or callbacks are to be awaited.
"""

from __future__ import annotations

import asyncio
import math
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._client import dialling, loops
from .._client.needs import AnyNeed
from .._client.sequences import LoopNeed, Reconnect, Round
from ..enums import MQTTErrorCode
from ._sequences import drive, satisfy
from ._wakeups import watch

if TYPE_CHECKING:
    from .._native import Mailbox
    from ..client import Client


class Runner:
    """The event loop's side of one client.

    :param mailbox: where messages and outcomes go; None for callbacks.
    :param drained: called after each look into the inbox.
    """

    def __init__(
        self, client: Client, mailbox: Mailbox | None, drained: Callable[[], object] | None = None
    ) -> None:
        self._client = client
        self._engine = client._ox_engine
        self._mailbox = mailbox
        self._drained = drained
        self._loop = asyncio.get_running_loop()
        self._stop_watching: Callable[[], None] | None = None
        self._rc = 0
        #: What the task waits for, when it does.
        self._attention: asyncio.Future[None] | None = None

    def start(self) -> None:
        self._client._ox_on_event_loop = True
        self._client._ox_observe()
        self._watch()

    def _watch(self) -> None:
        runner = weakref.ref(self)

        def readable() -> None:
            alive = runner()
            if alive is not None:
                alive._readable()

        self._stop_watching = watch(self._loop, self._engine.descriptor(), readable)

    def _unwatch(self) -> None:
        stop, self._stop_watching = self._stop_watching, None
        if stop is not None:
            stop()

    def stop(self) -> None:
        self._unwatch()
        self._client._ox_on_event_loop = False
        self._client._ox_observe()
        loops.release_descriptor(self._client)

    def _readable(self) -> None:
        self._drain()
        if self._client._ox_deferred:
            self._unwatch()  # the task looks on when it has awaited them
        if self._attention is not None and self._needs_attention():
            attention, self._attention = self._attention, None
            if not attention.done():
                attention.set_result(None)

    def _drain(self) -> None:
        try:
            self._rc = self._engine.drain(self._client, self._mailbox) or self._rc
        except Exception as error:
            self._report("Exception in a callback", error)
        if self._drained is not None:
            self._drained()

    def _report(self, text: str, error: BaseException) -> None:
        context = {"message": f"{text} of {self._client!r}", "exception": error}
        self._loop.call_exception_handler(context)

    def _needs_attention(self) -> bool:
        client = self._client
        return bool(
            self._rc
            or client._ox_deferred
            or client._sock is None
            or loops.should_exit(client)
            or loops.connect_due(client)
        )

    async def connect(self) -> MQTTErrorCode:
        """As ``reconnect()``, without blocking."""
        return await drive(dialling.reconnecting(self._client), self._take)

    async def _take(self, need: AnyNeed) -> Any:
        await self._await_deferred()
        return await satisfy(need)

    async def run(self) -> MQTTErrorCode:
        """As ``loop_forever()``, without blocking."""
        return await drive(loops.loop_sequence(self._client, math.inf, True), self._satisfy)

    async def _satisfy(self, need: LoopNeed) -> MQTTErrorCode:
        if isinstance(need, Reconnect):
            return await self.connect()
        if isinstance(need, Round):
            if self._client._sock is None:
                return MQTTErrorCode.MQTT_ERR_NO_CONN
            await self._wait_for_attention(None)
        else:
            await self._wait_for_attention(need.seconds)
        await self._await_deferred()
        rc, self._rc = self._rc, 0
        return MQTTErrorCode(rc)

    async def _wait_for_attention(self, seconds: float | None) -> None:
        if self._rc or self._client._ox_deferred:
            return
        attention = self._attention = self._loop.create_future()
        timer = None if seconds is None else self._loop.call_later(seconds, attention.cancel)
        try:
            await asyncio.wait({attention})
        finally:
            self._attention = None
            if timer is not None:
                timer.cancel()

    async def _await_deferred(self) -> None:
        """Awaits what callbacks returned, in their order, and acknowledges their messages."""
        while self._client._ox_deferred:
            awaitables, ack_due = self._client._ox_deferred.pop(0)
            for awaitable in awaitables:
                try:
                    await awaitable
                except Exception as error:
                    self._report("Exception in an awaited callback", error)
            if ack_due is not None:
                self._engine.acknowledge(ack_due)
            if not self._client._ox_deferred:
                self._drain()
        if self._stop_watching is None and self._client._ox_on_event_loop:
            self._watch()
