"""The pytest plugin: a broker and clients as fixtures.

It stands outside the package `oxmqtt`, whose import loads the engine: nothing of that happens before a
test asks for one of the fixtures.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Callable

import pytest

if TYPE_CHECKING:
    from oxmqtt import aio, client
    from oxmqtt.testing import Broker, BrokerMessage

_FAULTS = ("cut_after", "delay_acks", "lose_acks", "refuse")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "mqtt_broker(**options): what the fixture mqtt_broker passes to Broker"
    )
    config.addinivalue_line(
        "markers",
        "mqtt_faults(cut_after=, delay_acks=, lose_acks=, refuse=): "
        "faults of mqtt_broker that are switched on when the test starts",
    )


@pytest.fixture
def mqtt_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker for this test, on a port of its own."""
    from oxmqtt.testing import Broker

    options = request.node.get_closest_marker("mqtt_broker")
    faults = request.node.get_closest_marker("mqtt_faults")
    with Broker(**(options.kwargs if options else {})) as broker:
        for name, value in (faults.kwargs if faults else {}).items():
            if name not in _FAULTS:
                raise pytest.UsageError(f"mqtt_faults: {name!r} is not one of {_FAULTS}")
            getattr(broker, name)(value)
        yield broker


@pytest.fixture
def mqtt_client(mqtt_broker: Broker) -> Iterator[client.Client]:
    """An `oxmqtt.client.Client` that is connected to `mqtt_broker`, its loop running.

    Unless a fault prevents it: then it goes on trying.
    """
    from oxmqtt.client import CallbackAPIVersion, Client

    answered = threading.Event()
    connected = Client(CallbackAPIVersion.VERSION2)
    connected.on_connect = connected.on_disconnect = lambda *_: answered.set()
    port, tls = _way_to(mqtt_broker)
    if tls:
        connected.tls_set(**tls)
    connected.connect(mqtt_broker.host, port)
    connected.loop_start()
    if not answered.wait(10):
        raise TimeoutError("no answer to CONNECT within 10 s")
    connected.on_connect = connected.on_disconnect = None
    yield connected
    connected.disconnect()
    connected.loop_stop()


@pytest.fixture
def aio_mqtt_client(mqtt_broker: Broker) -> aio.Client:
    """An `oxmqtt.aio.Client` for `mqtt_broker`; ``async with`` in the test connects it.

    So it works under pytest-asyncio, anyio and `asyncio.run` alike.
    """
    from oxmqtt.aio import Client, TLSParameters

    port, tls = _way_to(mqtt_broker)
    return Client(mqtt_broker.host, port, tls_params=TLSParameters(**tls) if tls else None)


def _way_to(broker: Broker) -> tuple[int, dict[str, Any]]:
    """The port for a client, and what it needs for TLS: nothing where plain TCP is open."""
    if broker.url.startswith("mqtt:"):
        return broker.port, {}
    certificate, key = broker.issue("pytest")
    return broker.tls_port, {"ca_certs": broker.ca_file, "certfile": certificate, "keyfile": key}


@pytest.fixture
def mqtt_messages(mqtt_broker: Broker) -> Callable[..., list[BrokerMessage]]:
    """A function: waits for the next ``count`` messages that were published to `mqtt_broker`.

    Called as ``mqtt_messages(topic_filter="#", count=1, timeout=5.0)``; ``TimeoutError`` when they are
    not there in time. Each message is given once.
    """

    def take(topic_filter: str = "#", count: int = 1, timeout: float = 5.0) -> list[Any]:
        return [mqtt_broker.wait_for(topic_filter, timeout) for _ in range(count)]

    return take
