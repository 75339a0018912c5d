"""Clients that are let go of leave nothing behind: no object, no thread, no descriptor."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from types import ModuleType
from typing import Any

import pytest
from support import clients
from support.clients import Watched
from support.mosquitto import Mosquitto
from support.waiting import drive, eventually

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def native_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def settled(before: tuple[int, int]) -> None:
    """Descriptors and threads are back where they were."""
    gc.collect()
    eventually(
        lambda: descriptors() <= before[0] and native_threads() <= before[1],
        f"at most {before} descriptors and threads; now {descriptors(), native_threads()}",
        5,
    )


@pytest.fixture
def baseline(mqtt: ModuleType, broker: Mosquitto) -> tuple[int, int]:
    """After one client has come and gone, so that the runtime of the process exists."""
    with Watched(mqtt, "first") as watched:
        watched.start(broker)
        watched.client.publish("a", "b", 1)
        watched.published.wait_count(1)
    del watched
    gc.collect()
    return descriptors(), native_threads()


def test_disconnected_clients(
    mqtt: ModuleType, broker: Mosquitto, baseline: tuple[int, int]
) -> None:
    references = []
    for number in range(10):
        watched = Watched(mqtt, f"gone{number}").start(broker)
        watched.close()
        references.append(weakref.ref(watched.client))
        del watched
    settled(baseline)
    assert [reference() for reference in references] == [None] * 10


def test_connected_client_without_a_loop(
    mqtt: ModuleType, broker: Mosquitto, baseline: tuple[int, int]
) -> None:
    """Never disconnected, no thread: the last reference closes the connection."""
    client = clients.make(mqtt, "dropped")
    client.connect(broker.host, broker.port)
    drive(client, client.is_connected, "CONNACK")
    client.publish("a", b"x" * 1000, 1)
    reference = weakref.ref(client)
    del client
    settled(baseline)
    assert reference() is None


def test_client_in_a_cycle(mqtt: ModuleType, broker: Mosquitto, baseline: tuple[int, int]) -> None:
    """A client whose callbacks are bound methods of the object that owns it."""

    class Device:
        def __init__(self) -> None:
            self.client = clients.make(mqtt, "cycle", userdata=self)
            self.client.on_connect = self.on_connect
            self.client.on_message = self.on_message
            self.client.message_callback_add("x/#", self.on_message)

        def on_connect(self, *_: Any) -> None:
            self.client.subscribe("x/y")

        def on_message(self, *_: Any) -> None:
            pass

    device = Device()
    device.client.connect(broker.host, broker.port)
    drive(device.client, device.client.is_connected, "CONNACK")
    references = [weakref.ref(device), weakref.ref(device.client)]
    device.client.disconnect()
    del device
    settled(baseline)
    assert [reference() for reference in references] == [None, None]


def test_never_connected(mqtt: ModuleType, baseline: tuple[int, int]) -> None:
    references = []
    for _ in range(100):
        client = clients.make(mqtt, "never")
        client.on_message = lambda *_: None
        client.publish("a", "b", 1)
        references.append(weakref.ref(client))
    del client
    settled(baseline)
    assert not any(reference() for reference in references)


@pytest.mark.better_than_paho("paho keeps a socket pair until it is collected (#627)")
def test_close_frees_the_descriptors(
    mqtt: ModuleType, broker: Mosquitto, baseline: tuple[int, int]
) -> None:
    """While the object still lives."""
    watched = Watched(mqtt, "alive").start(broker)
    watched.client.close()
    settled(baseline)
    assert watched.client.socket() is None


def test_reconnects_do_not_pile_up(
    mqtt: ModuleType, broker: Mosquitto, baseline: tuple[int, int]
) -> None:
    with Watched(mqtt, "again") as watched:
        for number in range(20):
            watched.client.connect(broker.host, broker.port)
            watched.client.loop_start()
            watched.connects.wait_count(number + 1)
            watched.client.disconnect()
            watched.disconnects.wait_count(number + 1)
            watched.client.loop_stop()
        gc.collect()
        eventually(lambda: descriptors() <= baseline[0] + 4, "few descriptors", 5)
        eventually(lambda: native_threads() <= baseline[1], "no thread left", 5)


def test_messages_are_freed(mqtt: ModuleType, broker: Mosquitto) -> None:
    """Payloads and infos go when the program lets go of them."""
    with Watched(mqtt, "memory") as watched:
        watched.client.on_message = lambda *_: None
        watched.start(broker)
        watched.subscribe("memory", 0)
        for number in range(200):
            watched.client.publish("memory", b"x" * 1000, number % 3)
        watched.published.wait_count(200)
        gc.collect()
        alive = [o for o in gc.get_objects() if type(o).__name__ == "MQTTMessage"]
        assert len(alive) < 20


def test_loop_thread_is_a_daemon(mqtt: ModuleType, broker: Mosquitto) -> None:
    with Watched(mqtt, "named") as watched:
        watched.start(broker)
        thread = watched.client._thread
        assert thread.daemon and thread.name == "paho-mqtt-client-named"
        assert thread in threading.enumerate()
