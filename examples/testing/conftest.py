"""What the tests of this folder share: a broker in the process, and a thermostat that runs on it."""

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
def broker() -> Iterator[Broker]:
    testing = pytest.importorskip("oxmqtt.testing")
    with testing.Broker() as running:
        yield running


@pytest.fixture
def thermostat(broker: Broker) -> Iterator[Thermostat]:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="thermostat")
    client.reconnect_delay_set(0.05, 0.5)
    running = Thermostat(client)
    with client:
        client.connect(broker.host, broker.port)
        client.loop_start()
        assert running.ready.wait(10)
        yield running
