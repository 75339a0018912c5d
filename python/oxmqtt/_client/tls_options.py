"""The options of ``tls_set``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import ssl


class Options(NamedTuple):
    """As :meth:`.tls.Tls.tls_set` has them."""

    ca_certs: Any = None
    certfile: Any = None
    keyfile: Any = None
    cert_reqs: ssl.VerifyMode | None = None
    tls_version: int | None = None
    ciphers: str | None = None
    keyfile_password: str | None = None
    alpn_protocols: list[str] | None = None
    backend: Literal["ssl", "rustls"] = "ssl"

    def __repr__(self) -> str:
        """Without the values: a key may stand there as text, and its password."""
        given = [name for name, value in self._asdict().items() if value is not None]
        return f"<Options {' '.join(given)}>"
