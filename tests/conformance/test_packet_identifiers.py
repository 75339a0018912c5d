"""Packet identifiers: 2.2.1 of MQTT 5.0, 2.3.1 of MQTT 3.1.1."""

from __future__ import annotations

import pytest
from support.packets import (
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBSCRIBE,
    UNSUBSCRIBE,
    V5,
    acknowledge,
    packet,
    publish,
    suback,
    unsuback,
)
from support.peer import ScriptedPeer

from .conftest import Watch


def test_qos_0_has_none(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    watched.client.publish("t", b"payload", 0)
    middle = b"\0" if version == V5 else b""
    connection.expect_bytes(packet(PUBLISH, 0, b"\0\x01t" + middle + b"payload"))


def test_each_new_packet_has_an_unused_one(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    """PUBLISH, SUBSCRIBE and UNSUBSCRIBE share the identifiers; none is zero."""
    watched = watch(version)
    client = watched.client
    connection = watched.join(peer)
    client.subscribe("a")
    for qos in (1, 2, 1, 2):
        client.publish("t", b"", qos)
    client.unsubscribe("a")
    client.subscribe([("b", 0), ("c", 1)])
    mids = [connection.read().mid for _ in range(7)]
    assert 0 not in mids
    assert len(set(mids)) == 7


def test_an_acknowledgement_names_the_packet_it_answers(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    for mid in (1, 300, 65535):
        connection.send(publish(version, "t", b"", 1, mid))
        connection.expect(PUBACK, mid=mid)
        connection.send(publish(version, "t", b"", 2, mid))
        connection.expect(PUBREC, mid=mid)
        connection.send(acknowledge(version, PUBREL, mid))
        connection.expect(PUBCOMP, mid=mid)
    watched.client.publish("t", b"", 2)
    mid = connection.expect(PUBLISH).mid
    connection.send(acknowledge(version, PUBREC, mid))
    connection.expect(PUBREL, mid=mid)


def test_an_acknowledgement_of_another_packet_completes_nothing(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    info = watched.client.publish("t", b"", 1)
    mid = connection.expect(PUBLISH).mid
    _, asked = watched.client.subscribe("t")
    connection.expect(SUBSCRIBE, mid=asked)
    _, ended = watched.client.unsubscribe("t")
    connection.expect(UNSUBSCRIBE, mid=ended)
    connection.send(
        acknowledge(version, PUBACK, mid + 100),
        suback(version, asked + 100, [0]),
        unsuback(version, ended + 100, [0]),
    )
    connection.expect_alive()
    assert not info.is_published()
    assert not watched.subscribed.items()
    connection.send(acknowledge(version, PUBACK, mid), suback(version, asked, [0]))
    watched.subscribed.wait_item(asked)
    info.wait_for_publish(5)


def test_an_identifier_is_free_again_after_its_acknowledgement(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    """All 65,535 in turn, while one message stays unacknowledged: its identifier is passed over."""
    watched = watch(version)
    watched.client.max_inflight_messages_set(0)
    watched.client.max_queued_messages_set(0)
    connection = watched.join(peer)
    kept = watched.client.publish("kept", b"", 1).mid
    connection.expect(PUBLISH, mid=kept)
    for _ in range(65534):
        watched.client.publish("t", b"", 0)
    mids = []
    for _ in range(2):
        info = watched.client.publish("again", b"", 1)
        mids.append(info.mid)
        while connection.read().topic != "again":
            pass
        connection.send(acknowledge(version, PUBACK, info.mid))
        info.wait_for_publish(5)
    assert kept not in mids
    assert len(set(mids)) == 2


@pytest.mark.parametrize("qos", [1, 2])
def test_received_identifier_zero_is_a_protocol_error(
    watch: Watch, peer: ScriptedPeer, version: int, qos: int
) -> None:
    connection = watch(version).join(peer)
    connection.send(publish(version, "t", b"", qos, 0))
    connection.expect_refusal(0x81, 0x82)
