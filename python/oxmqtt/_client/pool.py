"""The threads on which clients wait for what cannot be told to stop: a few for the whole process.

Name servers, proxies, and what a program puts in the place of our own dialling. All else that takes time
while a connection is made is waited for by the thread, or the event loop, that wants the connection.

Calls that hang hold their threads, but no more than :data:`MOST`: what comes behind them waits in a queue,
up to its own time-out. Clients that ask for one name at the same time share one look-up.
"""

from __future__ import annotations

import copy
import os
import threading
import time
from collections import deque
from collections.abc import Hashable
from typing import Any, TypeVar

from .needs import Run, Step
from .waiting import Bell

T = TypeVar("T")

#: Threads at the most.
MOST = 32
#: Seconds after which a thread without work ends.
_IDLE = 5.0
#: Seconds during which a call that is under way is as good as one that begins now.
_FRESH = 2.0


class Task:
    """A call, and those who want its result."""

    def __init__(self, step: Step[Any]) -> None:
        self._call = step.call
        self._runs: deque[Run[Any]] = deque()
        self._outcome: tuple[Any, BaseException | None] | None = None
        self._is_dropped = False
        self._began = time.monotonic()

    def is_fresh(self) -> bool:
        return self._outcome is None and time.monotonic() - self._began < _FRESH

    def add(self, run: Run[Any]) -> bool:
        """Whether the run gets the result."""
        self._runs.append(run)
        if self._outcome is not None:  # perhaps behind the back of the thread that told the others
            self._tell()
        return not self._is_dropped

    def _is_wanted(self) -> bool:
        return not all(run.is_left for run in list(self._runs))

    def work(self) -> None:
        if not self._is_wanted():
            self._is_dropped = True
            if not self._is_wanted():  # nobody came meanwhile
                return
        try:
            self._outcome = (self._call(), None)
        except BaseException as error:
            self._outcome = (None, error)
        self._tell()

    def _tell(self) -> None:
        assert self._outcome is not None
        result, error = self._outcome
        while self._runs:
            try:
                run = self._runs.popleft()
            except IndexError:
                return
            if error is None:
                run.succeed(result)
            else:  # an exception of its own for each: raising one adds to it
                run.fail(_copy(error) if self._runs else error)


def _copy(error: BaseException) -> BaseException:
    try:
        return copy.copy(error)
    except Exception:  # its constructor takes other arguments than it shows
        return error


class _Permit:
    """To be a thread of the pool; returned by whatever way it is dropped."""

    def __init__(self, free: deque[None]) -> None:
        free.pop()
        self._free = free

    def __del__(self) -> None:
        free = getattr(self, "_free", None)
        if free is not None:
            free.append(None)


class Pool:
    """Its threads start when there is work, and end when there has been none for a while.

    It has no lock, which a signal handler that connects could find taken by its own thread: adding to a
    deque and taking from it is atomic.
    """

    def __init__(self) -> None:
        self._queue: deque[Task] = deque()
        #: Of the threads without work.
        self._bells: deque[Bell] = deque()
        self._free: deque[None] = deque([None] * MOST)
        #: Tasks that others may join.
        self._shared: dict[Hashable, Task] = {}

    def start(self, step: Step[T], run: Run[T]) -> None:
        """Lets the run have the result of the step, sooner or later."""
        if step.shared is not None:
            task = self._shared.get(step.shared)
            if task is not None and task.is_fresh() and task.add(run):
                return
        task = Task(step)
        task.add(run)
        if step.shared is not None:
            self._forget_old()
            self._shared[step.shared] = task
        self._queue.append(task)
        self._find_thread()

    def _forget_old(self) -> None:
        for name, task in list(self._shared.items()):
            if not task.is_fresh():
                self._shared.pop(name, None)

    def _find_thread(self) -> None:
        try:
            return self._bells.pop().ring()
        except IndexError:
            pass
        if not self._start_thread() and len(self._free) == MOST:  # nobody else would ever do it
            self._work()

    def _start_thread(self) -> bool:
        try:
            permit = _Permit(self._free)
        except IndexError:
            return False  # the first thread that is through looks into the queue
        try:
            name = "oxmqtt-dial"
            threading.Thread(target=self._main, args=(permit,), name=name, daemon=True).start()
        except (RuntimeError, MemoryError):  # no more threads, or the interpreter shuts down
            return False
        except (
            BaseException
        ):  # a signal struck: Python may end the thread before it has done anything
            self._start_thread()
            raise
        return True

    def _work(self) -> None:
        while self._queue:
            try:
                task = self._queue.popleft()
            except IndexError:
                return
            task.work()

    def _main(self, permit: _Permit) -> None:
        bell = Bell()
        while True:
            self._work()
            self._bells.append(bell)
            if not self._queue:
                bell.wait(_IDLE)
            try:
                self._bells.remove(bell)
            except ValueError:  # it has been called
                continue
            if not self._queue:
                break
        del permit
        if self._queue:  # it came when no other thread was allowed
            self._find_thread()


_pool = Pool()


def pool() -> Pool:
    """That of this process."""
    return _pool


def _start_anew() -> None:
    global _pool
    _pool = Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
