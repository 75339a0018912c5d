"""What a client does step after step, told apart from how one waits between the steps.

Connecting and looping are generators: they yield what they need, and are sent what came of it. A thread
satisfies them by waiting (``loops.py``), an event loop by awaiting (``oxmqtt.aio``).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeVar, Union

R = TypeVar("R")
T = TypeVar("T")


class Round(NamedTuple):
    """Wait for events up to ``timeout`` seconds, and call their callbacks; sent the result code."""

    timeout: float


class Pause(NamedTuple):
    """The same where there is no connection: events still come, and interruptions end it."""

    seconds: float


class Reconnect(NamedTuple):
    """Connect again; sent a result code, or thrown what dialling raised."""


LoopNeed = Union[Round, Pause, Reconnect]


def drive(sequence: Generator[R, Any, T], satisfy: Callable[[R], Any]) -> T:
    """What the sequence returns; ``satisfy`` is called with each thing it needs."""
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
            outcome = satisfy(need)
        except BaseException as failure:
            error = failure
