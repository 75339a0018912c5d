"""WebSocket frames: what is taken, what is answered, and every fault with its status code."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from types import ModuleType

import pytest
from support import clients, packets, websocket
from support.clients import Watched
from support.packets import publish
from support.peer import PeerConnection, ScriptedPeer
from support.waiting import eventually
from support.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

MASK = b"\x01\x02\x03\x04"
MESSAGE = publish(packets.V311, "a", b"b")


def head(*values: int) -> bytes:
    return bytes(values)


# what the server sends in place of good frames, and the status code of the client's close frame
FAULTS: list[tuple[str, bytes, int]] = [
    ("text", frame(TEXT, b"hello"), 1003),
    ("empty text", frame(TEXT), 1003),
    ("text that is MQTT", frame(TEXT, MESSAGE), 1003),
    ("the beginning of text", frame(TEXT, b"hel", final=False), 1003),
    ("text amid fragments", frame(BINARY, b"", final=False) + frame(TEXT, b"x"), 1003),
    ("RSV1", frame(BINARY, MESSAGE, reserved=4), 1002),
    ("RSV2", frame(BINARY, MESSAGE, reserved=2), 1002),
    ("RSV3", frame(BINARY, MESSAGE, reserved=1), 1002),
    ("RSV1 on a ping", frame(PING, b"", reserved=4), 1002),
    ("RSV on a close frame", frame(CLOSE, b"\x03\xe8", reserved=7), 1002),
    ("masked", frame(BINARY, MESSAGE, mask=MASK), 1002),
    ("masked and empty", frame(BINARY, b"", mask=MASK), 1002),
    ("masked ping", frame(PING, b"x", mask=MASK), 1002),
    ("masked close", frame(CLOSE, b"\x03\xe8", mask=MASK), 1002),
    ("masked and long", head(0x82, 0xFF), 1002),
    *[(f"opcode {code}", frame(code, b"x"), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
    ("length 2^63", head(0x82, 127) + struct.pack("!Q", 1 << 63), 1002),
    ("length 2^64 - 1", head(0x82, 127) + b"\xff" * 8, 1002),
    ("length 5 in 16 bits", head(0x82, 126, 0, 5) + b"hello", 1002),
    ("length 5 in 64 bits", head(0x82, 127) + struct.pack("!Q", 5) + b"hello", 1002),
    ("length 300 in 64 bits", head(0x82, 127) + struct.pack("!Q", 300) + b"x" * 300, 1002),
    ("ping of 126 bytes", frame(PING, b"x" * 126), 1002),
    ("ping of 64 KiB", frame(PING, b"x" * (1 << 16)), 1002),
    ("close frame of 126 bytes", frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
    ("pong of 126 bytes", frame(PONG, b"x" * 126), 1002),
    ("fragmented ping", frame(PING, b"x", final=False), 1002),
    ("fragmented close", frame(CLOSE, b"\x03\xe8", final=False), 1002),
    ("continuation of nothing", frame(CONTINUATION, b"x"), 1002),
    ("continuation behind a whole message", frame(BINARY, b"") + frame(CONTINUATION, b"x"), 1002),
    ("binary amid fragments", frame(BINARY, b"", final=False) + frame(BINARY, b""), 1002),
    ("close frame of one byte", frame(CLOSE, b"\x03"), 1002),
    *[
        (f"close code {code}", frame(CLOSE, struct.pack("!H", code)), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    ],
    ("close reason that is not UTF-8", frame(CLOSE, b"\x03\xe8\xff\xfe"), 1007),
]


@pytest.fixture
def wire(
    mqtt: ModuleType, peer: ScriptedPeer
) -> Iterator[tuple[Watched, PeerConnection, websocket.FramedSocket]]:
    """A connected client with a running loop, and the server's side of its WebSocket."""
    framed = []

    def shake_hands(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        framed.append(websocket.upgrade(connection))
        connection.accept_client()

    watched = Watched(mqtt, transport="websockets", reconnect_on_failure=False)
    watched.client.max_packet_size = 32 << 20
    with watched:
        peer.converse(shake_hands)
        watched.start(peer)
        peer.finish()
        yield watched, peer.connections[0], framed[0]


Wire = tuple[Watched, PeerConnection, websocket.FramedSocket]


@pytest.mark.parametrize(("data", "code"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
@pytest.mark.better_than_paho("checks next to none of this")
def test_fault(mqtt: ModuleType, wire: Wire, data: bytes, code: int) -> None:
    """Close frame with the status code, then the end; one on_disconnect; what came before arrives."""
    watched, _, framed = wire
    framed.sock.sendall(frame(BINARY, MESSAGE) + data)
    assert framed.read_to_close() == [(CLOSE, struct.pack("!H", code))]
    watched.disconnects.wait_count(1)
    assert [message.topic for message in watched.messages] == ["a"]
    assert not watched.client.is_connected()


def test_there_are_thirty_faults() -> None:
    assert len(FAULTS) >= 30


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_fragments_of_any_size(wire: Wire, size: int) -> None:
    """Packets and frames need not begin or end together [MQTT-6.0.0-2]."""
    watched, _, framed = wire
    data = b"".join(publish(packets.V311, f"t/{n}", b"x" * n) for n in range(0, 300, 37))
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    frames = [frame(BINARY, pieces[0], final=False)]
    for piece in pieces[1:-1]:
        frames += [frame(PING, b"amid"), frame(CONTINUATION, piece, final=False)]
    framed.sock.sendall(b"".join([*frames, frame(CONTINUATION, pieces[-1])]))
    watched.messages.wait_count(9)
    assert [len(message.payload) for message in watched.messages] == list(range(0, 300, 37))


def test_frames_byte_by_byte(wire: Wire) -> None:
    watched, _, framed = wire
    data = frame(PING, b"x" * 125) + frame(BINARY, publish(packets.V311, "a", b"x" * 200))
    for at in range(len(data)):
        framed.sock.sendall(data[at : at + 1])
    watched.messages.wait_count(1)


def test_empty_frames_are_nothing(wire: Wire) -> None:
    watched, _, framed = wire
    framed.sock.sendall(frame(BINARY) * 1000 + frame(PONG, b"unasked") + frame(BINARY, MESSAGE))
    watched.messages.wait_count(1)


@pytest.mark.parametrize("payload", [b"", b"x", b"y" * 125])
@pytest.mark.better_than_paho("sends pongs without a mask")
def test_a_ping_is_answered(wire: Wire, payload: bytes) -> None:
    watched, connection, framed = wire
    framed.sock.sendall(frame(PING, payload) + frame(BINARY, MESSAGE))
    watched.messages.wait_count(1)
    watched.client.publish("a", b"b")
    connection.expect(packets.PUBLISH)
    assert framed.controls == [(PONG, payload)]


def test_a_flood_of_pings_is_answered_with_the_latest(wire: Wire) -> None:
    """The answers wait nowhere (RFC 6455, clause 5.5.3): one for each read is enough."""
    watched, connection, framed = wire
    for n in range(20_000):
        framed.sock.sendall(frame(PING, str(n).encode()))
    framed.sock.sendall(frame(PING, b"last") + frame(BINARY, MESSAGE))
    watched.messages.wait_count(1)
    watched.client.publish("a", b"b")
    connection.expect(packets.PUBLISH)
    assert framed.controls[-1] == (PONG, b"last")


@pytest.mark.parametrize("payload", [b"", b"\x03\xe9", b"\x03\xe8bye", b"\x0f\xa0"])
@pytest.mark.better_than_paho("answers without a mask")
def test_a_close_frame_is_answered(mqtt: ModuleType, wire: Wire, payload: bytes) -> None:
    watched, _, framed = wire
    framed.sock.sendall(frame(BINARY, MESSAGE) + frame(CLOSE, payload) + frame(BINARY, MESSAGE))
    assert framed.read_to_close() == [(CLOSE, payload[:2])]
    watched.disconnects.wait_count(1)
    assert len(watched.messages) == 1, "data behind a close frame"


@pytest.mark.better_than_paho("sends no close frame")
def test_disconnect_says_goodbye(wire: Wire) -> None:
    """DISCONNECT, then close frame 1000, then the end of our side."""
    watched, connection, framed = wire
    watched.client.publish("a", b"b")
    watched.client.disconnect()
    connection.expect(packets.PUBLISH)
    connection.expect(packets.DISCONNECT)
    connection.expect_end()
    assert framed.controls == [(CLOSE, struct.pack("!H", 1000))]
    assert watched.disconnects.wait_count(1)[0][1] == 0


def test_masks_are_random(wire: Wire) -> None:
    watched, connection, framed = wire
    for _ in range(50):
        watched.client.publish("a", b"b", qos=1)
        connection.send(connection.answer(connection.expect(packets.PUBLISH)))
    assert len(set(framed.masks)) >= 50


def test_large_messages_both_ways(wire: Wire) -> None:
    """20 MB in one frame to the client, in frames of its choice from it."""
    watched, connection, _ = wire
    payload = bytes(range(256)) * 78_125
    connection.send(publish(packets.V311, "big", payload))
    assert watched.messages.wait_count(1)[0].payload == payload
    watched.client.publish("big", payload, qos=1)
    packet = connection.expect(packets.PUBLISH, seconds=30)
    assert packet.payload == payload
    connection.send(connection.answer(packet))
    watched.published.wait_count(1)


def test_a_slow_reader_gets_everything_in_order(wire: Wire) -> None:
    """The socket is full again and again, in the middle of frames."""
    watched, connection, _ = wire
    for n in range(3000):
        watched.client.publish(f"t/{n}", b"x" * (n % 5000))
    for n in range(3000):
        packet = connection.read(30)
        assert (packet.topic, len(packet.payload)) == (f"t/{n}", n % 5000)


def test_the_socket_of_a_websocket_client(wire: Wire) -> None:
    """What programs ask of paho's wrapper."""
    import socket

    sock = wire[0].client.socket()
    assert sock.pending() == 0
    for target in (sock, sock._socket):
        target.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        assert target.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 1 << 16
    assert sock.fileno() >= 0


def test_cutting_the_socket(wire: Wire) -> None:
    watched, _, framed = wire
    watched.client.socket().close()
    watched.disconnects.wait_count(1)
    eventually(lambda: framed.sock.recv(1 << 16) == b"", "the end")


def test_the_dead_peer_is_noticed(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """WebSocket pings are the transport's; the keep-alive is MQTT's and wants a PINGRESP."""

    def server(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        websocket.upgrade(connection)
        connection.accept_client()
        connection.expect(packets.PINGREQ)
        connection.expect_end()

    with Watched(mqtt, transport="websockets", reconnect_on_failure=False) as watched:
        peer.converse(server)
        watched.start(peer, keepalive=1)
        watched.disconnects.wait_count(1)
        peer.finish()


def test_reconnecting_shakes_hands_again(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    keys: list[str] = []

    def server(peer: ScriptedPeer) -> None:
        for last in (False, True):
            connection = peer.accept()
            _, headers = websocket.read_request(connection.sock)
            keys.append(headers["Sec-WebSocket-Key"])
            connection.sock.sendall(websocket.answer(keys[-1]))
            connection.sock = websocket.FramedSocket(connection.sock)  # type: ignore[assignment]
            connection.accept_client()
            if not last:
                connection.close()
        connection.serve()

    client = clients.make(mqtt, transport="websockets")
    client.reconnect_delay_set(0.05, 0.1)
    peer.converse(server)
    client.connect(peer.host, peer.port)
    client.loop_start()
    eventually(lambda: len(keys) == 2 and client.is_connected(), "the second connection")
    client.disconnect()
    client.loop_stop()
    assert keys[0] != keys[1]
