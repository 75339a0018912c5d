"""A retained message reaches those who subscribe later; an empty one deletes it.

    python examples/publish/retained.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import os
import queue
from typing import Any

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))
TOPIC = "examples/retained"


def main() -> None:
    received: queue.Queue[mqtt.MQTTMessage] = queue.Queue()

    def on_message(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        received.put(message)

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = on_message
    with client:
        client.connect(HOST, PORT)
        client.loop_start()
        client.publish(TOPIC, "door closed", qos=1, retain=True).wait_for_publish(10)
        client.subscribe(TOPIC, qos=1)
        message = received.get(timeout=10)
        print(f"{message.payload.decode()}, retained: {bool(message.retain)}")
        client.publish(TOPIC, None, qos=1, retain=True).wait_for_publish(10)
        print("deleted")


if __name__ == "__main__":
    main()
