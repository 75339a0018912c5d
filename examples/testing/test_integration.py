"""Integration tests on the embedded broker, which says what it saw.

pytest examples/testing/test_integration.py
"""

from __future__ import annotations

from typing import Callable

from oxmqtt.testing import Broker, BrokerMessage
from thermostat import READINGS, SWITCH, Thermostat


def test_subscribes_at_qos_1(mqtt_broker: Broker, thermostat: Thermostat) -> None:
    (client,) = mqtt_broker.clients
    assert client.client_id == "thermostat"
    assert [(each.filter, each.qos) for each in client.subscriptions] == [(READINGS, 1)]


def test_switches(
    mqtt_broker: Broker,
    thermostat: Thermostat,
    mqtt_messages: Callable[..., list[BrokerMessage]],
) -> None:
    assert mqtt_broker.publish(READINGS, "18.5", qos=1)
    (message,) = mqtt_messages(SWITCH)
    assert (message.payload, message.qos) == (b"on", 1)
