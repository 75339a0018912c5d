"""``oxmqtt broker``: the embedded broker as a program, for tests and demonstrations."""

from __future__ import annotations

import importlib
import ipaddress
import socket
import threading
from typing import Any, TextIO

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
@click.option(
    "--users",
    "file",
    type=click.File(encoding="utf-8"),
    help="File of those who may connect, NAME:PASSWORD in each line; - is the standard input.  "
    "[default: everybody]",
)
@click.option("-v", "--verbose", is_flag=True, help="Print who connects and who goes.")
def command(host: str, port: int, file: TextIO | None, verbose: bool) -> None:
    users = None if file is None else _users(file)
    try:
        with embedded_broker("use mosquitto", host=host, port=port, users=users) as broker:
            if users is None and not _is_loopback(host):
                click.echo(
                    f"oxmqtt: warning: whoever reaches {host} port {broker.port} may publish and "
                    "subscribe: --users FILE says who may, -h 127.0.0.1 keeps others out",
                    err=True,
                )
            click.echo(f"listening at mqtt://{broker.host}:{broker.port}")
            if verbose:
                _watch(broker)
            for_ever = threading.Event()
            while not for_ever.wait(1.0):  # a signal on the way into a wait does not end it
                pass
    except OSError as error:
        raise Failure(FAILED, f"cannot listen at {host} port {port}: {error.strerror}") from None


def _users(file: TextIO) -> dict[str, str]:
    """The names and passwords in the file; empty lines and those that begin with # do not count."""
    users = {}
    for number, line in enumerate(file, 1):
        text = line.rstrip("\r\n")
        if not text or text.startswith("#"):
            continue
        name, colon, password = text.partition(":")
        if not name or not colon:
            raise Failure(USAGE, f"{file.name} line {number}: not NAME:PASSWORD")
        users[name] = password
    return users


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0]
    return ipaddress.ip_address(str(address).partition("%")[0]).is_loopback


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
