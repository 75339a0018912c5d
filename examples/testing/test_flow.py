"""A test of a flow of messages: many readings in, as many switches out, in order.

pytest examples/testing/test_flow.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thermostat import READINGS, SWITCH, Thermostat

if TYPE_CHECKING:
    from oxmqtt.testing import Broker


def test_every_reading_is_answered_in_order(broker: Broker, thermostat: Thermostat) -> None:
    readings = [15 + number % 10 for number in range(500)]
    for celsius in readings:
        broker.publish(READINGS, str(celsius), qos=1)
    answers = [broker.wait_for(SWITCH).payload for _ in readings]
    assert answers == [b"on" if celsius < thermostat.wanted else b"off" for celsius in readings]
