"""What making a connection needs while it waits.

A connection is made by a generator that yields what it needs, and is sent what came of it:

- :class:`Ready`: sockets that can be read or written. The thread that drives it waits itself.
- :class:`Step`: a call that cannot be told to stop, such as asking a name server. It runs in the
  process's :mod:`pool <.pool>`, and is simply left behind.
"""

from __future__ import annotations

import math
import socket
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar, Union

from .waiting import Waker, ready

T = TypeVar("T")

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
