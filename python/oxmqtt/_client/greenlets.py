"""Whether gevent or eventlet has made greenlets of the threads: then nobody waits but by what they patched."""

from __future__ import annotations

import socket
import sys


def threads_are_greenlets() -> bool:
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("threading"):
        return True
    eventlet = sys.modules.get("eventlet.patcher")
    return eventlet is not None and bool(eventlet.is_monkey_patched("thread"))


def plain_socket_class() -> type[socket.socket]:
    """The class of Python's own sockets: those of eventlet wrap one, which a subclass may not have."""
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("socket"):
        plain: type[socket.socket] = eventlet.original("socket").socket
        return plain
    return socket.socket
