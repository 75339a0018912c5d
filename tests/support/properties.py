"""MQTT 5 properties as bytes, written from the OASIS table; shares no code with src/protocol."""

from __future__ import annotations

import struct
from typing import Any

BYTE, TWO, FOUR, VARINT, TEXT, BINARY, PAIR = (
    "byte",
    "two",
    "four",
    "varint",
    "text",
    "bytes",
    "pair",
)

#: name -> (identifier, type)
TABLE: dict[str, tuple[int, str]] = {
    "payload_format_indicator": (0x01, BYTE),
    "message_expiry_interval": (0x02, FOUR),
    "content_type": (0x03, TEXT),
    "response_topic": (0x08, TEXT),
    "correlation_data": (0x09, BINARY),
    "subscription_identifier": (0x0B, VARINT),
    "session_expiry_interval": (0x11, FOUR),
    "assigned_client_identifier": (0x12, TEXT),
    "server_keep_alive": (0x13, TWO),
    "authentication_method": (0x15, TEXT),
    "authentication_data": (0x16, BINARY),
    "request_problem_information": (0x17, BYTE),
    "will_delay_interval": (0x18, FOUR),
    "request_response_information": (0x19, BYTE),
    "response_information": (0x1A, TEXT),
    "server_reference": (0x1C, TEXT),
    "reason_string": (0x1F, TEXT),
    "receive_maximum": (0x21, TWO),
    "topic_alias_maximum": (0x22, TWO),
    "topic_alias": (0x23, TWO),
    "maximum_qos": (0x24, BYTE),
    "retain_available": (0x25, BYTE),
    "user_property": (0x26, PAIR),
    "maximum_packet_size": (0x27, FOUR),
    "wildcard_subscription_available": (0x28, BYTE),
    "subscription_identifier_available": (0x29, BYTE),
    "shared_subscription_available": (0x2A, BYTE),
}
NAMES = {identifier: (name, kind) for name, (identifier, kind) in TABLE.items()}


def varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else bytes(value)
    return struct.pack(">H", len(raw)) + raw


def encode(properties: dict[str, Any] | None) -> bytes:
    """With the length in front; a list value repeats the property."""
    body = bytearray()
    for name, value in (properties or {}).items():
        identifier, kind = TABLE[name]
        for one in value if isinstance(value, list) else [value]:
            body.append(identifier)
            body += _encode_value(kind, one)
    return varint(len(body)) + bytes(body)


def _encode_value(kind: str, value: Any) -> bytes:
    if kind == BYTE:
        return bytes([value])
    if kind == TWO:
        return struct.pack(">H", value)
    if kind == FOUR:
        return struct.pack(">I", value)
    if kind == VARINT:
        return varint(value)
    if kind == PAIR:
        return text(value[0]) + text(value[1])
    return text(value)


class Reader:
    """Takes fields off the front of a packet; a short packet is an AssertionError of the test."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        chunk = self.data[self.at : self.at + count]
        assert len(chunk) == count, f"packet ends early: {self.data.hex(' ')}"
        self.at += count
        return chunk

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at)

    def left(self) -> int:
        return len(self.data) - self.at

    def byte(self) -> int:
        return self.take(1)[0]

    def two(self) -> int:
        return int(struct.unpack(">H", self.take(2))[0])

    def four(self) -> int:
        return int(struct.unpack(">I", self.take(4))[0])

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def binary(self) -> bytes:
        return self.take(self.two())

    def text(self) -> str:
        return self.binary().decode()

    def properties(self) -> dict[str, Any]:
        """name -> value, or -> list of values where it came more than once."""
        inner = Reader(self.take(self.varint()))
        found: dict[str, Any] = {}
        while inner.left():
            name, kind = NAMES[inner.varint()]
            value = inner._value(kind)
            if name in found:
                before = found[name]
                found[name] = [*before, value] if isinstance(before, list) else [before, value]
            else:
                found[name] = value
        return found

    def _value(self, kind: str) -> Any:
        if kind == BYTE:
            return self.byte()
        if kind == TWO:
            return self.two()
        if kind == FOUR:
            return self.four()
        if kind == VARINT:
            return self.varint()
        if kind == PAIR:
            return (self.text(), self.text())
        return self.text() if kind == TEXT else self.binary()
