"""User names, passwords, keys and signed headers show in no repr, log line, exception or traceback."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import clients, packets, websocket
from support.certificates import Authority, Identity, make_key, openssl
from support.mosquitto import Mosquitto, free_port
from support.peer import ScriptedPeer
from support.proxy import Proxy
from support.waiting import drive

from .conftest import TlsMosquitto

MARKER = "s3cr3t-marker"
USER, PASSWORD = f"user-{MARKER}", f"password-{MARKER}"


class Witness(logging.Handler):
    """Everything that anybody could read."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(logging.Formatter().format(record))

    def look_at(self, *things: Any) -> None:
        self.seen += [text for thing in things for text in (repr(thing), str(thing))]

    def watch(self, call: Callable[[], Any]) -> None:
        """Calls it; an exception is looked at with its whole chain."""
        try:
            self.look_at(call())
        except Exception as error:
            self.look_at(error, error.args, vars(error))
            self.seen.append("".join(traceback.format_exception(type(error), error, None)))
            self.seen.append(traceback.format_exc())

    def verdict(self) -> None:
        assert len(self.seen) > 3
        told = [text for text in self.seen if MARKER in text or MARKER.encode().hex() in text]
        assert told == []


@pytest.fixture
def witness(monkeypatch: pytest.MonkeyPatch) -> Iterator[Witness]:
    made = Witness()
    root = logging.getLogger()
    before = root.level
    root.addHandler(made)
    root.setLevel(logging.DEBUG)
    for hook in ("excepthook", "unraisablehook"):
        monkeypatch.setattr(sys, hook, lambda *args: made.look_at(*args))
    yield made
    root.removeHandler(made)
    root.setLevel(before)
    made.verdict()


@pytest.fixture
def client(mqtt: ModuleType, witness: Witness) -> Iterator[Any]:
    made = clients.make(mqtt, "careful", version=5)
    made.enable_logger(logging.getLogger("careful"))
    made.on_log = lambda c, userdata, level, text: witness.look_at(c, level, text)
    made.username_pw_set(USER, PASSWORD)
    made.connect_timeout = 1
    yield made
    witness.look_at(made, made.socket())
    clients.dispose(made)


def connects(client: Any, broker: Mosquitto) -> None:
    client.connect(broker.host, broker.port)
    witnessed = client.socket()
    assert witnessed is not None
    for _ in range(100):
        client.loop(0.1)
        if client.is_connected():
            return
    raise AssertionError("no CONNACK")


def test_credentials(client: Any, witness: Witness, broker: Mosquitto) -> None:
    witness.watch(lambda: client.connect("127.0.0.1", free_port()))
    connects(client, broker)
    witness.look_at(client, client.socket(), client._sock)
    witness.watch(lambda: client.publish("a" * 70_000, "x"))


def test_credentials_that_are_refused(client: Any, witness: Witness, tmp_path: Path) -> None:
    """By the broker, and before that by the client."""
    (tmp_path / "passwords").write_text("")
    options = (f"password_file {tmp_path / 'passwords'}",)
    with Mosquitto(tmp_path / "mosquitto", extra=options) as broker:
        client.on_connect = lambda c, u, flags, reason, properties: witness.look_at(
            flags, reason, properties
        )
        client.connect(broker.host, broker.port)
        for _ in range(20):
            if client.loop(0.1):
                break
    for user, password in [(USER + "\0", "x"), (USER * 9000, "x"), ("x", PASSWORD * 9000)]:
        witness.watch(lambda user=user, password=password: client.username_pw_set(user, password))
        witness.watch(lambda: client.connect("127.0.0.1", free_port()))


def test_tls_keys(
    client: Any, witness: Witness, authority: Authority, tls_broker: TlsMosquitto, tmp_path: Path
) -> None:
    mine = authority.issue("me", ("extendedKeyUsage=clientAuth",))
    locked = tmp_path / "locked.key"
    openssl("pkey", "-in", mine.key, "-aes128", "-passout", f"pass:{PASSWORD}", "-out", locked)
    other = make_key(tmp_path / "other.key")
    roots, certificate = str(authority.certificate), str(mine.certificate)
    secret = mine.key.read_text().splitlines()[1]
    for arguments in [
        {"certfile": certificate, "keyfile": str(locked), "keyfile_password": "not " + PASSWORD},
        {"certfile": certificate, "keyfile": str(other), "keyfile_password": PASSWORD},
        {"certfile": certificate, "keyfile": mine.key.read_text().replace("A", "B")},
        {"certfile": certificate, "keyfile": f"/nowhere/{locked.name}"},
    ]:
        witness.watch(lambda arguments=arguments: client.tls_set(roots, **arguments))
        assert client._ssl_context is None
    client.tls_set(
        roots, certificate, locked.read_text(), keyfile_password=PASSWORD, server_hostname="x"
    )
    witness.watch(lambda: client.connect(tls_broker.host, tls_broker.port))
    client._ox_settings.server_hostname = None
    connects(client, tls_broker)
    witness.look_at(client._ssl_context)
    assert not [text for text in witness.seen if secret in text]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="pre-shared keys: Python 3.13")
