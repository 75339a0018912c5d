"""How a command ends: the exit codes, and the errors that carry them."""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..url import BrokerUrl

FAILED = 1
USAGE = 2
NAME = 3
CONNECTION = 4
TLS = 5
REFUSED = 6
LOST = 7
DENIED = 8
NO_ECHO = 9
TIMED_OUT = 27
INTERRUPTED = 130
CLOSED_PIPE = 141
TERMINATED = 143

#: For ``--help`` and docs/cli.md.
MEANINGS = {
    0: "success",
    FAILED: "another error",
    USAGE: "wrong arguments, or a file that cannot be read",
    NAME: "the broker's name cannot be resolved",
    CONNECTION: "no connection: nobody listens, no answer in time, the WebSocket handshake failed",
    TLS: "TLS failed: certificate, name or protocol version",
    REFUSED: "the broker refused the connection: credentials, client identifier, version",
    LOST: "the connection was lost before the work was done",
    DENIED: "the broker refused a message or a subscription",
    NO_ECHO: "a message that was sent did not come back (doctor, bench)",
    TIMED_OUT: "the time of -W is over",
    INTERRUPTED: "Ctrl-C (SIGINT)",
    CLOSED_PIPE: "the reader of the output has gone (SIGPIPE)",
    TERMINATED: "SIGTERM",
}


class Failure(Exception):
    """Ends a command: the text goes to the standard error, the code to the shell."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Ended(BaseException):
    """Ends a command without a word: a signal, or a pipe that was closed.

    A signal can raise it anywhere, so no ``except Exception`` may take it.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Command(click.Command):
    """A command that ends as this module says; click has a way of its own with Ctrl-C and pipes."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except KeyboardInterrupt:
            raise Ended(INTERRUPTED) from None
        except BrokenPipeError:
            # What is left in the buffer must not fail again when Python exits.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
            raise Ended(CLOSED_PIPE) from None


def connecting_failed(error: OSError | ValueError, url: BrokerUrl) -> Failure:
    """What an exception of ``connect()`` means, with where it went."""
    if not isinstance(error, OSError):  # an error of a certificate is both
        return Failure(USAGE, str(error))
    if isinstance(error, socket.gaierror):
        return Failure(NAME, f"cannot resolve {url.host}: {error.strerror}")
    if type(error).__module__ == "ssl" or hasattr(error, "library"):
        why = getattr(error, "verify_message", "") or error.strerror or str(error)
        return Failure(TLS, f"TLS with {url}: {why}")
    if isinstance(error, (TimeoutError, socket.timeout)):
        return Failure(CONNECTION, f"{url} does not answer")
    if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
        return Failure(CONNECTION, f"nobody listens at {url}")
    return Failure(CONNECTION, f"cannot connect to {url}: {error.strerror or error}")
