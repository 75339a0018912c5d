"""``tls_set(..., backend="rustls")``: what rustls can do, and a clear refusal of what it cannot.

The handshake and the encryption are the engine's.
"""

from __future__ import annotations

import ssl
from typing import Any

from .._native import RustlsConfig
from .pem import text_of
from .tls_options import Options

#: Protocols by which programs ask for TLS 1.2 or later, and for 1.3 only.
_TLS12_OR_LATER = (
    None,
    ssl.PROTOCOL_TLS,
    ssl.PROTOCOL_TLS_CLIENT,
    ssl.PROTOCOL_TLSv1_2,
    ssl.TLSVersion.TLSv1_2,
)
_TLS13_ONLY = ssl.TLSVersion.TLSv1_3


def configure(options: Options) -> RustlsConfig:
    """:raises ValueError: only the default backend can do that.
    :raises OSError: a file cannot be read; ``ssl.SSLError`` if it holds something else.
    """
    if options.cert_reqs not in (None, ssl.CERT_REQUIRED):
        raise _refusal("cert_reqs other than CERT_REQUIRED")
    if options.ciphers is not None:
        raise _refusal("a choice of ciphers")
    if options.keyfile_password is not None:
        raise _refusal("an encrypted private key")
    if options.tls_version not in (*_TLS12_OR_LATER, _TLS13_ONLY):
        raise _refusal("a TLS version before 1.2")
    if options.keyfile is not None and options.certfile is None:
        raise ValueError("certfile must be specified")
    certificate = _pem(options.certfile)
    return RustlsConfig(
        ca_certs=_pem(options.ca_certs),
        certificate=certificate,
        key=certificate if options.keyfile is None else _pem(options.keyfile),
        alpn=[protocol.encode("ascii") for protocol in options.alpn_protocols or ()],
        tls13_only=options.tls_version == _TLS13_ONLY,
    )


def _refusal(what: str) -> ValueError:
    return ValueError(f'{what}: not with backend="rustls", use the default backend "ssl"')


def _pem(source: Any) -> bytes | None:
    if source is None:
        return None
    text = text_of(source)
    if text is not None:
        return text.encode()
    with open(source, "rb") as file:
        return file.read()
