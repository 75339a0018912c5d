"""A handler for each topic filter; `on_message` gets what no handler matches.

    python examples/subscribe/handlers_per_topic.py

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
    handled: queue.Queue[str] = queue.Queue()

    def on_subscribe(
        client: mqtt.Client,
        userdata: Any,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        subscribed.set()

    def on_message(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        handled.put(f"other: {message.topic}")

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_subscribe = on_subscribe
    client.on_message = on_message

    @client.topic_callback("examples/handlers/+/temperature")
    def on_temperature(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        handled.put(f"temperature: {float(message.payload)}")

    @client.topic_callback("examples/handlers/+/humidity")
    def on_humidity(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        handled.put(f"humidity: {int(message.payload)}")

    with client:
        client.connect(HOST, PORT)
        client.loop_start()
        client.subscribe("examples/handlers/#", qos=1)
        if not subscribed.wait(10):
            raise SystemExit("no answer to SUBSCRIBE")
        for name, value in (("temperature", "21.5"), ("humidity", "48"), ("pressure", "1013")):
            client.publish(f"examples/handlers/hall/{name}", value, qos=1)
        for _ in range(3):
            print(handled.get(timeout=10))


if __name__ == "__main__":
    main()
