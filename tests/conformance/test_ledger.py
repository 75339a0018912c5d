"""Outgoing messages: quota and order across resets, DUP, failure told to the program, a session that is lost."""

from __future__ import annotations

import threading
from types import ModuleType
from typing import Any

import pytest
from support import clients, packets
from support.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, V5, V31, V311
from support.peer import PeerConnection, ScriptedPeer
from support.waiting import Mailbox, eventually

from .conftest import Watch

WINDOW = 2


def greet(peer: ScriptedPeer, version: int, present: bool) -> PeerConnection:
    connection = peer.accept()
    limits = {"receive_maximum": WINDOW} if version == V5 else None
    connection.accept_client(session_present=present, properties=limits)
    return connection


def window(connection: PeerConnection, qos: int, dup: bool) -> list[int]:
    """The payloads of a full window; no message more comes."""
    found = []
    for _ in range(WINDOW):
        packet = connection.expect(PUBLISH, qos=qos, dup=dup)
        found.append(int(packet.payload))
    connection.expect_alive()
    return found


@pytest.mark.parametrize("qos", [1, 2])
def test_quota_order_and_dup_across_resets(
    watch: Watch, peer: ScriptedPeer, version: int, qos: int
) -> None:
    persistent = {"clean": False} if version != V5 else {}
    watched = watch(version, **persistent)
    if version != V5:
        watched.client.max_inflight_messages_set(WINDOW)
    watched.client.connect(peer.host, peer.port)
    watched.client.loop_start()
    connection = greet(peer, version, present=False)
    watched.connects.wait_count(1)
    infos = [watched.client.publish("t", str(number), qos) for number in range(5)]
    assert window(connection, qos, dup=False) == [0, 1]
    for _ in range(3):
        connection.reset()
        connection = greet(peer, version, present=True)
        assert window(connection, qos, dup=True) == [0, 1], "resends count, in order, with DUP"
    end = PUBACK if qos == 1 else PUBREC
    for number in range(5):
        connection.send(packets.acknowledge(version, end, infos[number].mid))
        if qos == 2:
            connection.expect(PUBREL, mid=infos[number].mid)
            connection.send(packets.acknowledge(version, PUBCOMP, infos[number].mid))
        if number + WINDOW < 5:
            packet = connection.expect(PUBLISH, dup=False)
            assert int(packet.payload) == number + WINDOW, "new messages have no DUP"
    for info in infos:
        info.wait_for_publish(5)
        assert info.is_published()


@pytest.mark.parametrize("api", [1, 2])
@pytest.mark.parametrize(
    ("qos", "kind", "reason", "text"),
    [(1, PUBACK, 0x87, "Not authorized"), (2, PUBREC, 0x97, "Quota exceeded")],
)
def test_a_refused_message_fails_with_its_reason(
    mqtt: ModuleType, peer: ScriptedPeer, api: int, qos: int, kind: int, reason: int, text: str
) -> None:
    client = clients.make(mqtt, "c", version=V5, api=api)
    reports: Mailbox[Any] = Mailbox()
    client.on_publish = lambda c, u, mid, *rest: reports.put((mid, *rest))
    client.connect(peer.host, peer.port)
    client.loop_start()
    try:
        connection = peer.accept()
        connection.accept_client()
        eventually(client.is_connected, "the connection")
        info = client.publish("t", b"m", qos)
        failures: Mailbox[str] = Mailbox()

        def wait() -> None:
            try:
                info.wait_for_publish(10)
            except RuntimeError as error:
                failures.put(str(error))

        waiter = threading.Thread(target=wait)
        waiter.start()
        connection.expect(PUBLISH, mid=info.mid)
        why = {"reason_string": "no"}
        connection.send(packets.acknowledge(V5, kind, info.mid, reason, why))
        waiter.join(5)
        assert failures.items() == [f"Message publish failed: {text}"]
        with pytest.raises(RuntimeError, match=text):
            info.is_published()
        report = reports.wait_count(1)[0]
        assert report[0] == info.mid
        if api == 2:
            assert report[1].value == reason and report[1].is_failure
            assert report[2].ReasonString == "no"
        connection.expect_alive()  # so no PUBREL came
        again = client.publish("t", b"m", qos)
        connection.expect(PUBLISH, mid=again.mid)
    finally:
        clients.dispose(client)


