"""TLS by rustls: traffic through a real mosquitto, mutual TLS, and what is left to the default backend.

The matrix of certificates is in `test_certificates`.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import clients, packets
from support.certificates import SERVER_USAGE, Authority, Identity, openssl
from support.clients import Watched
from support.packets import publish
from support.tls_peer import TlsPeer, server_context
from support.waiting import PATIENCE, eventually

from .certificate_cases import GOOD_FOR_OPENSSL, requiring_clients
from .conftest import TlsMosquitto


def rustls_client(mqtt: ModuleType, authority: Authority, **options: Any) -> Watched:
    made = Watched(mqtt, "rustls", version=packets.V5)
    made.client.tls_set(str(authority.certificate), backend="rustls", **options)
    return made


def test_traffic(mqtt: ModuleType, authority: Authority, tls_broker: TlsMosquitto) -> None:
    """Every QoS, sizes around a record and beyond all buffers, both ways."""
    sizes = [0, 1, 16383, 16384, 16385, 65535, 65536, 70_000, 300_000, 20_000_000]
    payloads = [bytes([number]) * size for number, size in enumerate(sizes)]
    with rustls_client(mqtt, authority) as watched:
        watched.client.max_packet_size = 32 << 20
        watched.start(tls_broker)
        watched.subscribe("big/#", 2)
        for number, payload in enumerate(payloads):
            watched.client.publish("big/1", payload, number % 3)
        watched.messages.wait_count(len(payloads), 60)
        assert sorted(watched.payloads(), key=len) == payloads
        watched.published.wait_count(len(payloads))


def test_many_messages_from_many_threads(
    mqtt: ModuleType, authority: Authority, tls_broker: TlsMosquitto
) -> None:
    """Direct sends and the I/O task share the encryption."""
    with rustls_client(mqtt, authority) as watched:
        watched.start(tls_broker)
        watched.subscribe("many/#", 1)

        def work(number: int) -> None:
            for n in range(1000):
                watched.client.publish(f"many/{number}", str(n), 1)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        watched.messages.wait_count(4000, 30)
        for number in range(4):
            got = [m.payload for m in watched.messages if m.topic == f"many/{number}"]
            assert got == [str(n).encode() for n in range(1000)]


def test_a_flood_of_small_packets(mqtt: ModuleType, authority: Authority, server: Identity) -> None:
    """Packets and records need not begin or end together, and a slow reader fills the socket."""
    data = b"".join(publish(packets.V5, f"t/{n}", b"x" * (n % 700)) for n in range(5000))
    done = threading.Event()

    def talk(sock: ssl.SSLSocket) -> None:
        sock.sendall(packets.connack(packets.V5))
        for at in range(0, len(data), 4999):
            sock.sendall(data[at : at + 4999])
        left = 3_000_000
        while left > 0:
            left -= len(sock.recv(1000))
        done.set()

    with Scripted(server, talk) as peer, rustls_client(mqtt, authority) as watched:
        watched.start(peer)
        watched.messages.wait_count(5000)
        watched.client.publish("back", b"y" * 3_000_000)
        assert done.wait(PATIENCE)


class Scripted:
    """A TLS server that reads CONNECT and then follows a script."""

    host = "localhost"

    def __init__(self, identity: Identity, talk: Any) -> None:
        self._context = server_context(identity)
        self._talk = talk
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Scripted:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the script has not come to its end"

    def _serve(self) -> None:
        plain, _ = self._listener.accept()
        plain.settimeout(PATIENCE)
        with self._context.wrap_socket(plain, server_side=True) as sock:
            assert sock.recv(1000)[0] == 0x10
            self._talk(sock)


@pytest.mark.parametrize("says_goodbye", [True, False])
def test_the_server_ends(
    mqtt: ModuleType, authority: Authority, server: Identity, says_goodbye: bool
) -> None:
    """With close_notify or without, what came before it arrives."""

    def talk(sock: ssl.SSLSocket) -> None:
        sock.sendall(packets.connack(packets.V5) + publish(packets.V5, "last", b"x" * 100_000))
        if says_goodbye:
            try:
                sock.unwrap().close()
            except OSError:  # the client answers with the end, not with close_notify
                pass

    with Scripted(server, talk) as peer, rustls_client(mqtt, authority) as watched:
        watched.client._reconnect_on_failure = False
        watched.start(peer)
        watched.disconnects.wait_count(1)
        assert [m.topic for m in watched.messages] == ["last"]


def test_disconnect_says_goodbye(mqtt: ModuleType, authority: Authority, server: Identity) -> None:
    """close_notify behind DISCONNECT: the server reads an orderly end."""
    got = bytearray()
    ended = threading.Event()

    def talk(sock: ssl.SSLSocket) -> None:
        sock.suppress_ragged_eofs = False
        sock.sendall(packets.connack(packets.V5))
        while chunk := sock.recv(1 << 16):
            got.extend(chunk)
        ended.set()

    with Scripted(server, talk) as peer, rustls_client(mqtt, authority) as watched:
        watched.start(peer)
        watched.client.publish("a", b"x" * 400_000)
        watched.client.disconnect()
        assert ended.wait(PATIENCE)
    assert len(got) > 400_000 and got[-2] == 0xE0


def test_garbage_in_mid_stream(mqtt: ModuleType, authority: Authority, server: Identity) -> None:
    def talk(sock: ssl.SSLSocket) -> None:
        sock.sendall(packets.connack(packets.V5))
        with socket.socket(fileno=sock.detach()) as plain:
            plain.settimeout(PATIENCE)
            plain.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            while plain.recv(1000):
                pass

    with Scripted(server, talk) as peer, rustls_client(mqtt, authority) as watched:
        watched.client._reconnect_on_failure = False
        watched.start(peer)
        watched.disconnects.wait_count(1)


def test_mutual_tls(
    mqtt: ModuleType, authority: Authority, server: Identity, tmp_path: Path
) -> None:
    """From files and from memory, and the key in the file of the certificate."""
    mine = authority.issue("me", ("extendedKeyUsage=clientAuth",))
    both = tmp_path / "both.pem"
    both.write_text(mine.certificate.read_text() + mine.key.read_text())
    options = (
        *(f"cafile {authority.certificate}", "require_certificate true"),
        "use_identity_as_username true",
    )
    with TlsMosquitto(tmp_path / "mosquitto", server, *options) as broker:
        for arguments in (
            {"certfile": str(mine.certificate), "keyfile": str(mine.key)},
            {"certfile": mine.certificate.read_bytes(), "keyfile": mine.key.read_text()},
            {"certfile": str(both)},
        ):
            with rustls_client(mqtt, authority, **arguments) as watched:
                watched.start(broker)
        assert "u'me'" in broker.log()


def test_server_without_the_certificate_it_wants(mqtt: ModuleType, authority: Authority) -> None:
    """By TLS 1.2 the refusal is part of the handshake; by 1.3 it comes behind it."""
    context = requiring_clients(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    client = clients.make(mqtt, "nobody")
    client.tls_set(str(authority.certificate), backend="rustls")
    with TlsPeer(context) as peer, pytest.raises(ssl.SSLError) as caught:
        client.connect(peer.host, peer.port)
    assert caught.value.errno == 1


@pytest.mark.parametrize("name", ["other", "localhost"])
def test_insecure_takes_another_name_but_no_stranger(
    mqtt: ModuleType, authority: Authority, tmp_path: Path, name: str
) -> None:
    identity = authority.issue(name, (f"subjectAltName=DNS:{name}.example.org", SERVER_USAGE))
    lines: list[str] = []
    with TlsPeer(server_context(identity)) as peer:
        client = clients.make(mqtt, "insecure")
        client.on_log = lambda client, _, level, line: lines.append(line)
        client.tls_set(str(authority.certificate), backend="rustls")
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
            client.connect("localhost", peer.port)
        client.tls_insecure_set(True)
        client.connect("localhost", peer.port)
        peer.connects.wait_count(1)
        clients.dispose(client)
    assert any("without verification" in line for line in lines)
    stranger = Authority(tmp_path / "stranger", "Stranger").issue()
    with TlsPeer(server_context(stranger)) as peer:
        client = clients.make(mqtt, "insecure")
        client.tls_set(str(authority.certificate), backend="rustls")
        client.tls_insecure_set(True)
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            client.connect("localhost", peer.port)
        assert caught.value.errno == 1


def test_tls_version(mqtt: ModuleType, authority: Authority, server: Identity) -> None:
    """1.3 at least refuses a server of 1.2."""
    context = server_context(server)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with TlsPeer(context) as peer:
        client = clients.make(mqtt, "new")
        client.tls_set(
            str(authority.certificate), tls_version=ssl.TLSVersion.TLSv1_3, backend="rustls"
        )
        with pytest.raises(ssl.SSLError):
            client.connect("localhost", peer.port)


@pytest.mark.parametrize(
    "arguments",
    [
        {"ciphers": "ECDHE-RSA-AES128-GCM-SHA256"},
        {"cert_reqs": ssl.CERT_NONE},
        {"cert_reqs": ssl.CERT_OPTIONAL},
        {"keyfile_password": "secret"},
        {"tls_version": ssl.TLSVersion.TLSv1_1},
    ],
    ids=["ciphers", "none", "optional", "password", "version"],
)
def test_what_only_the_default_backend_can(mqtt: ModuleType, arguments: dict[str, Any]) -> None:
    client = clients.make(mqtt, "asks")
    with pytest.raises(ValueError, match="default backend"):
        client.tls_set(backend="rustls", **arguments)
    client.tls_set()  # nothing was set


@pytest.mark.parametrize("traditional", [True, False])
def test_an_encrypted_key(
    mqtt: ModuleType, authority: Authority, tmp_path: Path, traditional: bool
) -> None:
    mine, locked = authority.issue("me"), tmp_path / "locked.key"
    form = ["-traditional"] if traditional else []
    openssl("pkey", "-in", mine.key, *form, "-aes128", "-passout", "pass:secret", "-out", locked)
    client = clients.make(mqtt, "asks")
    with pytest.raises(ValueError, match="default backend"):
        client.tls_set(certfile=str(mine.certificate), keyfile=str(locked), backend="rustls")


@pytest.mark.parametrize("name", [n for n in GOOD_FOR_OPENSSL if n != "encrypted_key"])
def test_certificates_that_only_the_default_backend_takes(
    mqtt: ModuleType, authority: Authority, tmp_path: Path, name: str
) -> None:
    """The list of docs/tls.md. One that connects has to leave it."""
    setup = GOOD_FOR_OPENSSL[name](authority, tmp_path)
    with setup.peer:
        client = clients.make(mqtt, "careful")
        client.tls_set(str(setup.trusted), backend="rustls")
        with pytest.raises(ssl.SSLError):
            client.connect(setup.host, setup.peer.port)


def test_files_that_are_not_what_they_should_be(mqtt: ModuleType, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    client = clients.make(mqtt, "asks")
    with pytest.raises(FileNotFoundError):
        client.tls_set(str(tmp_path / "missing"), backend="rustls")
    for arguments in (
        {"ca_certs": str(empty)},
        {"ca_certs": broken},
        {"certfile": str(empty)},
    ):
        with pytest.raises(ssl.SSLError):
            client.tls_set(backend="rustls", **arguments)
    with pytest.raises(ValueError, match="backend must be"):
        client.tls_set(backend="openssl")


def test_tls_is_set_once(mqtt: ModuleType, authority: Authority) -> None:
    client = clients.make(mqtt, "asks")
    with pytest.raises(ValueError, match="Must configure"):
        client.tls_insecure_set(True)
    client.tls_set(str(authority.certificate), backend="rustls")
    for again in ({"backend": "rustls"}, {}):
        with pytest.raises(ValueError, match="already been configured"):
            client.tls_set(str(authority.certificate), **again)
    with pytest.raises(ValueError, match="already been configured"):
        client.tls_set_context(ssl.create_default_context())


def test_a_dripping_server_does_not_outlast_the_deadline(
    mqtt: ModuleType, authority: Authority
) -> None:
    def drip(sock: socket.socket) -> None:
        record = b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb\x03\x03" + bytes(1 << 14)
        try:
            with sock:
                for byte in record:
                    sock.sendall(bytes([byte]))
                    time.sleep(0.02)
        except OSError:
            pass

    with TlsPeer(below=drip) as peer:
        client = clients.make(mqtt, "waits")
        client.connect_timeout = 0.5
        client.tls_set(str(authority.certificate), backend="rustls")
        started = time.monotonic()
        with pytest.raises((TimeoutError, socket.timeout)):
            client.connect("localhost", peer.port)
        assert time.monotonic() - started < 2


def test_no_more_threads(mqtt: ModuleType, authority: Authority, tls_broker: TlsMosquitto) -> None:
    """The engine's own thread does it: no Python thread moves bytes."""
    with rustls_client(mqtt, authority) as watched:
        watched.start(tls_broker)
        names = {thread.name for thread in threading.enumerate()} - {"oxmqtt-dial"}
        assert not any(name.startswith("oxmqtt") for name in names), names


def test_cutting_the_socket(
    mqtt: ModuleType, authority: Authority, tls_broker: TlsMosquitto
) -> None:
    with rustls_client(mqtt, authority) as watched:
        watched.start(tls_broker)
        watched.client.socket().close()
        watched.connects.wait_count(2)
        eventually(watched.client.is_connected, "the reconnect")
