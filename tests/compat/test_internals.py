"""The private names of paho that programs reach into, used the way those programs use them.

Most of it runs on paho as well (`--client paho.mqtt.client`): the names mean the same there.
"""

from __future__ import annotations

import contextlib
import select
import threading
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from support import clients, packets
from support.mosquitto import Mosquitto
from support.peer import ScriptedPeer
from support.waiting import Deadline, Mailbox, eventually

MUTEXES = (
    "_in_callback_mutex",
    "_callback_mutex",
    "_msgtime_mutex",
    "_out_message_mutex",
    "_in_message_mutex",
    "_reconnect_delay_mutex",
    "_mid_generate_mutex",
)


class NullLock:
    """What Home Assistant puts in the place of paho's locks."""

    def __enter__(self) -> NullLock:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def acquire(self, blocking: bool = True, timeout: float = -1) -> None:
        pass

    def release(self) -> None:
        pass


def test_locks_can_be_replaced(mqtt: ModuleType, broker: Mosquitto) -> None:
    with clients.Watched(mqtt, "locks") as watched:
        for name in MUTEXES:
            assert hasattr(watched.client, name)
            setattr(watched.client, name, NullLock())
        watched.start(broker).subscribe("locks/#", 1)
        watched.client.publish("locks/x", b"1", 1)
        assert watched.messages.wait_count(1)[0].payload == b"1"


@pytest.mark.better_than_paho("its locks are not reentrant")
def test_locks_can_be_held(mqtt: ModuleType, broker: Mosquitto) -> None:
    """Tests hold them while they patch a client, ThingsBoard while it empties the queues."""
    with clients.Watched(mqtt, "held") as watched:
        watched.start(broker)
        with contextlib.ExitStack() as held:
            for name in MUTEXES:
                held.enter_context(getattr(watched.client, name))
            info = watched.client.publish("held/x", b"1", 1)
            info.wait_for_publish(5)
            assert info.is_published()


