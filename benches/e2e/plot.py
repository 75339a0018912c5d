"""The pictures: throughput of every client as a multiple of the reference's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

if TYPE_CHECKING:
    from results import Results
    from scenarios import Scenario

INK = "#1f2933"
FAINT = "#c9d1d9"
OURS = "#d1495b"
#: Colour and marker of the others, told apart without colour as well.
STYLES = {
    "gmqtt": ("#2e6f95", "s"),
    "mqttium": ("#52796f", "D"),
    "aiomqtt": ("#b08968", "v"),
    "awscrt": ("#7b5ea7", "^"),
    "rumqttc": ("#4a4a4a", "o"),
    "oxmqtt.aio-batches": ("#d1495b", "P"),
    "zmqtt": ("#7b5ea7", "^"),
    "aiomqtt3": ("#4a4a4a", "o"),
}
LABELS = {
    "rumqttc": "rumqttc (Rust, no Python)",
    "aiomqtt3": "aiomqtt 3",
    "oxmqtt.aio-batches": "oxmqtt.aio, batches",
}


def draw(results: Results, scenarios: list[Scenario], path: Path) -> None:
    matplotlib.rcParams.update(
        {
            "font.family": "sans-serif",
            "font.size": 10,
            "text.color": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
        }
    )
    figure = Figure(figsize=(9, 1.9 + 0.36 * len(scenarios)), dpi=160)
    axes = figure.subplots()
    places = range(len(scenarios))
    draw_ours(axes, results, scenarios)
    for client in results.clients():
        if client in (results.set.reference, results.set.ours):
            continue
        colour, marker = STYLES[client]
        points = [(results.ratio(s.name, client, "rate"), y) for s, y in zip(scenarios, places)]
        known = [(ratio, y) for ratio, y in points if ratio]
        if known:
            axes.scatter(
                [ratio for ratio, _ in known],
                [y for _, y in known],
                s=34,
                color=colour,
                marker=marker,
                linewidth=0.6,
                edgecolor="white",
                label=LABELS.get(client, client),
                zorder=4,
            )
    axes.axvline(1, color=INK, linewidth=1, zorder=2)
    axes.annotate(
        results.set.reference_name,
        (1, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
        fontsize=9,
    )
    finish(axes, results, scenarios)
    figure.savefig(path, facecolor="white", bbox_inches="tight", pad_inches=0.15)


def draw_ours(axes: Axes, results: Results, scenarios: list[Scenario]) -> None:
    """Bars from the reference's line for ours, their numbers in a column where no marker can cover them."""
    ours = results.set.ours
    legend: str | None = ours
    for y, scenario in enumerate(scenarios):
        ratio = results.ratio(scenario.name, ours, "rate")
        if not ratio:
            continue
        axes.barh(y, ratio - 1, left=1, height=0.56, color=OURS, alpha=0.85, label=legend, zorder=3)
        legend = None
        axes.annotate(
            f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.1f}x",
            (1.01, y),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            fontweight="bold",
            color=OURS,
        )


def finish(axes: Axes, results: Results, scenarios: list[Scenario]) -> None:
    axes.set_yticks(range(len(scenarios)), [scenario.plot for scenario in scenarios])
    axes.invert_yaxis()
    axes.set_ylim(len(scenarios) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, place: f"{x:g}x"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    reference = results.set.reference_name
    axes.set_xlabel(f"messages per second, as a multiple of {reference} (log scale)")
    axes.grid(axis="x", which="major", color=FAINT, linewidth=0.7, zorder=0)
    axes.grid(axis="x", which="minor", color=FAINT, linewidth=0.3, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    about = results.about
    axes.set_title(results.set.plot_title, loc="left", fontsize=13, fontweight="bold", pad=34)
    axes.text(
        0,
        1,
        f"{about['cores']} cores, {about['cpu']}, {about['python']}, {about['date']}",
        transform=axes.transAxes,
        fontsize=8.5,
        color="#66707a",
        va="bottom",
    ).set_position((0, 1.02 + 0.25 / len(scenarios)))
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(
        range(len(labels)), key=lambda i: labels[i] != results.set.ours
    )  # bars come last
    axes.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="upper center",
        bbox_to_anchor=(0.4, -0.05 - 0.9 / len(scenarios)),
        ncol=6,
        frameon=False,
        fontsize=9,
        handletextpad=0.3,
        columnspacing=1.4,
    )
