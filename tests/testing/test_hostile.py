"""Peers that say what no client should: the broker survives and serves the next."""

from __future__ import annotations

import random
import socket

import pytest
from oxmqtt.testing import Broker

from .conftest import MakeClient, start

CONNECT_311 = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01h"
CONNECT_5 = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01h"
UPGRADE = (
    b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def exchange(port: int, *pieces: bytes) -> bytes:
    """Everything that comes back until the broker closes, or has nothing more to say to our end."""
    with socket.create_connection(("127.0.0.1", port), 10) as peer:
        got = bytearray()
        try:
            for piece in pieces:
                peer.sendall(piece)
            peer.shutdown(socket.SHUT_WR)
            while more := peer.recv(65_536):
                got += more
        except OSError:  # it is closed, at whatever point
            pass
        return bytes(got)


def serves(broker: Broker) -> bool:
    answer = exchange(broker.port, CONNECT_311)
    return answer.startswith(b"\x20\x02\x00\x00")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"\x00\x00", 0x81),  # packet type 0
        (b"\x36\x06\x00\x01a\x00\x01\x00", 0x81),  # QoS 3
        (b"\x82\x06\x00\x01\x00\x00\x01a", 0x81),  # SUBSCRIBE cut short
        (b"\x20\x03\x00\x00\x00", 0x82),  # CONNACK
        (CONNECT_5, 0x82),  # again
        (b"\x30\xff\xff\xff\x7f", 0x95),  # 256 MiB
        (b"\xc0\x01\x00", 0x81),  # PINGREQ with a body
        (b"\x30\x80\x80\x80\x80\x01", 0x81),  # a length of five bytes
    ],
)
def test_a_malformed_packet_is_answered_with_its_reason(
    mqtt_broker: Broker, sent: bytes, reason: int
) -> None:
    assert exchange(mqtt_broker.port, CONNECT_5, sent).endswith(bytes([0xE0, 1, reason]))
    assert serves(mqtt_broker)


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes(seed: int) -> None:
    noise = random.Random(seed)
    with Broker(tls=True, websockets=True) as broker:
        ports = [broker.port, broker.tls_port, broker.websocket_port, broker.secure_websocket_port]
        for start in (b"", CONNECT_311, CONNECT_5, UPGRADE):
            for port in ports:
                pieces = [noise.randbytes(noise.randrange(1, 300)) for _ in range(4)]
                exchange(port, start, *pieces)
        assert serves(broker)


def test_websocket_refusals() -> None:
    with Broker(websockets=True) as broker:
        port = broker.websocket_port
        assert exchange(port, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400")
        assert exchange(port, b"x" * 20_000).startswith(b"HTTP/1.1 400")
        # An unmasked frame, a text frame: closed with 1002.
        for frame in (b"\x82\x02\xc0\x00", b"\x81\x80\x00\x00\x00\x00"):
            answer = exchange(port, UPGRADE, frame)
            assert answer.startswith(b"HTTP/1.1 101") and answer.endswith(b"\x88\x02\x03\xea")
        # In one piece and in two.
        ping = b"\x89\x82\x00\x00\x00\x00hi"
        for pieces in ((UPGRADE + ping,), (UPGRADE, ping)):
            assert exchange(port, *pieces).endswith(b"\x8a\x02hi")


def test_a_peer_that_never_reads_is_bounded(client: MakeClient) -> None:
    with Broker(max_unsent=100_000) as broker, socket.socket() as sleeper:
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        sleeper.connect(("127.0.0.1", broker.port))
        sleeper.sendall(CONNECT_311 + b"\x82\x06\x00\x01\x00\x01a\x00")
        broker.wait_for_subscription("a")
        one = start(client("one"), broker.port)
        for _ in range(200):
            one.publish("a", bytes(50_000))
        one.publish("a", "last", 1).wait_for_publish(20)
        assert 0 < broker.dropped < 201
