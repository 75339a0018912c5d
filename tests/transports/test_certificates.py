"""The matrix of certificates: what must be refused and what must be accepted, on every TLS backend.

By Python's `ssl` the exceptions are compared with paho's.
"""

from __future__ import annotations

import gc
import re
import socket
import ssl
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import clients
from support.certificates import Authority
from support.clients import Watched
from support.tls_peer import TlsPeer, server_context

from .certificate_cases import BAD, GOOD, GOOD_FOR_OPENSSL, Setup, requiring_clients

BACKENDS = ["ssl", "rustls"]


def set_tls(client: Any, setup: Setup, backend: str = "ssl") -> None:
    arguments = dict(setup.arguments)
    if backend != "ssl":
        arguments["backend"] = backend
    client.tls_set(str(setup.trusted), **arguments)


def refusal(mqtt: ModuleType, setup: Setup, backend: str = "ssl") -> OSError:
    client = clients.make(mqtt, "careful")
    set_tls(client, setup, backend)
    client.connect_timeout = 0.5
    try:
        with pytest.raises(OSError) as caught:
            client.connect(setup.host, setup.peer.port)
    finally:
        clients.dispose(client)
    return caught.value


def described(error: OSError) -> tuple[Any, ...]:
    """Without the line of Python's source, and the number of milliseconds."""
    return type(error), error.errno, re.sub(r"_ssl\.c:\d+", "_ssl.c", str(error))


def test_the_matrix_is_large_enough() -> None:
    assert len(BAD) >= 24 and len(GOOD) >= 8


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", BAD)
def test_refused(
    mqtt: ModuleType, authority: Authority, tmp_path: Path, name: str, backend: str
) -> None:
    """At connect(), and before the server has seen a byte of MQTT."""
    setup = BAD[name](authority, tmp_path)
    with setup.peer:
        error = refusal(mqtt, setup, backend)
        assert isinstance(error, (ssl.SSLError, ConnectionError, TimeoutError, socket.timeout))
        assert setup.peer.connects.items() == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # paho leaves the socket to the collector
@pytest.mark.parametrize("name", [name for name in BAD if name not in ("silent",)])
def test_refused_as_by_paho(
    mqtt: ModuleType, paho: ModuleType, authority: Authority, tmp_path: Path, name: str
) -> None:
    setup = BAD[name](authority, tmp_path)
    if "server_hostname" in setup.arguments:
        pytest.skip("paho cannot ask for another name than the host")
    if name in ("tls_1_0", "tls_1_1") and sys.version_info < (3, 10):
        pytest.skip("below Python 3.10 paho offers TLS 1.0")
    with setup.peer:
        assert described(refusal(mqtt, setup)) == described(refusal(paho, setup))
    gc.collect()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", GOOD)
def test_accepted(
    mqtt: ModuleType, authority: Authority, tmp_path: Path, name: str, backend: str
) -> None:
    accept(mqtt, GOOD[name](authority, tmp_path), backend)


@pytest.mark.parametrize("name", GOOD_FOR_OPENSSL)
def test_accepted_by_openssl(
    mqtt: ModuleType, authority: Authority, tmp_path: Path, name: str
) -> None:
    accept(mqtt, GOOD_FOR_OPENSSL[name](authority, tmp_path), "ssl")


def accept(mqtt: ModuleType, setup: Setup, backend: str) -> None:
    with setup.peer, Watched(mqtt, "accepts") as watched:
        set_tls(watched.client, setup, backend)
        watched.client.connect(setup.host, setup.peer.port)
        watched.client.loop_start()
        watched.connects.wait_count(1)
        if "alpn_protocols" in setup.arguments:
            assert setup.peer.connects.wait_count(1)[0][0].selected_alpn_protocol() == "mqtt"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_refused_client_certificate_as_with_paho(
    mqtt: ModuleType,
    paho: ModuleType,
    authority: Authority,
    tmp_path: Path,
    version: ssl.TLSVersion,
) -> None:
    """None, and one of a stranger's. Under TLS 1.3 a client learns of it after the handshake."""
    stranger = Authority(tmp_path / "stranger", "Stranger").issue("me", ())
    mine = {"certfile": str(stranger.certificate), "keyfile": str(stranger.key)}
    context = requiring_clients(authority)
    context.maximum_version = version

    def outcome(module: ModuleType, arguments: dict[str, str]) -> Any:
        ends: list[int] = []
        client = clients.make(module, "refused", reconnect_on_failure=False)
        client.tls_set(str(authority.certificate), **arguments)
        client.on_disconnect = lambda c, u, flags, reason, properties: ends.append(reason.value)
        try:
            client.connect(peer.host, peer.port)
            client.loop_forever()
            return "connected", ends
        except OSError as error:
            return described(error)
        finally:
            clients.dispose(client)

    for arguments in ({}, mine):
        with TlsPeer(context) as peer:
            assert outcome(mqtt, arguments) == outcome(paho, arguments)
            assert peer.connects.items() == []
    gc.collect()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_authorities_of_the_system(
    mqtt: ModuleType,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
) -> None:
    """Trusted when `tls_set()` names none: the authority only when it is among them."""
    other = Authority(tmp_path / "other", "Other Root")
    with TlsPeer(server_context(authority.issue())) as peer, Watched(mqtt, "system") as watched:
        monkeypatch.setenv("SSL_CERT_FILE", str(other.certificate))
        client = clients.make(mqtt, "careful")
        client.tls_set(backend=backend)
        with pytest.raises(ssl.SSLCertVerificationError):
            client.connect(peer.host, peer.port)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        watched.client.tls_set(backend=backend)
        watched.start(peer)
        peer.connects.wait_count(1)


ODD_NAMES = [".localhost", "localhost.", "*", "*.localhost", "a..b", "x" * 70, "localhost\0.evil"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_never_pass(
    mqtt: ModuleType, authority: Authority, name: str, backend: str
) -> None:
    """Neither unverified nor by half: the name is refused, or the certificate is."""
    with TlsPeer(server_context(authority.issue())) as peer:
        client = clients.make(mqtt, "odd")
        setup = Setup(peer, authority.certificate, arguments={"server_hostname": name})
        with pytest.raises((OSError, ValueError, TypeError)):
            set_tls(client, setup, backend)
            client.connect(peer.host, peer.port)
        assert peer.connects.items() == []


@pytest.mark.better_than_paho("paho is silent")
@pytest.mark.parametrize("backend", BACKENDS)
def test_insecure_connections_warn(mqtt: ModuleType, authority: Authority, backend: str) -> None:
    stranger = authority.issue("other", ("subjectAltName=DNS:other.example.org",))
    with TlsPeer(server_context(stranger)) as peer, Watched(mqtt, "insecure") as watched:
        warnings: list[str] = []
        watched.client.on_log = lambda c, u, level, text: (
            warnings.append(text) if level == mqtt.MQTT_LOG_WARNING else None
        )
        set_tls(watched.client, Setup(peer, authority.certificate), backend)
        watched.client.tls_insecure_set(True)
        watched.start(peer)
        assert len(warnings) == 1 and "without verification" in warnings[0]