def test_a_lost_session_is_published_again(watch: Watch, peer: ScriptedPeer) -> None:
    """Session Present 0: what the server had received is forgotten [MQTT-3.2.2-5]."""
    watched = watch(V5)
    watched.client.connect(peer.host, peer.port)
    watched.client.loop_start()
    connection = greet(peer, V5, present=False)
    watched.connects.wait_count(1)
    info = watched.client.publish("t", b"m", 2)
    connection.expect(PUBLISH)
    connection.send(packets.acknowledge(V5, PUBREC, info.mid))
    connection.expect(PUBREL)
    connection.reset()
    connection = greet(peer, V5, present=False)
    connection.expect(PUBLISH, mid=info.mid, dup=True)
    assert not info.is_published()
    connection.send(packets.acknowledge(V5, PUBREC, info.mid))
    connection.expect(PUBREL, mid=info.mid)
    connection.send(packets.acknowledge(V5, PUBCOMP, info.mid))
    info.wait_for_publish(5)


@pytest.mark.parametrize("old", [V31, V311])
def test_a_persistent_session_of_mqtt_3_keeps_what_the_server_received(
    watch: Watch, peer: ScriptedPeer, old: int
) -> None:
    """As paho does: PUBREC has made the server the owner."""
    watched = watch(old, clean=False)
    watched.client.connect(peer.host, peer.port)
    watched.client.loop_start()
    connection = greet(peer, old, present=False)
    watched.connects.wait_count(1)
    info = watched.client.publish("t", b"m", 2)
    connection.expect(PUBLISH)
    connection.send(packets.acknowledge(old, PUBREC, info.mid))
    connection.expect(PUBREL)
    connection.reset()
    connection = greet(peer, old, present=False)
    connection.expect(PUBREL, mid=info.mid)
    connection.send(packets.acknowledge(old, PUBCOMP, info.mid))
    info.wait_for_publish(5)


@pytest.mark.parametrize("how", ["drop_out_messages", "reinitialise"])
@pytest.mark.parametrize("sent", [False, True], ids=["queued", "in flight"])
def test_a_waiter_wakes_when_its_message_is_dropped(
    watch: Watch, peer: ScriptedPeer, version: int, how: str, sent: bool
) -> None:
    watched = watch(version)
    client = watched.client
    if sent:
        client.connect(peer.host, peer.port)
        client.loop_start()
        connection = greet(peer, version, present=False)
        watched.connects.wait_count(1)
    info = client.publish("t", b"m", 1)
    if sent:
        connection.expect(PUBLISH)
    outcome: Mailbox[str] = Mailbox()

    def wait() -> None:
        try:
            info.wait_for_publish()
        except RuntimeError as error:
            outcome.put(str(error))

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    if how == "drop_out_messages":
        assert [message.payload for message in client.drop_out_messages()] == [b"m"]
    else:
        client.loop_stop()
        client.reinitialise()
    outcome.wait_count(1, 5)
    assert outcome.items() == ["Message publish failed: the client dropped it"]


