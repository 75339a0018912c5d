"""Servers that a client must refuse, and servers that it must accept. Each case makes its certificates itself."""

from __future__ import annotations

import base64
import socket
import ssl
import warnings
from pathlib import Path
from typing import Any, Callable, NamedTuple

from support.certificates import (
    LOCALHOST,
    SERVER_USAGE,
    Authority,
    Identity,
    make_key,
    openssl,
)
from support.tls_peer import TlsPeer, server_context


class Setup(NamedTuple):
    """A peer, what the client trusts, and what else it is told."""

    peer: TlsPeer
    trusted: Path
    host: str = "localhost"
    arguments: dict[str, Any] = {}  # noqa: RUF012


Case = Callable[[Authority, Path], Setup]
BAD: dict[str, Case] = {}
GOOD: dict[str, Case] = {}
#: Certificates that are fine for OpenSSL and so for paho, and that rustls refuses.
GOOD_FOR_OPENSSL: dict[str, Case] = {}

WEAK = "ALL:@SECLEVEL=0"


def case(cases: dict[str, Case]) -> Callable[[Case], Case]:
    def add(function: Case) -> Case:
        cases[function.__name__] = function
        return function

    return add


def serve(
    authority: Authority, identity: Identity, host: str = "localhost", **arguments: Any
) -> Setup:
    return Setup(
        TlsPeer(server_context(identity, WEAK)), authority.certificate, host, dict(arguments)
    )


def self_signed(folder: Path, *extensions: str, name: str = "localhost") -> Identity:
    key, certificate = make_key(folder / "self.key"), folder / "self.crt"
    words = [word for extension in extensions for word in ("-addext", extension)]
    openssl(
        *("req", "-x509", "-new", "-key", key, "-subj", f"/CN={name}", "-days", "30"),
        *(*words, "-out", certificate),
    )
    return Identity(certificate, key, certificate)


# --- names ------------------------------------------------------------------------------------------------------


@case(BAD)
def wrong_host(authority: Authority, folder: Path) -> Setup:
    return serve(authority, authority.issue("other", ("subjectAltName=DNS:other.example.org",)))


@case(BAD)
def wrong_address(authority: Authority, folder: Path) -> Setup:
    return serve(authority, authority.issue("x", ("subjectAltName=IP:127.0.0.2",)), "127.0.0.1")


@case(BAD)
def name_where_the_host_is_an_address(authority: Authority, folder: Path) -> Setup:
    return serve(authority, authority.issue("x", ("subjectAltName=DNS:localhost",)), "127.0.0.1")


@case(BAD)
def address_as_a_name(authority: Authority, folder: Path) -> Setup:
    return serve(authority, authority.issue("x", ("subjectAltName=DNS:127.0.0.1",)), "127.0.0.1")


@case(BAD)
def common_name_beside_other_alternatives(authority: Authority, folder: Path) -> Setup:
    return serve(authority, authority.issue("localhost", ("subjectAltName=DNS:other",)))


@case(BAD)
def wildcard_over_two_labels(authority: Authority, folder: Path) -> Setup:
    identity = authority.issue("x", ("subjectAltName=DNS:*.example.org",))
    return serve(authority, identity, server_hostname="a.b.example.org")


@case(BAD)
def wildcard_within_a_label(authority: Authority, folder: Path) -> Setup:
    identity = authority.issue("x", ("subjectAltName=DNS:b*.example.org",))
    return serve(authority, identity, server_hostname="broker.example.org")


@case(BAD)
def no_name_at_all(authority: Authority, folder: Path) -> Setup:
    return serve(authority, authority.issue("somebody", (SERVER_USAGE,)))


# --- time -------------------------------------------------------------------------------------------------------


@case(BAD)
def expired(authority: Authority, folder: Path) -> Setup:
    return serve(authority, authority.issue(days=("200101000000Z", "200201000000Z")))


@case(BAD)
def not_yet_valid(authority: Authority, folder: Path) -> Setup:
    return serve(authority, authority.issue(days=("480101000000Z", "481231000000Z")))


# --- chain ------------------------------------------------------------------------------------------------------


@case(BAD)
def unknown_authority(authority: Authority, folder: Path) -> Setup:
    return serve(authority, Authority(folder / "other", "Other Root").issue())


@case(BAD)
def authority_of_the_same_name(authority: Authority, folder: Path) -> Setup:
    return serve(authority, Authority(folder / "fake", authority.name).issue())


@case(BAD)
def self_signed_by_a_stranger(authority: Authority, folder: Path) -> Setup:
    return serve(authority, self_signed(folder, LOCALHOST))


