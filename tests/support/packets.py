"""MQTT packets of 3.1, 3.1.1 and 5 as bytes and back, written from the standards; shares no code with src/protocol.

The builders make what a *server* sends (and CONNECT, for a rival client); `parse` reads what a *client* sends, and of a
server's packets those of a session: CONNACK, PUBLISH and its acknowledgements, SUBACK.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from .properties import Reader, encode, text, varint

V31, V311, V5 = 3, 4, 5
ALL_VERSIONS = (V31, V311, V5)

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)
NAMES = {
    CONNECT: "CONNECT",
    CONNACK: "CONNACK",
    PUBLISH: "PUBLISH",
    PUBACK: "PUBACK",
    PUBREC: "PUBREC",
    PUBREL: "PUBREL",
    PUBCOMP: "PUBCOMP",
    SUBSCRIBE: "SUBSCRIBE",
    SUBACK: "SUBACK",
    UNSUBSCRIBE: "UNSUBSCRIBE",
    UNSUBACK: "UNSUBACK",
    PINGREQ: "PINGREQ",
    PINGRESP: "PINGRESP",
    DISCONNECT: "DISCONNECT",
    AUTH: "AUTH",
}


def packet(kind: int, flags: int, body: bytes) -> bytes:
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def connect(version: int, client_id: str, clean: bool = True, keepalive: int = 60) -> bytes:
    """A plain CONNECT, for rivals that talk to the broker without any client library."""
    name = text("MQIsdp" if version == V31 else "MQTT")
    body = name + bytes([version, 0x02 if clean else 0]) + struct.pack(">H", keepalive)
    return packet(CONNECT, 0, body + (encode(None) if version == V5 else b"") + text(client_id))


def connack(
    version: int,
    reason: int = 0,
    session_present: bool = False,
    properties: dict[str, Any] | None = None,
) -> bytes:
    body = bytes([int(session_present), reason])
    return packet(CONNACK, 0, body + (encode(properties) if version == V5 else b""))


def publish(
    version: int,
    topic: str | bytes,
    payload: bytes = b"",
    qos: int = 0,
    mid: int = 0,
    retain: bool = False,
    dup: bool = False,
    properties: dict[str, Any] | None = None,
) -> bytes:
    body = text(topic) + (struct.pack(">H", mid) if qos else b"")
    if version == V5:
        body += encode(properties)
    return packet(PUBLISH, dup << 3 | qos << 1 | retain, body + payload)


def acknowledge(
    version: int,
    kind: int,
    mid: int,
    reason: int = 0,
    properties: dict[str, Any] | None = None,
) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP; the short form where the standard allows it."""
    body = struct.pack(">H", mid)
    if version == V5 and (reason or properties):
        body += bytes([reason]) + (encode(properties) if properties else b"")
    return packet(kind, 2 if kind == PUBREL else 0, body)


def suback(
    version: int, mid: int, reasons: list[int], properties: dict[str, Any] | None = None
) -> bytes:
    middle = encode(properties) if version == V5 else b""
    return packet(SUBACK, 0, struct.pack(">H", mid) + middle + bytes(reasons))


def unsuback(
    version: int, mid: int, reasons: list[int], properties: dict[str, Any] | None = None
) -> bytes:
    rest = encode(properties) + bytes(reasons) if version == V5 else b""
    return packet(UNSUBACK, 0, struct.pack(">H", mid) + rest)


def pingresp() -> bytes:
    return packet(PINGRESP, 0, b"")


def disconnect(version: int, reason: int = 0, properties: dict[str, Any] | None = None) -> bytes:
    if version != V5 or not (reason or properties):
        return packet(DISCONNECT, 0, b"")
    body = bytes([reason]) + (encode(properties) if properties else b"")
    return packet(DISCONNECT, 0, body)


