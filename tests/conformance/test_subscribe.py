"""SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK (3.8 to 3.11)."""

from __future__ import annotations

from types import ModuleType

import pytest
from support.clients import properties
from support.packets import SUBSCRIBE, UNSUBSCRIBE, V5, V311, packet, suback, unsuback
from support.peer import ScriptedPeer
from support.properties import text
from support.waiting import Mailbox

from .conftest import Watch


def test_subscribe_bytes(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    middle = b"\0" if version == V5 else b""
    for filters in ([("a", 0)], [("a/+", 1)], [("ü", 2)], [("a", 2), ("b/#", 0), ("c", 1)]):
        mid = watched.client.subscribe(filters)[1]
        body = mid.to_bytes(2, "big") + middle
        for name, qos in filters:
            body += text(name) + bytes([qos])
        connection.expect_bytes(packet(SUBSCRIBE, 2, body))


def test_options_leave_the_reserved_bits_alone(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer
) -> None:
    watched = watch(V5)
    connection = watched.join(peer)
    for qos in (0, 1, 2):
        for bits in range(12):
            local, published, handling = bool(bits & 1), bool(bits & 2), bits >> 2
            options = mqtt.SubscribeOptions(qos, local, published, handling)
            watched.client.subscribe("t", options=options)
            expected = qos | local << 2 | published << 3 | handling << 4
            assert connection.expect(SUBSCRIBE).filters == [("t", expected)]


def test_subscription_identifier(mqtt: ModuleType, watch: Watch, peer: ScriptedPeer) -> None:
    watched = watch(V5)
    connection = watched.join(peer)
    made = properties(mqtt, "SUBSCRIBE", SubscriptionIdentifier=268435455)
    watched.client.subscribe("t", properties=made)
    assert connection.expect(SUBSCRIBE).properties == {"subscription_identifier": 268435455}


def test_unsubscribe_bytes(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    middle = b"\0" if version == V5 else b""
    for filters in (["a"], ["a/+", "ü/#"]):
        mid = watched.client.unsubscribe(filters)[1]
        body = mid.to_bytes(2, "big") + middle + b"".join(text(name) for name in filters)
        connection.expect_bytes(packet(UNSUBSCRIBE, 2, body))


def test_without_a_filter_nothing_is_sent(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    for call in (watched.client.subscribe, watched.client.unsubscribe):
        for nothing in ([], "", None):
            with pytest.raises(ValueError):
                call(nothing)
    watched.client.publish("end")
    assert connection.read().topic == "end"


def test_answers_belong_to_their_requests(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    """By the packet identifier, in any order; UNSUBACK also for filters that were not subscribed to."""
    watched = watch(version)
    ended: Mailbox[int] = Mailbox()
    watched.client.on_unsubscribe = lambda c, u, mid, reasons, p: ended.put(mid)
    connection = watched.join(peer)
    asked = [watched.client.subscribe(name)[1] for name in "abc"]
    left = [watched.client.unsubscribe(name)[1] for name in "xy"]
    for _ in range(5):
        connection.read()
    for mid in reversed(asked):
        connection.send(suback(version, mid, [0]))
    for mid in reversed(left):
        connection.send(unsuback(version, mid, [0x11]))
    assert watched.subscribed.wait_count(3) == asked[::-1]
    assert ended.wait_count(2) == left[::-1]


@pytest.mark.parametrize("kind", [SUBSCRIBE, UNSUBSCRIBE], ids=["SUBACK", "UNSUBACK"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_one_reason_code_for_each_filter(
    watch: Watch, peer: ScriptedPeer, version: int, kind: int, count: int
) -> None:
    """UNSUBACK of MQTT 3.1.1 has none at all."""
    watched = watch(version)
    connection = watched.join(peer)
    if kind == SUBSCRIBE:
        mid = watched.client.subscribe([("a", 0), ("b", 0)])[1]
        connection.expect(kind)
        connection.send(suback(version, mid, [0] * count))
    else:
        mid = watched.client.unsubscribe(["a", "b"])[1]
        connection.expect(kind)
        right = unsuback(version, mid, [0] * count)
        connection.send(right if version == V5 else packet(11, 0, right[2:] + bytes(count)))
        if count == 0:  # in MQTT 5 the wire set wants it taken
            return connection.expect_alive()
    connection.expect_refusal(0x81, 0x82)
    assert not watched.subscribed.items()
    return None


GRANTS = {
    V311: [0, 1, 2, 0x80],
    V5: [0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2],
}


def test_reason_codes_reach_the_application_in_order(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    watched = watch(version)
    heard: Mailbox[list[int]] = Mailbox()
    watched.client.on_subscribe = lambda c, u, mid, reasons, p: heard.put(
        [reason.value for reason in reasons]
    )
    connection = watched.join(peer)
    grants = GRANTS[version]
    mid = watched.client.subscribe([(f"t{number}", 2) for number in range(len(grants))])[1]
    connection.expect(SUBSCRIBE)
    connection.send(suback(version, mid, grants))
    assert heard.wait_count(1) == [grants]


@pytest.mark.parametrize("code", [3, 4, 0x10, 0x11, 0x7F, 0x81, 0x92, 0xFF])
def test_other_codes_grant_nothing(
    watch: Watch, peer: ScriptedPeer, version: int, code: int
) -> None:
    """Such a SUBACK is refused; none is taken for a grant of QoS 0, 1 or 2."""
    watched = watch(version)
    connection = watched.join(peer)
    mid = watched.client.subscribe("t", 2)[1]
    connection.expect(SUBSCRIBE)
    connection.send(suback(version, mid, [code]))
    connection.expect_refusal(0x81, 0x82)
    assert not watched.subscribed.items()


def test_reason_codes_of_unsuback(watch: Watch, peer: ScriptedPeer) -> None:
    watched = watch(V5)
    heard: Mailbox[list[int]] = Mailbox()
    watched.client.on_unsubscribe = lambda c, u, mid, reasons, p: heard.put(
        [reason.value for reason in reasons]
    )
    connection = watched.join(peer)
    codes = [0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]
    mid = watched.client.unsubscribe([f"t{number}" for number in range(len(codes))])[1]
    connection.expect(UNSUBSCRIBE)
    connection.send(unsuback(V5, mid, codes))
    assert heard.wait_count(1) == [codes]


@pytest.mark.parametrize("code", [1, 2, 0x10, 0x92, 0xFF])
def test_other_codes_of_unsuback_are_passed_on(watch: Watch, peer: ScriptedPeer, code: int) -> None:
    """They cost nothing but the application's trust in the answer: the connection stays."""
    watched = watch(V5)
    heard: Mailbox[list[int]] = Mailbox()
    watched.client.on_unsubscribe = lambda c, u, mid, reasons, p: heard.put(
        [reason.value for reason in reasons]
    )
    connection = watched.join(peer)
    mid = watched.client.unsubscribe("t")[1]
    connection.expect(UNSUBSCRIBE)
    connection.send(unsuback(V5, mid, [code]))
    assert heard.wait_count(1) == [[code]]
    connection.expect_alive()
