"""PUBLISH (3.3): its flags and fields in both directions, topic aliases, the Receive Maximum of both sides."""

from __future__ import annotations

from types import ModuleType

import pytest
from support import packets
from support.clients import properties
from support.packets import (
    PINGREQ,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBSCRIBE,
    UNSUBSCRIBE,
    V5,
    Packet,
    acknowledge,
    packet,
    publish,
)
from support.peer import PeerConnection, ScriptedPeer
from support.properties import text

from .conftest import Watch


@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_bytes(watch: Watch, peer: ScriptedPeer, version: int, qos: int, retain: bool) -> None:
    """The topic name stands first; DUP is 0 on the first attempt."""
    watched = watch(version)
    connection = watched.join(peer)
    info = watched.client.publish("top/ic", b"payload", qos, retain)
    body = text("top/ic") + (info.mid.to_bytes(2, "big") if qos else b"")
    body += (b"\0" if version == V5 else b"") + b"payload"
    connection.expect_bytes(packet(PUBLISH, qos << 1 | retain, body))


def published(connection: PeerConnection, count: int) -> list[Packet]:
    """The first so many PUBLISH of the client; other packets are answered and passed over."""
    while len(found := [p for p in connection.received if p.kind == PUBLISH]) < count:
        received = connection.read()
        if received.kind != PUBLISH:
            connection.send(connection.answer(received))
    return found


