"""`python -m chaos`: whole runs by seed, with a line for each and a summary. `make chaos` calls it."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections import Counter
from pathlib import Path

from .plan import RECEIVER, SENDER
from .run import VERSIONS, Result, Run


def summary(results: list[Result]) -> str:
    """Totals of all runs, and where the connections were cut."""
    places: dict[str, Counter[str]] = {SENDER: Counter(), RECEIVER: Counter()}
    lost: Counter[int] = Counter()
    duplicated: Counter[int] = Counter()
    for result in results:
        lost += result.lost
        duplicated += result.duplicated
        for part, counts in result.resets.items():
            places[part] += counts
    resets = {part: sum(counts.values()) for part, counts in places.items()}
    lines = ["", f"{'cut':32}{'sender':>10}{'receiver':>10}"]
    for place in sorted({*places[SENDER], *places[RECEIVER]}):
        lines.append(f"{place:32}{places[SENDER][place]:10,}{places[RECEIVER][place]:10,}")
    figures = {
        "runs": len(results),
        "messages": sum(result.messages for result in results),
        "reported as published": sum(result.published for result in results),
        "resets": sum(resets.values()),
        "fewest resets in a run": min(result.reset_count for result in results),
        "sent again": sum(result.resent for result in results),
        "QoS 1 lost": lost[1],
        "QoS 2 lost": lost[2],
        "QoS 2 duplicated": duplicated[2],
        "QoS 1 duplicated (allowed)": duplicated[1],
        "sent by the server out of order": sum(result.misordered for result in results),
        "quota exceeded": sum(result.quota_violations for result in results),
        "faults of any kind": sum(len(result.faults) for result in results),
        "seconds": round(sum(result.seconds for result in results)),
    }
    lines.append("")
    lines += [f"{name:32}{value:10,}" for name, value in figures.items()]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many, one after the other")
    parser.add_argument("--versions", type=int, nargs="+", default=list(VERSIONS), metavar="LEVEL")
    parser.add_argument("--messages", type=int, default=20_000, help="half of QoS 1, half of QoS 2")
    parser.add_argument("--resets", type=int, default=10_000, help="at least so many in a run")
    parser.add_argument("--client", default="oxmqtt.client", help="or paho.mqtt.client")
    chosen = parser.parse_args()
    mqtt = importlib.import_module(chosen.client)
    results = []
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        for version in chosen.versions:
            with tempfile.TemporaryDirectory() as folder:
                run = Run(mqtt, Path(folder), seed, version, chosen.messages, chosen.resets)
                results.append(run.run())
            print(results[-1].report() if results[-1].faults else results[-1], flush=True)
    print(summary(results))
    return int(any(result.faults for result in results))


if __name__ == "__main__":
    sys.exit(main())
