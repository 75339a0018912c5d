"""Pre-shared keys against mosquitto's PSK listener; and what is said where Python has none."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from support import clients
from support.certificates import Identity
from support.clients import Watched
from support.mosquitto import Mosquitto
from support.tls_peer import TlsPeer, server_context

KEY = bytes.fromhex("0102030405060708090a0b0c0d0e0f10")

with_keys = pytest.mark.skipif(sys.version_info < (3, 13), reason="pre-shared keys: Python 3.13")


@pytest.fixture(scope="module")
def psk_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    folder = tmp_path_factory.mktemp("psk")
    (folder / "keys").write_text(f"me:{KEY.hex()}\n")
    options = ("psk_hint the hint", f"psk_file {folder / 'keys'}", "tls_version tlsv1.2")
    with Mosquitto(folder / "mosquitto", listener=options) as running:
        yield running


@with_keys
def test_identity_and_key(mqtt: ModuleType, psk_broker: Mosquitto) -> None:
    with Watched(mqtt, "psk") as watched:
        log: list[str] = []
        watched.client.on_log = lambda c, u, level, text: log.append(text)
        watched.client.tls_psk_set("me", KEY)
        watched.start(psk_broker)
        assert "PSK" in watched.client.socket().cipher()[0]
        watched.subscribe("psk", 1)
        watched.client.publish("psk", "payload", 1)
        assert watched.messages.wait_count(1)[0].payload == b"payload"
        assert not [line for line in log if "without verification" in line]


@with_keys
@pytest.mark.parametrize("takes_hint", [True, False])
def test_function(mqtt: ModuleType, psk_broker: Mosquitto, takes_hint: bool) -> None:
    hints: list[Any] = []

    def with_hint(hint: Any) -> tuple[str, bytes]:
        hints.append(hint)
        return "me", KEY

    with Watched(mqtt, "psk") as watched:
        watched.client.tls_psk_set(with_hint if takes_hint else lambda: ("me", KEY))
        watched.start(psk_broker)
    assert hints == (["the hint"] if takes_hint else [])


@with_keys
@pytest.mark.parametrize("pair", [("me", bytes(16)), ("stranger", KEY)])
def test_refused(mqtt: ModuleType, psk_broker: Mosquitto, pair: tuple[str, bytes]) -> None:
    client = clients.make(mqtt, "psk")
    client.tls_psk_set(*pair)
    with pytest.raises(ssl.SSLError) as caught:
        client.connect(psk_broker.host, psk_broker.port)
    assert caught.value.errno == 1


@with_keys
def test_exception_of_the_function(mqtt: ModuleType, psk_broker: Mosquitto) -> None:
    """It is connect() that raises it; nothing is printed."""

    def fails() -> tuple[str, bytes]:
        raise LookupError("no key today")

    client = clients.make(mqtt, "psk")
    client.tls_psk_set(fails)
    with pytest.raises(LookupError, match="no key today"):
        client.connect(psk_broker.host, psk_broker.port)
    client = clients.make(mqtt, "psk")
    client.tls_psk_set(lambda: ("me", "0102"))
    with pytest.raises(TypeError, match="identity must be str and key bytes"):
        client.connect(psk_broker.host, psk_broker.port)


@with_keys
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_certificate_in_place_of_the_key(
    mqtt: ModuleType, server: Identity, version: ssl.TLSVersion
) -> None:
    """A server without the key, whose certificate nobody would verify."""
    context = server_context(server)
    context.minimum_version = version
    with TlsPeer(context) as peer:
        client = clients.make(mqtt, "psk")
        client.tls_psk_set("me", KEY)
        with pytest.raises(ssl.SSLError):
            client.connect(peer.host, peer.port)
        assert peer.connects.items() == []


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="this Python has pre-shared keys")
def test_older_python(mqtt: ModuleType) -> None:
    client = clients.make(mqtt, "psk")
    with pytest.raises(NotImplementedError, match=r"pre-shared keys need Python 3\.13"):
        client.tls_psk_set("me", KEY)


@pytest.mark.parametrize("arguments", [("me",), ("me", "key"), (b"me", KEY), (len, KEY), (None,)])
def test_wrong_arguments(mqtt: ModuleType, arguments: tuple[Any, ...]) -> None:
    client = clients.make(mqtt, "psk")
    with pytest.raises(TypeError, match="identity"):
        client.tls_psk_set(*arguments)
