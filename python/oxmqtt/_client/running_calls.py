"""Which threads run callbacks of a client now."""

from __future__ import annotations

import threading


class RunningCalls:
    """Counts calls per thread: ``with calls:`` around each; ``ident in calls`` asks.

    A callback may start the client anew or fork, so that the count is forgotten while the call goes
    on. Its end is then no error, and no call that comes later is taken for it.
    """

    def __init__(self) -> None:
        self._depths: dict[int, int] = {}

    def __enter__(self) -> None:
        ident = threading.get_ident()
        self._depths[ident] = self._depths.get(ident, 0) + 1

    def __exit__(self, *_: object) -> None:
        ident = threading.get_ident()
        depth = self._depths.pop(ident, 1) - 1
        if depth:
            self._depths[ident] = depth

    def __contains__(self, ident: int | None) -> bool:
        return ident in self._depths

    def clear(self) -> None:
        """Forgets all: a forked child has none of the parent's threads."""
        self._depths.clear()
