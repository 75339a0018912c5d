"""The sequences of ``oxmqtt._client`` on an event loop: what they need is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from .._client.abandonable import LOOK_EVERY, Run, Step

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


async def run_step(step: Step[T]) -> T | None:
    """The result of a step, or None as soon as it is not wanted any more.

    :raises BaseException: what the call raised.
    """
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def finish() -> None:
        if not done.done():
            done.set_result(None)

    def tell() -> None:
        try:
            loop.call_soon_threadsafe(finish)
        except RuntimeError:  # the loop is closed: nobody waits
            pass

    run = Run(step, tell)
    try:
        while not (await asyncio.wait({done}, timeout=LOOK_EVERY))[0]:
            if not step.is_wanted():
                return None
        return run.take()
    finally:
        run.leave()


async def in_thread(call: Callable[[], T], name: str) -> T:
    """The result of a call that may block; it is left behind when the task is cancelled."""
    result = await run_step(Step(call, lambda: True, lambda late: None, name))
    return result  # type: ignore[return-value]  # only a step that is not wanted has none
