"""Waiting that ends at once when nobody wants its result any more: ``loop_stop()``, ``disconnect()``, Ctrl-C.

A connection is made by a generator that yields what it needs, and is sent what came of it:

- :class:`Ready`: sockets that can be read or written. The thread that drives it waits itself.
- :class:`Step`: a call that cannot be told to stop, such as asking a name server. It runs in the
  process's :mod:`pool <.pool>`, and is simply left behind.

Nothing here takes a lock: signal handlers and finalisers may end a wait.
"""

from __future__ import annotations

import math
import os
import select
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar, Union

from .. import _native
from .greenlets import threads_are_greenlets

T = TypeVar("T")

#: On Windows no signal ends a wait of the main thread: it looks this often, in seconds.
_SLICE = 0.1 if sys.platform == "win32" else math.inf
#: Without an interpreter lock nobody waits for it.
_HAS_TURNS = hasattr(_native, "wait_in_turn") and getattr(sys, "_is_gil_enabled", lambda: True)()
#: The longest time-out that all system calls take.
_DAY = 86_400.0


class Attempt:
    """What is waited for, told to those who can make an end of it.

    :param is_wanted: whether the result is still of use; asked on the thread that waits.
    """

    def __init__(self, is_wanted: Callable[[Attempt], bool] = lambda attempt: True) -> None:
        self._is_wanted = is_wanted
        #: Ends the wait that is under way.
        self.wake: Callable[[], object] | None = None
        #: What wakes a thread that waits for sockets, once there was need for it.
        self.waker: Waker | None = None

    def is_wanted(self) -> bool:
        return self._is_wanted(self)

    def look_again(self) -> None:
        """Whoever waits asks again whether the result is wanted."""
        wake = self.wake
        if wake is not None:
            wake()


class Need:
    """:param until: when the wait ends in any case, by ``time.monotonic()``."""

    def __init__(self, attempt: Attempt, until: float) -> None:
        self.attempt = attempt
        self.until = until

    def is_over(self) -> bool:
        return not self.attempt.is_wanted() or time.monotonic() >= self.until

    def left(self) -> float:
        return max(0.0, min(self.until - time.monotonic(), _DAY))


class Step(Need, Generic[T]):
    """A call for the pool; sent its result, None when that is not wanted or late.

    :param discard: gets the result of a call that was left behind; its exception goes nowhere.
    :param shared: calls of the same name that begin at about the same time are one.
    """

    def __init__(
        self,
        call: Callable[[], T],
        attempt: Attempt,
        until: float = math.inf,
        discard: Callable[[T], Any] = lambda late: None,
        shared: Hashable = None,
    ) -> None:
        super().__init__(attempt, until)
        self.call = call
        self.discard = discard
        self.shared = shared


class Ready(Need):
    """Sent those of the sockets that are ready, or have failed; none when it is not wanted or late.

    :param reading: wait until there is something to read.
    :param writing: wait until they take something, or are connected.
    """

    def __init__(
        self,
        attempt: Attempt,
        until: float,
        *,
        reading: list[socket.socket] | None = None,
        writing: list[socket.socket] | None = None,
    ) -> None:
        super().__init__(attempt, until)
        self.reading = reading or []
        self.writing = writing or []

    def look(self) -> list[socket.socket]:
        """Those that are ready now."""
        found = ready([s.fileno() for s in self.reading], [s.fileno() for s in self.writing], 0.0)
        return [sock for sock in (*self.reading, *self.writing) if sock.fileno() in found]


AnyNeed = Union[Step[Any], Ready]


class Run(Generic[T]):
    """A step on its way; ``done`` is called, on any thread, when it has come to its end."""

    def __init__(self, step: Step[T], done: Callable[[], Any]) -> None:
        self._step = step
        self._done = done
        self._results: deque[T] = deque()
        self._error: BaseException | None = None
        self._is_left = False
        self.is_done = False

    def succeed(self, result: T) -> None:
        self._results.append(result)
        self.is_done = True
        if self._is_left:
            self._discard()
        self._done()

    def fail(self, error: BaseException) -> None:
        self._error = error
        self.is_done = True
        self._done()

    @property
    def is_left(self) -> bool:
        return self._is_left

    def take(self) -> T:
        """The result of a step that is done.

        :raises BaseException: what the call raised.
        """
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None
        return self._results.pop()

    def leave(self) -> None:
        """Nobody takes the result any more."""
        self._is_left = True
        self._discard()

    def _discard(self) -> None:
        """Taking from a deque is atomic: each result is discarded once, here or on its own thread."""
        while self._results:
            try:
                late = self._results.pop()
            except IndexError:
                return
            self._step.discard(late)


