"""MQTT 5: what the server says in CONNACK is kept to."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from support import packets
from support.clients import Watched, properties
from support.packets import CONNECT, PINGREQ, PUBACK, PUBLISH, V5, acknowledge, publish
from support.peer import PeerConnection, ScriptedPeer


def join(watched: Watched, peer: ScriptedPeer, **limits: Any) -> PeerConnection:
    """Connect with this CONNACK."""
    watched.client.connect(peer.host, peer.port)
    watched.client.loop_start()
    connection = peer.accept()
    connection.accept_client(properties=limits)
    watched.connects.wait_count(1)
    return connection


@pytest.mark.better_than_paho("paho has ten in flight where the server allows two")
def test_receive_maximum(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    with Watched(mqtt, "rm", version=V5) as watched:
        connection = join(watched, peer, receive_maximum=2)
        for number in range(6):
            watched.client.publish("rm", str(number), 1)
        # QoS 0 is not counted
        watched.client.publish("rm", "zero", 0)
        opened = [next_acknowledged(connection) for _ in range(2)]
        for waiting in range(4, -2, -1):
            connection.send(acknowledge(V5, PUBACK, opened.pop(0)))
            if waiting > 0:
                opened.append(next_acknowledged(connection))
            connection.expect_nothing(0.03)
        watched.published.wait_count(7)


def next_acknowledged(connection: PeerConnection) -> int:
    """The packet identifier of the next PUBLISH that wants an acknowledgement."""
    packet = connection.expect(PUBLISH)
    while not packet.qos:
        packet = connection.expect(PUBLISH)
    return packet.mid


@pytest.mark.better_than_paho("paho sends it and the server cuts the connection")
def test_maximum_packet_size(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """Too large for the server: refused here, the connection lives, smaller ones go."""
    with Watched(mqtt, "mps", version=V5) as watched:
        connection = join(watched, peer, maximum_packet_size=64)
        for qos in (0, 1, 2):
            info = watched.client.publish("mps", b"x" * 100, qos)
            assert info.rc == mqtt.MQTT_ERR_PAYLOAD_SIZE, info.rc
        watched.client.publish("mps", b"small", 0)
        assert connection.expect(PUBLISH).payload == b"small"
        assert watched.client.is_connected()


@pytest.mark.better_than_paho("paho reconnects with the empty id: its session is lost")
def test_assigned_client_identifier(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """The id the server gave is the id of the reconnect."""
    with Watched(mqtt, "", version=V5) as watched:
        watched.client._reconnect_min_delay = 0.05
        connection = join(watched, peer, assigned_client_identifier="given-by-server")
        assert connection.received[0].connect["client_id"] == ""
        connection.reset()
        again = peer.accept()
        assert again.accept_client().connect["client_id"] == "given-by-server"


def test_server_keep_alive(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """Server Keep Alive 1: a PINGREQ after a second, though the client asked for 60."""
    with Watched(mqtt, "ska", version=V5) as watched:
        connection = join(watched, peer, server_keep_alive=1)
        assert watched.client.keepalive == 1
        connection.expect(PINGREQ, seconds=3)
        connection.send(packets.pingresp())


@pytest.mark.better_than_paho("paho sends QoS 2 to a server that takes 1: it cuts the connection")
def test_maximum_qos(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """Either refused here or sent with the highest QoS the server takes; never sent as it is."""
    with Watched(mqtt, "mq", version=V5) as watched:
        connection = join(watched, peer, maximum_qos=1)
        info = watched.client.publish("mq", "two", 2)
        watched.client.publish("mq", "one", 1)
        while True:
            packet = connection.expect(PUBLISH)
            assert packet.qos <= 1, packet
            connection.send(connection.answer(packet))
            if packet.payload == b"one":
                break
        assert info.rc != mqtt.MQTT_ERR_SUCCESS or b"two" in [
            p.payload for p in connection.received
        ]


@pytest.mark.better_than_paho("paho sends retained messages to a server without retain")
def test_retain_not_available(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    with Watched(mqtt, "ra", version=V5) as watched:
        connection = join(watched, peer, retain_available=0)
        watched.client.publish("ra", "kept", 0, retain=True)
        watched.client.publish("ra", "end", 0)
        while True:
            packet = connection.expect(PUBLISH)
            assert not packet.retain, packet
            if packet.payload == b"end":
                break


def test_topic_alias_inbound(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """The filter callback of the aliased topic is called; the alias can be given anew."""
    with Watched(mqtt, "alias", version=V5) as watched:
        client = watched.client
        asked = properties(mqtt, "CONNECT", TopicAliasMaximum=5)
        client.connect(peer.host, peer.port, properties=asked)
        client.loop_start()
        connection = peer.accept()
        assert connection.accept_client().properties["topic_alias_maximum"] == 5
        for topic, alias in (("first/topic", 1), ("second/topic", 2)):
            connection.send(publish(V5, topic, b"full", properties={"topic_alias": alias}))
        watched.messages.wait_count(2)
        assert [m.topic for m in watched.messages] == ["first/topic", "second/topic"]


@pytest.mark.better_than_paho("paho gives messages with an alias the topic '' and finds no filter")
def test_topic_alias_inbound_resolved_for_filters(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    with Watched(mqtt, "alias2", version=V5) as watched:
        client = watched.client
        heard: list[bytes] = []
        client.message_callback_add("first/#", lambda c, u, m: heard.append(m.payload))
        asked = properties(mqtt, "CONNECT", TopicAliasMaximum=5)
        client.connect(peer.host, peer.port, properties=asked)
        client.loop_start()
        connection = peer.accept()
        connection.accept_client()
        alias = {"topic_alias": 1}
        connection.send(
            publish(V5, "first/topic", b"1", properties=alias),
            publish(V5, "", b"2", properties=alias),
            publish(V5, "other/topic", b"3", properties=alias),
            publish(V5, "", b"4", properties=alias),
            publish(V5, "first/end", b"5"),
        )
        watched.messages.wait_count(2)
        assert heard == [b"1", b"2"] or heard == [b"1", b"2", b"5"]
        assert watched.payloads() == [b"3", b"4"]


@pytest.mark.better_than_paho("paho does not check the alias")
@pytest.mark.parametrize("alias", [0, 6, 3], ids=["zero", "above maximum", "never set"])
def test_topic_alias_wrong(mqtt: ModuleType, peer: ScriptedPeer, alias: int) -> None:
    """0x94 or protocol error, and the connection ends."""
    with Watched(mqtt, "alias3", version=V5) as watched:
        client = watched.client
        asked = properties(mqtt, "CONNECT", TopicAliasMaximum=5)
        client.connect(peer.host, peer.port, properties=asked)
        client.loop_start()
        connection = peer.accept()
        connection.accept_client()
        connection.send(publish(V5, "", b"x", properties={"topic_alias": alias}))
        packet = connection.expect(packets.DISCONNECT)
        assert packet.reason in (0x81, 0x82, 0x94), packet
        watched.disconnects.wait_count(1)


@pytest.mark.better_than_paho("paho sends PUBREL after a refusal and reports the message published")
@pytest.mark.parametrize("qos", [1, 2])
def test_refused_message_is_not_published(mqtt: ModuleType, peer: ScriptedPeer, qos: int) -> None:
    """PUBACK or PUBREC with 0x97: on_publish has the reason, waiting raises, no PUBREL, the window moves on."""
    with Watched(mqtt, "no", version=V5) as watched:
        client = watched.client
        client.max_inflight_messages_set(1)
        reasons: list[int] = []
        watched.client.on_publish = lambda c, u, mid, reason, p: (
            reasons.append(reason.value),
            watched.published.put(mid),
        )
        connection = join(watched, peer)
        info = client.publish("no", "refused", qos)
        second = client.publish("no", "taken", 1)
        mid = connection.expect(PUBLISH).mid
        kind = PUBACK if qos == 1 else packets.PUBREC
        connection.send(acknowledge(V5, kind, mid, 0x97))
        packet = connection.expect(PUBLISH)
        assert packet.payload == b"taken"
        connection.send(acknowledge(V5, PUBACK, packet.mid))
        watched.published.wait_count(2)
        assert reasons == [0x97, 0]
        second.wait_for_publish(5)
        with pytest.raises(RuntimeError):
            info.wait_for_publish(5)


def test_connect_is_the_first_packet(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """What is published and subscribed before CONNACK follows CONNECT."""
    with Watched(mqtt, "first", version=V5) as watched:
        watched.client.connect(peer.host, peer.port)
        watched.client.loop_start()
        watched.client.publish("first", "x", 1)
        connection = peer.accept()
        assert connection.read().kind == CONNECT
