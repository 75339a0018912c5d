"""``oxmqtt bench``: rates and round-trip times through a broker, beside paho-mqtt's if wanted."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import secrets
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ..url import parse
from .connection import QOS
from .exits import FAILED, Command, Failure

if TYPE_CHECKING:
    from rich.progress import Progress

#: Measurement -> what it is called.
_MEASURES = {"publish": "publish", "receive": "publish and receive", "echo": "echo"}
_MODULES = {"oxmqtt": "oxmqtt.client", "paho": "paho.mqtt.client"}
#: (measurement, figure) -> row of the table, unit
_ROWS = {
    ("publish", "per_second"): ("publish", "msg/s"),
    ("publish", "cpu_seconds_per_million"): ("  CPU *", "s/million"),
    ("receive", "per_second"): ("publish and receive", "msg/s"),
    ("receive", "cpu_seconds_per_million"): ("  CPU *", "s/million"),
    ("echo", "p50"): ("echo p50 *", "µs"),
    ("echo", "p90"): ("echo p90 *", "µs"),
    ("echo", "p99"): ("echo p99 *", "µs"),
    ("echo", "p99.9"): ("echo p99.9 *", "µs"),
}

Results = dict[str, dict[str, dict[str, Any]]]


@click.command(
    "bench",
    cls=Command,
    short_help="Measure rates and round-trip times.",
    help="Measure how fast messages go through a broker: published, until the broker has all of them; published and received "
    "in one process; one after the other to the broker and back. Without URL the broker is the embedded one. Each measurement "
    "is a process of its own. It floods the broker: do not name one that others need.",
)
@click.argument("url", required=False)
@click.option("-q", "--qos", type=QOS, default=0, help="0, 1 or 2.")
@click.option(
    "-s", "--size", type=click.IntRange(0, 1 << 20), default=64, help="Bytes of the payload."
)
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1),
    help="Messages of each measurement, in place of --seconds.",
)
@click.option(
    "--seconds", type=click.FloatRange(0.1, 3600), default=2.0, help="Duration of each measurement."
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    help="Repeat it so many times and take the medians.  [default: 1, with --compare 3]",
)
@click.option("-t", "--topic", help="Topic.  [default: below oxmqtt/bench/]")
@click.option(
    "--compare", is_flag=True, help="Measure paho-mqtt as well, in turns, and print the ratios."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    url: str | None,
    qos: int,
    size: int,
    count: int | None,
    seconds: float,
    rounds: int | None,
    topic: str | None,
    compare: bool,
    as_json: bool,
) -> None:
    if compare and not _is_installed("paho.mqtt"):
        raise click.UsageError("--compare needs paho-mqtt: pip install paho-mqtt")
    clients = ["oxmqtt", "paho"] if compare else ["oxmqtt"]
    rounds = rounds or (3 if compare else 1)
    with _target(url) as broker:
        job = {"url": broker, "qos": qos, "size": size, "count": count, "seconds": seconds}
        job["topic"] = topic or f"oxmqtt/bench/{secrets.token_hex(6)}"
        results = _measure(job, clients, rounds)
        shown = "the embedded broker" if url is None else str(parse(broker))
    if as_json:
        settings = {key: job[key] for key in ("qos", "size", "count", "seconds")}
        versions = {client: _version(client) for client in clients}
        made = {"broker": shown, **settings, "rounds": rounds, "versions": versions}
        click.echo(json.dumps({**made, "results": results, "ratios": _ratios(results)}, indent=2))
    else:
        _print_table(results, f"{shown}, QoS {qos}, {size} bytes")


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _version(client: str) -> str:
    if client == "paho":
        return importlib.metadata.version("paho-mqtt")
    from .. import __version__

    return __version__


@contextmanager
def _target(url: str | None) -> Iterator[str]:
    """The URL to measure; the embedded broker runs as long as it is measured."""
    if url is None:
        from .broker import embedded_broker

        with embedded_broker("give the URL of a broker: oxmqtt bench URL") as broker:
            yield f"mqtt://{broker.host}:{broker.port}"
        return
    try:
        parse(url)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    yield url


def _measure(job: dict[str, Any], clients: list[str], rounds: int) -> Results:
    """The medians of all rounds, by client and measurement; the clients take turns."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with _progress() as progress:
        for number in range(rounds):
            for measure, name in _MEASURES.items():
                for client in clients:
                    turn = f" {number + 1}/{rounds}" if rounds > 1 else ""
                    task = progress.add_task(f"{client}: {name}{turn}", total=1.0)
                    own = {**job, "measure": measure, "module": _MODULES[client]}
                    result = _run(own, progress, task)
                    progress.update(task, completed=1.0, visible=False)
                    found.setdefault((client, measure), []).append(result)
    return {
        client: {measure: _median(found[client, measure]) for measure in _MEASURES}
        for client in clients
    }


def _median(results: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: statistics.median(each[key] for each in results) for key in results[0]}


def _progress() -> Progress:
    """Bars on a terminal; without one nothing is shown."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _run(job: dict[str, Any], progress: Progress, task: Any) -> dict[str, Any]:
    """The result of one process.

    :raises Failure: it has none.
    """
    words = [sys.executable, "-m", f"{__package__}.bench_run"]
    # The URL goes by the standard input, since others on the machine can see arguments; and Ctrl-C is for
    # this process, which ends that one.
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        try:
            child.stdin.write(json.dumps(job) + "\n")
            child.stdin.close()
            for text in child.stdout:
                line = json.loads(text)
                if "error" in line:
                    raise Failure(line["code"], line["error"])
                if "result" in line:
                    result: dict[str, Any] = line["result"]
                    return result
                progress.update(task, completed=line["progress"])
        finally:
            child.kill()
    raise Failure(FAILED, "a measurement ended without a result")


def _ratios(results: Results) -> dict[str, float]:
    """oxmqtt's figures as multiples of paho's."""
    if "paho" not in results:
        return {}
    made = {}
    for measure, key in _ROWS:
        ours, theirs = results["oxmqtt"][measure][key], results["paho"][measure][key]
        if theirs:
            made[f"{measure} {key}"] = ours / theirs
    return made


def _print_table(results: Results, title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", caption="* less is better")
    for heading in ("", "unit"):
        table.add_column(heading)
    for client in results:
        table.add_column(f"{client} {_version(client)}", justify="right")
    ratios = _ratios(results)
    if ratios:
        table.add_column("ratio", justify="right")
    for (measure, key), row in _ROWS.items():
        values = [results[client][measure][key] for client in results]
        figures = [f"{value:,.{0 if value >= 100 else 2}f}" for value in values]
        if ratios:
            ratio = ratios.get(f"{measure} {key}")
            figures.append("" if ratio is None else f"{ratio:.3g}x")
        table.add_row(*row, *figures)
    Console().print(table)
    for client, measures in results.items():
        if measures["receive"]["lost"]:
            lost = f"{measures['receive']['lost']:,.0f} messages of QoS 0 did not arrive"
            click.echo(f"{client}: {lost}")
