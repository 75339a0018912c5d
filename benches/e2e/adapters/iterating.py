"""Clients whose messages come from an asynchronous iterator: what their adapters share."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Callable

from .base import AsyncAdapter, Hit


def end_with(reader: asyncio.Task[None]) -> None:
    """A reader that fails is the end of the run, not a receiver that got nothing."""
    if not reader.cancelled() and (failure := reader.exception()):
        print(f"{type(failure).__name__}: {failure}", file=sys.stderr, flush=True)
        os._exit(1)


class IteratorAdapter(AsyncAdapter):
    reader: asyncio.Task[None] | None = None

    async def ask(self, filters: list[str], qos: int) -> None:
        """Subscribes and waits for the SUBACK."""
        raise NotImplementedError

    def incoming(self) -> AsyncIterator[Any]:
        """The library's own iterator."""
        raise NotImplementedError

    async def read(self, hit: Hit) -> None:
        """Takes messages for ever, as its users do."""
        raise NotImplementedError

    def sending(self, topic: str, payload: bytes, qos: int) -> Callable[[], Awaitable[Any]]:
        """The library's own publish() of this message, to be awaited."""
        raise NotImplementedError

    async def taken(self, message: Any) -> None:
        """What a user must do about a message besides taking it."""

    async def subscribe(self, filters: list[str], qos: int, hit: Hit) -> None:
        if self.reader is None:
            self.start_reading(hit)
        await self.ask(filters, qos)

    def start_reading(self, hit: Hit) -> None:
        self.reader = asyncio.create_task(self.read(hit))
        self.reader.add_done_callback(end_with)

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        await self.sending(topic, payload, qos)()

    async def publish_many(self, topic: str, payload: bytes, qos: int, n: int, window: int) -> None:
        """One call after the other; where a call awaits the acknowledgement, in as many tasks as
        the window."""
        send = self.sending(topic, payload, qos)
        left = n

        async def work() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await send()

        await asyncio.gather(*(work() for _ in range(min(window, n) if qos else 1)))

    async def echo(self, topic: str, payload: bytes, qos: int, seconds: float) -> list[int]:
        clock = time.perf_counter_ns
        await self.ask([topic], qos)
        messages = self.incoming()
        send = self.sending(topic, payload, qos)
        samples = []
        end = clock() + int(seconds * 1e9)
        while clock() < end:
            start = clock()
            await send()
            message = await messages.__anext__()
            samples.append(clock() - start)
            await self.taken(message)
        return samples

    async def sip(self, hit: Hit, pause: float, seconds: float) -> None:
        """Takes messages for so long, with a pause after each."""
        end = time.perf_counter() + seconds
        async for message in self.incoming():
            hit("", b"")
            await self.taken(message)
            await asyncio.sleep(pause)
            if time.perf_counter() > end:
                return
