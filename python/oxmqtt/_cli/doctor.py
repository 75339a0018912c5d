"""``oxmqtt doctor``: what works on the way to a broker, what does not, and what to do about it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from . import terminal
from .connection import url_argument
from .exits import Command


@click.command(
    "doctor",
    cls=Command,
    short_help="Say what is wrong with a connection.",
    help="Go the whole way to a broker: name, connection, TLS and certificate, MQTT and its limits, a message there and back. "
    "Without URL, MQTT_URL of the environment counts. The exit code tells the step that failed.",
)
@click.argument("url", required=False)
@click.option(
    "-t", "--topic", help="Topic to send the message to.  [default: below oxmqtt/doctor/]"
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(url: str | None, topic: str | None, as_json: bool) -> int:
    from .diagnosis import Diagnosis

    read = url_argument(url)
    colours = terminal.coloured(sys.stdout.isatty())

    def mark(code: int) -> str:
        word = "fails" if code else "ok"
        return (
            click.style(word.ljust(6), fg="red" if code else "green") if colours else word.ljust(6)
        )

    code, steps = 0, []
    if not as_json:
        click.echo(str(read))
    for step in Diagnosis(read, topic).steps():
        code = code or step.code
        steps.append(asdict(step))
        if not as_json:
            click.echo(f"  {mark(step.code)}{step.name:11} {step.text}")
            if step.remedy:
                click.echo(f"{'':20}{step.remedy}")
    if as_json:
        click.echo(
            json.dumps(
                {"url": str(read), "ok": not code, "exit_code": code, "steps": steps}, indent=2
            )
        )
    return code
