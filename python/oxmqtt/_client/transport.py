"""What a connection runs on: a connected socket, with TLS and WebSocket where they are set."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .. import _native
from ..enums import LogLevel
from . import addresses
from .listening import is_own
from .needs import AnyNeed, Attempt, Step
from .proxies import connect_by_proxy, may_have_proxy
from .sockets import ConnectionSocket, TlsConnectionSocket
from .websocket import upgrade_request

if TYPE_CHECKING:
    import ssl

    from .._native import HandshakeLayers
    from ..client import Client

T = TypeVar("T")

#: Seconds that a call for which others keep the time gets beyond it.
_DIAL_GRACE = 0.2


def dialled(
    client: Client, attempt: Attempt, until: float
) -> Generator[AnyNeed, Any, socket.socket | None]:
    """The connected socket, with TLS by Python's ``ssl`` where that is set."""
    settings = client._ox_settings
    source = _source(client)
    if _dials_its_own_way(client, source):
        return (
            yield from calling_elsewhere(
                attempt, until, client._create_socket, lambda late: late.close()
            )
        )
    if settings.transport == "unix":
        connected: socket.socket | None = client._create_unix_socket_connection()
    else:
        connected = yield from addresses.connecting(
            attempt, settings.host, settings.port, source, until
        )
    if connected is None or not settings.uses_python_ssl:
        return connected
    tcp = connected
    return (
        yield from calling_elsewhere(
            attempt, until, lambda: _secure(client, tcp, until), lambda late: late.close()
        )
    )


def _dials_its_own_way(client: Client, source: addresses.Source) -> bool:
    """Whether dialling calls what may take its time: the program's own, PySocks, a look-up of the
    address to connect from.
    """
    settings = client._ox_settings
    return (
        is_own(client, "_create_socket")
        or is_own(client, "_create_socket_connection")
        or is_own(client, "_create_unix_socket_connection")
        or addresses.is_overridden()
        or not (source is None or not source[0] or addresses.is_numeric(source[0]))
        or (settings.transport != "unix" and may_have_proxy(settings))
    )


def create_socket(client: Client) -> socket.socket:
    """Dials, and makes TLS of it where that is set; the connected socket."""
    settings = client._ox_settings
    until = time.monotonic() + settings.connect_timeout
    if settings.transport == "unix":
        dialled = client._create_unix_socket_connection()
    else:
        dialled = client._create_socket_connection()
    return _secure(client, dialled, until) if settings.uses_python_ssl else dialled


def create_unix_socket_connection(client: Client) -> socket.socket:
    """Connects to the path in ``_host``; programs override it."""
    settings = client._ox_settings
    dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        dialled.settimeout(settings.connect_timeout)
        dialled.connect(settings.host)
    except BaseException:
        dialled.close()
        raise
    return dialled


def create_socket_connection(client: Client) -> socket.socket:
    """Connects by TCP, through a proxy if there is one; programs override it."""
    settings = client._ox_settings
    until = time.monotonic() + settings.connect_timeout
    source = _source(client)
    proxied = connect_by_proxy(client, source, until)
    if proxied is not None:
        return proxied
    return addresses.connect(settings.host, settings.port, source, until)


def _source(client: Client) -> addresses.Source:
    """Where to connect from, if that matters."""
    settings = client._ox_settings
    bound = (settings.bind_address, settings.bind_port)
    return bound if any(bound) else None


def _secure(client: Client, connected: socket.socket, until: float) -> socket.socket:
    """TLS by Python's ``ssl`` on a connected socket, which it takes over."""
    try:
        connected.settimeout(max(until - time.monotonic(), 0.001))
        return client._ssl_wrap_socket(connected)
    except BaseException:
        connected.close()
        raise


def calling_elsewhere(
    attempt: Attempt, until: float, call: Callable[[], T], discard: Callable[[T], Any]
) -> Generator[AnyNeed, T | None, T | None]:
    """The result of a call that may take its time, or None when the attempt is not wanted any more.

    :raises TimeoutError: there is none by ``until`` and a little more.
    """
    result = yield Step(call, attempt, until + _DIAL_GRACE, discard)
    if result is None and attempt.is_wanted():
        raise socket.timeout("timed out")
    return result


def wrap(client: Client, connected: socket.socket) -> ConnectionSocket:
    """What programs get to see of the connection."""
    settings = client._ox_settings
    if settings.ssl and settings.tls_insecure and settings.key_source is None:
        line = "TLS without verification of the broker's name: anyone may pose as it"
        client._easy_log(LogLevel.MQTT_LOG_WARNING, line)
    if not isinstance(connected, socket.socket):
        from .foreign_sockets import ForeignSocket

        connected = ForeignSocket(connected)
    if hasattr(connected, "do_handshake"):  # without loading ssl
        return TlsConnectionSocket(cast("ssl.SSLSocket", connected), client._ox_engine)
    return ConnectionSocket(connected, client._ox_engine)


def handshake(
    client: Client, sock: ConnectionSocket, until: float
) -> Callable[[], HandshakeLayers] | None:
    """The step that shakes hands for what the engine puts between packets and socket, if it does."""
    settings = client._ox_settings
    is_websocket, tls = settings.transport == "websockets", settings.rustls
    if tls is None and not is_websocket:
        return None
    request, key = upgrade_request(settings) if is_websocket else (None, "")
    name = settings.server_name if tls is not None else ""
    if name is None:
        raise ValueError("TLS over a unix socket needs server_hostname")
    any_name = settings.tls_insecure
    descriptor, unix = sock._duplicate_end()
    return lambda: _native.handshake(
        descriptor,
        unix=unix,
        timeout=max(0.0, until - time.monotonic()),
        tls=tls,
        server_name=name,
        any_name=any_name,
        request=request,
        key=key,
    )
