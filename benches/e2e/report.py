"""Makes the published page and plot from the JSON lines of `run.py`:
`report.py RESULTS.jsonl… [--to docs/benchmarks]` writes `results.md` and `throughput.png`, or those
of the event loops.

A ratio is the median, over the repetitions, of a client's number over the reference's in the same
repetition. "-" stands for what a client cannot do or failed to do.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from results import LOST, Results
from scenarios import Row, Scenario


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
            if row.absolute or client == results.set.reference:
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


def best_table(results: Results) -> list[str]:
    """Ours beside whichever of the others has the best median."""
    ours = results.set.ours
    theirs = [name for name in results.clients() if not name.startswith(ours)]
    lines = [f"| | {ours} | the best other | of it |", "|---|---:|---|---:|"]
    for scenario, row in rows(results):
        mine = results.median(scenario.name, ours, row.key)
        medians = {name: results.median(scenario.name, name, row.key) for name in theirs}
        known = {name: value for name, value in medians.items() if value is not None}
        if row.absolute or mine is None or not known:
            continue
        best = (max if row.higher_is_better else min)(known, key=lambda name: known[name])
        ratio = results.ratio(scenario.name, ours, row.key, best)
        cells = amount(mine, row.unit), f"{best}, {amount(known[best], row.unit)}", times(ratio)
        lines.append(f"| {title(row, results)} | " + " | ".join(cells) + " |")
    return lines


def rows(results: Results) -> list[tuple[Scenario, Row]]:
    ran = {scenario for scenario, _ in results.runs}
    return [
        (scenario, row)
        for scenario in results.set.scenarios
        if scenario.name in ran
        for row in scenario.rows
    ]


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
    about, kind = results.about, results.set
    reference = kind.reference_name
    again = "make bench" if kind.name == "paho" else f'make bench ARGS="--set {kind.name}"'
    fewest, most = min(results.repetitions), max(results.repetitions)
    repetitions = f"{most} repetitions" if fewest == most else f"{fewest} to {most} repetitions"
    versions = ", ".join(
        f"{name} {version}"
        for name, version in about["versions"].items()
        if not name.endswith("-batches")  # the same package once more
    )
    beside_best = []
    if kind.beside_best:
        beside_best = ["## Beside the best of the others", "", *best_table(results), ""]
    parts = [
        f"# {kind.title}",
        "",
        f"Written by `benches/e2e/report.py`; do not edit. `{again}` makes it anew.",
        "",
        f"{about['cores']} cores, {about['cpu']}; {about['system']}; {about['python']}; "
        f"mosquitto {about['mosquitto'] or '(none)'}; {about['date']}.",
        f"{versions}. {kind.note}",
        "",
        "Messages have 64 bytes. Every run is a process of its own; the clients take turns, and the"
        f" numbers are medians of {repetitions}. Differences below 15 % mean nothing."
        ' "-": not supported, or failed.',
        "",
        f"![Throughput compared with {reference}]({kind.plot})",
        "",
        f"## {reference}, and the others as a multiple of it",
        "",
        *main_table(results),
        "",
        *beside_best,
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
    kind = results.set
    (options.to / kind.page).write_text(page(results))
    plotted = [
        s for s in kind.scenarios if s.plot and results.median(s.name, kind.reference, "rate")
    ]
    if plotted:
        from plot import draw  # matplotlib is slow to import

        draw(results, plotted, options.to / kind.plot)
    print(f"wrote {options.to}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
