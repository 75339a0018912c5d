"""Publish JSON and read it back.

    python examples/publish/json_messages.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import json
import os
import queue
import threading
from typing import Any

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion
from oxmqtt.properties import Properties
from oxmqtt.reasoncodes import ReasonCode

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))


def main() -> None:
    subscribed = threading.Event()
    received: queue.Queue[dict[str, Any]] = queue.Queue()

    def on_subscribe(
        client: mqtt.Client,
        userdata: Any,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        subscribed.set()

    def on_message(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        received.put(json.loads(message.payload))

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    with client:
        client.connect(HOST, PORT)
        client.loop_start()
        client.subscribe("examples/json", qos=1)
        if not subscribed.wait(10):
            raise SystemExit("no answer to SUBSCRIBE")
        client.publish("examples/json", json.dumps({"sensor": "kitchen", "celsius": 21.5}), qos=1)
        reading = received.get(timeout=10)
        print(f"{reading['sensor']}: {reading['celsius']}")


if __name__ == "__main__":
    main()
