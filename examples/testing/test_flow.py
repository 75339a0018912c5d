"""A test of a flow of messages: many readings in, as many switches out, in order.

pytest examples/testing/test_flow.py
"""

from __future__ import annotations

from typing import Callable

import oxmqtt.client as mqtt
from oxmqtt.testing import BrokerMessage
from thermostat import READINGS, SWITCH, Thermostat


def test_every_reading_is_answered_in_order(
    thermostat: Thermostat,
    mqtt_client: mqtt.Client,
    mqtt_messages: Callable[..., list[BrokerMessage]],
) -> None:
    readings = [15 + number % 10 for number in range(500)]
    for celsius in readings:
        mqtt_client.publish(READINGS, str(celsius), qos=1)
    answers = [message.payload for message in mqtt_messages(SWITCH, len(readings))]
    assert answers == [b"on" if celsius < thermostat.wanted else b"off" for celsius in readings]
