"""The score of the wire cases: how many pass, those that must stay and those that must close apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator


class Score:
    """How many wire cases passed, by what they ask for."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[bool, str]] = Counter()

    def count(self, must_close: bool, verdict: str) -> None:
        self.counts[must_close, verdict] += 1

    def lines(self) -> Iterator[str]:
        for must_close, name in (False, "must stay "), (True, "must close"):
            passed, deviate, fail = (
                self.counts[must_close, verdict] for verdict in ("pass", "deviate", "fail")
            )
            total = passed + deviate + fail
            yield f"{name}: {passed} of {total} pass, {deviate} deviate by the table, {fail} fail"


SCORE = Score()
