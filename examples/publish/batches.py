"""Publish a thousand messages without waiting for each, then wait for all.

    python examples/publish/batches.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import os

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))


def main() -> None:
    with mqtt.Client(CallbackAPIVersion.VERSION2) as client:
        client.connect(HOST, PORT)
        client.loop_start()
        batch = [client.publish("examples/batch", str(number), qos=1) for number in range(1000)]
        for info in batch:
            info.wait_for_publish(10)
        print(f"{sum(info.is_published() for info in batch)} messages published")


if __name__ == "__main__":
    main()
