"""What clients owe the process they live in: a clean exit and a usable fork."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import warnings
import weakref
from typing import TYPE_CHECKING, Any

from .. import _native
from ..enums import _ConnectionState
from . import loops

if TYPE_CHECKING:
    from ..client import Client

#: By ``id()``: a subclass that defines equality, as a dataclass does, has no hash.
_clients: weakref.WeakValueDictionary[int, Client] = weakref.WeakValueDictionary()

#: Seconds that the exit takes at the most: running callbacks get the first part, and unsent packets all
#: that is left.
_EXIT_CALLBACKS = 0.4
_EXIT_BOUND = 0.8
#: Seconds that the thread of TLS connections gets to see that it has to end.
_EXIT_TLS = 0.2


def register(client: Client) -> None:
    _clients[id(client)] = client


def _alive() -> list[Client]:
    """A list at once, whatever other threads make or drop."""
    found = [reference() for reference in _clients.valuerefs()]
    return [client for client in found if client is not None]


@atexit.register
def _leave() -> None:
    """Ends the loop threads while Python still runs, then lets the engine send what it has.

    Nothing is disconnected: a will must fire unless the program said goodbye.
    """
    started = time.monotonic()
    _native.begin_exit()
    threads = []
    for client in _alive():
        thread = client._thread
        if thread is not None and thread is not threading.current_thread():
            client._thread_terminate = True
            loops.interrupt(client)
            threads.append(thread)
    is_finalizing = sys.is_finalizing()  # a subinterpreter ends when the main one is past waiting
    for thread in threads if not is_finalizing else ():
        _join(thread, started + _EXIT_CALLBACKS)
    until = started + _EXIT_BOUND
    lost = _native.flush_all(max(0.0, until - time.monotonic()), is_finalizing)
    tls = _tls()
    if tls is not None and not is_finalizing:
        tls.pump.stop(max(until, time.monotonic() + _EXIT_TLS))
    if lost:
        warnings.warn(f"{lost} MQTT messages were not handed over", ResourceWarning, stacklevel=1)


def _tls() -> Any:
    """The module of the TLS connections, if there ever was one."""
    return sys.modules.get(f"{__package__}.pump")


def _join(thread: threading.Thread, until: float) -> None:
    """Waits for the end of a thread, at most up to then."""
    while True:
        try:
            return thread.join(max(0.0, until - time.monotonic()))
        except RuntimeError:  # Ctrl-C struck while it was being started
            if time.monotonic() > until:
                return
            time.sleep(0.001)


def _before_fork() -> None:
    _native.before_fork()


def _after_fork_in_parent() -> None:
    _native.after_fork_in_parent()


def _after_fork_in_child() -> None:
    """The child's clients are disconnected; the connections are the parent's."""
    _native.after_fork_in_child()
    clients = _alive()
    socks = []
    for client in clients:  # first of all: a finaliser may come by, and ask
        sock, client._sock = client._sock, None
        socks.append(sock)
    tls = _tls()
    if tls is not None:
        tls.after_fork_in_child()
    for sock in socks:
        if sock is not None:
            sock._release()
    for client in clients:
        client._thread = None
        client._ox_seat.clear()
        client._thread_terminate = False
        client._ox_dialling = False
        client._ox_calling.clear()
        client._state = _ConnectionState.MQTT_CS_DISCONNECTED


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
