"""Topic names and filters (4.7), shared subscriptions (4.8) and what names them: invalid ones are never sent."""

from __future__ import annotations

from types import ModuleType

import pytest
from support.clients import properties
from support.packets import PUBLISH, SUBSCRIBE, UNSUBSCRIBE, V5, V311, publish
from support.peer import ScriptedPeer
from support.properties import text

from .conftest import Watch

LONGEST = "é" * 32767 + "x"
VALID_FILTERS = [
    "a",
    "#",
    "+",
    "/",
    "a/#",
    "/#",
    "+/+",
    "a/+/b",
    "/+",
    "+/",
    "+/b/#",
    "$SYS/#",
    "a b",
]
INVALID_FILTERS = [
    "",
    "a#",
    "#/a",
    "a/#/b",
    "a+",
    "+a",
    "a/b+/c",
    "##",
    "++",
    "+#",
    "a\0",
    LONGEST + "x",
]
VALID_NAMES = ["a", "/", "//", "a/b", "a b", "A", "$x", "é", LONGEST]
INVALID_NAMES = ["#", "+", "a/#", "a/+/b", "a+b", "a#", "a\0b", LONGEST + "x"]
INVALID_SHARED = [
    "$share//a",
    "$share/g",
    "$share/g/",
    "$share/",
    "$share/+/a",
    "$share/g#/a",
    "$share/g/a+",
]


def test_names(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    """Sent as they are, without any normalization, or not at all."""
    watched = watch(version)
    connection = watched.join(peer)
    for name in INVALID_NAMES:
        for qos in (0, 1):
            with pytest.raises(ValueError):
                watched.client.publish(name, b"", qos)
    for name in VALID_NAMES:
        watched.client.publish(name, b"")
        assert connection.expect(PUBLISH).topic == name


def test_an_empty_name_is_not_sent(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    """In MQTT 5 an empty topic name needs a topic alias."""
    watched = watch(version)
    connection = watched.join(peer)
    for qos in (0, 1):
        try:
            info = watched.client.publish("", b"", qos)
        except ValueError:
            continue
        assert info.rc != watched.mqtt.MQTT_ERR_SUCCESS
    watched.client.publish("end")
    assert connection.read().topic == "end"


@pytest.mark.parametrize("kind", [SUBSCRIBE, UNSUBSCRIBE], ids=["subscribe", "unsubscribe"])
def test_filters(watch: Watch, peer: ScriptedPeer, version: int, kind: int) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    client = watched.client
    call = client.subscribe if kind == SUBSCRIBE else client.unsubscribe
    for wrong in INVALID_FILTERS:
        with pytest.raises(ValueError):
            call(wrong)
    for right in [*VALID_FILTERS, LONGEST, "$share/group/a/+", "$share/g/#"]:
        call(right)
        packet = connection.expect(kind)
        assert packet.filters == [(right, 0)]
        assert text(right) in packet.raw


@pytest.mark.parametrize("wrong", INVALID_SHARED)
def test_shared_filters_have_a_name_and_a_filter(
    watch: Watch, peer: ScriptedPeer, wrong: str
) -> None:
    watched = watch(V5)
    connection = watched.join(peer)
    for call in (watched.client.subscribe, watched.client.unsubscribe):
        with pytest.raises(ValueError):
            call(wrong)
    watched.client.publish("end")
    assert connection.read().topic == "end"


def test_no_local_is_refused_on_a_shared_subscription(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer
) -> None:
    watched = watch(V5)
    connection = watched.join(peer)
    options = mqtt.SubscribeOptions(qos=1, noLocal=True)
    with pytest.raises(ValueError):
        watched.client.subscribe("$share/g/a", options=options)
    with pytest.raises(ValueError):
        watched.client.subscribe([("b", options), ("$share/g/a", options)])
    watched.client.subscribe("share/g/a", options=options)
    assert connection.expect(SUBSCRIBE).filters == [("share/g/a", 1 | 4)]


@pytest.mark.parametrize("wrong", ["#", "will/#", "+", "a/+/b", "a+"])
def test_will_topics_have_no_wildcard(watch: Watch, version: int, wrong: str) -> None:
    with pytest.raises(ValueError):
        watch(version).client.will_set(wrong, b"")


@pytest.mark.parametrize("wrong", ["#", "a/#", "+", "a/+", ""])
def test_response_topics_are_topic_names(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer, wrong: str
) -> None:
    """Not empty and without wildcards; neither sent, in a PUBLISH or a will, nor taken."""
    watched = watch(V5)
    connection = watched.join(peer)
    for packet in ("PUBLISH", "WILLMESSAGE"):
        with pytest.raises(mqtt.MQTTException):
            made = properties(mqtt, packet, ResponseTopic=wrong)
            if packet == "PUBLISH":
                watched.client.publish("t", b"", properties=made)
            else:
                made.pack()
    connection.send(publish(V5, "t", properties={"response_topic": wrong}))
    connection.expect_refusal(0x81, 0x82)


@pytest.mark.parametrize("wrong", ["#", "a/#", "a/+/b", "a+"])
def test_a_received_name_with_a_wildcard_is_refused(
    watch: Watch, peer: ScriptedPeer, version: int, wrong: str
) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    connection.send(publish(version, wrong))
    connection.expect_refusal(0x81, 0x82, 0x90)
    assert not watched.messages.items()


def test_a_received_empty_name_is_refused(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    connection.send(publish(version, "", b"x"))
    connection.expect_refusal(0x81, 0x82)
    assert not watched.messages.items()


def test_share_is_an_extension_before_mqtt_5(watch: Watch, peer: ScriptedPeer) -> None:
    """MQTT 3.1.1 gives no meaning to $share: its filters pass."""
    watched = watch(V311)
    connection = watched.join(peer)
    watched.client.subscribe("$share//a")
    assert connection.expect(SUBSCRIBE).filters == [("$share//a", 0)]