def test_pre_shared_key(client: Any, witness: Witness, tls_broker: TlsMosquitto) -> None:
    client.tls_psk_set(USER, PASSWORD.encode())
    witness.look_at(client._ssl_context, client._ox_settings.key_source)
    witness.watch(lambda: client.connect(tls_broker.host, tls_broker.port))


@pytest.mark.parametrize("kind", ["SOCKS5", "HTTP"])
def test_proxy(client: Any, witness: Witness, broker: Mosquitto, kind: str) -> None:
    """One that refuses, one that is not there, and one that works."""
    socks = pytest.importorskip("socks")
    arguments = {"proxy_type": getattr(socks, kind), "proxy_addr": "127.0.0.1"}
    secret = {"proxy_username": USER, "proxy_password": PASSWORD}
    with Proxy(("user", "other")) as refusing, Proxy((USER, PASSWORD)) as working:
        for port in (refusing.port, free_port()):
            client.proxy_set(**arguments, **secret, proxy_port=port)
            witness.watch(lambda: client.connect(broker.host, broker.port))
        client.proxy_set(**arguments, **secret, proxy_port=working.port)
        connects(client, broker)
        client.disconnect()
    injected = {**secret, "proxy_password": PASSWORD + "\r\nX: y"}
    witness.watch(lambda: client.proxy_set(**arguments, **injected))


