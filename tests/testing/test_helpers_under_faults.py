"""The calls without a client, `publish.single()` and its like, of both libraries, on a real broker with faults."""

from __future__ import annotations

import importlib
import threading
import time
from types import ModuleType
from typing import Any, Callable

import pytest
from oxmqtt.testing import Broker, BrokerMessage
from support.waiting import Mailbox

Messages = Callable[..., list[BrokerMessage]]


@pytest.fixture(params=["oxmqtt", "paho.mqtt"])
def package(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def publish(package: str) -> ModuleType:
    return importlib.import_module(f"{package}.publish")


@pytest.fixture
def subscribe(package: str) -> ModuleType:
    return importlib.import_module(f"{package}.subscribe")


def at(broker: Broker) -> dict[str, Any]:
    return {"hostname": broker.host, "port": broker.port}


@pytest.mark.mqtt_faults(delay_acks=0.2)
@pytest.mark.parametrize("qos", [1, 2])
def test_single_waits_for_the_acknowledgement(
    publish: ModuleType, mqtt_broker: Broker, mqtt_messages: Messages, qos: int
) -> None:
    started = time.monotonic()
    publish.single("a", "x", qos, **at(mqtt_broker))
    assert time.monotonic() - started >= 0.2 * qos  # QoS 2 has two acknowledgements
    assert len(mqtt_messages("a")) == 1


@pytest.mark.mqtt_faults(refuse=0x87)
def test_a_refusal_is_raised(
    package: str, publish: ModuleType, subscribe: ModuleType, mqtt_broker: Broker
) -> None:
    error = importlib.import_module(package if package == "oxmqtt" else "paho.mqtt").MQTTException
    with pytest.raises(error, match="authori"):
        publish.single("a", "x", **at(mqtt_broker))
    with pytest.raises(error, match="authori"):
        subscribe.simple("a", **at(mqtt_broker))


@pytest.mark.mqtt_faults(cut_after=200)
@pytest.mark.parametrize("qos", [1, 2])
def test_a_cut_loses_no_message_of_many(mqtt_broker: Broker, qos: int) -> None:
    # paho's own loses one of them.
    from oxmqtt import publish

    publish.multiple([("a", str(number), qos) for number in range(30)], **at(mqtt_broker))
    arrived = [message.payload for message in mqtt_broker.messages]
    assert list(dict.fromkeys(arrived)) == [b"%d" % number for number in range(30)]


def test_simple_subscribes_again(subscribe: ModuleType, mqtt_broker: Broker) -> None:
    received: Mailbox[Any] = Mailbox()

    def listen() -> None:
        received.put(subscribe.simple("a", qos=1, msg_count=2, **at(mqtt_broker)))

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    mqtt_broker.wait_for_subscription("a")
    mqtt_broker.drop_connections()
    mqtt_broker.wait_for_subscription("a")
    for payload in ("1", "2"):
        mqtt_broker.publish("a", payload, 1)
    (messages,) = received.wait_count(1)
    assert [message.payload for message in messages] == [b"1", b"2"]
    thread.join(10)
