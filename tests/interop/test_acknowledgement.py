"""When a received message is acknowledged: PUBACK and PUBREC go out when the application is through with it."""

from __future__ import annotations

import sys
import threading
from types import ModuleType
from typing import Any

import pytest
from support import packets
from support.clients import Watched
from support.packets import DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, V5, V311
from support.peer import PeerConnection, ScriptedPeer
from support.waiting import Mailbox, drive, finishes

pytestmark = pytest.mark.better_than_paho("it answers QoS 2 by PUBREC at receipt")

#: The answer to a PUBLISH of QoS 1 and 2.
ANSWERS = {1: PUBACK, 2: PUBREC}
qos_1_and_2 = pytest.mark.parametrize("qos", [1, 2])


class Planned(Exception):
    """What a callback raises."""


def give(connection: PeerConnection, qos: int, mid: int, **flags: bool) -> None:
    connection.send(packets.publish(connection.version, "t", b"%d" % mid, qos, mid, **flags))


def raise_planned(*_: Any) -> None:
    raise Planned


@pytest.mark.parametrize("version", [V311, V5])
def test_qos_2_is_given_at_publish_and_answered_behind_the_callback(
    mqtt: ModuleType, peer: ScriptedPeer, version: int
) -> None:
    with Watched(mqtt, "behind", version=version) as watched:
        connection = watched.join(peer)
        entered, leave = threading.Event(), threading.Event()

        def on_message(client: Any, userdata: Any, message: Any) -> None:
            watched.messages.put(message)
            entered.set()
            assert leave.wait(10)

        watched.client.on_message = on_message
        give(connection, 2, 7)
        assert entered.wait(10)
        give(connection, 2, 7, dup=True)
        connection.expect_nothing(0.1)
        leave.set()
        connection.expect(PUBREC, mid=7)
        give(connection, 2, 7, dup=True)
        connection.expect(PUBREC, mid=7)
        connection.send(packets.acknowledge(version, PUBREL, 7))
        connection.expect(PUBCOMP, mid=7)
        assert watched.payloads() == [b"7"]


