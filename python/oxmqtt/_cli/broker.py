"""``oxmqtt broker``: the embedded broker as a program, for tests and demonstrations."""

from __future__ import annotations

import importlib
import threading
from typing import Any

import click

from .exits import FAILED, USAGE, Command, Failure

#: Seconds between two looks at who is connected.
_LOOK = 0.2


def embedded_broker(instead: str, **arguments: Any) -> Any:
    """A broker that runs as a context manager.

    :param instead: what to do where there is none.
    :raises Failure: this build has none.
    """
    try:
        testing = importlib.import_module("..testing", __package__)
    except ModuleNotFoundError:
        raise Failure(USAGE, f"this build has no embedded broker: {instead}") from None
    return testing.Broker(**arguments)


@click.command(
    "broker",
    cls=Command,
    short_help="Run the embedded broker.",
    help="Run the embedded broker until Ctrl-C. It is for tests and demonstrations, and keeps nothing on disk.",
)
@click.option("-h", "--host", default="127.0.0.1", help="Address to listen at.")
@click.option(
    "-p", "--port", type=click.IntRange(0, 65_535), default=1883, help="Port; 0 for a free one."
)
@click.option("-v", "--verbose", is_flag=True, help="Print who connects and who goes.")
def command(host: str, port: int, verbose: bool) -> None:
    try:
        with embedded_broker("use mosquitto", host=host, port=port) as broker:
            click.echo(f"listening at mqtt://{broker.host}:{broker.port}")
            if verbose:
                _watch(broker)
            threading.Event().wait()
    except OSError as error:
        raise Failure(FAILED, f"cannot listen at {host} port {port}: {error.strerror}") from None


def _watch(broker: Any) -> None:
    """Prints who comes and who goes, until something is raised."""
    before: set[str] = set()
    pause = threading.Event()
    while not pause.wait(_LOOK):
        now = {f"{client.client_id} from {client.address}" for client in broker.clients}
        for client in sorted(now - before):
            click.echo(f"+ {client}")
        for client in sorted(before - now):
            click.echo(f"- {client}")
        before = now
