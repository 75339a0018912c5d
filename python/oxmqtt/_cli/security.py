"""The options of TLS, those of mosquitto_pub and mosquitto_sub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import click

from ..client import Client
from ..url import BrokerUrl

_FILE = click.Path(exists=True, dir_okay=False)
_VERSIONS = {"tlsv1.2": "TLSv1_2", "tlsv1.3": "TLSv1_3"}

OPTIONS = [
    click.option(
        "--cafile",
        "ca_certs",
        type=_FILE,
        help="PEM file with the authorities to trust; turns TLS on.",
    ),
    click.option(
        "--capath",
        type=click.Path(exists=True, file_okay=False),
        help="Folder with the authorities to trust, named as openssl rehash does.",
    ),
    click.option("--cert", "certfile", type=_FILE, help="PEM file with the client's certificate."),
    click.option("--key", "keyfile", type=_FILE, help="PEM file with its key."),
    click.option(
        "--tls-use-os-certs",
        "system_certs",
        is_flag=True,
        help="TLS with the system's authorities.",
    ),
    click.option(
        "--tls-version",
        type=click.Choice(list(_VERSIONS)),
        help="The only version of TLS to speak.  [default: 1.2 or later]",
    ),
    click.option("--ciphers", help="Cipher suites of TLS 1.2, as OpenSSL writes them."),
    click.option("--tls-alpn", help="Protocol to offer in the TLS handshake (ALPN)."),
    click.option(
        "--psk",
        help="Key that client and broker share, in hexadecimal digits. Needs Python 3.13.",
    ),
    click.option("--psk-identity", help="Name of that key."),
    click.option(
        "--insecure",
        is_flag=True,
        help="Accept a certificate that names another host. Anyone may pose as the broker then.",
    ),
]

#: Of the options above.
NAMES = (
    *("ca_certs", "capath", "certfile", "keyfile", "system_certs", "tls_version"),
    *("ciphers", "tls_alpn", "psk", "psk_identity", "insecure"),
)


@dataclass(frozen=True)
class Security:
    """What the options say that a URL cannot."""

    version: str | None = None
    ciphers: str | None = None
    alpn: str | None = None
    #: Name and key.
    shared_key: tuple[str, bytes] | None = field(default=None, repr=False)

    def of_url(self, url: BrokerUrl) -> BrokerUrl:
        """The URL of a client for :meth:`refine`; it asks for certificates only where there are some."""
        if self.shared_key is None:
            return url
        return replace(url, scheme="ws" if url.transport == "websockets" else "mqtt")

    def refine(self, client: Client) -> None:
        """:raises ValueError: OpenSSL does not know such ciphers.
        :raises NotImplementedError: this Python has no shared keys.
        """
        if self.shared_key is not None:
            client.tls_psk_set(*self.shared_key)
        context = client._ox_settings.ssl_context
        if context is None:
            return
        import ssl

        if self.version is not None:
            only = ssl.TLSVersion[_VERSIONS[self.version]]
            context.minimum_version = context.maximum_version = only
        if self.alpn is not None:
            context.set_alpn_protocols([self.alpn])
        try:
            if self.ciphers is not None:
                context.set_ciphers(self.ciphers)
        except ssl.SSLError:
            raise ValueError(f"--ciphers: OpenSSL knows none of {self.ciphers!r}") from None


def is_given(own: Mapping[str, Any]) -> bool:
    """Whether an option asks for TLS."""
    return any(own[name] for name in NAMES)


def files(own: Mapping[str, Any]) -> dict[str, str]:
    """What a URL says of certificates."""
    if own["ca_certs"] is not None and own["capath"] is not None:
        raise click.UsageError("--cafile and --capath do not go together")
    named = {"ca_certs": own["ca_certs"] or own["capath"]}
    named |= {name: own[name] for name in ("certfile", "keyfile")}
    return {name: path for name, path in named.items() if path is not None}


def read(own: Mapping[str, Any]) -> Security:
    shared_key = None
    if (own["psk"] is None) != (own["psk_identity"] is None):
        raise click.UsageError("--psk and --psk-identity go together")
    if own["psk"] is not None:
        if files(own):
            raise click.UsageError("--psk does not go with certificates")
        try:
            shared_key = own["psk_identity"], bytes.fromhex(own["psk"])
        except ValueError:
            raise click.UsageError("--psk needs hexadecimal digits") from None
    return Security(own["tls_version"], own["ciphers"], own["tls_alpn"], shared_key)
