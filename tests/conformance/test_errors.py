"""Errors (4.13 of MQTT 5.0, 4.8 of MQTT 3.1.1) and the stream of bytes below (4.2)."""

from __future__ import annotations

from types import ModuleType

import pytest
from support import packets
from support.clients import properties
from support.packets import (
    CONNECT,
    PUBACK,
    PUBLISH,
    SUBSCRIBE,
    UNSUBSCRIBE,
    V5,
    acknowledge,
    connack,
    packet,
    publish,
    suback,
    unsuback,
)
from support.peer import ScriptedPeer

from .conftest import Watch

#: name -> (bytes after CONNACK for each version, reason in MQTT 5)
BREACHES: dict[str, tuple[bytes, bytes, int]] = {
    "CONNECT": (packets.connect(4, "x"), packets.connect(5, "x"), 0x82),
    "SUBSCRIBE": (
        packet(SUBSCRIBE, 2, b"\0\1\0\1t\0"),
        packet(SUBSCRIBE, 2, b"\0\1\0\0\1t\0"),
        0x82,
    ),
    "UNSUBSCRIBE": (
        packet(UNSUBSCRIBE, 2, b"\0\1\0\1t"),
        packet(UNSUBSCRIBE, 2, b"\0\1\0\0\1t"),
        0x82,
    ),
    "PINGREQ": (b"\xc0\0", b"\xc0\0", 0x82),
    "type 0": (b"\0\0", b"\0\0", 0x82),
    "PUBACK too short": (b"\x40\1\0", b"\x40\1\0", 0x81),
    "PUBACK of identifier 0": (b"\x40\2\0\0", b"\x40\2\0\0", 0x82),
    "PUBLISH too short": (b"\x30\2\0\5", b"\x30\2\0\5", 0x81),
    "SUBACK too short": (b"\x90\0", b"\x90\0", 0x81),
    "PINGRESP with a body": (b"\xd0\1\0", b"\xd0\1\0", 0x81),
    "length of five bytes": (b"\x30\xff\xff\xff\xff\1", b"\x30\xff\xff\xff\xff\1", 0x81),
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_ends_the_connection(
    watch: Watch, peer: ScriptedPeer, version: int, name: str
) -> None:
    """In MQTT 5 with the reason; nothing behind it counts, and the client connects again."""
    old, new, reason = BREACHES[name]
    watched = watch(version)
    connection = watched.join(peer)
    connection.send(new if version == V5 else old, publish(version, "t", b"behind"))
    connection.expect_refusal(reason)
    assert len(watched.disconnects.wait_count(1)) == 1
    assert not watched.messages.items()
    watched.rejoin(peer).expect_alive()


@pytest.mark.parametrize("kind", ["PUBACK for QoS 2", "PUBREC for QoS 1", "PUBCOMP before PUBREC"])
def test_the_answer_of_another_qos_is_a_breach(
    watch: Watch, peer: ScriptedPeer, version: int, kind: str
) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    info = watched.client.publish("t", b"", 1 if "QoS 1" in kind else 2)
    mid = connection.expect(PUBLISH).mid
    connection.send(acknowledge(version, getattr(packets, kind.split()[0]), mid))
    connection.expect_refusal(0x82)
    assert not info.is_published()


def test_a_packet_above_our_maximum_is_refused(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer
) -> None:
    """By its announced length, before its bytes are there."""
    watched = watch(V5)
    asked = properties(mqtt, "CONNECT", MaximumPacketSize=30)
    connection = watched.join(peer, {"properties": asked})
    connection.send(publish(V5, "t", b"x" * 24))
    assert watched.messages.wait_count(1)[0].payload == b"x" * 24
    connection.send(publish(V5, "t", b"x" * 25)[:5])
    connection.expect_refusal(0x95)


def test_the_stream_may_be_cut_anywhere(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    """Every packet arrives whole and in order when each byte comes alone."""
    watched = watch(version)
    watched.client.connect(peer.host, peer.port)
    watched.client.loop_start()
    connection = peer.accept()
    connection.expect(CONNECT)
    topics = [f"t{number}" for number in range(20)]
    stream = connack(version) + b"".join(publish(version, t, b"p" * 130, 1, 9) for t in topics)
    for at in range(len(stream)):
        connection.send(stream[at : at + 1])
    for _ in topics:
        connection.expect(PUBACK, mid=9)
    assert [message.topic for message in watched.messages] == topics


def test_many_packets_may_come_at_once(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    asked = watched.client.subscribe("t")[1]
    left = watched.client.unsubscribe("t")[1]
    info = watched.client.publish("t", b"", 1)
    for _ in range(3):
        connection.read()
    connection.send(
        *(publish(version, "t", b"%d" % number) for number in range(1000)),
        suback(version, asked, [0]),
        unsuback(version, left, [0]),
        acknowledge(version, PUBACK, info.mid),
    )
    info.wait_for_publish(5)
    watched.subscribed.wait_item(asked)
    assert watched.payloads() == [b"%d" % number for number in range(1000)]
