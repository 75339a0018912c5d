"""The sequences of ``oxmqtt._client`` on an event loop: what they need is awaited."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from .._client.abandonable import run
from .._client.needs import AnyNeed, Attempt, Ready, Run, Step
from .._client.pool import pool

R = TypeVar("R")
T = TypeVar("T")


async def drive(sequence: Generator[R, Any, T], satisfy: Callable[[R], Awaitable[Any]]) -> T:
    """What the sequence returns; a cancellation is thrown into it, so that it can clean up."""
    outcome: Any = None
    error: BaseException | None = None
    while True:
        try:
            need = sequence.send(outcome) if error is None else sequence.throw(error)
        except StopIteration as stop:
            result: T = stop.value
            return result
        outcome = error = None
        try:
            outcome = await satisfy(need)
        except BaseException as failure:
            error = failure


async def satisfy(need: AnyNeed) -> Any:
    """What came of it.

    :raises BaseException: what the call raised.
    """
    return await (_wait_for_sockets(need) if isinstance(need, Ready) else _run_step(need))


class _Signal:
    """Wakes a coroutine, from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()

    def give(self, *_: object) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def give_from_elsewhere(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self.give)
        except RuntimeError:  # the loop is closed: nobody waits
            pass

    async def wait(self, seconds: float) -> None:
        timer = self._loop.call_later(seconds, self.give)
        try:
            await self._future
        finally:
            timer.cancel()
            self._future = self._loop.create_future()


async def _run_step(step: Step[T]) -> T | None:
    signal = _Signal()
    run = Run(step, signal.give_from_elsewhere)
    step.attempt.wake = signal.give_from_elsewhere
    try:
        pool().start(step, run)
        while not run.is_done:
            if step.is_over():
                return None
            await signal.wait(step.left())
        return run.take()
    finally:
        step.attempt.wake = None
        run.leave()


async def _wait_for_sockets(need: Ready) -> list[socket.socket]:
    found = need.look()
    if found or need.is_over():
        return found
    signal = _Signal()
    try:
        stop = _watch(need, signal.give)
    except NotImplementedError:  # the proactor loop of Windows
        own = Ready(Attempt(), need.until, reading=need.reading, writing=need.writing)
        return await _run_step(Step(lambda: run(own), need.attempt, need.until)) or []
    need.attempt.wake = signal.give_from_elsewhere
    try:
        while not (found or need.is_over()):
            await signal.wait(need.left())
            found = need.look()
        return found
    finally:
        need.attempt.wake = None
        stop()


def _watch(need: Ready, callback: Callable[[], object]) -> Callable[[], None]:
    """Lets the event loop call back when a socket is ready, until the result is called."""
    loop = asyncio.get_running_loop()
    for sock in need.reading:
        loop.add_reader(sock.fileno(), callback)
    for sock in need.writing:
        loop.add_writer(sock.fileno(), callback)

    def stop() -> None:
        for sock in need.reading:
            loop.remove_reader(sock.fileno())
        for sock in need.writing:
            loop.remove_writer(sock.fileno())

    return stop


async def in_thread(call: Callable[[], T]) -> T:
    """The result of a call that may block; it is left behind when the task is cancelled."""
    result = await _run_step(Step(call, Attempt()))
    return result  # type: ignore[return-value]  # only a step that is not wanted has none
