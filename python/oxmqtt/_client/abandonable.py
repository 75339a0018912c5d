"""Calls that may take long and that nobody has to wait for to the end, such as asking a name server.

Neither ``getaddrinfo()`` nor a TLS handshake can be told to stop. So they run on a thread that is
simply left behind when the program does not want their result any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

#: Seconds between two looks at whether the result is still wanted.
LOOK_EVERY = 0.05


class Step(Generic[T]):
    """A call, and what becomes of its result.

    :param is_wanted: whether the result is still of use.
    :param discard: gets the result of a call that was left behind; its exception goes nowhere.
    :param name: the name of the thread.
    """

    def __init__(
        self,
        call: Callable[[], T],
        is_wanted: Callable[[], bool],
        discard: Callable[[T], Any],
        name: str,
    ) -> None:
        self.call = call
        self.is_wanted = is_wanted
        self.discard = discard
        self.name = name


class Run(Generic[T]):
    """A step on its way; ``done`` is called on its thread when it has come to its end."""

    def __init__(self, step: Step[T], done: Callable[[], Any]) -> None:
        self._step = step
        self._done = done
        self._lock = threading.Lock()
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._is_left = False
        try:
            threading.Thread(target=self._work, name=step.name, daemon=True).start()
        except RuntimeError:  # no more threads, or the interpreter shuts down
            self._work()

    def _work(self) -> None:
        try:
            result = self._step.call()
        except BaseException as error:
            self._errors.append(error)
        else:
            with self._lock:
                comes_late = self._is_left
                if not comes_late:
                    self._results.append(result)
            if comes_late:
                self._step.discard(result)
        finally:
            self._done()

    def take(self) -> T:
        """The result of a step that is done.

        :raises BaseException: what the call raised.
        """
        if self._errors:
            try:
                raise self._errors.pop()
            finally:
                self._errors.clear()
        return self._results.pop()

    def leave(self) -> None:
        """Nobody takes the result any more."""
        with self._lock:
            self._is_left = True
        while self._results:
            self._step.discard(self._results.pop())


def run(step: Step[T]) -> T | None:
    """The result of a step, or None as soon as it is not wanted any more.

    :raises BaseException: what the call raised.
    """
    done = threading.Event()
    run = Run(step, done.set)
    try:
        while not done.wait(LOOK_EVERY):
            if not step.is_wanted():
                return None
        return run.take()
    finally:
        run.leave()
