"""Clients of both libraries in the versions that matter, for the fixture `mqtt_broker`."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any, Callable

import pytest
from oxmqtt.testing import Broker
from support import packets
from support.clients import dispose, make
from support.waiting import Mailbox

MakeClient = Callable[..., Any]


@pytest.fixture(params=["oxmqtt", "paho"])
def library(request: pytest.FixtureRequest, paho: ModuleType) -> ModuleType:
    import oxmqtt.client

    return paho if request.param == "paho" else oxmqtt.client


@pytest.fixture(params=[packets.V311, packets.V5], ids=["3.1.1", "5.0"])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def client(library: ModuleType, version: int) -> Iterator[MakeClient]:
    """Makes a client that collects its messages in `received`; `start` connects it."""
    made: list[Any] = []

    def new(client_id: str, **options: Any) -> Any:
        one = make(library, client_id, version, **options)
        one.received = Mailbox()
        one.connected = Mailbox()
        one.ended = Mailbox()
        one.on_message = lambda _c, _u, message: one.received.put(message)
        one.on_connect = lambda _c, _u, _f, reason, _p: one.connected.put(reason)
        one.on_disconnect = lambda _c, _u, _f, reason, _p: one.ended.put(reason)
        one.reconnect_delay_set(1, 1)
        made.append(one)
        return one

    yield new
    for one in made:
        dispose(one)


def start(client: Any, port: int, **options: Any) -> Any:
    """Connects and waits for CONNACK."""
    client.connect("127.0.0.1", port, **options)
    client.loop_start()
    client.connected.wait_count(1)
    return client


def subscribe(client: Any, broker: Broker, topic_filter: str, qos: int = 0) -> None:
    client.subscribe(topic_filter, qos)
    broker.wait_for_subscription(topic_filter)
