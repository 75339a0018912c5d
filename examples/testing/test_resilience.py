"""Tests of what a network does: lost connections, lost acknowledgements, a broker that refuses for a while.

pytest examples/testing/test_resilience.py
"""

from __future__ import annotations

from typing import Callable

import pytest
from oxmqtt.testing import Broker, BrokerMessage
from thermostat import READINGS, SWITCH, Thermostat


def answers_again(broker: Broker, thermostat: Thermostat) -> None:
    assert thermostat.ready.wait(10)
    assert broker.publish(READINGS, "30", qos=1)
    assert broker.wait_for(SWITCH).payload == b"off"


def test_comes_back_after_a_lost_connection(mqtt_broker: Broker, thermostat: Thermostat) -> None:
    thermostat.ready.clear()
    assert mqtt_broker.drop_connections() == 1
    answers_again(mqtt_broker, thermostat)


def test_comes_back_to_a_broker_that_refuses_at_first(
    mqtt_broker: Broker, thermostat: Thermostat
) -> None:
    thermostat.ready.clear()
    mqtt_broker.refuse(0x88, times=2)  # "Server unavailable"
    mqtt_broker.drop_connections()
    answers_again(mqtt_broker, thermostat)


@pytest.mark.mqtt_faults(lose_acks=1)
def test_sends_again_what_was_not_acknowledged(
    mqtt_broker: Broker,
    thermostat: Thermostat,
    mqtt_messages: Callable[..., list[BrokerMessage]],
) -> None:
    mqtt_broker.publish(READINGS, "10", qos=1)
    assert mqtt_messages(SWITCH)[0].payload == b"on"
    mqtt_broker.drop_connections()
    assert mqtt_messages(SWITCH)[0].payload == b"on"