@case(BAD)
def issued_by_a_server(authority: Authority, folder: Path) -> Setup:
    made = authority.issue("leaf", ("basicConstraints=critical,CA:FALSE",), folder=folder)
    return serve(authority, below(authority, folder, made).issue())


@case(BAD)
def intermediate_missing(authority: Authority, folder: Path) -> Setup:
    identity = Authority(folder / "mid", "Intermediate", authority).issue()
    return serve(authority, identity._replace(chain=identity.certificate))


@case(BAD)
def intermediate_expired(authority: Authority, folder: Path) -> Setup:
    when = ("200101000000Z", "200201000000Z")
    made = authority.issue("old", ("basicConstraints=critical,CA:TRUE",), days=when, folder=folder)
    return serve(authority, below(authority, folder, made).issue())


@case(BAD)
def path_too_long(authority: Authority, folder: Path) -> Setup:
    made = authority.issue("short", ("basicConstraints=critical,CA:TRUE,pathlen:0",), folder=folder)
    short = below(authority, folder, made)
    lower = Authority(folder / "lower", "Lower", short)
    identity = lower.issue()
    chain = identity.chain.read_text() + short.certificate.read_text()
    identity.chain.write_text(chain)
    return serve(authority, identity)


@case(BAD)
def outside_the_name_constraints(authority: Authority, folder: Path) -> Setup:
    extensions = (
        "basicConstraints=critical,CA:TRUE",
        "nameConstraints=critical,permitted;DNS:example.org",
    )
    made = authority.issue("narrow", extensions, folder=folder)
    return serve(
        authority,
        below(authority, folder, made).issue("x", ("subjectAltName=DNS:localhost", SERVER_USAGE)),
    )


def below(authority: Authority, folder: Path, made: Identity) -> Authority:
    """An issuer that the authority has made in a special way."""
    issuer = Authority.__new__(Authority)
    issuer.folder, issuer.name, issuer.parent = folder, "special", authority
    issuer.certificate, issuer.key = made.certificate, made.key
    return issuer


# --- what the certificate is for and made of --------------------------------------------------------------------


@case(BAD)
def for_clients(authority: Authority, folder: Path) -> Setup:
    return serve(authority, authority.issue("x", (LOCALHOST, "extendedKeyUsage=clientAuth")))


@case(BAD)
def for_mail(authority: Authority, folder: Path) -> Setup:
    return serve(authority, authority.issue("x", (LOCALHOST, "extendedKeyUsage=emailProtection")))


@case(BAD)
def unknown_critical_extension(authority: Authority, folder: Path) -> Setup:
    return serve(authority, authority.issue("x", (LOCALHOST, "1.2.3.4.5=critical,DER:0500")))


@case(BAD)
def signed_with_sha1(authority: Authority, folder: Path) -> Setup:
    return serve(authority, authority.issue(digest="sha1"))


@case(BAD)
def rsa_1024(authority: Authority, folder: Path) -> Setup:
    key = make_key(folder / "weak.key", "RSA", "rsa_keygen_bits:1024")
    return serve(authority, authority.issue(key=key))


