"""Slow links: a peer that takes bytes slowly and without pause is alive, and gets everything.

The short ones run always, with a keep-alive of a second. `make links` runs the long ones, with rates from 5 kB/s to
1 MB/s and messages of up to 10 MB.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import packets
from support.certificates import Authority, Identity
from support.clients import Watched
from support.packets import Packet
from support.tls_peer import server_context
from support.waiting import Mailbox

LONG = bool(os.environ.get("LINKS"))
#: Seconds for what takes a few on a quiet machine.
PATIENT = 120.0


class SlowPeer:
    """A broker that reads at a pace, answers what it has read, and has small buffers.

    :param chatty: it sends a message for each piece that it reads.
    """

    host = "localhost"

    def __init__(
        self,
        rate: float,
        path: Path | None = None,
        identity: Identity | None = None,
        chatty: bool = False,
    ) -> None:
        self.rate = rate
        self._chatty = chatty
        self._context = server_context(identity) if identity else None
        family = socket.AF_UNIX if path else socket.AF_INET
        self._listener = socket.socket(family)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self._listener.bind(str(path) if path else ("127.0.0.1", 0))
        self._listener.listen()
        if path:
            self.host, self.port = str(path), 1883
        else:
            self.port = self._listener.getsockname()[1]
        #: Packets, by connection; None is the end of one.
        self.received: Mailbox[tuple[int, Packet | None]] = Mailbox()
        self.connections = 0
        self.leave = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            if self._context:
                sock = self._context.wrap_socket(sock, server_side=True)
            with sock:
                self._read(sock, number)
        except OSError:
            pass
        self.received.put((number, None))

    def _read(self, sock: socket.socket, number: int) -> None:
        buffer = bytearray()
        got, since = 0, time.monotonic()
        while not self.leave.is_set():
            chunk = sock.recv(max(64, min(8192, int(self.rate / 20))))
            if not chunk:
                return
            buffer += chunk
            got += len(chunk)
            while (raw := packets.split(buffer)) is not None:
                packet = packets.parse(raw, packets.V311)
                self.received.put((number, packet))
                sock.sendall(_answer(packet))
            if self._chatty:
                sock.sendall(packets.publish(packets.V311, "chat", b"x"))
            ahead = got / self.rate - (time.monotonic() - since)
            if ahead > 0:
                self.leave.wait(ahead)

    def __enter__(self) -> SlowPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self._thread.join()


def _answer(packet: Packet) -> bytes:
    if packet.kind == packets.CONNECT:
        return packets.connack(packets.V311)
    if packet.kind == packets.PUBLISH and packet.qos:
        return packets.acknowledge(packets.V311, packets.PUBACK, packet.mid)
    return packets.pingresp() if packet.kind == packets.PINGREQ else b""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def slow(
    request: pytest.FixtureRequest, tmp_path: Path, authority: Authority
) -> Iterator[tuple[SlowPeer, dict[str, Any], Any]]:
    """A slow peer by one of the transports, the client's options for it, and how to prepare the client."""
    transport, rate, chatty = request.param
    path = tmp_path / "slow" if transport == "unix" else None
    identity = authority.issue() if transport.startswith("tls") else None
    options = {"transport": "unix"} if path else {}

    def prepare(client: Any) -> None:
        if transport == "tls":
            client.tls_set_context(ssl.create_default_context(cafile=str(authority.certificate)))
        elif transport == "tls by rustls":
            client.tls_set(str(authority.certificate), backend="rustls")

    with SlowPeer(rate, path, identity, chatty) as peer:
        yield peer, options, prepare


TRANSPORTS = ["tcp", "unix", "tls", "tls by rustls"]


def upload(mqtt: ModuleType, slow: Any, size: int, keepalive: int, patience: float) -> None:
    peer, options, prepare = slow
    with Watched(mqtt, "uploading", **options) as watched:
        prepare(watched.client)
        watched.start(peer, keepalive)
        info = watched.client.publish("large", bytes(size), 1)
        info.wait_for_publish(patience)
        assert info.is_published()
        assert not len(watched.disconnects) and peer.connections == 1
        kinds = [packet.kind for _, packet in peer.received if packet]
        assert kinds.count(packets.PUBLISH) == 1
        assert kinds.count(packets.PINGREQ) <= 3 + (size / peer.rate) // keepalive


@pytest.mark.better_than_paho("it cuts the connection after two keep-alives")
@pytest.mark.parametrize("slow", [(name, 60e3, False) for name in TRANSPORTS], indirect=True)
def test_a_slow_upload_keeps_its_connection(mqtt: ModuleType, slow: Any) -> None:
    """Five keep-alives long, with the answer to PINGREQ behind all of it."""
    upload(mqtt, slow, 300_000, 1, PATIENT)


@pytest.mark.better_than_paho("what waits behind the kernel is lost with disconnect()")
@pytest.mark.parametrize("slow", [(name, 60e3, True) for name in TRANSPORTS], indirect=True)
def test_what_the_kernel_has_at_disconnect_arrives(mqtt: ModuleType, slow: Any) -> None:
    """Though the broker sends meanwhile, which would reset a connection that is closed."""
    drain(mqtt, slow, 250, PATIENT)


def drain(mqtt: ModuleType, slow: Any, count: int, patience: float) -> None:
    peer, options, prepare = slow
    with Watched(mqtt, "going", **options) as watched:
        prepare(watched.client)
        watched.start(peer)
        for number in range(count):
            watched.client.publish("last", b"%06d" % number + bytes(994))
        watched.client.disconnect()
        peer.received.wait_item((1, None), patience)
        arrived = [packet for _, packet in peer.received if packet]
        bodies = [packet.payload[:6] for packet in arrived if packet.kind == packets.PUBLISH]
        assert bodies == [b"%06d" % number for number in range(count)]
        assert arrived[-1].kind == packets.DISCONNECT


LINKS = [(5e3, 200_000), (50e3, 2_000_000), (200e3, 10_000_000), (1e6, 10_000_000)]


@pytest.mark.skipif(not LONG, reason="long: make links")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("keepalive", [1, 2, 60])
@pytest.mark.parametrize(
    ("slow", "size"),
    [((name, rate, False), size) for name in TRANSPORTS for rate, size in LINKS],
    indirect=["slow"],
)
def test_long_uploads(mqtt: ModuleType, slow: Any, size: int, keepalive: int) -> None:
    upload(mqtt, slow, size, keepalive, 500)


@pytest.mark.skipif(not LONG, reason="long: make links")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("slow", "count"),
    [((name, rate, True), size // 1000) for name in TRANSPORTS for rate, size in LINKS],
    indirect=["slow"],
)
def test_long_farewells(mqtt: ModuleType, slow: Any, count: int) -> None:
    drain(mqtt, slow, count, 500)
