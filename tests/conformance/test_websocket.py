"""MQTT over WebSocket (chapter 6): binary frames, packets across frames, the subprotocol."""

from __future__ import annotations

import struct
from types import ModuleType

import pytest
from support import clients, websocket
from support.clients import Watched
from support.packets import CONNECT, DISCONNECT, PUBACK, PUBLISH, connack, publish
from support.peer import PeerConnection, ScriptedPeer
from support.websocket import BINARY, CLOSE, TEXT, FramedSocket, frame

from .conftest import Watch


def joined(
    watch: Watch, peer: ScriptedPeer, version: int
) -> tuple[Watched, PeerConnection, FramedSocket]:
    """A client that is connected by WebSocket; the peer's side insists on masked binary frames."""
    watched = watch(version, transport="websockets", reconnect_on_failure=False)
    framed: list[FramedSocket] = []

    def shake_hands(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        framed.append(websocket.upgrade(connection))
        connection.accept_client()

    peer.converse(shake_hands)
    watched.start(peer)
    peer.finish()
    return watched, peer.connections[-1], framed[0]


def test_packets_go_in_binary_frames(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    """From CONNECT to DISCONNECT."""
    watched, connection, framed = joined(watch, peer, version)
    assert connection.received[0].kind == CONNECT
    for qos in (0, 1, 2):
        watched.client.publish("t", b"x" * 70000, qos)
        received = connection.expect(PUBLISH, qos=qos)
        connection.send(connection.answer(received))
    connection.send(publish(version, "t", b"", 1, 7))
    assert {connection.read().kind, connection.read().kind} >= {PUBACK}
    watched.client.disconnect()
    connection.expect(DISCONNECT)
    assert len(framed.masks) >= 6


@pytest.mark.parametrize("payload", [b"hello", b"", "packet"], ids=["text", "empty", "a packet"])
def test_text_frames_end_the_connection(
    watch: Watch, peer: ScriptedPeer, version: int, payload: bytes | str
) -> None:
    watched, _, framed = joined(watch, peer, version)
    data = payload if isinstance(payload, bytes) else publish(version, "t", b"text")
    framed.sock.sendall(frame(TEXT, data))
    assert framed.read_to_close() == [(CLOSE, struct.pack("!H", 1003))]
    watched.disconnects.wait_count(1)
    assert not watched.messages.items()


@pytest.mark.parametrize("size", [1, 2, 5, 64, 1000])
def test_packets_and_frames_need_not_align(
    watch: Watch, peer: ScriptedPeer, version: int, size: int
) -> None:
    """Parts of packets and many packets in one frame."""
    watched, connection, framed = joined(watch, peer, version)
    topics = [f"t{number}" for number in range(20)]
    stream = b"".join(publish(version, topic, b"p" * 30, 1, 9) for topic in topics)
    for at in range(0, len(stream), size):
        framed.sock.sendall(frame(BINARY, stream[at : at + size]))
    for _ in topics:
        connection.expect(PUBACK, mid=9)
    assert [message.topic for message in watched.messages] == topics


def answered(
    mqtt: ModuleType, peer: ScriptedPeer, version: int, subprotocol: str
) -> tuple[dict[str, str], BaseException | None]:
    """The headers of the client's request, and what connect() raised at this answer."""
    client = clients.make(mqtt, "c", version, transport="websockets")
    seen: list[dict[str, str]] = []

    def server(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        _, headers = websocket.read_request(connection.sock)
        seen.append({name.lower(): value for name, value in headers.items()})
        key = headers["Sec-WebSocket-Key"]
        connection.sock.sendall(websocket.answer(key, Sec_WebSocket_Protocol=subprotocol))
        connection.sock = FramedSocket(connection.sock)  # type: ignore[assignment]
        if subprotocol == "mqtt":
            connection.expect(CONNECT)
            connection.send(connack(version))
        connection.read_to_end()

    peer.converse(server)
    raised: BaseException | None = None
    try:
        client.connect(peer.host, peer.port)
    except (ValueError, OSError, mqtt.WebsocketConnectionError) as error:
        raised = error
    clients.dispose(client)
    peer.finish()
    return seen[0], raised


def test_mqtt_is_offered(mqtt: ModuleType, peer: ScriptedPeer, version: int) -> None:
    headers, raised = answered(mqtt, peer, version, "mqtt")
    offered = [name.strip() for name in headers["sec-websocket-protocol"].split(",")]
    assert "mqtt" in offered
    assert raised is None


@pytest.mark.parametrize("other", ["mqttv3.1", "MQTT", "chat", "mqtt, chat"])
def test_another_subprotocol_is_refused(
    mqtt: ModuleType, peer: ScriptedPeer, version: int, other: str
) -> None:
    _, raised = answered(mqtt, peer, version, other)
    assert isinstance(raised, mqtt.WebsocketConnectionError)
    assert not peer.connections[0].received
