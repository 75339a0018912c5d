"""Makes the published page and plot from the JSON lines of `run.py`:
`report.py RESULTS.jsonl… [--to docs/benchmarks]` writes `results.md` and `throughput.png`.

A ratio is the median, over the repetitions, of a client's number over paho's in the same
repetition. "-" stands for what a client cannot do or failed to do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from adapters import CLIENTS
from scenarios import ALL, Row, Scenario

REFERENCE = "paho"
LOST = 0.999  # a receiver that got less than this share has no rate to show


class Results:
    """All runs, by scenario and client and repetition."""

    def __init__(self, paths: list[Path]) -> None:
        self.about: dict[str, Any] = {}
        self.runs: dict[tuple[str, str], dict[tuple[int, int], dict[str, Any]]] = defaultdict(dict)
        for number, path in enumerate(paths):
            for line in path.read_text().splitlines():
                run = json.loads(line)
                if "about" in run:
                    self.add_about(run["about"])
                else:
                    key = run["scenario"], run["client"]
                    self.runs[key][number, run["rep"]] = run

    def add_about(self, about: dict[str, Any]) -> None:
        versions = {**self.about.get("versions", {}), **about.get("versions", {})}
        self.about = {**about, "versions": versions}

    def clients(self) -> list[str]:
        ran = {client for _, client in self.runs}
        others = [name for name in CLIENTS if name in ran and name not in (REFERENCE, "oxmqtt")]
        return [name for name in (REFERENCE, "oxmqtt") if name in ran] + others

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

    def ratios(self, scenario: str, client: str, key: str) -> list[float]:
        reference = self.values(scenario, REFERENCE, key)
        values = self.values(scenario, client, key)
        return sorted(values[rep] / reference[rep] for rep in values if reference.get(rep))

    def ratio(self, scenario: str, client: str, key: str) -> float | None:
        ratios = self.ratios(scenario, client, key)
        return statistics.median(ratios) if ratios else None


def amount(value: float | None, unit: str = "") -> str:
    """A number with about three significant digits and its unit; counts are exact."""
    if value is None:
        return "-"
    if unit == "msg/s" and value >= 1e6:
        text = f"{value / 1e6:.3g}M"
    elif unit == "msg/s" and value >= 1e4:
        text = f"{value / 1e3:.0f}k"
    elif value >= 100:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.2g}" if value < 1 else f"{value:.3g}"
    return f"{text} {unit}".strip()


def bare(value: float, unit: str) -> str:
    return amount(value, unit).removesuffix(unit).strip()


def times(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio:.0f}x" if ratio >= 20 else f"{ratio:.2g}x" if ratio < 10 else f"{ratio:.1f}x"


def main_table(results: Results) -> list[str]:
    clients = results.clients()
    lines = [
        "| | " + " | ".join(clients) + " |",
        "|---|" + "---:|" * len(clients),
    ]
    for scenario, row in rows(results):
        cells = []
        for client in clients:
            value = results.median(scenario.name, client, row.key)
            if row.absolute or client == REFERENCE:
                cells.append(amount(value, row.unit))
            else:
                cells.append(times(results.ratio(scenario.name, client, row.key)))
        lines.append(f"| {title(row, results)} | " + " | ".join(cells) + " |")
    return lines


def absolute_table(results: Results) -> list[str]:
    clients = results.clients()
    lines = ["| | unit | " + " | ".join(clients) + " |", "|---|---|" + "---:|" * len(clients)]
    for scenario, row in rows(results):
        cells = []
        for client in clients:
            values = sorted(results.values(scenario.name, client, row.key).values())
            cell = bare(statistics.median(values), row.unit) if values else "-"
            if values and values[0] != values[-1]:
                cell += f" ({bare(values[0], row.unit)}…{bare(values[-1], row.unit)})"
            cells.append(cell)
        lines.append(f"| {title(row, results)} | {row.unit} | " + " | ".join(cells) + " |")
    return lines


def rows(results: Results) -> list[tuple[Scenario, Row]]:
    ran = {scenario for scenario, _ in results.runs}
    return [(scenario, row) for scenario in ALL if scenario.name in ran for row in scenario.rows]


def title(row: Row, results: Results) -> str:
    text = row.title.format(clients=f"{results.about.get('clients', 0):,}")
    if row.absolute:
        return text
    return text if row.higher_is_better else f"{text} (less is better)"


def remarks(results: Results) -> list[str]:
    """What the tables leave out: runs that failed and messages that were lost."""
    seen: dict[tuple[str, str], str] = {}
    for (scenario, client), runs in results.runs.items():
        for run in runs.values():
            if run.get("error"):
                seen[scenario, client] = run["error"]
            elif run.get("got", 1) < LOST:
                seen[scenario, client] = f"lost {1 - run['got']:.1%} of the messages"
    return [f"- {scenario}, {client}: {text}" for (scenario, client), text in seen.items()]


def page(results: Results) -> str:
    about = results.about
    repetitions = "one repetition" if about["reps"] == 1 else f"{about['reps']} repetitions"
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    parts = [
        "# Benchmark results",
        "",
        "Written by `benches/e2e/report.py`; do not edit. `make bench` makes it anew.",
        "",
        f"{about['cores']} cores, {about['cpu']}; {about['system']}; {about['python']}; "
        f"mosquitto {about['mosquitto'] or '(none)'}; {about['date']}.",
        f"{versions}; rumqttc 0.25.1 is a Rust program, without Python.",
        "",
        "Messages have 64 bytes. Every run is a process of its own; the clients take turns, and the"
        f" numbers are medians of {repetitions}. Differences below 15 % mean nothing."
        ' "-": not supported, or failed.',
        "",
        "![Throughput compared with paho-mqtt](throughput.png)",
        "",
        "## paho-mqtt, and the others as a multiple of it",
        "",
        *main_table(results),
        "",
        "## Absolute numbers: median (lowest…highest)",
        "",
        *absolute_table(results),
    ]
    notes = remarks(results)
    if notes:
        parts += ["", "## Failures", "", *notes]
    return "\n".join(parts) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Tables and plot from the results of run.py")
    parser.add_argument("results", type=Path, nargs="+")
    root = Path(__file__).resolve().parent.parent.parent
    parser.add_argument("--to", type=Path, default=root / "docs" / "benchmarks")
    options = parser.parse_args(arguments)
    results = Results(options.results)
    options.to.mkdir(parents=True, exist_ok=True)
    (options.to / "results.md").write_text(page(results))
    plotted = [s for s in ALL if s.plot and results.median(s.name, REFERENCE, "rate")]
    if plotted:
        from plot import draw  # matplotlib is slow to import

        draw(results, plotted, options.to / "throughput.png")
    print(f"wrote {options.to}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