def test_proxy_of_the_environment(
    client: Any, witness: Witness, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("socks")
    with Proxy(("user", "other")) as proxy:
        monkeypatch.setenv("mqtt_proxy", f"http://{USER}:{PASSWORD}@{proxy.host}:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        witness.watch(lambda: client.connect(broker.host, broker.port))


def test_authentication_data(
    mqtt: ModuleType, client: Any, witness: Witness, peer: ScriptedPeer
) -> None:
    """Of CONNECT and of CONNACK: the log tells that there is some, the program gets it whole."""
    secret = {"authentication_method": "method", "authentication_data": PASSWORD.encode()}
    asked = clients.properties(
        mqtt, "CONNECT", AuthenticationMethod="method", AuthenticationData=PASSWORD.encode()
    )
    got: list[bytes] = []

    def server(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        assert connection.expect(packets.CONNECT).properties == secret
        connection.send(packets.connack(packets.V5, properties=secret))
        connection.serve()

    client.on_connect = lambda c, u, flags, reason, properties: got.append(
        properties.AuthenticationData
    )
    peer.converse(server)
    client.connect(peer.host, peer.port, properties=asked)
    drive(client, lambda: got, "CONNACK")
    client.disconnect()
    assert got == [PASSWORD.encode()]
    told = [text for text in witness.seen if "AuthenticationData : ***" in text]
    assert len([text for text in told if "CONNECT" in text]) >= 1
    assert len([text for text in told if "CONNACK" in text]) >= 1


def signed(usual: dict[str, str]) -> dict[str, str]:
    """As for AWS: the signature and the token in headers, for each connect anew."""
    return {
        **usual,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={USER}, Signature={PASSWORD}",
        "X-Amz-Security-Token": PASSWORD,
    }


@pytest.mark.needs_mosquitto("it has WebSocket with a certificate of ours, and without, at once")
@pytest.mark.parametrize("headers", [signed, signed({})], ids=["callable", "dict"])
@pytest.mark.parametrize("backend", [None, "ssl", "rustls"])
def test_headers_of_the_websocket_handshake(
    mqtt: ModuleType,
    witness: Witness,
    authority: Authority,
    server: Identity,
    tmp_path: Path,
    headers: Any,
    backend: str | None,
) -> None:
    """Sent to a broker that takes them, to one that is not there, and to one that wants TLS or none."""
    client = clients.make(mqtt, "careful", version=5, transport="websockets")
    client.enable_logger(logging.getLogger("careful"))
    client.on_log = lambda c, userdata, level, text: witness.look_at(c, level, text)
    client.connect_timeout = 1
    client.ws_set_options(f"/mqtt?X-Amz-Signature={PASSWORD}", headers)
    port, other = free_port(), free_port()
    within = (f"certfile {server.chain}", f"keyfile {server.key}")
    listeners = (
        *(f"listener {port} 127.0.0.1", "protocol websockets", *(within if backend else ())),
        *(f"listener {other} 127.0.0.1", "protocol websockets", *(() if backend else within)),
    )
    if backend:
        client.tls_set(str(authority.certificate), backend=backend)
    with Mosquitto(tmp_path / "mosquitto", extra=listeners):
        for wrong in (free_port(), other):
            witness.watch(lambda wrong=wrong: client.connect("localhost", wrong))
            assert client.socket() is None
        client.connect("localhost", port)
        drive(client, client.is_connected, "CONNACK")
        witness.look_at(client, client.socket(), client._sock)
    clients.dispose(client)


REFUSALS = {
    "403": lambda key: b"HTTP/1.1 403 Forbidden\r\n\r\n",
    "not HTTP": lambda key: b"\x20\x02\x00\x00",
    "key": lambda key: websocket.answer("another key"),
    "subprotocol": lambda key: websocket.answer(key, Sec_WebSocket_Protocol="chat"),
    "long": lambda key: websocket.answer(key, X_Padding="x" * (16 << 10)),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_headers_of_a_refused_websocket(
    mqtt: ModuleType, witness: Witness, peer: ScriptedPeer, name: str
) -> None:
    def server(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        _, headers = websocket.read_request(connection.sock)
        assert MARKER in headers["Authorization"]
        connection.sock.sendall(REFUSALS[name](headers["Sec-WebSocket-Key"]))
        connection.close()

    client = clients.make(mqtt, "careful", transport="websockets")
    client.enable_logger(logging.getLogger("careful"))
    client.ws_set_options(headers=signed)
    peer.converse(server)
    witness.watch(lambda: client.connect(peer.host, peer.port))
    peer.finish()
    witness.look_at(client, client.socket())
    for bad in ({"A": PASSWORD + "\r\n"}, {"A": PASSWORD + "\0"}, [PASSWORD]):
        witness.watch(lambda bad=bad: client.ws_set_options(headers=bad))
        witness.watch(lambda bad=bad: client.ws_set_options(headers=lambda usual: bad))
        witness.watch(lambda: client.connect(peer.host, peer.port))
    witness.watch(lambda: client.ws_set_options(f"/{PASSWORD}\r\n"))


def test_the_witness_sees(mqtt: ModuleType) -> None:
    """A marker in any of these places is found."""

    for tell in (
        lambda seer: logging.getLogger("careful").warning("%s", PASSWORD),
        lambda seer: seer.look_at({"password": PASSWORD}),
        lambda seer: seer.watch(lambda: int(PASSWORD)),
        lambda seer: seer.look_at(PASSWORD.encode().hex()),
    ):
        made = Witness()
        logging.getLogger().addHandler(made)
        try:
            made.look_at(1, 2, 3)
            tell(made)
        finally:
            logging.getLogger().removeHandler(made)
        with pytest.raises(AssertionError):
            made.verdict()


# What objects say of themselves: in a traceback with its locals, in a debugger, in a log


def test_objects_that_are_shown(mqtt: ModuleType) -> None:
    from oxmqtt import aio, testing, url
    from oxmqtt._cli.security import Security
    from oxmqtt._client.tls_options import Options

    properties = clients.properties(
        mqtt, "CONNECT", AuthenticationMethod="method", AuthenticationData=PASSWORD.encode()
    )
    client = clients.make(mqtt, "shown")
    client.username_pw_set(USER, PASSWORD)
    client.ws_set_options(headers={"Authorization": PASSWORD})
    shown: list[Any] = [
        properties,
        client,
        aio.TLSParameters(keyfile="key.pem", keyfile_password=PASSWORD),
        aio.Client("localhost", username=USER, password=PASSWORD, properties=properties),
        aio.ProxySettings(proxy_type=1, proxy_addr="proxy", proxy_password=PASSWORD),
        Options(keyfile_password=PASSWORD),
        Security(shared_key=("name", PASSWORD.encode())),
        testing.Authentication("method", [(PASSWORD.encode(), b"")]),
        url.parse(f"mqtts://{USER}:{PASSWORD}@localhost"),
    ]
    for each in shown:
        assert PASSWORD not in str(each) and PASSWORD not in repr(each), type(each)
    assert "AuthenticationData : ***" in str(properties)
    assert properties.json()["AuthenticationData"] == PASSWORD.encode()


def test_port_of_the_environments_proxy(
    client: Any, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password that is not encoded, so that a part of it is taken for the port."""
    pytest.importorskip("socks")
    monkeypatch.setenv("mqtt_proxy", f"http://{USER}:{PASSWORD}/x@127.0.0.1:1080")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ValueError) as raised:
        client.connect(broker.host, broker.port)
    assert PASSWORD not in str(raised.value) and raised.value.__suppress_context__
