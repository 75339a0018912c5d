"""What the native side holds, the garbage collector sees: no cycle through it stays for good."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from support import clients
from support.mosquitto import Mosquitto


class Holder:
    """Something that has a weak reference and can be part of a cycle."""


def is_collected(make: Callable[[Holder], object]) -> bool:
    """Whether a cycle of a holder and what `make` makes around it goes away."""
    holder = Holder()
    holder.member = make(holder)  # type: ignore[attr-defined]
    seen = weakref.ref(holder)
    del holder
    gc.collect()
    return seen() is None


def message_with(mqtt: ModuleType, attribute: str) -> Callable[[Holder], object]:
    def make(holder: Holder) -> object:
        message = mqtt.MQTTMessage(1, b"t")
        setattr(message, attribute, holder)
        return message

    return make


@pytest.mark.parametrize("attribute", ["payload", "topic", "info", "properties", "mid", "state"])
def test_message(mqtt: ModuleType, attribute: str) -> None:
    assert is_collected(message_with(mqtt, attribute))


def test_message_of_a_subclass(mqtt: ModuleType) -> None:
    class Own(mqtt.MQTTMessage):  # type: ignore[misc,name-defined]
        pass

    def make(holder: Holder) -> object:
        message = Own(1, b"t")
        message.payload = message.note = holder
        return message

    assert is_collected(make)


def test_message_info(mqtt: ModuleType) -> None:
    assert is_collected(mqtt.MQTTMessageInfo)


def test_copied_message(mqtt: ModuleType) -> None:
    import copy

    assert is_collected(lambda holder: copy.copy(message_with(mqtt, "payload")(holder)))


@pytest.mark.parametrize("field", ["payload", "properties"])
def test_message_of_asyncio(field: str) -> None:
    from oxmqtt import aio

    fields: dict[str, Any] = {
        "topic": "t",
        "payload": b"",
        "qos": 0,
        "retain": False,
        "mid": 0,
        "properties": None,
    }
    assert is_collected(lambda holder: aio.Message(**{**fields, field: holder}))


@pytest.mark.parametrize(
    "attribute", ["on_message", "on_connect", "_userdata", "note", "_handle_on_message"]
)
def test_client(mqtt: ModuleType, attribute: str) -> None:
    def make(holder: Holder) -> object:
        client = clients.make(mqtt, "collected")
        setattr(client, attribute, holder)
        return client

    assert is_collected(make)


def test_client_with_filter_callbacks(mqtt: ModuleType, broker: Mosquitto) -> None:
    """One that received, so that the callbacks of the topic are remembered."""

    def make(holder: Holder) -> object:
        received = threading.Event()
        client = clients.make(mqtt, "remembers")
        client.message_callback_add("remembers", lambda *_, holder=holder: received.set())
        client.on_connect = lambda client, *_: client.subscribe("remembers")
        client.on_subscribe = lambda client, *_: client.publish("remembers", b"")
        client.connect(broker.host, broker.port)
        client.loop_start()
        assert received.wait(30)
        clients.dispose(client)
        client._reset_sockets()
        return client

    assert is_collected(make)


@pytest.mark.better_than_paho("it has no such object")
def test_consumer_of_asyncio() -> None:
    from oxmqtt import aio

    def make(holder: Holder) -> object:
        client = aio.Client("localhost")
        client.note = holder  # type: ignore[attr-defined]
        return (client, client.messages)

    assert is_collected(make)