def test_qos_3_is_neither_sent_nor_taken(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    with pytest.raises(ValueError):
        watched.client.publish("t", b"", 3)
    with pytest.raises(ValueError):
        watched.client.subscribe("t", 3)
    raw = bytearray(publish(version, "t", b"p", 2, 1))
    raw[0] |= 6
    connection.send(bytes(raw))
    connection.expect_refusal(0x81)
    assert not watched.messages.items()


def test_received_dup_at_qos_0_is_malformed(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    connection = watch(version).join(peer)
    connection.send(publish(version, "t", b"p", 0, dup=True))
    connection.expect_refusal(0x81)


def test_dup_tells_a_resend_and_nothing_else(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    """Not the DUP of what was received, and only for what was sent before; never at QoS 0."""
    options = {"clean_start": False} if version == V5 else {}
    watched = watch(version, **({} if version == V5 else {"clean": False}))
    watched.client.max_inflight_messages_set(2)
    client = watched.client
    client.on_message = lambda c, u, message: client.publish("copy", message.payload, 1)
    connection = watched.join(peer, options)
    connection.send(publish(version, "t", b"1", 1, 7, dup=True))
    published(connection, 1)
    client.publish("t", b"2", 2)
    client.publish("t", b"3", 2)
    assert not any(p.dup for p in published(connection, 2))
    connection.reset()
    connection = watched.rejoin(peer, session_present=True)
    for count in (1, 2, 3):
        connection.send(connection.answer(published(connection, count)[-1]))
    seen = [(p.payload, p.dup) for p in published(connection, 3)]
    assert seen == [(b"1", True), (b"2", True), (b"3", False)]
    client.publish("t", b"0", 0)
    assert published(connection, 4)[3].dup is False


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_answer_is_that_of_the_qos(
    watch: Watch, peer: ScriptedPeer, version: int, qos: int
) -> None:
    """Also for messages the application has no callback for [MQTT-4.5.0-2]."""
    watched = watch(version)
    watched.client.on_message = None
    connection = watched.join(peer)
    connection.send(publish(version, "t", b"", qos, 5))
    if qos == 1:
        connection.expect_bytes(b"\x40\x02\0\x05")
    if qos == 2:
        connection.expect_bytes(b"\x50\x02\0\x05")
        connection.send(acknowledge(version, PUBREL, 5))
        connection.expect_bytes(b"\x70\x02\0\x05")
    connection.expect_alive()


def test_no_subscription_identifier_is_sent(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer
) -> None:
    watched = watch(V5)
    connection = watched.join(peer)
    made = properties(mqtt, "PUBLISH", SubscriptionIdentifier=1)
    for qos in (0, 1):
        with pytest.raises(ValueError):
            watched.client.publish("t", b"", qos, properties=made)
    watched.client.publish("end")
    assert connection.read().topic == "end"


def test_properties_arrive_as_they_were_given(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer
) -> None:
    watched = watch(V5)
    connection = watched.join(peer)
    given = {
        "payload_format_indicator": 1,
        "message_expiry_interval": 7,
        "content_type": "text/ü",
        "response_topic": "réply/to",
        "correlation_data": b"\0\xff",
        "user_property": [("k", "1"), ("k", "2"), ("", "")],
    }
    named = {
        "".join(part.title() for part in name.split("_")): value for name, value in given.items()
    }
    watched.client.publish("t", b"x", 1, properties=properties(mqtt, "PUBLISH", **named))
    assert connection.expect(PUBLISH).properties == given
    connection.send(publish(V5, "t", b"x", 0, properties=given))
    message = watched.messages.wait_count(1)[0]
    for name, value in named.items():
        assert getattr(message.properties, name) == value


# --- topic aliases ----------------------------------------------------------------------------------------------------


def test_every_alias_up_to_our_maximum_is_accepted(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer
) -> None:
    watched = watch(V5)
    asked = properties(mqtt, "CONNECT", TopicAliasMaximum=3)
    connection = watched.join(peer, {"properties": asked})
    for alias in (3, 1, 2):
        connection.send(publish(V5, f"t{alias}", b"", properties={"topic_alias": alias}))
    for alias in (1, 2, 3):
        connection.send(publish(V5, "", b"", properties={"topic_alias": alias}))
    connection.send(publish(V5, "new", b"", properties={"topic_alias": 2}))
    connection.send(publish(V5, "", b"", properties={"topic_alias": 2}))
    topics = [message.topic for message in watched.messages.wait_count(8)]
    assert topics == ["t3", "t1", "t2", "t1", "t2", "t3", "new", "new"]


@pytest.mark.parametrize(
    ("maximum", "alias"), [(3, 0), (3, 4), (3, 65535), (None, 1)], ids=["0", "4", "max", "none"]
)
def test_other_aliases_are_refused(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer, maximum: int | None, alias: int
) -> None:
    watched = watch(V5)
    asked = properties(mqtt, "CONNECT", **({"TopicAliasMaximum": maximum} if maximum else {}))
    connection = watched.join(peer, {"properties": asked})
    connection.send(publish(V5, "t", b"", properties={"topic_alias": alias}))
    connection.expect_refusal(0x94)
    assert not watched.messages.items()


def test_an_alias_ends_with_its_connection(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer
) -> None:
    """In both directions."""
    watched = watch(V5)
    asked = properties(mqtt, "CONNECT", TopicAliasMaximum=3)
    limits = {"topic_alias_maximum": 3}
    connection = watched.join(peer, {"properties": asked}, properties=limits)
    alias = properties(mqtt, "PUBLISH", TopicAlias=1)
    watched.client.publish("own", b"", properties=alias)
    assert connection.expect(PUBLISH).topic == "own"
    watched.client.publish("", b"", properties=alias)
    assert connection.expect(PUBLISH).topic == ""
    connection.send(publish(V5, "t", b"", properties={"topic_alias": 1}))
    watched.messages.wait_count(1)
    connection.reset()
    connection = watched.rejoin(peer, properties=limits)
    watched.client.publish("", b"", properties=alias)
    assert connection.expect(PUBLISH).topic == "own"
    connection.send(publish(V5, "", b"", properties={"topic_alias": 1}))
    connection.expect_refusal(0x81, 0x82, 0x94)
    assert len(watched.messages) == 1


def test_alias_zero_cannot_be_sent(mqtt: ModuleType) -> None:
    with pytest.raises(mqtt.MQTTException):
        properties(mqtt, "PUBLISH", TopicAlias=0)


# --- Receive Maximum --------------------------------------------------------------------------------------------------


def test_receive_maximum_of_the_server(watch: Watch, peer: ScriptedPeer) -> None:
    """PUBACK, PUBCOMP and a failing PUBREC make room; PUBREC alone does not."""
    watched = watch(V5)
    watched.client.max_inflight_messages_set(100)
    connection = watched.join(peer, properties={"receive_maximum": 2})
    for number, qos in enumerate((1, 2, 2, 1, 2, 1)):
        watched.client.publish("t", f"{number}", qos)
    one, two = connection.expect(PUBLISH), connection.expect(PUBLISH)
    connection.expect_nothing(0.05)
    connection.send(acknowledge(V5, PUBREC, two.mid))
    connection.expect(PUBREL, mid=two.mid)
    connection.expect_nothing(0.05)
    connection.send(acknowledge(V5, PUBACK, one.mid))
    three = connection.expect(PUBLISH, payload=b"2")
    connection.expect_nothing(0.05)
    connection.send(acknowledge(V5, PUBREC, three.mid, 0x97))
    connection.expect(PUBLISH, payload=b"3")
    connection.expect_nothing(0.05)
    connection.send(acknowledge(V5, PUBCOMP, two.mid))
    connection.expect(PUBLISH, payload=b"4")
    connection.expect_nothing(0.05)


@pytest.mark.parametrize("maximum", [1, 3])
def test_other_packets_do_not_wait_for_it(watch: Watch, peer: ScriptedPeer, maximum: int) -> None:
    """With the quota used up: QoS 0, SUBSCRIBE, UNSUBSCRIBE, acknowledgements, PINGREQ, DISCONNECT."""
    watched = watch(V5)
    client = watched.client
    limits = {"receive_maximum": maximum}
    connection = watched.join(peer, {"keepalive": 1}, properties=limits)
    for _ in range(maximum + 2):
        client.publish("t", b"", 1)
    for _ in range(maximum):
        connection.expect(PUBLISH)
    client.subscribe("t")
    connection.expect(SUBSCRIBE)
    client.unsubscribe("t")
    connection.expect(UNSUBSCRIBE)
    client.publish("t", b"0", 0)
    connection.expect(PUBLISH, qos=0)
    connection.send(publish(V5, "t", b"", 1, 9))
    connection.expect(PUBACK, mid=9)
    connection.send(publish(V5, "t", b"", 2, 9))
    connection.expect(PUBREC, mid=9)
    connection.send(acknowledge(V5, PUBREL, 9))
    connection.expect(PUBCOMP, mid=9)
    watched.messages.wait_count(2)
    connection.expect(PINGREQ)
    connection.send(packets.pingresp())
    client.disconnect()
    assert connection.read().kind == packets.DISCONNECT


@pytest.mark.parametrize("qos", [1, 2])
def test_receive_maximum_of_our_own(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer, qos: int
) -> None:
    watched = watch(V5, manual_ack=True)
    asked = properties(mqtt, "CONNECT", ReceiveMaximum=2)
    connection = watched.join(peer, {"properties": asked})
    connection.send(*(publish(V5, "t", b"", qos, mid) for mid in (1, 2)))
    connection.send(publish(V5, "t", b"", 0))
    watched.messages.wait_count(3)
    connection.send(publish(V5, "t", b"", qos, 3))
    received = connection.read()
    assert (received.kind, received.reason) == (packets.DISCONNECT, 0x93)
