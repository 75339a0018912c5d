"""wait_for_publish() without a time-out where nothing can ever send the message: it raises, as paho's."""

from __future__ import annotations

import threading
from types import ModuleType
from typing import Any

import pytest
from support import clients
from support.mosquitto import Mosquitto
from support.waiting import Mailbox, finishes


def raises(info: Any) -> None:
    with pytest.raises(RuntimeError, match="not currently connected"):
        finishes(info.wait_for_publish, 20, "wait_for_publish()")


@pytest.mark.parametrize("qos", [1, 2])
def test_without_connection_and_loop(mqtt: ModuleType, qos: int) -> None:
    client = clients.make(mqtt, "vain")
    raises(client.publish("vain", b"", qos))


def test_after_the_end(mqtt: ModuleType, broker: Mosquitto) -> None:
    client = clients.make(mqtt, "ended")
    client.connect(broker.host, broker.port)
    client.loop_start()
    client.disconnect()
    client.loop_stop()
    raises(client.publish("vain", b"", 1))


@pytest.mark.better_than_paho("paho raises whatever will send it")
def test_a_loop_that_has_yet_to_connect(mqtt: ModuleType, broker: Mosquitto) -> None:
    client = clients.make(mqtt, "later")
    info = client.publish("later", b"", 1)
    client.connect_async(broker.host, broker.port)
    client.loop_start()
    try:
        finishes(info.wait_for_publish, 20, "wait_for_publish()")
        assert info.is_published()
    finally:
        clients.dispose(client)


@pytest.mark.better_than_paho("paho raises at once")
def test_a_wait_ends_when_the_loop_does(mqtt: ModuleType) -> None:
    client = clients.make(mqtt, "gone")
    client.loop_start()
    info = client.publish("gone", b"", 1)
    outcomes: Mailbox[BaseException] = Mailbox()

    def wait() -> None:
        try:
            info.wait_for_publish()
        except RuntimeError as error:
            outcomes.put(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    client.loop_stop()
    outcomes.wait_count(1)