def test_messages_of_every_qos_come_in_their_order(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    with Watched(mqtt, "order") as watched:
        connection = watched.join(peer)
        for mid, qos in enumerate([2, 1, 2, 1, 1, 2], 1):
            give(connection, qos, mid)
        watched.messages.wait_count(6)
        assert watched.payloads() == [b"%d" % mid for mid in range(1, 7)]


def test_the_connection_breaks_while_the_callback_runs(
    mqtt: ModuleType, peer: ScriptedPeer
) -> None:
    """The next connection brings the message again: one callback, and PUBREC when that returns."""
    with Watched(mqtt, "breaks", clean=False) as watched:
        watched.client.reconnect_delay_set(1, 1)
        first = watched.join(peer)
        leave = threading.Event()
        watched.client.on_message = lambda c, u, message: (
            watched.messages.put(message),
            leave.wait(10),
        )
        give(first, 2, 7)
        watched.messages.wait_count(1)
        first.reset()
        leave.set()
        second = watched.rejoin(peer, session_present=True)
        give(second, 2, 7, dup=True)
        second.expect(PUBREC, mid=7)
        second.send(packets.acknowledge(V311, PUBREL, 7))
        second.expect(PUBCOMP, mid=7)
        assert len(watched.messages) == 1


def run_loop(client: Any) -> None:
    drive(client, lambda: False, "an exception")


@qos_1_and_2
@pytest.mark.parametrize("loop", ["loop_forever", "loop"])
def test_an_exception_that_leaves_the_loop(
    mqtt: ModuleType, peer: ScriptedPeer, loop: str, qos: int
) -> None:
    """Not acknowledged: it comes again by the next connection of the session."""
    watched = Watched(mqtt, "leaves", clean=False)
    client = watched.client
    client.on_message = raise_planned
    client.connect(peer.host, peer.port)

    def serve(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        give(connection, qos, 7)
        connection.expect_nothing(0.3)
        connection.reset()
        again = peer.accept()
        again.accept_client(session_present=True)
        give(again, qos, 7, dup=True)
        again.expect(ANSWERS[qos], mid=7)
        again.serve()

    peer.converse(serve)
    with pytest.raises(Planned):
        finishes(
            lambda: client.loop_forever() if loop == "loop_forever" else run_loop(client), 10, loop
        )
    client.on_message = lambda c, u, message: watched.messages.put(message)
    client.loop_start()
    try:
        watched.messages.wait_count(1)
    finally:
        watched.close()
    peer.finish()


@qos_1_and_2
@pytest.mark.parametrize("way", ["loop_start", "suppressed"])
def test_an_exception_that_the_loop_survives(
    mqtt: ModuleType, peer: ScriptedPeer, monkeypatch: pytest.MonkeyPatch, way: str, qos: int
) -> None:
    """Acknowledged: the program lives on, and would raise again."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with Watched(mqtt, "survives") as watched:
        watched.client.suppress_exceptions = way == "suppressed"
        connection = watched.join(peer)
        watched.client.on_message = raise_planned
        give(connection, qos, 7)
        connection.expect(ANSWERS[qos], mid=7)


@qos_1_and_2
def test_sys_exit_in_a_callback(
    mqtt: ModuleType, peer: ScriptedPeer, monkeypatch: pytest.MonkeyPatch, qos: int
) -> None:
    """It ends the thread of loop_start() as any other; the message is not acknowledged."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # pytest's warns of it
    with Watched(mqtt, "exits", clean=False) as watched:
        connection = watched.join(peer)
        watched.client.on_message = lambda *_: sys.exit()
        thread = watched.client._thread
        assert thread is not None
        give(connection, qos, 7)
        thread.join(10)
        assert not thread.is_alive()
        connection.expect_nothing(0.1)
        assert watched.client._thread is None and watched.client.is_connected()
        watched.client.on_message = lambda c, u, message: watched.messages.put(message)
        assert watched.client.loop_start() == mqtt.MQTT_ERR_SUCCESS
        give(connection, qos, 8)
        connection.expect(ANSWERS[qos], mid=8)


@qos_1_and_2
def test_a_callback_that_says_goodbye_is_through_with_its_message(
    mqtt: ModuleType, peer: ScriptedPeer, qos: int
) -> None:
    """Else a program that ends with the message it waited for would get it again at its next start."""
    with Watched(mqtt, "goodbye", clean=False) as watched:
        connection = watched.join(peer)
        returned: Mailbox[int] = Mailbox()

        def on_message(client: Any, userdata: Any, message: Any) -> None:
            if message.mid == 3:
                returned.put(client.disconnect())

        watched.client.on_message = on_message
        connection.send(*(packets.publish(V311, "t", b"m", qos, mid) for mid in (1, 2, 3)))
        kinds = [(packet.kind, packet.mid) for packet in connection.read_to_end()]
        answer = ANSWERS[qos]
        assert [pair for pair in kinds if pair[0] != PUBLISH] == [
            *((answer, mid) for mid in (1, 2, 3)),
            (DISCONNECT, kinds[-1][1]),
        ]
        assert returned.items() == [mqtt.MQTT_ERR_SUCCESS]


@pytest.mark.parametrize("last", [0, 1], ids=["by QoS 0", "by QoS 1"])
@qos_1_and_2
def test_a_callback_that_blocks_holds_no_acknowledgement_up(
    mqtt: ModuleType, peer: ScriptedPeer, qos: int, last: int
) -> None:
    """Those of messages that came together with its own, and are over."""
    with Watched(mqtt, "blocked") as watched:
        connection = watched.join(peer)
        go_on = threading.Event()
        watched.client.message_callback_add("last", lambda *_: go_on.wait())
        for mids in ((1, 2), (4, 5, 6)):
            messages = [packets.publish(V311, "t", b"", qos, mid) for mid in mids]
            messages.append(packets.publish(V311, "last", b"", last, 3 * last))
            go_on.clear()
            connection.send(*messages)
            for mid in mids:
                connection.expect(ANSWERS[qos], mid=mid)
            go_on.set()
            if last:
                connection.expect(PUBACK, mid=3)


@pytest.mark.parametrize("clean", [False, True], ids=["kept session", "clean session"])
def test_messages_that_wait_behind_a_goodbye(
    mqtt: ModuleType, peer: ScriptedPeer, clean: bool
) -> None:
    """QoS 2: they could not be acknowledged any more, and stay with a broker that keeps the session."""
    with Watched(mqtt, "waiting", clean=clean) as watched:
        connection = watched.join(peer)

        def on_message(client: Any, userdata: Any, message: Any) -> None:
            watched.messages.put(message)
            client.disconnect()

        watched.client.on_message = on_message
        thread = watched.client._thread
        messages = [packets.publish(V311, "t", b"%d" % mid, 2, mid) for mid in (1, 2, 3)]
        connection.send(b"".join(messages))
        watched.disconnects.wait_count(1)
        if clean:
            assert watched.payloads() == [b"1", b"2", b"3"]
            return
        assert watched.payloads() == [b"1"]
        thread.join(10)
        watched.client.on_message = lambda c, u, message: watched.messages.put(message)
        again = watched.join(peer, session_present=True)
        for mid in (2, 3):
            give(again, 2, mid, dup=True)
            again.expect(PUBREC, mid=mid)
        assert watched.payloads() == [b"1", b"2", b"3"]


def test_manual_acknowledgement_across_connections(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """The program has the message; what it acknowledged while there was no connection is not lost."""
    with Watched(mqtt, "hands", clean=False, manual_ack=True) as watched:
        watched.client.reconnect_delay_set(1, 1)
        first = watched.join(peer)
        give(first, 2, 7)
        give(first, 2, 8)
        watched.messages.wait_count(2)
        first.reset()
        watched.disconnects.wait_count(1)
        watched.client.ack(7, 2)
        second = watched.rejoin(peer, session_present=True)
        for mid in (7, 8):
            give(second, 2, mid, dup=True)
        second.expect(PUBREC, mid=7)
        second.expect_nothing(0.1)
        watched.client.ack(8, 2)
        second.expect(PUBREC, mid=8)
        for mid in (7, 8):
            second.send(packets.acknowledge(V311, PUBREL, mid))
            second.expect(PUBCOMP, mid=mid)
        assert len(watched.messages) == 2
