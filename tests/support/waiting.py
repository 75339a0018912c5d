"""Waits with a deadline: nothing in the tests sleeps and hopes.

`Mailbox` is where callbacks put what happened and where the test waits for it; `eventually` is for the few facts that
announce themselves to nobody (a thread count, a descriptor count).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, Callable, Generic, TypeVar

T = TypeVar("T")

#: Long enough for a loaded two-core machine, short enough to fail while somebody still watches.
PATIENCE = 30.0


class Deadline:
    """A point in time; `remaining()` never goes below zero."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def passed(self) -> bool:
        return self.remaining() == 0.0


class Mailbox(Generic[T]):
    """A list that threads append to and that can be waited on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: list[T] = []

    def put(self, item: T) -> None:
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def items(self) -> list[T]:
        with self._changed:
            return list(self._items)

    def __len__(self) -> int:
        with self._changed:
            return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items())

    def wait_for(
        self,
        accept: Callable[[list[T]], Any],
        what: str = "the expected items",
        seconds: float = PATIENCE,
    ) -> list[T]:
        """The items, as soon as `accept(items)` is true."""
        with self._changed:
            if not self._changed.wait_for(lambda: accept(self._items), seconds):
                raise AssertionError(
                    f"waited {seconds} s for {what}; so far {len(self._items)}: "
                    f"{self._items[-20:]!r}"
                )
            return list(self._items)

    def wait_count(self, count: int, seconds: float = PATIENCE) -> list[T]:
        return self.wait_for(lambda items: len(items) >= count, f"{count} items", seconds)

    def wait_item(self, item: T, seconds: float = PATIENCE) -> None:
        self.wait_for(lambda items: item in items, repr(item), seconds)


def eventually(check: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """The first true value of `check()`; polls, for facts without an event."""
    deadline = Deadline(seconds)
    while True:
        value = check()
        if value:
            return value
        if deadline.passed():
            raise AssertionError(f"waited {seconds} s for {what}; last value {value!r}")
        time.sleep(0.005)


def drive(client: Any, until: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
    """Call `client.loop()` on this thread until `until()` is true."""
    deadline = Deadline(seconds)
    while not until():
        if deadline.passed():
            raise AssertionError(f"drove the client {seconds} s for {what}")
        client.loop(0.02)


def finishes(call: Callable[[], T], seconds: float, what: str) -> T:
    """Run `call` on a thread of its own and fail when it has not returned in time."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((True, call()))
        except BaseException as error:
            outcome.append((False, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise AssertionError(f"{what} had not returned after {seconds} s")
    good, value = outcome[0]
    if not good:
        raise value
    return value
