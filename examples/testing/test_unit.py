"""Unit tests without a broker: the callbacks are called directly, the client is a stand-in.

pytest examples/testing/test_unit.py
"""

from __future__ import annotations

from unittest.mock import create_autospec

import oxmqtt.client as mqtt
import pytest
from thermostat import READINGS, SWITCH, Thermostat


@pytest.mark.parametrize(("celsius", "switch"), [(b"18.5", "on"), (b"22", "off")])
def test_switch(celsius: bytes, switch: str) -> None:
    client = create_autospec(mqtt.Client, instance=True)
    message = mqtt.MQTTMessage(topic=READINGS.encode())
    message.payload = celsius
    Thermostat(client).on_message(client, None, message)
    client.publish.assert_called_once_with(SWITCH, switch, qos=1)


def test_what_is_no_number_is_passed_over() -> None:
    client = create_autospec(mqtt.Client, instance=True)
    message = mqtt.MQTTMessage(topic=READINGS.encode())
    message.payload = b"broken"
    Thermostat(client).on_message(client, None, message)
    client.publish.assert_not_called()
