"""Integration tests on the embedded broker, which says what it saw.

pytest examples/testing/test_integration.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thermostat import READINGS, SWITCH, Thermostat

if TYPE_CHECKING:
    from oxmqtt.testing import Broker


def test_subscribes_at_qos_1(broker: Broker, thermostat: Thermostat) -> None:
    (client,) = broker.clients
    assert client.client_id == "thermostat"
    assert [(each.filter, each.qos) for each in client.subscriptions] == [(READINGS, 1)]


def test_switches(broker: Broker, thermostat: Thermostat) -> None:
    assert broker.publish(READINGS, "18.5", qos=1)
    message = broker.wait_for(SWITCH)
    assert (message.payload, message.qos) == (b"on", 1)