class Bell:
    """Wakes one thread. Anyone may ring it, also in a signal handler: that takes no lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:  # it has yet to hear the last one
            pass

    def wait(self, seconds: float) -> bool:
        """Whether it was rung within so many seconds."""
        return self._lock.acquire(timeout=seconds)


class Waker:
    """The same for a thread that waits for sockets. It is closed when nobody holds it any more, so
    that nobody writes to a descriptor that is another's by then.
    """

    def __init__(self) -> None:
        self._ends: tuple[socket.socket, socket.socket] | None = None
        if sys.platform == "win32":  # there is no select() on pipes
            self._ends = socket.socketpair()
            for end in self._ends:
                end.setblocking(False)
            self._read, self._write = (end.fileno() for end in self._ends)
        else:
            self._read, self._write = os.pipe()
            os.set_blocking(self._write, False)

    def fileno(self) -> int:
        return self._read

    def wake(self) -> None:
        try:
            if self._ends is not None:
                self._ends[1].send(b"\0")
            else:
                os.write(self._write, b"\0")
        except OSError:  # it has enough to wake up by
            pass

    def wait(self, seconds: float) -> None:
        if ready([self._read], [], seconds):
            self.hear()

    def hear(self) -> None:
        """Makes it quiet again."""
        if self._ends is not None:
            self._ends[0].recv(64)
        else:
            os.read(self._read, 64)

    def __del__(self) -> None:
        if getattr(self, "_ends", None) is not None:
            for end in self._ends or ():
                end.close()
        elif hasattr(self, "_write"):
            os.close(self._read)
            os.close(self._write)


def takes_turns() -> bool:
    """Whether this thread comes back from a wait when it is its turn (``engine/turns.rs``): not the main
    thread, whose waits signals end, and no greenlet.
    """
    return (
        _HAS_TURNS
        and threading.get_ident() != threading.main_thread().ident
        and not threads_are_greenlets()
    )


def ready(reading: list[int], writing: list[int], timeout: float) -> set[int]:
    """The descriptors that are ready, or have failed, within so many seconds; perhaps none before that."""
    if timeout and takes_turns():
        return set(_native.wait_in_turn(reading, writing, timeout))
    if hasattr(select, "poll"):
        poll = select.poll()
        for descriptor in reading:
            poll.register(descriptor, select.POLLIN)
        for descriptor in writing:
            poll.register(descriptor, select.POLLOUT)
        return {descriptor for descriptor, _ in poll.poll(math.ceil(timeout * 1000))}
    return _select(reading, writing, timeout)


def _select(reading: list[int], writing: list[int], timeout: float) -> set[int]:
    """In slices, where no signal would end the wait."""
    until = time.monotonic() + timeout
    while True:
        left = max(0.0, until - time.monotonic())
        # Windows tells of a connection that failed in the third list.
        found = set().union(*select.select(reading, writing, writing, min(left, _SLICE)))
        if found or left <= _SLICE:
            return found


def leave_turn() -> None:
    """The thread runs no loop any more."""
    if _HAS_TURNS:
        _native.leave_turn()


def run(need: AnyNeed) -> Any:
    """What came of it, for a thread that waits.

    :raises BaseException: what the call raised.
    """
    return _wait_for_sockets(need) if isinstance(need, Ready) else _run_step(need)


def _run_step(step: Step[T]) -> T | None:
    from .pool import pool

    wait, ring = _waking(step.attempt)
    run = Run(step, ring)
    step.attempt.wake = ring
    try:
        pool().start(step, run)
        while not run.is_done:
            if step.is_over():
                return None
            wait(min(step.left(), _SLICE))
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
            found_now = ready(reading, writing, min(need.left(), _SLICE))
            if waker.fileno() in found_now:
                waker.hear()
            found = [s for s in (*need.reading, *need.writing) if s.fileno() in found_now]
            if found:
                return found
        return []
    finally:
        attempt.wake = None
