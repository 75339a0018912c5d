"""How a thread waits for sockets, and what wakes it; nothing here takes a lock, so anyone may ring."""

from __future__ import annotations

import math
import os
import select
import socket
import sys
import threading
import time

from .. import _native
from .greenlets import threads_are_greenlets

#: On Windows no signal ends a wait of the main thread: it looks this often, in seconds.
SLICE = 0.1 if sys.platform == "win32" else math.inf
#: Without an interpreter lock nobody waits for it.
_HAS_TURNS = hasattr(_native, "wait_in_turn") and getattr(sys, "_is_gil_enabled", lambda: True)()


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
        found = set().union(*select.select(reading, writing, writing, min(left, SLICE)))
        if found or left <= SLICE:
            return found


def leave_turn() -> None:
    """The thread runs no loop any more."""
    if _HAS_TURNS:
        _native.leave_turn()
