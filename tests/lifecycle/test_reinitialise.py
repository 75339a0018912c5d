"""`reinitialise()`: everything begins anew, wherever it is called, and a fork in a callback likewise."""

from __future__ import annotations

import os
import threading
from types import ModuleType
from typing import Any

import pytest
from oxmqtt.testing import Broker
from support import clients, packets
from support.mosquitto import Mosquitto
from support.peer import ScriptedPeer
from support.process import Program
from support.waiting import eventually

from .test_fork import PARENT


def test_limits_are_the_defaults_again(mqtt: ModuleType) -> None:
    client = clients.make(mqtt, "limits")
    client.max_queued_messages_set(1)
    client.max_inflight_messages_set(1)
    client.reinitialise()
    assert (client.max_queued_messages, client.max_inflight_messages) == (0, 20)
    results = [client.publish("t", b"", 1).rc for _ in range(3)]
    assert results == [mqtt.MQTT_ERR_NO_CONN] * 3


def test_limits_of_a_connection(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """The window too is what it was at first."""
    client = clients.make(mqtt, "window")
    client.max_inflight_messages_set(1)
    client.reinitialise("window")
    client.connect(peer.host, peer.port)
    client.loop_start()
    try:
        connection = peer.accept()
        connection.accept_client()
        eventually(client.is_connected, "online")
        for number in range(3):
            client.publish("t", str(number), 1)
        for _ in range(3):
            connection.expect(packets.PUBLISH)
    finally:
        clients.dispose(client)


@pytest.mark.better_than_paho("it keeps the limit")
def test_packet_size_is_the_default_again(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    client = clients.make(mqtt, "size", version=packets.V5)
    client.max_packet_size = 1_000
    client.reinitialise("size", clean_session=None)
    client._protocol = mqtt.MQTTv5
    client.connect(peer.host, peer.port)
    client.loop_start()
    try:
        connection = peer.accept()
        connection.accept_client()
        connection.send(packets.publish(packets.V5, "large", bytes(100_000)))
        connection.expect_alive()
    finally:
        clients.dispose(client)


@pytest.mark.better_than_paho("the thread of the loop is lost, and dies of its next reconnect")
@pytest.mark.parametrize("callback", ["on_connect", "on_subscribe", "on_message", "on_socket_open"])
def test_in_a_callback(mqtt: ModuleType, broker: Mosquitto, callback: str) -> None:
    """Nothing is raised, and the loop that called goes on with the next connection."""
    uncaught: list[Any] = []
    threading.excepthook, before = (lambda args: uncaught.append(args)), threading.excepthook
    called, connected = threading.Event(), threading.Event()
    client = clients.make(mqtt, "first")

    def start_over(client: Any, *_: Any) -> None:
        client.reinitialise("second")
        called.set()

    client.on_connect = lambda client, *_: client.subscribe("again", 1)
    client.on_subscribe = lambda client, *_: client.publish("again", b"", 1)
    setattr(client, callback, start_over)
    try:
        client.connect(broker.host, broker.port)
        client.loop_start()
        assert called.wait(30)
        assert client.on_message is None and not client.is_connected()
        client.on_connect = lambda *_: connected.set()
        client._callback_api_version = mqtt.CallbackAPIVersion.VERSION2
        client.connect(broker.host, broker.port)
        client.loop_start()
        assert connected.wait(30) and client._client_id == b"second"
        assert client.loop_stop() == mqtt.MQTT_ERR_SUCCESS
    finally:
        clients.dispose(client)
        threading.excepthook = before
    assert not uncaught


@pytest.mark.better_than_paho("the child goes on with the parent's connection")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() here")
@pytest.mark.parametrize("callback", ["on_connect", "on_message", "on_disconnect"])
def test_fork_in_a_callback(client_name: str, broker: Mosquitto, callback: str) -> None:
    """Parent and child return from it without an exception, and the parent's connection goes on."""
    source = (
        PARENT
        + """
    client = make("forks")
    subscribed = threading.Event()
    forked = threading.Event()
    ends = []
    def fork(*_):
        if forked.is_set():
            return
        forked.set()
        child = os.fork()
        if child == 0:
            return  # on into the machinery of the callback
        ends.append(end_of(child))
    def run(client):
        try:
            client.loop_forever()
        except BaseException as error:
            say("error", repr(error))
            os._exit(9)
    parent = os.getpid()
    client.on_connect = lambda client, *_: client.subscribe("forks", 1)
    client.on_subscribe = lambda client, *_: client.publish("forks", b"", 1)
    client.on_message = lambda client, *_: client.disconnect()
    inner = getattr(client, CALLBACK)
    def outer(*args):
        fork()
        if os.getpid() == parent and inner is not None:
            inner(*args)
    setattr(client, CALLBACK, outer)
    client.connect(HOST, PORT)
    run(client)
    if os.getpid() != parent:
        os._exit(0)
    say("ends", *ends)
    """
    )
    with Program(
        source, client_name, HOST=broker.host, PORT=broker.port, CALLBACK=callback
    ) as program:
        assert program.wait_line("ends") == "ends 0"


@pytest.mark.better_than_paho("it cuts its own goodbye")
def test_a_goodbye_comes_to_its_end_first(mqtt: ModuleType) -> None:
    """What was published leaves, and the will does not fire."""
    with Broker() as broker:
        client = clients.make(mqtt, "goer")
        client.will_set("will", "fired")
        client.connect(broker.host, broker.port)
        client.loop_start()
        eventually(client.is_connected, "CONNACK")
        for _ in range(300):
            client.publish("last", bytes(10_000))
        client.disconnect()
        client.reinitialise()
        eventually(lambda: not broker.clients, "the broker to see the end")
        assert [message.topic for message in broker.messages] == ["last"] * 300
        clients.dispose(client)