def test_one_puback_for_each_message(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    """A second ack() sends nothing, nor does one of a message that never came."""
    watched = watch(version, manual_ack=True)
    watched.client.connect(peer.host, peer.port)
    watched.client.loop_start()
    connection = greet(peer, version, present=False)
    connection.send(packets.publish(version, "t", b"m", 1, 7))
    watched.messages.wait_count(1)
    for mid in (7, 7, 8):
        watched.client.ack(mid, 1)
    connection.expect(PUBACK, mid=7)
    watched.client.publish("end", b"", 0)
    connection.expect(PUBLISH, topic="end")


def test_subscribe_finds_an_identifier_beside_a_full_ledger(
    watch: Watch, peer: ScriptedPeer
) -> None:
    watched = watch(V311)
    watched.client.max_inflight_messages_set(0)
    infos = [watched.client.publish("t", b"", 1) for _ in range(65_535)]
    assert infos[-1].mid == 0, "it waits for an identifier"
    watched.client.connect(peer.host, peer.port)
    watched.client.loop_start()
    greet(peer, V311, present=False)
    watched.connects.wait_count(1)
    result, mid = watched.client.subscribe("f")
    assert (result, mid) == (watched.mqtt.MQTT_ERR_SUCCESS, 65_520)


LIMITS = [
    ({"maximum_qos": 0}, {"qos": 1}, "the QoS is above the server's Maximum QoS"),
    ({"retain_available": 0}, {"retain": True}, "the server does not support retained messages"),
    (
        {"maximum_packet_size": 20},
        {"payload": b"x" * 20},
        "the packet is larger than the server's Maximum Packet Size",
    ),
]


@pytest.mark.parametrize(("limits", "message", "text"), LIMITS)
def test_limits_of_the_server_say_which(
    watch: Watch, peer: ScriptedPeer, limits: dict[str, int], message: dict[str, Any], text: str
) -> None:
    watched = watch(V5)
    watched.client.connect(peer.host, peer.port)
    watched.client.loop_start()
    connection = peer.accept()
    connection.accept_client(properties=limits)
    watched.connects.wait_count(1)
    info = watched.client.publish("t", **message)
    assert info.rc != watched.mqtt.MQTT_ERR_SUCCESS
    for ask in (info.is_published, info.wait_for_publish):
        with pytest.raises(RuntimeError, match=f"^Message publish failed: {text}$"):
            ask()
    connection.expect_alive()


@pytest.mark.parametrize(
    ("limits", "message", "reason"),
    [
        ({"maximum_qos": 0}, {"qos": 1}, 0x9B),
        ({"retain_available": 0}, {"qos": 1, "retain": True}, 0x9A),
        ({"maximum_packet_size": 20}, {"qos": 1, "payload": b"x" * 20}, 0x95),
    ],
)
def test_limits_of_the_server_end_what_was_queued_before(
    watch: Watch, peer: ScriptedPeer, limits: dict[str, int], message: dict[str, Any], reason: int
) -> None:
    watched = watch(V5)
    reports: Mailbox[tuple[int, int]] = Mailbox()
    watched.client.on_publish = lambda c, u, mid, why, props: reports.put((mid, why.value))
    info = watched.client.publish("t", **message)
    watched.client.connect(peer.host, peer.port)
    watched.client.loop_start()
    connection = peer.accept()
    connection.accept_client(properties=limits)
    reports.wait_item((info.mid, reason))
    with pytest.raises(RuntimeError):
        info.is_published()
    connection.expect_alive()


@pytest.mark.parametrize("api", [1, 2])
@pytest.mark.parametrize("body", [b"", b"\x8b", b"\x8b\x00"], ids=["empty", "reason", "properties"])
def test_what_a_disconnect_left_out(
    mqtt: ModuleType, peer: ScriptedPeer, api: int, body: bytes
) -> None:
    """A VERSION1 callback gets None for it, as paho's does; VERSION2 gets the default."""
    client = clients.make(mqtt, "c", version=V5, api=api, reconnect_on_failure=False)
    reports: Mailbox[Any] = Mailbox()
    client.on_disconnect = lambda c, u, *rest: reports.put(rest)
    client.connect(peer.host, peer.port)
    client.loop_start()
    try:
        connection = peer.accept()
        connection.accept_client()
        connection.send(packets.packet(packets.DISCONNECT, 0, body))
        *flags, reason, properties = reports.wait_count(1)[0]
        if api == 2:
            assert flags[0].is_disconnect_packet_from_server
            assert reason.value == (body[0] if body else 0)
            assert properties.isEmpty()
        else:
            assert flags == []
            assert reason is None if not body else reason.value == 0x8B
            assert properties is None if len(body) < 2 else properties.isEmpty()
    finally:
        clients.dispose(client)
