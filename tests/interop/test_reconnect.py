"""Reconnects that lose nothing: brokers restarted, connections reset, windows respected, sessions kept and lost."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from support import packets
from support.clients import Watched, properties
from support.mosquitto import Mosquitto
from support.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, V5, V311, acknowledge
from support.peer import PeerConnection, ScriptedPeer
from support.waiting import Mailbox


def quick(watched: Watched) -> Watched:
    """Reconnect without the patience of the field."""
    watched.client._reconnect_min_delay = 0.05
    watched.client._reconnect_max_delay = 0.2
    return watched


@pytest.mark.better_than_paho("paho sends all it has at once and is refused by the broker (#492)")
@pytest.mark.parametrize("version", [V311, V5])
@pytest.mark.timeout(90)
def test_broker_restarted_while_publishing(
    mqtt: ModuleType, own_broker: Mosquitto, version: int
) -> None:
    """QoS 1 and 2 across two restarts: nothing lost, QoS 2 exactly once, in order."""
    count = 600
    options: dict[str, Any] = {"version": version, "clean": False}
    expiry: dict[str, Any] = {}
    if version == V5:
        session = properties(mqtt, "CONNECT", SessionExpiryInterval=600)
        expiry = {"clean_start": False, "properties": session}
    with (
        quick(Watched(mqtt, "receiver", **options)) as receiver,
        quick(Watched(mqtt, "sender", **options)) as sender,
    ):
        receiver.start(own_broker, **expiry)
        receiver.subscribe("restart/#", 2)
        sender.start(own_broker, **expiry)
        infos = []
        for number in range(count):
            if number in (count // 3, 2 * count // 3):
                # mosquitto 2.0 itself repeats QoS 2 after a restart where more than its window was waiting
                receiver.messages.wait_for(
                    lambda items, n=number: len({m.payload for m in items}) == n, "all so far"
                )
                connected = len(sender.connects)
            qos = 1 + number % 2
            infos.append(sender.client.publish(f"restart/{qos}", str(number), qos))
            if number in (count // 3 + 50, 2 * count // 3 + 50):
                own_broker.restart()
                sender.connects.wait_count(connected + 1)
        sender.published.wait_count(count, 30)
        wanted = {str(n).encode() for n in range(count)}
        try:
            receiver.messages.wait_for(
                lambda items: wanted <= {bytes(m.payload) for m in items}, "every message", 10
            )
        except AssertionError:
            missing = sorted(int(p) for p in wanted - {bytes(m.payload) for m in receiver.messages})
            pytest.fail(f"lost: {missing}; reconnects {receiver.connects.items()}")
        # mosquitto 2.0.11 at times saves a QoS 2 message as unsent though its PUBREL had gone out;
        # after PUBCOMP no client can know that copy, which the broker marks DUP, for an old one.
        exactly_once = [
            m.payload for m in receiver.messages if m.topic == "restart/2" and not m.dup
        ]
        repeated = [m.payload for m in receiver.messages if m.topic == "restart/2" and m.dup]
        merged = list(dict.fromkeys(sorted(exactly_once + repeated, key=int)))
        assert merged == [str(n).encode() for n in range(1, count, 2)]
        assert exactly_once == sorted(set(exactly_once), key=int), "once, in order"
        # QoS 1: first copies in order, duplicates allowed
        at_least_once = list(
            dict.fromkeys(bytes(m.payload) for m in receiver.messages if m.topic == "restart/1")
        )
        assert at_least_once == [str(n).encode() for n in range(0, count, 2)]
        assert len({*sender.published}) == count, "on_publish once for each message"


@pytest.mark.parametrize("version", [V311, V5])
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "lost"])
def test_reset_at_every_state(mqtt: ModuleType, version: int, kept: bool) -> None:
    """One message in each state of its life; a reset; what is repeated, and that each ends once."""

    def script(peer: ScriptedPeer) -> None:
        first = peer.accept()
        first.accept_client()
        for _ in range(4):
            first.expect(PUBLISH)
        # mid 1: QoS 1 unacknowledged; 2: QoS 2 unacknowledged; 3: QoS 2 after PUBREC; 4: QoS 1 done
        first.send(acknowledge(version, PUBREC, 3), acknowledge(version, PUBACK, 4))
        first.expect(PUBREL, mid=3)
        done.wait_count(1)
        first.reset()
        second = peer.accept()
        second.accept_client(session_present=kept)
        again = [second.read(), second.read(), second.read()]
        repeated.append([(p.kind, p.mid, p.kind == PUBLISH and p.dup) for p in again])
        for packet in again:
            answer_all(second, packet)
        second.serve()

    done: Mailbox[int] = Mailbox()
    repeated: list[Any] = []
    with (
        ScriptedPeer() as peer,
        quick(Watched(mqtt, "states", version=version, clean=not kept)) as watched,
    ):
        watched.published = done
        peer.converse(script)
        options: dict[str, Any] = {}
        if version == V5:
            session = properties(mqtt, "CONNECT", SessionExpiryInterval=600 if kept else 0)
            options = {"clean_start": not kept, "properties": session}
        watched.start(peer, **options)
        for qos in (1, 2, 2, 1):
            watched.client.publish("states/x", "x", qos)
        done.wait_count(4)
        assert sorted(done.items()) == [1, 2, 3, 4]
        assert len(watched.disconnects) == 1
        kinds = [entry[0] for entry in repeated[0]]
        if kept:
            assert repeated[0] == [(PUBLISH, 1, True), (PUBLISH, 2, True), (PUBREL, 3, False)]
        else:
            # the broker has forgotten: the messages are published again, the dead session's PUBREL is not sent
            assert kinds == [PUBLISH, PUBLISH, PUBLISH]
        watched.client.disconnect()
        peer.finish()


def answer_all(connection: PeerConnection, packet: packets.Packet) -> None:
    """See one message through to its end."""
    answer = connection.answer(packet)
    connection.send(answer)
    if packet.kind == PUBLISH and packet.qos == 2:
        connection.send(connection.answer(connection.expect(PUBREL, mid=packet.mid)))


@pytest.mark.better_than_paho("after a reconnect paho sends all queued messages at once (#492)")
@pytest.mark.parametrize("version", [V311, V5])
@pytest.mark.parametrize("qos", [1, 2])
def test_max_inflight_holds_after_reconnect(mqtt: ModuleType, version: int, qos: int) -> None:
    window, count = 3, 12

    def slowly(connection: PeerConnection, number: int) -> None:
        """Acknowledge one at a time; never more than the window open."""
        opened: list[int] = []
        while number:
            while len(opened) < min(window, number):
                opened.append(connection.expect(PUBLISH).mid)
            if len(opened) < number:
                connection.expect_nothing(0.05)
            mid = opened.pop(0)
            if qos == 1:
                connection.send(acknowledge(version, PUBACK, mid))
            else:
                connection.send(acknowledge(version, PUBREC, mid))
                connection.expect(PUBREL, mid=mid)
                connection.send(acknowledge(version, PUBCOMP, mid))
            number -= 1

    def script(peer: ScriptedPeer) -> None:
        first = peer.accept()
        first.accept_client()
        for _ in range(window):
            first.expect(PUBLISH)
        first.expect_nothing(0.1)
        first.reset()
        second = peer.accept()
        second.accept_client(session_present=True)
        slowly(second, count)
        second.serve()

    with (
        ScriptedPeer() as peer,
        quick(Watched(mqtt, "window", version=version, clean=False)) as watched,
    ):
        peer.converse(script)
        watched.client.max_inflight_messages_set(window)
        options = {"clean_start": False} if version == V5 else {}
        watched.start(peer, **options)
        for number in range(count):
            watched.client.publish("window/x", str(number), qos)
        watched.published.wait_count(count)
        watched.client.disconnect()
        peer.finish()


@pytest.mark.parametrize("version", packets.ALL_VERSIONS)
def test_offline_queue(mqtt: ModuleType, broker: Mosquitto, version: int) -> None:
    """Published before the first connect: sent in order as soon as there is a connection."""
    with (
        Watched(mqtt, f"queue{version}", version=version) as sender,
        Watched(mqtt, f"hear{version}", version=version) as receiver,
    ):
        receiver.start(broker)
        receiver.subscribe(f"queue{version}/#", 2)
        infos = [sender.client.publish(f"queue{version}/x", str(n), 1 + n % 2) for n in range(100)]
        assert {info.rc for info in infos} == {mqtt.MQTT_ERR_NO_CONN}
        assert not any(sender.published)
        sender.start(broker)
        sender.published.wait_count(100)
        receiver.messages.wait_count(100)
        # a broker passes QoS 2 on when it is released, so the order holds for each QoS by itself
        for rest in (0, 1):
            payloads = [int(p) for p in receiver.payloads() if int(p) % 2 == rest]
            assert payloads == list(range(rest, 100, 2))


@pytest.mark.better_than_paho("the info of a message queued offline is poisoned for ever")
def test_offline_messages_can_be_waited_for(mqtt: ModuleType, broker: Mosquitto) -> None:
    with Watched(mqtt, "waited") as sender:
        info = sender.client.publish("waited/x", "x", 1)
        sender.start(broker)
        info.wait_for_publish(10)
        assert info.is_published()


def test_queue_full(mqtt: ModuleType) -> None:
    """Over max_queued_messages: MQTT_ERR_QUEUE_SIZE; the queue keeps what it had."""
    with ScriptedPeer() as peer, Watched(mqtt, "full") as watched:
        client = watched.client
        client.max_inflight_messages_set(2)
        client.max_queued_messages_set(5)
        client.connect(peer.host, peer.port)
        client.loop_start()
        connection = peer.accept()
        connection.accept_client()
        watched.connects.wait_count(1)
        results = [client.publish("full/x", str(n), 1).rc for n in range(7)]
        assert results == [mqtt.MQTT_ERR_SUCCESS] * 5 + [mqtt.MQTT_ERR_QUEUE_SIZE] * 2
        assert client.publish("full/x", "zero", 0).rc == mqtt.MQTT_ERR_SUCCESS
        payloads = []
        for _ in range(6):
            packet = connection.expect(PUBLISH)
            payloads.append(packet.payload)
            connection.send(connection.answer(packet))
        assert sorted(payloads) == [b"0", b"1", b"2", b"3", b"4", b"zero"]
        watched.published.wait_count(6)
        assert client.publish("full/x", "room", 1).rc == mqtt.MQTT_ERR_SUCCESS
        connection.send(connection.answer(connection.expect(PUBLISH)))


def test_subscriptions_of_a_kept_session(mqtt: ModuleType, own_broker: Mosquitto) -> None:
    """session_present is told truly: False, then True after a restart, then False with a clean start."""
    with quick(Watched(mqtt, "kept", clean=False)) as watched:
        watched.start(own_broker)
        watched.subscribe("kept/x", 1)
        own_broker.restart()
        watched.connects.wait_count(2)
        assert [present for present, *_ in watched.connects] == [False, True]
        watched.client.publish("kept/x", "still subscribed", 1)
        watched.messages.wait_count(1)
    with Watched(mqtt, "kept", clean=True) as fresh:
        fresh.start(own_broker)
        assert fresh.connects.items()[0][0] is False
        fresh.client.publish("kept/x", "nobody", 1)
        fresh.published.wait_count(1)
        assert len(fresh.messages) == 0


def test_incoming_qos2_across_a_reset(mqtt: ModuleType) -> None:
    """The same QoS 2 message twice, the second time after a reset: delivered once."""
    with ScriptedPeer() as peer, quick(Watched(mqtt, "in2", clean=False)) as watched:
        watched.client.connect(peer.host, peer.port)
        watched.client.loop_start()
        first = peer.accept()
        first.accept_client()
        first.send(packets.publish(V311, "in2", b"once", 2, 9))
        first.expect(PUBREC, mid=9)
        first.reset()
        second = peer.accept()
        second.accept_client(session_present=True)
        second.send(packets.publish(V311, "in2", b"once", 2, 9, dup=True))
        second.expect(PUBREC, mid=9)
        second.send(acknowledge(V311, PUBREL, 9))
        second.expect(PUBCOMP, mid=9)
        watched.messages.wait_count(1)
        second.send(packets.publish(V311, "in2", b"twice", 2, 9))
        second.expect(PUBREC, mid=9)
        second.send(acknowledge(V311, PUBREL, 9))
        second.expect(PUBCOMP, mid=9)
        watched.messages.wait_count(2)
        assert watched.payloads() == [b"once", b"twice"]
