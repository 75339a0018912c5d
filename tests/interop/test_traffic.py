"""Load and shape of traffic: many clients, many threads, blocked callbacks, unix sockets, wills, manual acks."""

from __future__ import annotations

import resource
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import clients, packets
from support.clients import Watched
from support.mosquitto import Mosquitto
from support.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, V5, V311
from support.peer import ScriptedPeer
from support.waiting import Mailbox, drive, eventually


@pytest.fixture
def many_descriptors() -> Any:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.better_than_paho("select() ends at descriptor 1023: some 340 clients")
@pytest.mark.timeout(120)
def test_thousand_clients(mqtt: ModuleType, broker: Mosquitto, many_descriptors: Any) -> None:
    """1,000 clients in one process: all connect, subscribe and get a message."""
    count = 1000
    heard: Mailbox[str] = Mailbox()
    subscribed: Mailbox[str] = Mailbox()
    crowd = []
    try:
        for number in range(count):
            client = clients.make(mqtt, f"crowd{number}", userdata=f"crowd{number}")
            client.on_connect = lambda c, *_: c.subscribe("crowd/all", 1)
            client.on_subscribe = lambda c, name, *_: subscribed.put(name)
            client.on_message = lambda c, name, message: heard.put(name)
            client.connect(broker.host, broker.port)
            client.loop_start()
            crowd.append(client)
        subscribed.wait_count(count, 60)
        crowd[0].publish("crowd/all", "hello", 1)
        names = heard.wait_count(count, 30)
        assert set(names) == {f"crowd{number}" for number in range(count)}
    finally:
        for client in crowd:
            client.disconnect()
        started = time.monotonic()
        for client in crowd:
            client.loop_stop()
        assert time.monotonic() - started < 20


