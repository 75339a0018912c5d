"""Plays one wire case: a client with `loop_start()` against a scripted peer, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from support import clients, packets
from support.peer import PeerConnection, ScriptedPeer
from support.properties import Reader

from .deviations import DEVIATIONS
from .wire_language import WireCase

#: Of the alive check that the set prescribes.
ALIVE_ID = 65535
PATIENCE = 20.0
#: For cases of the table of deviations, where no answer may be due.
LESS_PATIENCE = 2.0


@dataclass
class Outcome:
    """What the client did."""

    closed: bool = False
    #: Reason of its DISCONNECT, if it sent one.
    reason: int | None = None
    #: (expected, what came instead) of the steps that it should have sent.
    missed: list[tuple[bytes, bytes | None]] = field(default_factory=list)


def play(case: WireCase, peer: ScriptedPeer, mqtt: ModuleType) -> Outcome:
    client = clients.make(mqtt, "wire", version=case.version, reconnect_on_failure=False)
    client.on_connect = lambda c, u, flags, reason, props: _command(c, mqtt, case)
    client.connect(peer.host, peer.port)
    client.loop_start()
    connection = peer.accept()
    try:
        return _converse(case, connection)
    finally:
        connection.close()
        client.disconnect()
        client.loop_stop()


def _converse(case: WireCase, connection: PeerConnection) -> Outcome:
    outcome = Outcome()
    patience = LESS_PATIENCE if case.label in DEVIATIONS else PATIENCE
    expected_end = None
    connection.expect(packets.CONNECT)
    if case.connack:
        connection.send(packets.connack(case.version, properties=_connack_properties(case)))
    for from_client, raw in case.steps:
        if not from_client:
            _send(connection, raw)
            continue
        if raw[0] >> 4 == packets.DISCONNECT:
            expected_end = raw
            break
        came = _next(connection, outcome, patience)
        if came is None or came.raw != raw:
            outcome.missed.append((raw, came and came.raw))
        if came is None:
            return outcome
    topic, payload = "alive check", b"payload"
    _send(connection, packets.publish(case.version, topic, payload, qos=1, mid=ALIVE_ID))
    while True:
        came = _next(connection, outcome, patience)
        if came is None or (came.kind == packets.PUBACK and came.mid == ALIVE_ID):
            return outcome
        if expected_end and came.kind == packets.DISCONNECT and came.raw != expected_end:
            outcome.missed.append((expected_end, came.raw))


def _connack_properties(case: WireCase) -> dict[str, Any] | None:
    """Receive Maximum 20; a command with a topic alias needs leave to use it [MQTT-3.2.2-18]."""
    if case.version != packets.V5:
        return None
    alias = {"topic_alias_maximum": 65535} if case.command.startswith("publish") else {}
    return {"receive_maximum": 20, **alias}


def _send(connection: PeerConnection, raw: bytes) -> None:
    try:
        connection.send(raw)
    except OSError:  # closed by the client; what it sent before can still be read
        pass


def _next(connection: PeerConnection, outcome: Outcome, patience: float) -> packets.Packet | None:
    packet = connection.read_any(patience)
    if packet is None:
        outcome.closed = True
    elif packet.kind == packets.DISCONNECT:
        outcome.reason = packet.reason
    return packet


def _command(client: Any, mqtt: ModuleType, case: WireCase) -> None:
    """What the client does in on_connect."""
    if not case.command:
        return
    raw = case.steps[0][1]
    properties = _exact_properties(mqtt, raw) if case.version == packets.V5 else None
    if case.command == "unsubscribe":
        client.unsubscribe("test/subscribe", properties=properties)
    else:
        qos = int(case.command.removeprefix("publish-"))
        client.publish("test/publish", b"message", qos, properties=properties)


def _exact_properties(mqtt: ModuleType, raw: bytes) -> Any:
    """The properties of a packet in its own order, which means nothing (2.2.2.2) but is asked for."""
    reader = Reader(raw)
    kind = reader.byte() >> 4
    reader.varint()
    if kind == packets.PUBLISH:
        reader.text()
    reader.two()
    start = reader.at
    reader.take(reader.varint())

    class Exact(mqtt.Properties):  # type: ignore[name-defined, misc]
        def pack(self) -> bytes:
            return raw[start : reader.at]

    return Exact(kind)
