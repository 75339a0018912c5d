"""What the tests of this folder share: a thermostat that runs on the broker of the pytest plugin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import oxmqtt.client as mqtt
import pytest
from oxmqtt.enums import CallbackAPIVersion
from thermostat import Thermostat

if TYPE_CHECKING:
    from oxmqtt.testing import Broker


@pytest.fixture
def thermostat(mqtt_broker: Broker) -> Iterator[Thermostat]:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="thermostat")
    client.reconnect_delay_set(0.05, 0.5)
    running = Thermostat(client)
    with client:
        client.connect(mqtt_broker.host, mqtt_broker.port)
        client.loop_start()
        assert running.ready.wait(10)
        yield running
