"""Waiting that ends at once when nobody wants its result any more: ``loop_stop()``, ``disconnect()``, Ctrl-C.

Nothing here takes a lock: signal handlers and finalisers may end a wait.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, TypeVar

from .needs import AnyNeed, Attempt, Ready, Run, Step
from .pool import pool
from .waiting import SLICE, Bell, Waker, ready, takes_turns

T = TypeVar("T")


def run(need: AnyNeed) -> Any:
    """What came of it, for a thread that waits.

    :raises BaseException: what the call raised.
    """
    return _wait_for_sockets(need) if isinstance(need, Ready) else _run_step(need)


def _run_step(step: Step[T]) -> T | None:
    wait, ring = _waking(step.attempt)
    run = Run(step, ring)
    step.attempt.wake = ring
    try:
        pool().start(step, run)
        while not run.is_done:
            if step.is_over():
                return None
            wait(min(step.left(), SLICE))
        return run.take()
    finally:
        step.attempt.wake = None
        run.leave()


def _waking(attempt: Attempt) -> tuple[Callable[[float], object], Callable[[], object]]:
    """How this thread waits, and what wakes it."""
    if takes_turns():
        try:
            waker = attempt.waker = attempt.waker or Waker()
        except OSError:  # no descriptor is left
            pass
        else:
            return waker.wait, waker.wake
    bell = Bell()
    return bell.wait, bell.ring


def _wait_for_sockets(need: Ready) -> list[socket.socket]:
    found = need.look()
    if found or need.is_over():
        return found
    attempt = need.attempt
    waker = attempt.waker = attempt.waker or Waker()
    attempt.wake = waker.wake
    reading = [waker.fileno(), *(sock.fileno() for sock in need.reading)]
    writing = [sock.fileno() for sock in need.writing]
    try:
        while not need.is_over():
            found_now = ready(reading, writing, min(need.left(), SLICE))
            if waker.fileno() in found_now:
                waker.hear()
            found = [s for s in (*need.reading, *need.writing) if s.fileno() in found_now]
            if found:
                return found
        return []
    finally:
        attempt.wake = None
