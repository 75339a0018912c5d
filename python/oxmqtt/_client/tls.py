"""TLS: the handshake by Python's ``ssl`` on the thread that dials.

After the handshake the connection goes to :mod:`.pump`.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from .._native import RustlsConfig

if TYPE_CHECKING:
    import ssl

    from .buffered_tls import BufferedTls
    from .configuration import Configuration
    from .settings import Settings


def require_none(settings: Settings) -> None:
    """:raises ValueError: TLS is set already."""
    if settings.ssl_context is not None or settings.rustls is not None:
        raise ValueError("SSL/TLS has already been configured.")


def secure(
    client: Configuration, loaded: ssl.SSLContext | RustlsConfig, server_hostname: str | None
) -> None:
    """Sets what :func:`.tls_context.load` made."""
    if not isinstance(loaded, RustlsConfig):
        return client.tls_set_context(loaded, server_hostname=server_hostname)
    settings = client._ox_settings
    require_none(settings)
    settings.rustls, settings.ssl = loaded, True
    settings.server_hostname = server_hostname


def wrap_socket(client: Configuration, tcp_sock: socket.socket) -> ssl.SSLSocket | BufferedTls:
    """The handshake, within the socket's time-out; subclasses may do it their way."""
    from .buffered_tls import BufferedTls

    settings = client._ox_settings
    context = settings.ssl_context
    if context is None:
        raise ValueError("Impossible condition. _ssl_context should never be None if _ssl is True")
    if not settings.tls_insecure and not context.check_hostname:
        context.check_hostname = True  # a promise, whatever happened to the context
    wrapped = BufferedTls(tcp_sock, context, settings.server_name)
    try:
        wrapped.do_handshake()
    except BaseException:
        wrapped.close()
        if settings.key_source is not None:
            settings.key_source.raise_error()
        raise
    return wrapped