@dataclass
class Packet:
    """A packet that `parse` has read. Fields that its kind does not have keep their defaults."""

    kind: int
    raw: bytes
    flags: int = 0
    mid: int = 0
    topic: str = ""
    payload: bytes = b""
    reason: int = 0
    reasons: list[int] = field(default_factory=list)
    properties: dict[str, Any] = field(default_factory=dict)
    #: SUBSCRIBE: (filter, options byte); UNSUBSCRIBE: (filter, 0)
    filters: list[tuple[str, int]] = field(default_factory=list)
    connect: dict[str, Any] = field(default_factory=dict)
    session_present: bool = False

    @property
    def name(self) -> str:
        return NAMES.get(self.kind, f"type {self.kind}")

    @property
    def dup(self) -> bool:
        return bool(self.flags & 8)

    @property
    def qos(self) -> int:
        return self.flags >> 1 & 3

    @property
    def retain(self) -> bool:
        return bool(self.flags & 1)

    def __str__(self) -> str:
        if self.kind == PUBLISH:
            return (
                f"PUBLISH d{self.dup:d} q{self.qos} r{self.retain:d} m{self.mid} "
                f"{self.topic!r} {self.payload[:40]!r}"
            )
        return f"{self.name} m{self.mid} {self.raw[:40].hex(' ')}"


def split(buffer: bytearray) -> bytes | None:
    """Takes one whole packet off the front of `buffer`; None while it is incomplete."""
    length = shift = 0
    for at in range(1, 5):
        if at >= len(buffer):
            return None
        length |= (buffer[at] & 0x7F) << shift
        shift += 7
        if buffer[at] < 0x80:
            end = at + 1 + length
            if len(buffer) < end:
                return None
            raw = bytes(buffer[:end])
            del buffer[:end]
            return raw
    raise AssertionError(f"remaining length of more than four bytes: {bytes(buffer[:8]).hex(' ')}")


def parse(raw: bytes, version: int) -> Packet:
    reader = Reader(raw)
    first = reader.byte()
    assert reader.varint() == reader.left()
    packet = Packet(first >> 4, raw, first & 0x0F)
    kind = packet.kind
    if kind == CONNECT:
        packet.connect = _parse_connect(reader)
        packet.properties = packet.connect["properties"]
    elif kind == PUBLISH:
        packet.topic = reader.text()
        packet.mid = reader.two() if packet.qos else 0
        packet.properties = reader.properties() if version == V5 else {}
        packet.payload = reader.rest()
    elif kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        packet.mid = reader.two()
        packet.reason = reader.byte() if reader.left() else 0
        packet.properties = reader.properties() if reader.left() else {}
    elif kind in (SUBSCRIBE, UNSUBSCRIBE):
        packet.mid = reader.two()
        packet.properties = reader.properties() if version == V5 else {}
        while reader.left():
            name = reader.text()
            packet.filters.append((name, reader.byte() if kind == SUBSCRIBE else 0))
    elif kind == CONNACK:
        packet.session_present = bool(reader.byte() & 1)
        packet.reason = reader.byte()
        packet.properties = reader.properties() if reader.left() else {}
    elif kind == SUBACK:
        packet.mid = reader.two()
        packet.properties = reader.properties() if version == V5 else {}
        packet.reasons = list(reader.rest())
    elif kind in (DISCONNECT, AUTH):
        packet.reason = reader.byte() if reader.left() else 0
        packet.properties = reader.properties() if reader.left() else {}
    assert reader.left() == 0, f"bytes left over in {packet}"
    return packet


def _parse_connect(reader: Reader) -> dict[str, Any]:
    found: dict[str, Any] = {"protocol": reader.text()}
    level = reader.byte()
    found["level"], found["bridge"] = level & 0x7F, bool(level & 0x80)
    flags = reader.byte()
    found["flags"] = flags
    found["clean"] = bool(flags & 2)
    found["keepalive"] = reader.two()
    is_v5 = found["level"] == V5
    found["properties"] = reader.properties() if is_v5 else {}
    found["client_id"] = reader.text()
    if flags & 4:
        found["will_properties"] = reader.properties() if is_v5 else {}
        found["will_topic"] = reader.text()
        found["will_payload"] = reader.binary()
        found["will_qos"], found["will_retain"] = flags >> 3 & 3, bool(flags & 0x20)
    if flags & 0x80:
        found["username"] = reader.binary()
    if flags & 0x40:
        found["password"] = reader.binary()
    return found
