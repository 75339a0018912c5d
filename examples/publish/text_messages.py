"""Publish text, and wait until the broker has it.

    python examples/publish/text_messages.py

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
        for number in range(3):
            info = client.publish("examples/text", f"message {number}", qos=1)
            info.wait_for_publish(10)
            print(f"message {number} published: {info.is_published()}")


if __name__ == "__main__":
    main()
