"""Every property in every packet of a server: allowed, not allowed, given twice, cut short, out of range.

The table of what may stand where is written from table 2-4 of the OASIS text and shares nothing with the codec.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from support import clients, packets
from support.packets import V5
from support.peer import ScriptedPeer
from support.properties import BINARY, BYTE, FOUR, PAIR, TABLE, TEXT, TWO, VARINT, encode, varint

from .conftest import Watch

CONNACK, PUBLISH, SUBACK, UNSUBACK = (
    packets.CONNACK,
    packets.PUBLISH,
    packets.SUBACK,
    packets.UNSUBACK,
)
DISCONNECT = packets.DISCONNECT
ACKS = (packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP)
KINDS = (CONNACK, PUBLISH, *ACKS, SUBACK, UNSUBACK, DISCONNECT)

#: Table 2-4, the packets that a server sends; reason string and user property are in nearly all.
ALLOWED: dict[int, set[str]] = {
    CONNACK: {
        "session_expiry_interval",
        "assigned_client_identifier",
        "server_keep_alive",
        "authentication_method",
        "authentication_data",
        "response_information",
        "server_reference",
        "reason_string",
        "receive_maximum",
        "topic_alias_maximum",
        "maximum_qos",
        "retain_available",
        "user_property",
        "maximum_packet_size",
        "wildcard_subscription_available",
        "subscription_identifier_available",
        "shared_subscription_available",
    },
    PUBLISH: {
        "payload_format_indicator",
        "message_expiry_interval",
        "content_type",
        "response_topic",
        "correlation_data",
        "subscription_identifier",
        "topic_alias",
        "user_property",
    },
    DISCONNECT: {
        "session_expiry_interval",
        "server_reference",
        "reason_string",
        "user_property",
    },
    **{kind: {"reason_string", "user_property"} for kind in (*ACKS, SUBACK, UNSUBACK)},
}
#: May be given more than once.
REPEATED = {"user_property", "subscription_identifier"}
#: Allowed in the packet, and yet this client or this direction has no use for it.
UNWANTED = {
    (CONNACK, "authentication_method"): 0x82,
    (CONNACK, "assigned_client_identifier"): 0x82,  # the client named one
    (DISCONNECT, "session_expiry_interval"): 0x82,  # [MQTT-3.14.2-2]
}
VALUES: dict[str, Any] = {
    BYTE: 1,
    TWO: 1,
    FOUR: 1 << 20,
    VARINT: 1,
    TEXT: "x",
    BINARY: b"x",
    PAIR: ("x", "y"),
}
#: Values that their type could hold, with the reason for refusing them.
OUT_OF_RANGE = [
    (CONNACK, "receive_maximum", 0, 0x82),
    (CONNACK, "maximum_packet_size", 0, 0x82),
    (CONNACK, "maximum_qos", 2, 0x82),
    (CONNACK, "retain_available", 2, 0x82),
    (CONNACK, "wildcard_subscription_available", 2, 0x82),
    (CONNACK, "subscription_identifier_available", 2, 0x82),
    (CONNACK, "shared_subscription_available", 2, 0x82),
    (PUBLISH, "payload_format_indicator", 2, 0x82),
    (PUBLISH, "subscription_identifier", 0, 0x82),
    (PUBLISH, "topic_alias", 0, 0x94),
    (PUBLISH, "topic_alias", 2, 0x94),  # above our maximum
    (PUBLISH, "response_topic", "a/+", 0x82),
    (PUBLISH, "content_type", b"\xc3\x28", 0x81),
    (PUBLISH, "user_property", ("a\0", "b"), 0x81),
]
UNKNOWN = [0x00, 0x04, 0x10, 0x14, 0x2B, 0x7F, 0x80, 0x3FFF]


def packet(kind: int, listed: bytes) -> bytes:
    """A packet of this kind with a property list that is written out, its length included."""
    if kind == CONNACK:
        body = b"\0\0" + listed
    elif kind == PUBLISH:
        body = b"\0\1t" + listed
    elif kind in ACKS:
        body = b"\0\1\0" + listed
    elif kind == DISCONNECT:
        body = b"\x8b" + listed
    else:
        body = b"\0\1" + listed + b"\0"
    return packets.packet(kind, 2 if kind == packets.PUBREL else 0, body)


@dataclass(frozen=True)
class Try:
    label: str
    kind: int
    raw: bytes
    #: The reason for refusing it, or None.
    refused: int | None


def with_length(listed: bytes) -> bytes:
    return varint(len(listed)) + listed


def tries() -> Iterator[Try]:
    for kind in KINDS:
        name = packets.NAMES[kind]
        for prop, (identifier, type_) in TABLE.items():
            one = {prop: VALUES[type_]}
            allowed = prop in ALLOWED[kind]
            refused = UNWANTED.get((kind, prop)) if allowed else 0x82
            yield Try(f"{name}-{prop}", kind, packet(kind, encode(one)), refused)
            twice = {prop: [VALUES[type_], VALUES[type_]]}
            refused = refused if allowed and prop in REPEATED else 0x82
            yield Try(f"{name}-2-{prop}", kind, packet(kind, encode(twice)), refused)
            cut = with_length(bytes([identifier]))
            yield Try(f"{name}-cut-{prop}", kind, packet(kind, cut), 0x81)
        for identifier in UNKNOWN:
            listed = with_length(varint(identifier) + b"\1")
            yield Try(f"{name}-unknown-{identifier:02X}", kind, packet(kind, listed), 0x81)
        long_id = with_length(b"\xa6\x00\0\1a\0\1b")  # user property by two bytes
        yield Try(f"{name}-long-identifier", kind, packet(kind, long_id), 0x81)
    for kind, prop, value, reason in OUT_OF_RANGE:
        raw = packet(kind, encode({prop: value}))
        yield Try(f"{packets.NAMES[kind]}-{prop}={value!r}", kind, raw, reason)


@pytest.fixture(scope="module")
def one_peer() -> Iterator[ScriptedPeer]:
    with ScriptedPeer() as running:
        yield running


@pytest.mark.parametrize("case", list(tries()), ids=lambda case: case.label)
def test_property(case: Try, one_peer: ScriptedPeer, watch: Watch) -> None:
    watched = watch(V5, reconnect_on_failure=False)
    wanted = clients.properties(watched.mqtt, "CONNECT", TopicAliasMaximum=1)
    watched.client.connect(one_peer.host, one_peer.port, properties=wanted)
    watched.client.loop_start()
    connection = one_peer.accept()
    connection.expect(packets.CONNECT)
    if case.kind != CONNACK:
        connection.send(packets.connack(V5))
    connection.send(case.raw)
    if case.refused is not None:
        connection.expect_refusal(case.refused)
        watched.disconnects.wait_count(1)
    elif case.kind == DISCONNECT:
        connection.expect_end()
        assert watched.disconnects.wait_count(1)[0][:2] == (True, 0x8B)
    else:
        if case.kind == packets.PUBREC:
            connection.expect(packets.PUBREL)
        elif case.kind == packets.PUBREL:
            connection.expect(packets.PUBCOMP)
        connection.expect_alive()
