"""The program: its commands, loaded when they are called, and the way out of them."""

from __future__ import annotations

import importlib
import io
import re
import signal
import sys
from typing import Any

import click

from .. import __version__
from .exits import INTERRUPTED, MEANINGS, TERMINATED, USAGE, Ended, Failure

#: Up to the last @, which a password may have too.
_CREDENTIALS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s'\"]*@")

_COMMANDS = ("pub", "sub", "broker", "bench", "doctor")


class _Program(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f".{cmd_name}", __package__)
        command: click.Command = module.command
        return command

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in MEANINGS.items()])


@click.group(
    cls=_Program,
    context_settings={"max_content_width": 100, "show_default": True},
    help="Publish, subscribe, measure and look into MQTT brokers.",
)
@click.version_option(__version__, prog_name="oxmqtt", message="%(prog)s %(version)s")
def program() -> None:
    pass


def _without_credentials(text: str) -> str:
    """The same with ``***`` for what stands between scheme and host of a URL: click repeats what it does
    not understand, such as a URL that is no argument of the command.
    """
    return _CREDENTIALS.sub(r"\1***@", text)


def _terminated(*_: Any) -> None:
    raise Ended(TERMINATED)


def run() -> int:
    """Runs the command in ``sys.argv``; its exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        return program.main(prog_name="oxmqtt", standalone_mode=False) or 0
    except Ended as end:
        return end.code
    except Failure as failure:
        click.echo(f"oxmqtt: {_without_credentials(str(failure))}", err=True)
        return failure.code
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        click.echo(_without_credentials(shown.getvalue()), err=True, nl=False)
        return USAGE if isinstance(error, click.FileError) else error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    finally:
        # What comes now, such as the last flush, is short and not to be cut shorter.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        sys.stderr.flush()
