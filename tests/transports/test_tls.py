"""TLS by Python's `ssl` through a real mosquitto: traffic, both ends of a connection, what programs ask the socket for."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.certificates import Authority, Identity
from support.clients import Watched
from support.waiting import PATIENCE, Deadline, eventually

from .conftest import TlsMosquitto

V5 = 5


@pytest.fixture
def watched(mqtt: ModuleType, authority: Authority) -> Watched:
    made = Watched(mqtt, "tls", version=V5)
    made.client.tls_set(str(authority.certificate))
    return made


def test_traffic(watched: Watched, tls_broker: TlsMosquitto) -> None:
    """Every QoS, sizes around a record and beyond all buffers, both ways."""
    sizes = [0, 1, 16383, 16384, 16385, 70_000, 300_000, 5_000_000]
    payloads = [bytes([number]) * size for number, size in enumerate(sizes)]
    with watched:
        watched.start(tls_broker)
        watched.subscribe("big/#", 2)
        for number, payload in enumerate(payloads):
            watched.client.publish("big/1", payload, number % 3)
        watched.messages.wait_count(len(payloads))
        assert sorted(watched.payloads(), key=len) == payloads
        watched.published.wait_count(len(payloads))


def test_many_messages(watched: Watched, tls_broker: TlsMosquitto) -> None:
    with watched:
        watched.start(tls_broker)
        watched.subscribe("many", 1)
        for number in range(5000):
            watched.client.publish("many", str(number), 1)
        watched.messages.wait_count(5000)
        assert watched.payloads() == [str(number).encode() for number in range(5000)]


def test_disconnect_reaches_the_broker(watched: Watched, tls_broker: TlsMosquitto) -> None:
    """Behind everything published before it; else the broker would publish the will."""
    with Watched(watched.mqtt, "witness") as witness:
        witness.client.tls_set_context(watched.client._ssl_context)
        witness.start(tls_broker)
        witness.subscribe("goodbye/#")
        for number in range(10):
            client = watched.mqtt.Client(watched.mqtt.CallbackAPIVersion.VERSION2, f"bye{number}")
            client.tls_set_context(watched.client._ssl_context)
            client.will_set("goodbye/will", "will")
            client.connect(tls_broker.host, tls_broker.port)
            client.publish("goodbye/last", b"x" * 400_000)
            client.disconnect()
        witness.messages.wait_count(10)
        witness.client.publish("goodbye/end", "end")
        witness.messages.wait_count(11)
        assert [message.topic for message in witness.messages].count("goodbye/will") == 0
        ends = [line for line in tls_broker.log().splitlines() if "Client bye" in line]
        assert len(ends) == 10 and all(line.endswith("disconnected.") for line in ends), ends


def test_socket_answers_for_the_ssl_socket(watched: Watched, tls_broker: TlsMosquitto) -> None:
    with watched:
        watched.start(tls_broker)
        sock = watched.client.socket()
        assert isinstance(sock, socket.socket)
        assert sock.version() in ("TLSv1.2", "TLSv1.3")
        assert sock.cipher()[2] >= 128
        assert ("DNS", "localhost") in sock.getpeercert()["subjectAltName"]
        assert ssl.DER_cert_to_PEM_cert(sock.getpeercert(True)).startswith("-----BEGIN")
        assert sock.selected_alpn_protocol() is None
        assert sock.server_hostname == "localhost"
        assert sock.context is watched.client._ssl_context
        assert sock.pending() == 0
        assert sock.getpeername()[1] == tls_broker.port
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 1 << 16
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_closing_the_socket_cuts_the_connection(watched: Watched, tls_broker: TlsMosquitto) -> None:
    with watched:
        watched.client.reconnect_delay_set(0.01, 0.01)
        watched.start(tls_broker)
        watched.client.socket().close()
        watched.disconnects.wait_count(1)
        watched.connects.wait_count(2)


def test_broker_goes(watched: Watched, server: Identity, tmp_path: Path) -> None:
    with TlsMosquitto(tmp_path / "mosquitto", server) as broker, watched:
        watched.client.reconnect_delay_set(0.01, 0.05)
        watched.start(broker)
        broker.kill()
        watched.disconnects.wait_count(1)
        broker.start()
        watched.connects.wait_count(2)


def test_mutual_tls(
    mqtt: ModuleType, authority: Authority, server: Identity, tmp_path: Path
) -> None:
    options = (f"cafile {authority.certificate}", "require_certificate true")
    mine = authority.issue("me", ("extendedKeyUsage=clientAuth",))
    with TlsMosquitto(tmp_path, server, *options, "use_identity_as_username true") as broker:
        with Watched(mqtt, "with") as watched:
            watched.client.tls_set(str(authority.certificate), str(mine.certificate), str(mine.key))
            watched.start(broker)
        with Watched(mqtt, "without") as watched:
            watched.client.tls_set(str(authority.certificate))
            errors: list[str] = []
            watched.client.on_log = lambda c, u, level, text: errors.append(text)
            watched.client.reconnect_delay_set(0.01, 0.01)
            try:
                watched.start(broker, wait=False)
            except ssl.SSLError:  # under TLS 1.2 the handshake itself fails
                return
            watched.disconnects.wait_count(1)
            assert any("CERTIFICATE_REQUIRED" in text for text in errors), errors


def test_pem_from_memory(
    mqtt: ModuleType, authority: Authority, server: Identity, tmp_path: Path
) -> None:
    options = (f"cafile {authority.certificate}", "require_certificate true")
    certificate, key = authority.issue("memory", ("extendedKeyUsage=clientAuth",)).pem()
    roots = authority.certificate.read_text()
    with TlsMosquitto(tmp_path, server, *options) as broker:
        for arguments in [
            (roots, certificate, key),
            (roots.encode(), certificate.encode(), key.encode()),
            (roots, certificate + key),
        ]:
            with Watched(mqtt, "memory") as watched:
                watched.client.tls_set(*arguments)
                watched.start(broker)


def test_external_loop(watched: Watched, tls_broker: TlsMosquitto) -> None:
    """`select` on socket(), and pending() as programs ask it of TLS."""
    client = watched.client
    client.connect(tls_broker.host, tls_broker.port)
    deadline = Deadline(PATIENCE)

    def turn_until(done: Callable[[], Any]) -> None:
        while not done():
            assert not deadline.passed()
            sock = client.socket()
            readable, _, _ = select.select([sock], [], [], 1)
            while readable and client.loop_read() == 0 and sock.pending():
                pass
            client.loop_misc()

    turn_until(lambda: watched.connects)
    client.subscribe("external", 1)
    turn_until(lambda: watched.subscribed)
    for number in range(50):
        client.publish("external", str(number) * 5000, 1)
    turn_until(lambda: len(watched.messages) == 50)
    client.disconnect()


def test_own_wrap_socket(mqtt: ModuleType, authority: Authority, tls_broker: TlsMosquitto) -> None:
    """A subclass that makes the handshake its own way, as programs did for SNI."""

    class Own(mqtt.Client):  # type: ignore[misc, name-defined]
        def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
            context: ssl.SSLContext = self._ssl_context
            return context.wrap_socket(tcp_sock, server_hostname="localhost")

    with Watched(mqtt, "own", factory=Own) as watched:
        watched.client.tls_set(str(authority.certificate))
        watched.client.connect("127.0.0.1", tls_broker.port)
        watched.client.loop_start()
        watched.connects.wait_count(1)
        watched.subscribe("own", 1)
        watched.client.publish("own", b"x" * 3_000_000, 1)
        assert watched.messages.wait_count(1)[0].payload == b"x" * 3_000_000
        assert watched.client.socket().version() in ("TLSv1.2", "TLSv1.3")


def test_another_name_than_the_host(mqtt: ModuleType, authority: Authority, tmp_path: Path) -> None:
    """It is asked for, and it is what the certificate must have."""
    elsewhere = authority.issue("broker.example.org", ("subjectAltName=DNS:broker.example.org",))
    with TlsMosquitto(tmp_path, elsewhere) as broker:
        with Watched(mqtt, "sni") as watched:
            watched.client.tls_set(str(authority.certificate), server_hostname="broker.example.org")
            watched.start(broker)
            assert watched.client.socket().server_hostname == "broker.example.org"
        with Watched(mqtt, "sni") as watched:
            watched.client.tls_set(str(authority.certificate))
            with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
                watched.client.connect(broker.host, broker.port)


def test_one_thread_for_many(
    mqtt: ModuleType, authority: Authority, tls_broker: TlsMosquitto
) -> None:
    """Beside the engine's one and a pump, no thread moves bytes."""
    clients = []
    before = set(threading.enumerate())
    try:
        for number in range(500):
            client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, f"many{number}")
            client.tls_set(str(authority.certificate))
            client.connect(tls_broker.host, tls_broker.port)
            clients.append(client)
        for client in clients:
            eventually(lambda client=client: client._ox_engine.online, "CONNACK")
        names = [thread.name for thread in set(threading.enumerate()) - before]
        assert len(names) <= 2, names
    finally:
        for client in clients:
            client.disconnect()
    eventually(lambda: set(threading.enumerate()) <= before, "no thread left")
