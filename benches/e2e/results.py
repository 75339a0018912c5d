"""What `run.py` recorded, and the medians and ratios that come of it."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from sets import SETS

LOST = 0.999  # a receiver that got less than this share has no rate to show


class Results:
    """All runs, by scenario and client and repetition."""

    def __init__(self, paths: list[Path]) -> None:
        self.about: dict[str, Any] = {}
        self.repetitions: set[int] = set()
        self.runs: dict[tuple[str, str], dict[tuple[int, int], dict[str, Any]]] = defaultdict(dict)
        for number, path in enumerate(paths):
            for line in path.read_text().splitlines():
                run = json.loads(line)
                if "about" in run:
                    self.add_about(run["about"])
                else:
                    key = run["scenario"], run["client"]
                    self.runs[key][number, run["rep"]] = run

        self.set = SETS[self.about.get("set", "paho")]

    def add_about(self, about: dict[str, Any]) -> None:
        versions = {**self.about.get("versions", {}), **about.get("versions", {})}
        self.repetitions.add(about.get("reps", 1))
        self.about = {**about, "versions": versions}

    def clients(self) -> list[str]:
        ran = {client for _, client in self.runs}
        return [name for name in self.set.clients if name in ran]

    def values(self, scenario: str, client: str, key: str) -> dict[tuple[int, int], float]:
        runs = self.runs.get((scenario, client), {})
        return {
            rep: float(run[key])
            for rep, run in runs.items()
            if run.get(key) is not None and run.get("got", 1) >= LOST
        }

    def median(self, scenario: str, client: str, key: str) -> float | None:
        values = self.values(scenario, client, key)
        return statistics.median(values.values()) if values else None

    def ratios(self, scenario: str, client: str, key: str, reference: str = "") -> list[float]:
        """Over the set's reference, or another client."""
        others = self.values(scenario, reference or self.set.reference, key)
        values = self.values(scenario, client, key)
        return sorted(values[rep] / others[rep] for rep in values if others.get(rep))

    def ratio(self, scenario: str, client: str, key: str, reference: str = "") -> float | None:
        ratios = self.ratios(scenario, client, key, reference)
        return statistics.median(ratios) if ratios else None