def test_options_written_behind_the_api(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """Flask-MQTT and asyncio-paho set what paho has no setter for."""
    client = clients.make(mqtt)
    client._client_id = b"by-hand"
    client._username, client._password = b"user", b"secret"
    client._protocol = mqtt.MQTTv31
    client._clean_session = False
    client._host, client._port, client._keepalive = peer.host, peer.port, 17
    client._userdata = seen = []
    client._on_connect = lambda client, userdata, *_: userdata.append("connected")
    try:
        client.reconnect()
        connection = peer.accept()
        connect = connection.accept_client().connect
        assert (connect["level"], connect["client_id"]) == (3, "by-hand")
        assert (connect["username"], connect["password"]) == (b"user", b"secret")
        assert (connect["clean"], connect["keepalive"]) == (False, 17)
        deadline = Deadline(10)
        while not seen and not deadline.passed():
            client.loop(0.1)
        assert seen == ["connected"]
    finally:
        clients.dispose(client)


def test_limits_written_behind_the_api(mqtt: ModuleType) -> None:
    """ThingsBoard's client reads and writes the limits while it runs."""
    client = clients.make(mqtt, "limits")
    client._max_queued_messages = 2
    results = [client.publish("t", b"", 1).rc for _ in range(3)]
    assert results == [mqtt.MQTT_ERR_NO_CONN, mqtt.MQTT_ERR_NO_CONN, mqtt.MQTT_ERR_QUEUE_SIZE]


def test_queue_of_outgoing_messages(mqtt: ModuleType) -> None:
    """Scripts count it, look for a message in it, and empty it."""
    client = clients.make(mqtt, "queue")
    infos = [client.publish(f"t/{qos}", str(qos), qos) for qos in (1, 2, 1)]
    assert len(client._out_messages) == 3
    assert list(client._out_messages) == [info.mid for info in infos]
    assert infos[1].mid in client._out_messages and 999 not in client._out_messages
    message = client._out_messages[infos[1].mid]
    assert (message.topic, message.payload, message.qos) == ("t/2", b"2", 2)
    assert [m.qos for m in client._out_messages.values()] == [1, 2, 1]
    assert client._out_messages.get(999) is None
    with pytest.raises(KeyError):
        client._out_messages[999]
    assert client._last_mid == infos[2].mid
    with client._out_message_mutex:
        client._out_packet.clear()
        client._out_messages.clear()
    assert not client._out_messages and len(client._out_messages) == 0


def test_states_of_outgoing_messages(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    client = clients.make(mqtt, "states")
    client.max_inflight_messages_set(2)
    client.connect(peer.host, peer.port)
    client.loop_start()
    try:
        connection = peer.accept()
        connection.accept_client()
        eventually(client.is_connected, "online")
        infos = [client.publish("t", b"x", qos) for qos in (1, 2, 1)]
        connection.expect(packets.PUBLISH)
        connection.expect(packets.PUBLISH)
        states = [message.state for message in client._out_messages.values()]
        assert states == [
            mqtt.mqtt_ms_wait_for_puback,
            mqtt.mqtt_ms_wait_for_pubrec,
            mqtt.mqtt_ms_queued,
        ]
        assert client._inflight_messages == 2
        connection.send(packets.acknowledge(packets.V311, packets.PUBREC, infos[1].mid))
        connection.expect(packets.PUBREL)
        state = client._out_messages[infos[1].mid].state
        assert state == mqtt.mqtt_ms_wait_for_pubcomp
        connection.send(packets.acknowledge(packets.V311, packets.PUBCOMP, infos[1].mid))
        connection.expect(packets.PUBLISH)
        eventually(lambda: len(client._out_messages) == 2, "the QoS 2 message is through")
    finally:
        clients.dispose(client)


def test_queue_of_incoming_messages(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    client = clients.make(mqtt, "incoming")
    client.connect(peer.host, peer.port)
    client.loop_start()
    try:
        connection = peer.accept()
        connection.accept_client()
        connection.send(packets.publish(packets.V311, "t", b"held", qos=2, mid=7))
        connection.expect(packets.PUBREC)
        eventually(lambda: 7 in client._in_messages, "the message")
        message = client._in_messages[7]
        assert len(client._in_messages) == 1
        assert (message.mid, message.qos, message.state) == (7, 2, mqtt.mqtt_ms_wait_for_pubrel)
        connection.send(packets.acknowledge(packets.V311, packets.PUBREL, 7))
        connection.expect(packets.PUBCOMP)
        eventually(lambda: not client._in_messages, "released")
    finally:
        clients.dispose(client)


@pytest.mark.better_than_paho("it has no packets to count: it writes on the caller's thread")
def test_packets_that_wait(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """Programs hold back while the length grows; the peer does not read."""
    client = clients.make(mqtt, "waiting")
    client.on_socket_register_write = lambda *_: None
    assert len(client._out_packet) == 0
    client.connect(peer.host, peer.port)
    connection = peer.accept()
    connection.accept_client()
    try:
        for _ in range(200):
            client.publish("t", bytes(100_000))
        eventually(lambda: len(client._out_packet) > 10, "packets wait")
        for _ in range(200):
            connection.expect(packets.PUBLISH)
        assert len(client._out_packet) == 0
    finally:
        clients.dispose(client)


def test_thread(mqtt: ModuleType, broker: Mosquitto) -> None:
    """azure-iot-device compares the thread and forgets it inside a callback; scripts join it."""
    with clients.Watched(mqtt, "thread") as watched:
        threads: Mailbox[Any] = Mailbox()
        connected = watched.client.on_connect

        def on_connect(client: Any, *rest: Any) -> None:
            threads.put((client._thread, threading.current_thread()))
            connected(client, *rest)

        watched.client.on_connect = on_connect
        watched.start(broker)
        ((known, running),) = threads.wait_count(1)
        assert known is running and running.is_alive()
        watched.client.disconnect()
        watched.client._thread_terminate = True
        running.join(10)
        assert not running.is_alive()


def test_waker(mqtt: ModuleType, broker: Mosquitto) -> None:
    """gevent programs wait on the read end; a byte into the other end wakes the loop."""
    client = clients.make(mqtt, "waker")
    client.connect(broker.host, broker.port)
    client.loop(0.0)
    try:
        client._sockpairW.send(b"0")
        readable, _, _ = select.select([client._sockpairR], [], [], 10)
        assert readable
    finally:
        clients.dispose(client)


def test_overridden_loop_and_socket(mqtt: ModuleType, broker: Mosquitto) -> None:
    """locust puts its own wait around `_loop`; programs dial by themselves in `_create_socket`."""

    class Own(mqtt.Client):  # type: ignore[misc,name-defined]
        rounds = dials = closes = 0

        def _loop(self, timeout: float = 1.0) -> Any:
            self.rounds += 1
            return super()._loop(timeout)

        def _create_socket(self) -> Any:
            self.dials += 1
            return super()._create_socket()

        def _sock_close(self) -> None:
            self.closes += 1
            super()._sock_close()

    client = clients.make(mqtt, "own", factory=Own)
    client.on_connect = lambda client, *_: client.disconnect()
    client.connect(broker.host, broker.port)
    client.loop_forever()
    assert client.rounds >= 1 and client.dials == 1 and client.closes >= 1
    client._reset_sockets()
    assert client.socket() is None


def test_patched_registration_for_writing(mqtt: ModuleType, broker: Mosquitto) -> None:
    """Programs with an event loop of their own turn it into nothing."""
    client = clients.make(mqtt, "registration")
    calls: list[Any] = []
    client.on_socket_register_write = lambda *_: calls.append("register")
    client.on_socket_unregister_write = lambda *_: calls.append("unregister")
    client._call_socket_register_write()
    client._call_socket_unregister_write()
    client._call_socket_register_write = client._call_socket_unregister_write = lambda *_: None
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        client.publish("registration", b"", 1).wait_for_publish(10)
    finally:
        clients.dispose(client)
    assert calls == []


@pytest.mark.parametrize("by_subclass", [True, False])
def test_own_packet_identifiers(mqtt: ModuleType, peer: ScriptedPeer, by_subclass: bool) -> None:
    ids = iter([500, 7, 65535, 1])

    class Own(mqtt.Client):  # type: ignore[misc,name-defined]
        def _mid_generate(self) -> int:
            return next(ids)

    client = clients.make(mqtt, "ids", factory=Own if by_subclass else None)
    if not by_subclass:
        client._mid_generate = mock.Mock(side_effect=lambda: next(ids))
    client.connect(peer.host, peer.port)
    client.loop_start()
    try:
        connection = peer.accept()
        connection.accept_client()
        eventually(client.is_connected, "online")
        assert client.publish("t", b"", 1).mid == 500
        assert client.publish("t", b"", 0).mid == 7
        assert client.subscribe("t")[1] == 65535
        assert client.unsubscribe("t")[1] == 1
        connection.expect(packets.PUBLISH, mid=500)
        connection.expect(packets.PUBLISH)
        connection.expect(packets.SUBSCRIBE, mid=65535)
        connection.expect(packets.UNSUBSCRIBE, mid=1)
    finally:
        clients.dispose(client)


def test_next_packet_identifier(mqtt: ModuleType) -> None:
    client = clients.make(mqtt, "ids")
    assert client._mid_generate() == 1
    assert client._last_mid == 1
    client._last_mid = 41
    assert client.publish("t", b"", 1).mid == 42


@pytest.mark.parametrize("api", [1, 2])
@pytest.mark.parametrize("qos", [1, 2])
def test_wrapped_do_on_publish(mqtt: ModuleType, broker: Mosquitto, api: int, qos: int) -> None:
    client = clients.make(mqtt, "wrapped", api=api)
    seen: Mailbox[Any] = Mailbox()
    original = client._do_on_publish

    def wrapped(mid: int, reason: Any, properties: Any) -> Any:
        seen.put((mid, reason.value))
        return original(mid, reason, properties)

    client._do_on_publish = wrapped
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        info = client.publish("wrapped", b"", qos)
        assert seen.wait_count(1) == [(info.mid, 0)]
    finally:
        clients.dispose(client)


def test_overridden_log(mqtt: ModuleType, broker: Mosquitto) -> None:
    lines: Mailbox[str] = Mailbox()

    class Own(mqtt.Client):  # type: ignore[misc,name-defined]
        def _easy_log(self, level: Any, fmt: str, *args: Any) -> None:
            lines.put(fmt % args)

    client = clients.make(mqtt, "log", factory=Own)
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        lines.wait_for(lambda seen: any(line.startswith("Received CONNACK") for line in seen))
    finally:
        clients.dispose(client)


def test_logger_written_behind_the_api(mqtt: ModuleType, broker: Mosquitto) -> None:
    logger = mock.Mock()
    client = clients.make(mqtt, "logger")
    client._logger = logger
    client.connect(broker.host, broker.port)
    try:
        assert logger.log.call_args_list[0].args[1].startswith("Sending CONNECT")
    finally:
        clients.dispose(client)


def test_bytes_of_the_topic(mqtt: ModuleType) -> None:
    message = mqtt.MQTTMessage(1, b"a/b")
    assert message._topic == b"a/b"
    message._topic = b"c"
    assert message.topic == "c"
