"""PUBACK, PUBREC, PUBREL, PUBCOMP (3.4 to 3.7): identifiers, reason codes, nothing superfluous."""

from __future__ import annotations

from types import ModuleType

import pytest
from support.clients import Watched, properties
from support.packets import (
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    V5,
    acknowledge,
    publish,
)
from support.peer import PeerConnection, ScriptedPeer

from .conftest import Watch

#: The tables of 3.4.2.1 to 3.7.2.1.
REASONS = {
    PUBACK: {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
    PUBREC: {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
    PUBREL: {0x00, 0x92},
    PUBCOMP: {0x00, 0x92},
}
KINDS = pytest.mark.parametrize("kind", REASONS, ids=["PUBACK", "PUBREC", "PUBREL", "PUBCOMP"])


def test_ours_have_a_reason_of_their_table(watch: Watch, peer: ScriptedPeer) -> None:
    """Success in the short form, and 0x92 for an identifier that is not known."""
    watched = watch(V5)
    connection = watched.join(peer)
    connection.send(publish(V5, "t", b"", 1, 1), publish(V5, "t", b"", 2, 2))
    answers = {connection.read().raw for _ in range(2)}
    assert answers == {b"\x40\x02\0\x01", b"\x50\x02\0\x02"}
    connection.send(acknowledge(V5, PUBREL, 2))
    connection.expect_bytes(b"\x70\x02\0\x02")
    connection.send(acknowledge(V5, PUBREL, 2))
    connection.expect_bytes(b"\x70\x03\0\x02\x92")
    connection.send(acknowledge(V5, PUBREC, 77))
    connection.expect_bytes(b"\x62\x03\0\x4d\x92")
    watched.client.publish("t", b"", 2)
    mid = connection.expect(PUBLISH).mid
    connection.send(acknowledge(V5, PUBREC, mid))
    connection.expect_bytes(b"\x62\x02" + mid.to_bytes(2, "big"))


def test_ours_have_no_properties(mqtt: ModuleType, watch: Watch, peer: ScriptedPeer) -> None:
    """Neither Reason String nor User Property, so they never exceed the server's Maximum Packet Size."""
    watched = watch(V5)
    asked = properties(mqtt, "CONNECT", RequestProblemInformation=1)
    connection = watched.join(peer, {"properties": asked}, properties={"maximum_packet_size": 5})
    noise = {"user_property": ("k", "v"), "reason_string": "r"}
    connection.send(publish(V5, "t", b"", 1, 1, properties={"user_property": ("k", "v")}))
    connection.expect(PUBACK, properties={})
    connection.send(publish(V5, "t", b"", 2, 2, properties={"user_property": ("k", "v")}))
    connection.expect(PUBREC, properties={})
    for _ in range(2):
        connection.send(acknowledge(V5, PUBREL, 2, 0, noise))
        answer = connection.expect(PUBCOMP, properties={})
        assert len(answer.raw) <= 5
    connection.send(acknowledge(V5, PUBREC, 77, 0, noise))
    assert len(connection.expect(PUBREL, properties={}).raw) <= 5


def brought_to(watched: Watched, connection: PeerConnection, kind: int) -> int:
    """Brings a handshake to where the server may send this kind; its packet identifier."""
    if kind == PUBREL:
        connection.send(publish(V5, "t", b"", 2, 9))
        return connection.expect(PUBREC).mid
    watched.client.publish("t", b"", 1 if kind == PUBACK else 2)
    mid = connection.expect(PUBLISH).mid
    if kind == PUBCOMP:
        connection.send(acknowledge(V5, PUBREC, mid))
        connection.expect(PUBREL)
    return mid


@KINDS
def test_reasons_of_the_table_are_taken(watch: Watch, peer: ScriptedPeer, kind: int) -> None:
    watched = watch(V5)
    connection = watched.join(peer)
    for count, reason in enumerate(sorted(REASONS[kind]), 1):
        mid = brought_to(watched, connection, kind)
        connection.send(acknowledge(V5, kind, mid, reason))
        if kind == PUBREC and reason < 0x80:
            connection.expect(PUBREL, mid=mid)
            connection.send(acknowledge(V5, PUBCOMP, mid))
        if kind == PUBREL:
            connection.expect(PUBCOMP, mid=9)
        else:
            watched.published.wait_count(count)
        connection.expect_alive()


@KINDS
def test_other_reasons_are_refused(watch: Watch, peer: ScriptedPeer, kind: int) -> None:
    for reason in sorted({0x01, 0x04, 0x10, 0x18, 0x81, 0x8E, 0x92, 0x97, 0xFF} - REASONS[kind]):
        watched = watch(V5)
        connection = watched.join(peer)
        mid = brought_to(watched, connection, kind)
        connection.send(acknowledge(V5, kind, mid, reason))
        connection.expect_refusal(0x81, 0x82)
        watched.close()


@pytest.mark.parametrize("kind", [PUBACK, PUBREC], ids=["PUBACK", "PUBREC"])
def test_a_refused_message_is_not_sent_again(watch: Watch, peer: ScriptedPeer, kind: int) -> None:
    """A reason of 0x80 and above acknowledges: no PUBREL, no resend, and the application hears of it."""
    watched = watch(V5)
    connection = watched.join(peer, {"clean_start": False})
    info = watched.client.publish("t", b"refused", 1 if kind == PUBACK else 2)
    connection.send(acknowledge(V5, kind, connection.expect(PUBLISH).mid, 0x97))
    with pytest.raises(RuntimeError):
        info.wait_for_publish(5)
    connection.expect_alive()
    connection.reset()
    connection = watched.rejoin(peer, session_present=True)
    connection.expect_alive()
