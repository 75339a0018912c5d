"""loop_stop() is bounded in every state, and the loop can be started again."""

from __future__ import annotations

import select
import sys
import threading
import time
from types import ModuleType
from typing import Any

import pytest
from support import clients, packets
from support.bounds import within
from support.clients import Watched
from support.mosquitto import Mosquitto, free_port
from support.peer import ScriptedPeer
from support.waiting import Deadline, eventually, finishes


def stop_in_time(client: Any) -> Any:
    started = time.monotonic()
    result = finishes(client.loop_stop, 5, "loop_stop()")
    state = sys._getframe(1).f_code.co_name.replace("test_", "").replace("_", " ")
    within(f"loop_stop(), {state}", time.monotonic() - started, 0.2)
    return result


@pytest.mark.better_than_paho("paho looks once a second")
def test_idle(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    with Watched(mqtt, "idle") as watched:
        watched.client.connect(peer.host, peer.port)
        watched.client.loop_start()
        peer.accept().accept_client()
        watched.connects.wait_count(1)
        stop_in_time(watched.client)


@pytest.mark.better_than_paho("paho waits for the acknowledgement (#608)")
@pytest.mark.parametrize("qos", [1, 2])
def test_unacknowledged(mqtt: ModuleType, peer: ScriptedPeer, qos: int) -> None:
    with Watched(mqtt, "unacked") as watched:
        watched.client.connect(peer.host, peer.port)
        watched.client.loop_start()
        connection = peer.accept()
        connection.accept_client()
        watched.connects.wait_count(1)
        watched.client.publish("a", "b", qos)
        connection.expect(packets.PUBLISH)
        stop_in_time(watched.client)


@pytest.mark.better_than_paho("paho looks once a second")
def test_no_connack(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    with Watched(mqtt, "noconnack") as watched:
        watched.client.connect(peer.host, peer.port)
        watched.client.loop_start()
        peer.accept().expect(packets.CONNECT)
        stop_in_time(watched.client)


@pytest.mark.better_than_paho("paho looks once a second")
def test_waiting_to_reconnect(mqtt: ModuleType) -> None:
    client = clients.make(mqtt, "nobody")
    failed = threading.Event()
    client.on_connect_fail = lambda *_: failed.set()
    client.reconnect_delay_set(30, 60)
    client.connect_async("127.0.0.1", free_port())
    client.loop_start()
    assert failed.wait(10)
    stop_in_time(client)


@pytest.mark.better_than_paho("paho waits until all is written")
def test_peer_that_does_not_read(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """The socket is full and more is waiting; publish() on another thread waits too, until the connection goes."""
    with Watched(mqtt, "full") as watched:
        watched.client.connect(peer.host, peer.port)
        watched.client.loop_start()
        connection = peer.accept()
        connection.accept_client()
        watched.connects.wait_count(1)
        published: list[int] = []

        def flood() -> None:
            for _ in range(100):
                published.append(watched.client.publish("a", b"x" * (4 << 20), 0).rc)

        flooder = threading.Thread(target=flood, daemon=True)
        flooder.start()
        eventually(lambda: published, "the first publish() to return")
        stop_in_time(watched.client)
        watched.client.loop_start()
        connection.reset()
        flooder.join(5)
        assert not flooder.is_alive(), "publish() still waits, though there is no connection"
        assert len(published) == 100


def test_from_a_callback(mqtt: ModuleType, broker: Mosquitto) -> None:
    """loop_stop() on the loop's own thread returns; the thread ends after the callback."""
    client = clients.make(mqtt, "self")
    results: list[Any] = []
    client.on_connect = lambda *_: results.append(client.loop_stop())
    client.connect(broker.host, broker.port)
    client.loop_start()
    eventually(lambda: results, "the result", 5)
    assert results == [mqtt.MQTT_ERR_SUCCESS]
    eventually(
        lambda: client._thread is None or not client._thread.is_alive(), "the end of the thread", 5
    )
    client.disconnect()


class Busy:
    """A callback that runs until it is told to leave."""

    def __init__(self) -> None:
        self.entered, self.leave, self.left = (threading.Event() for _ in range(3))

    def __call__(self, *_: Any) -> None:
        self.entered.set()
        self.leave.wait(10)
        self.left.set()


def test_while_a_callback_runs(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """It waits for a callback of ordinary length: after loop_stop() no callback runs."""
    with Watched(mqtt, "busy") as watched:
        busy = watched.client.on_message = Busy()
        watched.client.connect(peer.host, peer.port)
        watched.client.loop_start()
        connection = peer.accept()
        connection.accept_client()
        watched.connects.wait_count(1)
        connection.send(packets.publish(packets.V311, "a", b"x"))
        assert busy.entered.wait(10)
        threading.Timer(0.1, busy.leave.set).start()
        finishes(watched.client.loop_stop, 5, "loop_stop()")
        assert busy.left.is_set()


@pytest.mark.better_than_paho("paho waits for the callback, however long it takes")
@pytest.mark.parametrize("name", ["on_message", "on_publish", "on_pre_connect", "on_connect_fail"])
def test_while_a_callback_blocks(mqtt: ModuleType, peer: ScriptedPeer, name: str) -> None:
    """It says that the callback still runs; the thread ends when it returns, and calls no other one."""
    client = clients.make(mqtt, "blocked")
    busy = Busy()
    setattr(client, name, busy)
    messages: list[Any] = []
    client.on_subscribe = lambda *_: messages.append("on_subscribe")
    client.connect_async(peer.host, free_port() if name == "on_connect_fail" else peer.port)
    client.loop_start()
    if name in ("on_message", "on_publish"):
        client.publish("a", "b", 1)
        connection = peer.accept()
        connection.accept_client()
        mid = connection.expect(packets.PUBLISH).mid
        connection.send(packets.acknowledge(packets.V311, packets.PUBACK, mid))
        connection.send(packets.publish(packets.V311, "a", b"x"))
    assert busy.entered.wait(10)
    thread = client._thread
    assert stop_in_time(client) == mqtt.MQTT_ERR_AGAIN
    assert stop_in_time(client) == mqtt.MQTT_ERR_AGAIN
    assert client.loop_start() == mqtt.MQTT_ERR_INVAL
    busy.leave.set()
    thread.join(5)
    assert not thread.is_alive() and client._thread is None
    assert client.loop_stop() == mqtt.MQTT_ERR_INVAL
    assert not messages
    clients.dispose(client)


def test_stop_does_not_disconnect_and_start_goes_on(mqtt: ModuleType, broker: Mosquitto) -> None:
    """The connection stays; a second loop_start() takes it up again."""
    with Watched(mqtt, "again") as watched:
        watched.start(broker)
        watched.subscribe("again", 1)
        for round_number in range(3):
            assert watched.client.loop_stop() == mqtt.MQTT_ERR_SUCCESS
            assert watched.client.loop_stop() == mqtt.MQTT_ERR_INVAL
            assert watched.client.is_connected()
            assert watched.client.loop_start() == mqtt.MQTT_ERR_SUCCESS
            assert watched.client.loop_start() == mqtt.MQTT_ERR_INVAL
            watched.client.publish("again", str(round_number), 1)
            watched.messages.wait_count(round_number + 1)
        assert len(watched.connects) == 1 and len(watched.disconnects) == 0


@pytest.mark.better_than_paho("after loop_stop() paho's loop_forever() runs one pass (#383)")
def test_loop_forever_after_loop_stop(mqtt: ModuleType, broker: Mosquitto) -> None:
    with Watched(mqtt, "then-forever") as watched:
        watched.start(broker)
        watched.client.loop_stop()
        watched.client.on_publish = lambda *_: watched.client.disconnect()
        watched.client.publish("a", "b", 1)
        finishes(watched.client.loop_forever, 10, "loop_forever()")
        assert not watched.client.is_connected()


@pytest.mark.parametrize("version", [packets.V311, packets.V5])
def test_disconnect_before_the_connack_was_handled(
    mqtt: ModuleType, peer: ScriptedPeer, version: int
) -> None:
    """The CONNACK has come, but no loop has run: disconnect() ends it all the same, on_disconnect comes once."""
    client = clients.make(mqtt, "early", version)
    calls: list[str] = []
    client.on_connect = lambda *_: calls.append("on_connect")
    client.on_disconnect = lambda *_: calls.append("on_disconnect")
    client.connect(peer.host, peer.port)
    connection = peer.accept()
    connection.accept_client()
    select.select([client.socket()], [], [], 5)  # the CONNACK is here
    assert not client.is_connected(), "connected, though on_connect has not been called"
    client.disconnect()
    deadline = Deadline(2)
    while client.socket() is not None and not deadline.passed():
        client.loop(0.02)
    assert client.socket() is None
    assert not client.is_connected()
    assert calls.count("on_disconnect") == 1
    assert [packet.kind for packet in connection.read_to_end()] == [packets.DISCONNECT]
    assert client.loop(0.01) == mqtt.MQTT_ERR_NO_CONN
