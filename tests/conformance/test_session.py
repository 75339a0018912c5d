"""Sessions, delivery and order (4.1 to 4.6): what a cut connection, a kept and a lost session change."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

import pytest
from support.clients import Watched, properties
from support.packets import (
    PINGREQ,
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


def kept(
    watch: Watch, peer: ScriptedPeer, version: int, **more: Any
) -> tuple[Watched, PeerConnection]:
    """A connected client whose session outlives its connections."""
    if version != V5:
        watched = watch(version, clean=False, **more)
        return watched, watched.join(peer)
    watched = watch(version, **more)
    lasting = properties(watched.mqtt, "CONNECT", SessionExpiryInterval=3600)
    return watched, watched.join(peer, {"clean_start": False, "properties": lasting})


def cut(
    watched: Watched, connection: PeerConnection, peer: ScriptedPeer, present: bool = True
) -> PeerConnection:
    """Reset the connection; the next one, with the session present or lost."""
    connection.reset()
    return watched.rejoin(peer, session_present=present)  # type: ignore[no-any-return]


# --- sender -----------------------------------------------------------------------------------------------------------


def test_qos_1_is_unacknowledged_until_puback(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    watched, connection = kept(watch, peer, version)
    info = watched.client.publish("t", b"m", 1)
    first = connection.expect(PUBLISH, qos=1, dup=False)
    for _ in range(2):
        connection = cut(watched, connection, peer)
        again = connection.expect(PUBLISH, mid=first.mid, dup=True)
        assert again.raw[1:] == first.raw[1:]
        assert not info.is_published()
    connection.send(acknowledge(version, PUBACK, first.mid))
    info.wait_for_publish(5)
    connection = cut(watched, connection, peer)
    connection.expect_alive()


def test_qos_2_is_unacknowledged_until_pubcomp(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    """PUBLISH until PUBREC, PUBREL until PUBCOMP, and no PUBLISH after PUBREL."""
    watched, connection = kept(watch, peer, version)
    info = watched.client.publish("t", b"m", 2)
    first = connection.expect(PUBLISH, qos=2, dup=False)
    connection = cut(watched, connection, peer)
    again = connection.expect(PUBLISH, mid=first.mid, dup=True)
    assert again.raw[1:] == first.raw[1:]
    connection.send(acknowledge(version, PUBREC, first.mid))
    connection.expect(PUBREL, mid=first.mid)
    for _ in range(2):
        connection = cut(watched, connection, peer)
        connection.expect(PUBREL, mid=first.mid)
        assert not info.is_published()
        connection.expect_alive()
    connection.send(acknowledge(version, PUBCOMP, first.mid))
    info.wait_for_publish(5)
    connection = cut(watched, connection, peer)
    connection.expect_alive()


def test_nothing_is_sent_again_on_the_same_connection(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    watched = watch(version)
    connection = watched.join(peer, {"keepalive": 1})
    for qos in (1, 2, 2):
        watched.client.publish("t", b"", qos)
    mids = [connection.expect(PUBLISH).mid for _ in range(3)]
    connection.send(acknowledge(version, PUBREC, mids[1]))
    connection.expect(PUBREL)
    assert connection.read(pings=True).kind == PINGREQ


def test_resends_keep_the_order(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    """That of the first sending, whatever was acknowledged in between; new messages follow."""
    watched, connection = kept(watch, peer, version)
    for number in range(12):
        watched.client.publish("t", f"{number}", 1 + number % 2)
    sent = [connection.expect(PUBLISH) for _ in range(12)]
    for number in (2, 0, 6):
        connection.send(acknowledge(version, PUBACK, sent[number].mid))
    watched.published.wait_count(3)
    connection.send(acknowledge(version, PUBREC, sent[3].mid))
    connection.expect(PUBREL)
    watched.client.publish("t", b"new", 1)
    connection = cut(watched, connection, peer)
    payloads = []
    while payloads[-1:] != [b"new"]:
        packet = connection.read()
        payloads.append(packet.payload if packet.kind == PUBLISH else b"released")
    expected = [b"%d" % number for number in (1, 3, 4, 5, 7, 8, 9, 10, 11)]
    expected[1] = b"released"
    assert payloads == [*expected, b"new"]


def test_pubrel_follows_the_order_of_pubrec(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    for _ in range(6):
        watched.client.publish("t", b"", 2)
    mids = [connection.expect(PUBLISH).mid for _ in range(6)]
    order = [mids[at] for at in (3, 0, 5, 1, 4, 2)]
    connection.send(*(acknowledge(version, PUBREC, mid) for mid in order))
    assert [connection.expect(PUBREL).mid for _ in range(6)] == order


def test_message_expiry_does_not_touch_what_was_sent(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer
) -> None:
    """The message expires while the client waits for its next attempt to connect."""
    watched, connection = kept(watch, peer, V5)
    watched.client._reconnect_min_delay = 2.5
    lives = properties(mqtt, "PUBLISH", MessageExpiryInterval=1)
    watched.client.publish("t", b"m", 2, properties=lives)
    first = connection.expect(PUBLISH)
    since = time.monotonic()
    connection = cut(watched, connection, peer)
    again = connection.expect(PUBLISH, mid=first.mid, dup=True)
    assert time.monotonic() - since > 1.0
    assert again.properties == {"message_expiry_interval": 1}
    connection.send(acknowledge(V5, PUBREC, first.mid))
    connection.expect(PUBREL, mid=first.mid)


# --- receiver ---------------------------------------------------------------------------------------------------------


def test_qos_1_after_its_puback_is_a_new_message(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    for count, dup in enumerate((False, False, True), 1):
        connection.send(publish(version, "t", b"m", 1, 5, dup=dup))
        connection.expect(PUBACK, mid=5)
        watched.messages.wait_count(count)


def test_qos_2_is_delivered_once_for_each_pubrel(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    """PUBREC for each PUBLISH, one delivery, PUBCOMP for each PUBREL; then the identifier is new."""
    watched = watch(version)
    connection = watched.join(peer)
    for round_number in (1, 2):
        for dup in (False, True, True):
            connection.send(publish(version, "t", b"%d" % round_number, 2, 5, dup=dup))
            connection.expect(PUBREC, mid=5, reason=0)
        for _ in range(2):
            connection.send(acknowledge(version, PUBREL, 5))
            connection.expect(PUBCOMP, mid=5)
        assert watched.payloads() == [b"1", b"2"][:round_number]


@pytest.mark.parametrize("repeated", [False, True], ids=["PUBREL", "PUBLISH and PUBREL"])
def test_a_kept_session_remembers_what_was_received(
    watch: Watch, peer: ScriptedPeer, version: int, repeated: bool
) -> None:
    watched, connection = kept(watch, peer, version)
    connection.send(publish(version, "t", b"m", 2, 5))
    connection.expect(PUBREC)
    connection = cut(watched, connection, peer)
    if repeated:
        connection.send(publish(version, "t", b"m", 2, 5, dup=True))
        connection.expect(PUBREC, mid=5)
    connection.send(acknowledge(version, PUBREL, 5))
    connection.expect(PUBCOMP, mid=5)
    connection = cut(watched, connection, peer)
    connection.send(acknowledge(version, PUBREL, 5))
    connection.expect(PUBCOMP, mid=5)
    assert watched.payloads() == [b"m"]


def test_expired_messages_are_acknowledged_all_the_same(watch: Watch, peer: ScriptedPeer) -> None:
    watched = watch(V5)
    connection = watched.join(peer)
    expired = {"message_expiry_interval": 0}
    connection.send(publish(V5, "t", b"m", 2, 5, properties=expired))
    connection.expect(PUBREC, mid=5)
    connection.send(acknowledge(V5, PUBREL, 5))
    connection.expect(PUBCOMP, mid=5)
    connection.send(publish(V5, "t", b"m", 1, 6, properties=expired))
    connection.expect(PUBACK, mid=6)


@pytest.mark.parametrize("qos", [1, 2])
def test_answers_follow_the_order_of_the_messages(
    watch: Watch, peer: ScriptedPeer, version: int, qos: int
) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    mids = [(number * 7919) % 65535 + 1 for number in range(200)]
    connection.send(*(publish(version, "t", b"", qos, mid) for mid in mids))
    answer = PUBACK if qos == 1 else PUBREC
    assert [connection.expect(answer).mid for _ in mids] == mids
    if qos == 2:
        connection.send(*(acknowledge(version, PUBREL, mid) for mid in reversed(mids)))
        assert [connection.expect(PUBCOMP).mid for _ in mids] == mids[::-1]


def test_what_no_callback_takes_is_acknowledged(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    """No on_message, or one that does nothing."""
    watched = watch(version)
    connection = watched.join(peer)
    for callback in (None, lambda c, u, m: None):
        watched.client.on_message = callback
        connection.send(publish(version, "t", b"", 1, 5), publish(version, "t", b"", 2, 6))
        assert {connection.read().kind for _ in range(2)} == {PUBACK, PUBREC}
        connection.send(acknowledge(version, PUBREL, 6))
        connection.expect(PUBCOMP)


# --- a session that ends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clean", [True, False], ids=["clean start", "lost by the server"])
def test_a_new_session_knows_nothing_of_the_old_one(
    watch: Watch, peer: ScriptedPeer, version: int, clean: bool
) -> None:
    """That a QoS 2 message was received is forgotten, and its identifier is a new one's; one that waits for
    PUBCOMP is published again, for no server holds it any more."""
    if clean:
        watched = watch(version)
        connection = watched.join(peer, {"clean_start": True} if version == V5 else {})
    else:
        watched, connection = kept(watch, peer, version)
    watched.client.publish("t", b"own", 2)
    mid = connection.expect(PUBLISH).mid
    connection.send(acknowledge(version, PUBREC, mid))
    connection.expect(PUBREL)
    connection.send(publish(version, "t", b"old", 2, 5))
    connection.expect(PUBREC)
    connection = cut(watched, connection, peer, present=False)
    assert connection.received[0].connect["clean"] is clean
    if clean or version == V5:
        connection.expect(PUBLISH, payload=b"own")
    else:
        connection.read()
    connection.send(publish(version, "t", b"new", 2, 5))
    connection.expect(PUBREC, mid=5)
    connection.send(acknowledge(version, PUBREL, 5))
    connection.expect(PUBCOMP, mid=5)
    assert watched.payloads() == [b"old", b"new"]


def test_a_new_connection_has_the_quota_of_its_own_connack(
    watch: Watch, peer: ScriptedPeer
) -> None:
    """Resends are counted as well."""
    watched, connection = kept(watch, peer, V5)
    for number in range(5):
        watched.client.publish("t", f"{number}", 1 + number % 2)
    for _ in range(5):
        connection.expect(PUBLISH)
    connection.reset()
    announced = {"receive_maximum": 1}
    connection = watched.rejoin(peer, session_present=True, properties=announced)
    for number in range(5):
        packet = connection.expect(PUBLISH, payload=b"%d" % number)
        connection.expect_nothing(0.03)
        connection.send(connection.answer(packet))
        if packet.qos == 2:
            connection.expect(PUBREL)
            connection.expect_nothing(0.03)
            connection.send(acknowledge(V5, PUBCOMP, packet.mid))
