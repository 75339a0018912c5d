"""Tests of what a network does: lost connections, lost acknowledgements, a broker that refuses for a while.

pytest examples/testing/test_resilience.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thermostat import READINGS, SWITCH, Thermostat

if TYPE_CHECKING:
    from oxmqtt.testing import Broker


def answers_again(broker: Broker, thermostat: Thermostat) -> None:
    assert thermostat.ready.wait(10)
    assert broker.publish(READINGS, "30", qos=1)
    assert broker.wait_for(SWITCH).payload == b"off"


def test_comes_back_after_a_lost_connection(broker: Broker, thermostat: Thermostat) -> None:
    thermostat.ready.clear()
    assert broker.drop_connections() == 1
    answers_again(broker, thermostat)


def test_comes_back_to_a_broker_that_refuses_at_first(
    broker: Broker, thermostat: Thermostat
) -> None:
    thermostat.ready.clear()
    broker.refuse(0x88, times=2)  # "Server unavailable"
    broker.drop_connections()
    answers_again(broker, thermostat)


def test_sends_again_what_was_not_acknowledged(broker: Broker, thermostat: Thermostat) -> None:
    broker.lose_acks(1)
    broker.publish(READINGS, "10", qos=1)
    assert broker.wait_for(SWITCH).payload == b"on"
    broker.drop_connections()
    assert broker.wait_for(SWITCH).payload == b"on"
