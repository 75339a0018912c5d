"""Topic filters with `+` (one level) and `#` (all levels below).

    python examples/subscribe/wildcards.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

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
    received: queue.Queue[str] = queue.Queue()

    def on_subscribe(
        client: mqtt.Client,
        userdata: Any,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        subscribed.set()

    def on_message(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        received.put(message.topic)

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    with client:
        client.connect(HOST, PORT)
        client.loop_start()
        client.subscribe([("examples/house/+/light", 1), ("examples/garden/#", 1)])
        if not subscribed.wait(10):
            raise SystemExit("no answer to SUBSCRIBE")
        for topic in ("house/hall/light", "house/hall/heating", "garden/pond/pump"):
            client.publish(f"examples/{topic}", "on", qos=1)
        print(received.get(timeout=10))
        print(received.get(timeout=10))


if __name__ == "__main__":
    main()
