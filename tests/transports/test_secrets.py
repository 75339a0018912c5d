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
from support import clients
from support.certificates import Authority, make_key, openssl
from support.mosquitto import Mosquitto, free_port
from support.proxy import Proxy

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
    client._server_hostname = None
    connects(client, tls_broker)
    witness.look_at(client._ssl_context)
    assert not [text for text in witness.seen if secret in text]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="pre-shared keys: Python 3.13")
def test_pre_shared_key(client: Any, witness: Witness, tls_broker: TlsMosquitto) -> None:
    client.tls_psk_set(USER, PASSWORD.encode())
    witness.look_at(client._ssl_context, client._key_source)
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
