"""Places that a client cannot get to: a port that swallows SYN, and a name server that never answers."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

#: Starts a program in a network of its own, whose only name server is silent. `$0` is its resolv.conf.
_ISOLATED = (
    'ip link set lo up && mount --bind "$0" /etc/resolv.conf && '
    'mount --bind "$1" /etc/nsswitch.conf && shift && exec "$@"'
)


@contextlib.contextmanager
def blackhole() -> Iterator[tuple[str, int]]:
    """An address where dialling gets no answer: nobody accepts, and the queue of connections is full."""
    with socket.socket() as listener, contextlib.ExitStack() as queued:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address: tuple[str, int] = listener.getsockname()
        for _ in range(8):
            visitor = queued.enter_context(socket.socket())
            visitor.settimeout(0.2)
            try:
                visitor.connect(address)
            except (TimeoutError, socket.timeout):
                break
        else:
            raise AssertionError("the queue of the listening socket never gets full")
        yield address


def silent_name_server(folder: Path) -> list[str]:
    """What to put before a command so that its name look-ups hang; empty where that is not possible."""
    resolv, nsswitch = folder / "resolv.conf", folder / "nsswitch.conf"
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:20 attempts:2\n")
    nsswitch.write_text("hosts: dns\n")
    prefix = ["unshare", "-rmn", "sh", "-c", _ISOLATED, str(resolv), str(nsswitch)]
    if shutil.which("unshare") is None:
        return []
    return prefix if subprocess.run([*prefix, "true"], capture_output=True).returncode == 0 else []


#: To be run in the isolated program: takes the questions and keeps silent.
SILENCE = """
    import socket
    silence = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silence.bind(("127.0.0.1", 53))
"""
