"""CONNACK (3.2): what may not precede it, what it may not say, and what the client then keeps to."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from support import packets
from support.clients import properties
from support.packets import (
    CONNECT,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    V5,
    V311,
    acknowledge,
    connack,
    packet,
    publish,
    suback,
)
from support.peer import PeerConnection, ScriptedPeer

from .conftest import Watch


def connecting(
    watch: Watch, peer: ScriptedPeer, version: int, **options: Any
) -> tuple[Any, PeerConnection]:
    """A client that waits for CONNACK."""
    watched = watch(version)
    watched.client.connect(peer.host, peer.port, **options)
    watched.client.loop_start()
    connection = peer.accept()
    connection.expect(CONNECT)
    return watched, connection


EARLY: dict[str, Any] = {
    "PUBLISH": lambda v: publish(v, "t", b"early"),
    "PUBLISH QoS 1": lambda v: publish(v, "t", b"early", 1, 1),
    "PUBACK": lambda v: acknowledge(v, PUBACK, 1),
    "PUBREC": lambda v: acknowledge(v, PUBREC, 1),
    "PUBREL": lambda v: acknowledge(v, PUBREL, 1),
    "PUBCOMP": lambda v: acknowledge(v, PUBCOMP, 1),
    "SUBACK": lambda v: suback(v, 1, [0]),
    "PINGRESP": lambda v: packets.pingresp(),
    "DISCONNECT": lambda v: packets.disconnect(v, 0x8B),
    "AUTH": lambda v: packet(packets.AUTH, 0, b"\x18\x04\x15\x00\x01m"),
}


@pytest.mark.parametrize("kind", EARLY)
def test_nothing_may_come_before(watch: Watch, peer: ScriptedPeer, version: int, kind: str) -> None:
    watched, connection = connecting(watch, peer, version)
    connection.send(EARLY[kind](version), connack(version))
    connection.expect_refusal(0x82)
    watched.disconnects.wait_count(1)
    assert not watched.connects.items()
    assert not watched.messages.items()


def test_a_second_one_is_a_protocol_error(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    connection = watch(version).join(peer)
    connection.send(connack(version))
    connection.expect_refusal(0x82)


@pytest.mark.parametrize("flags", [2, 3, 0x40, 0x80, 0x81])
def test_reserved_flags(watch: Watch, peer: ScriptedPeer, version: int, flags: int) -> None:
    watched, connection = connecting(watch, peer, version)
    rest = b"\0\0" if version == V5 else b"\0"
    connection.send(packet(packets.CONNACK, 0, bytes([flags]) + rest))
    connection.expect_refusal(0x81)
    watched.disconnects.wait_count(1)
    assert not watched.connects.items()


def test_a_refusal_with_session_present_is_a_protocol_error(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    _, connection = connecting(watch, peer, version)
    connection.send(connack(version, 0x87 if version == V5 else 5, session_present=True))
    connection.expect_refusal(0x81, 0x82)


def test_a_clean_start_cannot_find_a_session(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    watched, connection = connecting(watch, peer, version)
    assert connection.received[0].connect["clean"]
    connection.send(connack(version, session_present=True))
    connection.expect_refusal(0x82)
    watched.disconnects.wait_count(1)
    assert not watched.connects.items()


@pytest.mark.parametrize("present", [False, True])
def test_session_present_reaches_the_application(
    watch: Watch, peer: ScriptedPeer, version: int, present: bool
) -> None:
    watched = watch(version, **({} if version == V5 else {"clean": False}))
    options = {"clean_start": False} if version == V5 else {}
    connection = watched.join(peer, options, session_present=present)
    assert watched.connects.items()[0][0] == present
    connection.expect_alive()


@pytest.mark.parametrize("reason", [2, 3, 4, 5, 6, 0x80, 0x85, 0x87, 0x8A, 0x9F, 0xFF])
def test_a_refused_connection_ends(
    watch: Watch, peer: ScriptedPeer, version: int, reason: int
) -> None:
    """Also when the server leaves it open, and for codes that are not in the table."""
    watched, connection = connecting(watch, peer, version)
    watched.client.publish("t", b"kept", 1)
    connection.send(connack(version, reason), publish(version, "t", b"after", 0))
    rest = connection.read_to_end()
    assert [p.kind for p in rest] in ([], [packets.DISCONNECT]), rest
    watched.disconnects.wait_count(1)
    assert not watched.messages.items()
    assert all(reason != 0 for _, reason, _ in watched.connects)
    again = peer.accept()
    again.accept_client()
    assert again.expect(PUBLISH).payload == b"kept"


# --- what an accepting CONNACK announces ------------------------------------------------------------------------------


def test_maximum_qos(watch: Watch, peer: ScriptedPeer) -> None:
    """Higher ones are refused, also those that were queued before CONNACK."""
    for maximum in (0, 1):
        watched = watch(V5)
        queued = [watched.client.publish("t", f"queued {qos}", qos) for qos in (1, 2)]
        connection = watched.join(peer, properties={"maximum_qos": maximum})
        for qos in range(3):
            info = watched.client.publish("t", f"{qos}", qos)
            assert (info.rc == watched.mqtt.MQTT_ERR_SUCCESS) == (qos <= maximum)
        for info in queued[maximum:]:
            with pytest.raises(RuntimeError):
                info.wait_for_publish(5)
        received = []
        while len(received) < 1 + 2 * maximum:
            received.append(connection.expect(PUBLISH))
        assert max(p.qos for p in received) == maximum
        connection.expect_nothing(0.05)
        watched.close()


def test_retain_not_available(watch: Watch, peer: ScriptedPeer) -> None:
    watched = watch(V5)
    queued = watched.client.publish("t", b"queued", 1, retain=True)
    connection = watched.join(peer, properties={"retain_available": 0})
    for qos in (0, 1, 2):
        info = watched.client.publish("t", b"", qos, retain=True)
        assert info.rc != watched.mqtt.MQTT_ERR_SUCCESS
    with pytest.raises(RuntimeError):
        queued.wait_for_publish(5)
    watched.client.publish("t", b"end", 0)
    assert connection.read().payload == b"end"


def test_maximum_packet_size(mqtt: ModuleType, watch: Watch, peer: ScriptedPeer) -> None:
    """To the byte, for every kind of packet whose size the application decides on."""
    limit = 40
    watched = watch(V5)
    client = watched.client
    queued = client.publish("t", b"x" * 40, 1)
    connection = watched.join(peer, properties={"maximum_packet_size": limit})
    with pytest.raises(RuntimeError):
        queued.wait_for_publish(5)
    for qos in (0, 1, 2):
        fits = limit - 2 - 3 - 1 - (2 if qos else 0)
        assert client.publish("t", b"x" * (fits + 1), qos).rc != mqtt.MQTT_ERR_SUCCESS
        assert client.publish("t", b"x" * fits, qos).rc == mqtt.MQTT_ERR_SUCCESS
        assert len(connection.expect(PUBLISH).raw) == limit
    for call, overhead in ((client.subscribe, 8), (client.unsubscribe, 7)):
        assert call("f" * (limit - overhead))[0] == mqtt.MQTT_ERR_SUCCESS
        assert len(connection.read().raw) == limit
        assert call("f" * (limit - overhead + 1))[0] != mqtt.MQTT_ERR_SUCCESS
    made = properties(mqtt, "DISCONNECT", ReasonString="r" * 40, UserProperty=("a", "b"))
    client.disconnect(properties=made)
    last = connection.expect(packets.DISCONNECT)
    assert len(last.raw) <= limit
    assert last.properties == {}


@pytest.mark.parametrize("announced", [{}, {"topic_alias_maximum": 0}, {"topic_alias_maximum": 3}])
@pytest.mark.parametrize("qos", [0, 1])
def test_topic_alias_maximum(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer, announced: dict[str, int], qos: int
) -> None:
    maximum = announced.get("topic_alias_maximum", 0)
    watched = watch(V5)
    connection = watched.join(peer, properties=announced)
    for alias in (1, 3, 4, 65535):
        made = properties(mqtt, "PUBLISH", TopicAlias=alias)
        info = watched.client.publish("t", b"", qos, properties=made)
        assert (info.rc == mqtt.MQTT_ERR_SUCCESS) == (alias <= maximum)
    watched.client.publish("end")
    seen = []
    while not seen or seen[-1].topic != "end":
        seen.append(connection.expect(PUBLISH))
    aliases = [p.properties["topic_alias"] for p in seen[:-1]]
    assert aliases == ([1, 3] if maximum else [])


@pytest.mark.parametrize("announced", [{}, {"topic_alias_maximum": 3}])
def test_topic_alias_maximum_holds_for_queued_messages(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer, announced: dict[str, int]
) -> None:
    """Queued before the server said what it takes, or for an earlier connection."""
    watched = watch(V5)
    client = watched.client
    alias = properties(mqtt, "PUBLISH", TopicAlias=5)
    queued = client.publish("queued", b"", 1, properties=alias)
    client.connect(peer.host, peer.port)
    client.publish("early", b"", 0, properties=alias)
    client.loop_start()
    connection = peer.accept()
    connection.accept_client(properties=announced)
    client.publish("end", b"", 1)
    while (received := connection.expect(PUBLISH)).topic != "end":
        assert "topic_alias" not in received.properties, received
    with pytest.raises(RuntimeError):
        queued.wait_for_publish(5)


def test_server_keep_alive(watch: Watch, peer: ScriptedPeer) -> None:
    """It takes the place of the client's own, shorter or longer."""
    for own, server in ((60, 1), (1, 60)):
        watched = watch(V5)
        options = {"keepalive": own}
        connection = watched.join(peer, options, properties={"server_keep_alive": server})
        if server == 1:
            connection.expect(packets.PINGREQ, seconds=1.4)
        else:
            with pytest.raises(TimeoutError):
                connection.read(1.5, pings=True)
        watched.close()


def test_an_assigned_client_identifier_is_kept(watch: Watch, peer: ScriptedPeer) -> None:
    watched = watch(V5, "")
    connection = watched.join(peer, properties={"assigned_client_identifier": "given"})
    assert connection.received[0].connect["client_id"] == ""
    connection.reset()
    connection = peer.accept()
    assert connection.accept_client().connect["client_id"] == "given"


def test_without_an_assigned_identifier_none_is_invented(watch: Watch, peer: ScriptedPeer) -> None:
    """A server that owes it and does not give it: the connection stays, the next CONNECT asks again."""
    watched = watch(V5, "")
    connection = watched.join(peer)
    connection.expect_alive()
    connection.reset()
    connection = peer.accept()
    assert connection.accept_client().connect["client_id"] == ""


def test_mqtt_3_has_no_announcements(watch: Watch, peer: ScriptedPeer) -> None:
    """Bytes behind the return code are malformed there."""
    watched, connection = connecting(watch, peer, V311)
    connection.send(packet(packets.CONNACK, 0, b"\0\0\0"))
    connection.expect_end()
    assert not watched.connects.items()
