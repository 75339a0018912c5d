"""Programs that connect to a public broker by name, with that name meaning brokers on this machine."""

from __future__ import annotations

#: For a `sitecustomize` or a conftest: the host's ports, and what they are here. No other name is known.
_RESOLVE = """\
import socket
real = socket.getaddrinfo
def getaddrinfo(host, port, *rest, **more):
    if host == {host!r}:
        host, port = "127.0.0.1", {ports!r}.get(port, port)
    elif host not in (None, "127.0.0.1", "::1", "localhost"):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return real(host, port, *rest, **more)
socket.getaddrinfo = getaddrinfo
"""


def resolving(host: str, ports: dict[int, int]) -> str:
    return _RESOLVE.format(host=host, ports=ports)