@case(BAD)
def signature_tampered_with(authority: Authority, folder: Path) -> Setup:
    identity = authority.issue(folder=folder)
    der = bytearray(ssl.PEM_cert_to_DER_cert(identity.certificate.read_text()))
    der[-1] ^= 1
    body = base64.encodebytes(der).decode()
    identity.chain.write_text(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
    return serve(authority, identity)


# --- protocol ---------------------------------------------------------------------------------------------------


def old(authority: Authority, version: ssl.TLSVersion) -> Setup:
    context = server_context(authority.issue(), WEAK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is the point
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
    return Setup(TlsPeer(context), authority.certificate)


@case(BAD)
def tls_1_0(authority: Authority, folder: Path) -> Setup:
    return old(authority, ssl.TLSVersion.TLSv1)


@case(BAD)
def tls_1_1(authority: Authority, folder: Path) -> Setup:
    return old(authority, ssl.TLSVersion.TLSv1_1)


@case(BAD)
def anonymous_key_exchange(authority: Authority, folder: Path) -> Setup:
    context = server_context(None, "aNULL:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return Setup(TlsPeer(context), authority.certificate)


def scripted(authority: Authority, answer: bytes, closes: bool = True) -> Setup:
    def below(sock: socket.socket) -> None:
        with sock:
            sock.recv(4096)
            sock.sendall(answer)
            if closes:
                return
            try:
                while sock.recv(4096):
                    pass
            except OSError:  # the peer was closed meanwhile
                pass

    return Setup(TlsPeer(below=below), authority.certificate)


@case(BAD)
def handshake_cut_off(authority: Authority, folder: Path) -> Setup:
    """A record of the handshake that announces more than comes."""
    return scripted(authority, b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + bytes(20))


@case(BAD)
def closed_at_once(authority: Authority, folder: Path) -> Setup:
    return scripted(authority, b"")


@case(BAD)
def silent(authority: Authority, folder: Path) -> Setup:
    return scripted(authority, b"", closes=False)


@case(BAD)
def broker_without_tls(authority: Authority, folder: Path) -> Setup:
    return scripted(authority, b"\x20\x02\x00\x00")


@case(BAD)
def web_server_without_tls(authority: Authority, folder: Path) -> Setup:
    return scripted(authority, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


# --- good ones --------------------------------------------------------------------------------------------------


@case(GOOD)
def plain(authority: Authority, folder: Path) -> Setup:
    return serve(authority, authority.issue())


@case(GOOD)
def wildcard(authority: Authority, folder: Path) -> Setup:
    identity = authority.issue("x", ("subjectAltName=DNS:*.example.org",))
    return serve(authority, identity, server_hostname="broker.example.org")


@case(GOOD)
def address(authority: Authority, folder: Path) -> Setup:
    return serve(authority, authority.issue("x", ("subjectAltName=IP:127.0.0.1",)), "127.0.0.1")


@case(GOOD)
def through_an_intermediate(authority: Authority, folder: Path) -> Setup:
    return serve(authority, Authority(folder / "mid", "Intermediate", authority).issue())


@case(GOOD)
def rsa_2048(authority: Authority, folder: Path) -> Setup:
    key = make_key(folder / "rsa.key", "RSA", "rsa_keygen_bits:2048")
    return serve(authority, authority.issue(key=key))


@case(GOOD)
def tls_1_2(authority: Authority, folder: Path) -> Setup:
    context = server_context(authority.issue())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return Setup(TlsPeer(context), authority.certificate)


@case(GOOD)
def alpn(authority: Authority, folder: Path) -> Setup:
    context = server_context(authority.issue())
    context.set_alpn_protocols(["x-other", "mqtt"])
    return Setup(
        TlsPeer(context), authority.certificate, arguments={"alpn_protocols": ["mqtt", "x-amzn"]}
    )


def requiring_clients(authority: Authority) -> ssl.SSLContext:
    context = server_context(authority.issue())
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@case(GOOD)
def mutual(authority: Authority, folder: Path) -> Setup:
    mine = authority.issue("me", ("extendedKeyUsage=clientAuth",))
    arguments = {"certfile": str(mine.certificate), "keyfile": str(mine.key)}
    return Setup(TlsPeer(requiring_clients(authority)), authority.certificate, arguments=arguments)


@case(GOOD)
def mutual_through_an_intermediate(authority: Authority, folder: Path) -> Setup:
    """The server knows the root only; the client sends the rest of its chain."""
    middle = Authority(folder / "mid", "Intermediate", authority)
    mine = middle.issue("me", ("extendedKeyUsage=clientAuth",))
    arguments = {"certfile": str(mine.chain), "keyfile": str(mine.key)}
    return Setup(TlsPeer(requiring_clients(authority)), authority.certificate, arguments=arguments)


@case(GOOD_FOR_OPENSSL)
def encrypted_key(authority: Authority, folder: Path) -> Setup:
    mine = authority.issue("me", ("extendedKeyUsage=clientAuth",))
    locked = folder / "locked.key"
    openssl("pkey", "-in", mine.key, "-aes128", "-passout", "pass:secret", "-out", locked)
    arguments = {"certfile": str(mine.certificate), "keyfile": str(locked)}
    return Setup(
        TlsPeer(requiring_clients(authority)),
        authority.certificate,
        arguments={**arguments, "keyfile_password": "secret"},
    )


@case(GOOD_FOR_OPENSSL)
def common_name_only(authority: Authority, folder: Path) -> Setup:
    return serve(authority, authority.issue("localhost", (SERVER_USAGE,)))


@case(GOOD_FOR_OPENSSL)
def version_1(authority: Authority, folder: Path) -> Setup:
    key, request, made = (folder / f"v1.{end}" for end in ("key", "csr", "crt"))
    make_key(key)
    openssl("req", "-new", "-key", key, "-subj", "/CN=localhost", "-out", request)
    openssl(
        *("x509", "-req", "-in", request, "-CA", authority.certificate, "-CAkey", authority.key),
        *("-CAcreateserial", "-CAserial", folder / "v1.srl", "-days", "30", "-out", made),
    )
    return serve(authority, Identity(made, key, made))


@case(GOOD_FOR_OPENSSL)
def its_own_authority(authority: Authority, folder: Path) -> Setup:
    identity = self_signed(folder, LOCALHOST)
    return serve(authority, identity)._replace(trusted=identity.certificate)
