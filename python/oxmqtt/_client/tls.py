"""TLS: its options, and the handshake by Python's ``ssl`` on the thread that dials.

After the handshake the connection goes to :mod:`.pump`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from .._native import RustlsConfig
from .pre_shared_key import KeySource, PreSharedKey, context_for
from .state import ClientState
from .tls_context import load
from .tls_options import Options

if TYPE_CHECKING:
    import ssl

    from .buffered_tls import BufferedTls


class Tls(ClientState):
    """The options must be set before the client connects."""

    def tls_set(
        self,
        ca_certs: str | bytes | None = None,
        certfile: str | bytes | None = None,
        keyfile: str | bytes | None = None,
        cert_reqs: ssl.VerifyMode | None = None,
        tls_version: int | None = None,
        ciphers: str | None = None,
        keyfile_password: str | None = None,
        alpn_protocols: list[str] | None = None,
        *,
        server_hostname: str | None = None,
        backend: Literal["ssl", "rustls"] = "ssl",
    ) -> None:
        """Encrypts the connection by TLS 1.2 or later, and verifies the broker's certificate.

        Certificates and keys are paths of PEM files, or PEM text itself.

        :param ca_certs: the authorities to trust; the system's when left out. Python's ``ssl`` takes a
            folder too, in which they are named as ``openssl rehash`` does.
        :param certfile: the client's certificate, with ``keyfile`` unless it holds the key too.
        :param cert_reqs: ``ssl.CERT_REQUIRED`` when left out; ``ssl.CERT_NONE`` verifies nothing.
        :param tls_version: a protocol of the ``ssl`` module; negotiated when left out.
        :param ciphers: cipher suites of TLS 1.2, as OpenSSL writes them.
        :param alpn_protocols: protocols to offer (RFC 7301).
        :param server_hostname: the name to ask for (SNI, RFC 6066) and to verify; the host's when
            left out.
        :param backend: ``"ssl"``, Python's, or ``"rustls"``, which is faster and takes fewer kinds of
            certificates.
        :raises ValueError: TLS is set already, or an argument is not valid or not for this backend.
        :raises OSError: a file cannot be read; ``ssl.SSLError`` if it holds something else.
        """
        self._require_no_tls()
        options = Options(
            ca_certs,
            certfile,
            keyfile,
            cert_reqs,
            tls_version,
            ciphers,
            keyfile_password,
            alpn_protocols,
            backend,
        )
        self._secure(load(options), server_hostname)

    def _secure(self, loaded: ssl.SSLContext | RustlsConfig, server_hostname: str | None) -> None:
        if isinstance(loaded, RustlsConfig):
            self._require_no_tls()
            self._rustls, self._ssl = loaded, True
            self._server_hostname = server_hostname
        else:
            self.tls_set_context(loaded, server_hostname=server_hostname)

    def tls_set_context(
        self, context: ssl.SSLContext | None = None, *, server_hostname: str | None = None
    ) -> None:
        """Encrypts the connection by TLS as an ``ssl.SSLContext`` says.

        :param context: ``ssl.create_default_context()`` when left out.
        :param server_hostname: as for :meth:`tls_set`.
        :raises ValueError: TLS is set already.
        """
        self._require_no_tls()
        if context is None:
            import ssl

            context = ssl.create_default_context()
        self._ssl = True
        self._ssl_context = context
        self._tls_insecure = not context.check_hostname
        self._server_hostname = server_hostname

    def tls_psk_set(
        self, identity: str | Callable[..., PreSharedKey], key: bytes | None = None
    ) -> None:
        """Encrypts the connection by TLS 1.2 with a key that client and broker share (RFC 4279).

        :param identity: the name of the key; or a function that returns name and key and is called at
            every handshake, on the thread that dials, with the broker's hint (str or None) if it takes
            an argument.
        :param key: the key itself, not its hexadecimal form.
        :raises NotImplementedError: Python is older than 3.13.
        :raises ValueError: TLS is set already.
        :raises TypeError: the arguments are neither a function nor a name and a key.
        """
        if callable(identity) and key is None:
            source = KeySource(identity)
        elif isinstance(identity, str) and isinstance(key, bytes):
            pair = identity, key
            source = KeySource(lambda: pair)
        else:
            raise TypeError(
                "tls_psk_set() takes a function, or an identity (str) and a key (bytes)"
            )
        self._require_no_tls()
        self.tls_set_context(context_for(source))
        self._key_source = source

    def _require_no_tls(self) -> None:
        if self._ssl_context is not None or self._rustls is not None:
            raise ValueError("SSL/TLS has already been configured.")

    def tls_insecure_set(self, value: bool) -> None:
        """Accepts a certificate that names another host, or not.

        Anyone with any certificate of a trusted authority can then pose as the broker.

        :raises ValueError: TLS is not set yet.
        """
        if self._ssl_context is None and self._rustls is None:
            raise ValueError("Must configure SSL context before using tls_insecure_set.")
        self._tls_insecure = value
        if self._ssl_context is not None:
            self._ssl_context.check_hostname = not value

    def _server_name(self) -> str | None:
        """The name to ask for and to verify."""
        return self._server_hostname or (None if self._transport == "unix" else self._host)

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket | BufferedTls:
        """The handshake, within the socket's time-out; subclasses may do it their way."""
        from .buffered_tls import BufferedTls

        context = self._ssl_context
        if context is None:
            raise ValueError(
                "Impossible condition. _ssl_context should never be None if _ssl is True"
            )
        if not self._tls_insecure and not context.check_hostname:
            context.check_hostname = True  # a promise, whatever happened to the context
        wrapped = BufferedTls(tcp_sock, context, self._server_name())
        try:
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            if self._key_source is not None:
                self._key_source.raise_error()
            raise
        return wrapped
