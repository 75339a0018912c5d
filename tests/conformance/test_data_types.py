"""Chapters 1 and 2: text, variable byte integers, reserved bits, property lengths."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from support import packets
from support.clients import properties
from support.packets import PUBLISH, V5, packet, publish
from support.peer import ScriptedPeer
from support.properties import text, varint

from .conftest import Watch

#: What no UTF-8 encoded string may contain [MQTT-1.5.4-1], [MQTT-1.5.4-2].
BAD_TEXT = ["a\ud800", "\udfffb", "a\0b"]
#: The same and other ill-formed UTF-8, as bytes.
BAD_BYTES = [b"\xc3\x28", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"a\0b", b"\xff"]


@pytest.mark.parametrize("bad", BAD_TEXT, ids=["surrogate", "last surrogate", "U+0000"])
def test_ill_formed_text_is_never_sent(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer, version: int, bad: str
) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    client = watched.client
    calls = [
        lambda: client.publish(bad, b"", 0),
        lambda: client.publish(bad, b"", 1),
        lambda: client.subscribe(bad),
        lambda: client.unsubscribe(bad),
    ]
    if version == V5:
        for name in ("ContentType", "ResponseTopic"):
            calls.append(lambda name=name: publish_with(mqtt, client, name, bad))
        for pair in ((bad, "value"), ("name", bad)):
            calls.append(lambda pair=pair: publish_with(mqtt, client, "UserProperty", pair))
    for call in calls:
        with pytest.raises((ValueError, mqtt.MQTTException)):
            call()
    client.publish("good", b"", 0)
    assert connection.read().topic == "good"


def publish_with(mqtt: ModuleType, client: Any, name: str, value: Any) -> None:
    client.publish("t", b"", 0, properties=properties(mqtt, "PUBLISH", **{name: value}))


@pytest.mark.parametrize("bad", BAD_TEXT, ids=["surrogate", "last surrogate", "U+0000"])
@pytest.mark.parametrize("field", ["client id", "will topic", "user name"])
def test_connect_with_ill_formed_text_is_not_sent(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer, version: int, field: str, bad: str
) -> None:
    with pytest.raises(ValueError):
        watched = watch(version, bad if field == "client id" else "c")
        if field == "will topic":
            watched.client.will_set(bad, b"")
        if field == "user name":
            watched.client.username_pw_set(bad, "secret")
        watched.client.connect(peer.host, peer.port)
    if "\0" in bad:  # found when CONNECT is encoded; a surrogate is found before the dial
        peer.accept().expect_end()


@pytest.mark.parametrize("bad", BAD_BYTES, ids=repr)
def test_received_ill_formed_text_ends_the_connection(
    watch: Watch, peer: ScriptedPeer, version: int, bad: bytes
) -> None:
    packets_with_it = [publish(version, bad)]
    if version == V5:
        for pair in ((bad, b"value"), (b"name", bad)):
            packets_with_it.append(publish(V5, "t", properties={"user_property": pair}))
        packets_with_it.append(publish(V5, "t", properties={"content_type": bad}))
        packets_with_it.append(publish(V5, "t", properties={"response_topic": bad}))
    watched = watch(version)
    connection = watched.join(peer)
    for raw in packets_with_it:
        connection.send(raw)
        connection.expect_refusal(0x81)
        connection = watched.rejoin(peer)
    assert not watched.messages.items()


def test_zero_width_no_break_space_stays(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    """EF BB BF is a character like any other, at the start of a string as well [MQTT-1.5.4-3]."""
    watched = watch(version)
    connection = watched.join(peer)
    heard: list[str] = []
    watched.client.message_callback_add("\ufeffa", lambda c, u, m: heard.append(m.topic))
    connection.send(publish(version, b"\xef\xbb\xbfa"), publish(version, b"a"))
    watched.messages.wait_count(1)
    assert heard == ["\ufeffa"]
    assert watched.messages.items()[0].topic == "a"
    watched.client.publish("\ufeffa")
    assert text(b"\xef\xbb\xbfa") in connection.expect(PUBLISH).raw


@pytest.mark.parametrize("length", [0, 127, 128, 16383, 16384, 2097151, 2097152])
def test_lengths_take_the_fewest_bytes(
    watch: Watch, peer: ScriptedPeer, version: int, length: int
) -> None:
    watched = watch(version)
    connection = watched.join(peer)
    header = 2 + 1 + (version == V5)
    watched.client.publish("t", b"x" * max(0, length - header), 0)
    raw = connection.expect(PUBLISH).raw
    expected = varint(max(length, header))
    assert raw[1 : 1 + len(expected)] == expected
    assert len(raw) == 1 + len(expected) + max(length, header)


def test_property_lengths_take_the_fewest_bytes(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer
) -> None:
    watched = watch(V5)
    connection = watched.join(peer)
    for size in (0, 122, 123, 16376):
        made = properties(mqtt, "PUBLISH", UserProperty=("", "x" * size))
        watched.client.publish("t", b"", 0, properties=made)
        length = varint(5 + size)
        body = text("t") + length + b"\x26" + text("") + text("x" * size)
        connection.expect_bytes(packet(PUBLISH, 0, body))


@pytest.mark.parametrize(
    "raw",
    [b"\xd0\x80\x00", b"\x30\x83\x00\x00\x01t", b"\x30\xff\xff\xff\xff\x01"],
    ids=["zero in two bytes", "three in two bytes", "five bytes"],
)
def test_received_long_form_of_a_length_is_malformed(
    watch: Watch, peer: ScriptedPeer, version: int, raw: bytes
) -> None:
    connection = watch(version).join(peer)
    connection.send(raw)
    connection.expect_refusal(0x81)


def test_no_properties_is_a_length_of_zero(watch: Watch, peer: ScriptedPeer) -> None:
    """In each kind of packet a client sends with a property list [MQTT-2.2.2-1]."""
    watched = watch(V5)
    connection = watched.join(peer)
    assert connection.received[0].raw == packets.connect(V5, "c", clean=True)
    watched.client.publish("t", b"p", 0)
    connection.expect_bytes(b"\x30\x05\0\x01t\0p")
    _, mid = watched.client.subscribe("t", 1)
    connection.expect_bytes(packet(8, 2, mid.to_bytes(2, "big") + b"\0\0\x01t\x01"))
    _, mid = watched.client.unsubscribe("t")
    connection.expect_bytes(packet(10, 2, mid.to_bytes(2, "big") + b"\0\0\x01t"))


def test_reserved_bits_are_sent_as_the_table_lists_them(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    watched = watch(version)
    client = watched.client
    connection = watched.join(peer, {"keepalive": 1})
    client.subscribe("t", 2)
    client.unsubscribe("t")
    client.publish("t", b"p", 2)
    connection.send(publish(version, "t", b"1", 1, 11), publish(version, "t", b"2", 2, 12))
    seen = {packets.CONNECT: connection.received[0]}
    everything = set(range(1, 13)) - {2, 9, 11}
    while set(seen) != everything:
        received = connection.read(pings=True)
        seen[received.kind] = received
        connection.send(connection.answer(received))
    client.disconnect()
    seen[packets.DISCONNECT] = connection.expect(packets.DISCONNECT)
    for kind, received in seen.items():
        expected = 2 if kind in (packets.PUBREL, packets.SUBSCRIBE, packets.UNSUBSCRIBE) else 0
        assert received.flags == (expected if kind != PUBLISH else 4), received
    assert seen[packets.CONNECT].connect["flags"] & 1 == 0
    assert seen[packets.SUBSCRIBE].filters == [("t", 2)], "upper bits of the options"


@pytest.mark.parametrize(
    ("kind", "right"),
    [(2, 0), (4, 0), (5, 0), (6, 2), (7, 0), (9, 0), (11, 0), (13, 0), (14, 0), (15, 0)],
    ids=lambda value: packets.NAMES.get(value, "") if value else "",
)
def test_received_wrong_reserved_bits_are_malformed(
    watch: Watch, peer: ScriptedPeer, version: int, kind: int, right: int
) -> None:
    if version != V5 and kind in (packets.DISCONNECT, packets.AUTH):
        body = b""
    else:
        body = {2: b"\0\0\0", 9: b"\0\x01\0\0", 13: b"", 14: b"", 15: b""}.get(kind, b"\0\x01")
    watched = watch(version)
    connection = watched.join(peer)
    for bit in (1, 2, 4, 8):
        connection.send(packet(kind, right ^ bit, body))
        connection.expect_refusal(0x81, 0x82)
        connection = watched.rejoin(peer)