@pytest.mark.better_than_paho("a busy callback starves paho's pings")
@pytest.mark.parametrize("version", [V311, V5])
def test_callback_that_blocks_for_three_keepalives(
    mqtt: ModuleType, broker: Mosquitto, version: int
) -> None:
    """keepalive 1 s; mosquitto cuts after 1.5 s without a packet; the callback sleeps 3.5 s."""
    with Watched(mqtt, f"blocked{version}", version=version) as watched:
        awake = threading.Event()
        good = watched.client.on_message

        def on_message(client: Any, userdata: Any, message: Any) -> None:
            if message.payload == b"sleep":
                time.sleep(3.5)  # what the test is about
                awake.set()
            good(client, userdata, message)

        watched.client.on_message = on_message
        watched.start(broker, keepalive=1)
        watched.subscribe(f"blocked{version}", 1)
        watched.client.publish(f"blocked{version}", "sleep", 1)
        assert awake.wait(10)
        watched.client.publish(f"blocked{version}", "after", 1)
        watched.messages.wait_count(2)
        assert watched.payloads() == [b"sleep", b"after"]
        assert len(watched.disconnects) == 0 and len(watched.connects) == 1


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_many_threads_publish(mqtt: ModuleType, broker: Mosquitto, qos: int) -> None:
    """Eight threads, one client: every message once, the order of each thread kept."""
    threads, each = 8, 250
    with Watched(mqtt, f"many{qos}") as sender, Watched(mqtt, f"hears{qos}") as receiver:
        receiver.start(broker)
        receiver.subscribe(f"many{qos}/#", qos)
        sender.start(broker)
        infos: Mailbox[Any] = Mailbox()

        def work(name: int) -> None:
            for number in range(each):
                infos.put(sender.client.publish(f"many{qos}/{name}", str(number), qos))

        workers = [threading.Thread(target=work, args=(name,)) for name in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(20)
        receiver.messages.wait_count(threads * each, 30)
        sender.published.wait_count(threads * each)
        for name in range(threads):
            payloads = [int(m.payload) for m in receiver.messages if m.topic == f"many{qos}/{name}"]
            assert payloads == list(range(each))
        mids = [info.mid for info in infos]
        assert len(set(mids)) == len(mids)
        for info in infos:
            info.wait_for_publish(5)
            assert info.is_published()


@pytest.mark.better_than_paho("notify() wakes one of them")
def test_every_waiter_wakes(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    with Watched(mqtt, "waiters") as watched:
        watched.client.connect(peer.host, peer.port)
        watched.client.loop_start()
        connection = peer.accept()
        connection.accept_client()
        watched.connects.wait_count(1)
        info = watched.client.publish("waiters", "x", 1)
        woken: Mailbox[bool] = Mailbox()
        started = threading.Barrier(6)

        def wait() -> None:
            started.wait()
            info.wait_for_publish()
            woken.put(info.is_published())

        workers = [threading.Thread(target=wait, daemon=True) for _ in range(5)]
        for worker in workers:
            worker.start()
        started.wait()
        connection.send(connection.answer(connection.expect(PUBLISH)))
        assert woken.wait_count(5, 5) == [True] * 5


def test_unix_socket_peer(mqtt: ModuleType, tmp_path: Path) -> None:
    with ScriptedPeer(unix_path=str(tmp_path / "peer")) as peer:
        client = clients.make(mqtt, "unix", transport="unix")
        client.connect(peer.host)
        connection = peer.accept()
        connection.accept_client()
        drive(client, client.is_connected, "CONNACK")
        client.publish("unix/x", "payload", 0)
        assert connection.expect(PUBLISH).payload == b"payload"
        connection.reset()
        drive(client, lambda: client.socket() is None, "the end")


@pytest.mark.parametrize("version", packets.ALL_VERSIONS)
def test_unix_socket_broker(mqtt: ModuleType, tmp_path: Path, version: int) -> None:
    path = str(tmp_path / "s")
    with Mosquitto(tmp_path / "m", unix_path=path):
        with Watched(mqtt, "unix", version=version, transport="unix") as watched:
            watched.client.connect(path)
            watched.client.loop_start()
            watched.connects.wait_count(1)
            watched.subscribe("unix/#", 2)
            for qos in (0, 1, 2):
                watched.client.publish("unix/x", str(qos), qos)
            watched.messages.wait_count(3)


@pytest.mark.parametrize("version", packets.ALL_VERSIONS)
def test_will_fires_without_disconnect_only(
    mqtt: ModuleType, broker: Mosquitto, version: int
) -> None:
    with Watched(mqtt, f"heir{version}", version=version) as heir:
        heir.start(broker)
        heir.subscribe(f"wills{version}/#", 1)
        for name, polite in (("polite", True), ("rude", False)):
            client = clients.make(mqtt, f"{name}{version}", version)
            client.will_set(f"wills{version}/{name}", f"last words of {name}", 1)
            client.connect(broker.host, broker.port)
            drive(client, client.is_connected, "CONNACK")
            if polite:
                client.disconnect()
                drive(client, lambda c=client: c.socket() is None, "the end")
            else:
                client.socket().close()
        heir.messages.wait_count(1)
        heir.client.publish(f"wills{version}/end", "end", 1)
        heir.messages.wait_count(2)
        assert heir.payloads() == [b"last words of rude", b"end"]


@pytest.mark.parametrize("version", [V311, V5])
def test_manual_ack(mqtt: ModuleType, peer: ScriptedPeer, version: int) -> None:
    """No PUBACK before ack(); acks in the order of the calls."""
    with Watched(mqtt, "manual", version=version, manual_ack=True) as watched:
        watched.client.connect(peer.host, peer.port)
        watched.client.loop_start()
        connection = peer.accept()
        connection.accept_client()
        connection.send(*(packets.publish(version, "m", b"1", 1, mid) for mid in (1, 2, 3)))
        watched.messages.wait_count(3)
        connection.expect_nothing(0.1)
        for mid in (2, 3, 1):
            assert watched.client.ack(mid, 1) == mqtt.MQTT_ERR_SUCCESS
        assert [connection.expect(PUBACK).mid for _ in range(3)] == [2, 3, 1]


@pytest.mark.better_than_paho(
    "it answers by PUBREC at receipt: who dies before ack() has lost the message"
)
@pytest.mark.parametrize("version", [V311, V5])
def test_manual_ack_of_qos_2(mqtt: ModuleType, peer: ScriptedPeer, version: int) -> None:
    """No PUBREC before ack(); PUBCOMP by itself."""
    with Watched(mqtt, "manual2", version=version, manual_ack=True) as watched:
        watched.client.connect(peer.host, peer.port)
        watched.client.loop_start()
        connection = peer.accept()
        connection.accept_client()
        connection.send(*(packets.publish(version, "m", b"2", 2, mid) for mid in (4, 5)))
        watched.messages.wait_count(2)
        connection.expect_nothing(0.1)
        for mid in (5, 4):
            assert watched.client.ack(mid, 2) == mqtt.MQTT_ERR_SUCCESS
            connection.expect(PUBREC, mid=mid)
            connection.send(packets.acknowledge(version, PUBREL, mid))
            connection.expect(PUBCOMP, mid=mid)


def test_acknowledged_after_the_callback(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """QoS 1 is acknowledged when the callback has returned, not before."""
    with Watched(mqtt, "after") as watched:
        entered, leave = threading.Event(), threading.Event()

        def on_message(*_: Any) -> None:
            entered.set()
            assert leave.wait(10)

        watched.client.on_message = on_message
        watched.client.connect(peer.host, peer.port)
        watched.client.loop_start()
        connection = peer.accept()
        connection.accept_client()
        connection.send(packets.publish(V311, "m", b"1", 1, 1))
        assert entered.wait(10)
        connection.expect_nothing(0.1)
        leave.set()
        connection.expect(PUBACK, mid=1)


def test_large_messages_both_ways(mqtt: ModuleType, broker: Mosquitto) -> None:
    """Bigger than every buffer: 8 MiB, three times, QoS 0, 1, 2."""
    payload = bytes(range(256)) * (8 << 12)
    with Watched(mqtt, "large") as watched:
        watched.start(broker)
        watched.subscribe("large", 2)
        for qos in (0, 1, 2):
            watched.client.publish("large", payload, qos)
        watched.messages.wait_count(3, 30)
        assert [m.payload == payload for m in watched.messages] == [True] * 3


def test_dead_peer_is_noticed(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """keepalive 1: PINGREQ after a second, on_disconnect(keep-alive) within the bound when nobody answers."""
    bound = 1.9 if not mqtt.__name__.startswith("paho") else 4
    with Watched(mqtt, "dead", reconnect_on_failure=False) as watched:
        watched.client.connect(peer.host, peer.port, keepalive=1)
        watched.client.loop_start()
        connection = peer.accept()
        connection.accept_client()
        watched.connects.wait_count(1)
        started = time.monotonic()
        connection.expect(packets.PINGREQ, seconds=3)
        watched.disconnects.wait_count(1, 5)
        assert time.monotonic() - started < bound
        assert watched.disconnects.items()[0][2] == "Keep alive timeout"
        eventually(lambda: not watched.client.is_connected(), "is_connected() to tell the truth")
