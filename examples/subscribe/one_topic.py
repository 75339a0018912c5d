"""Subscribe to one topic and print what comes.

    python examples/subscribe/one_topic.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import os
import threading
from typing import Any

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion
from oxmqtt.properties import Properties
from oxmqtt.reasoncodes import ReasonCode

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))
TOPIC = "examples/one"


def main() -> None:
    done = threading.Event()

    def on_connect(
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        client.subscribe(TOPIC, qos=1)

    def on_subscribe(
        client: mqtt.Client,
        userdata: Any,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        print(f"subscribed: {reasons[0]}")
        client.publish(TOPIC, "hello", qos=1)

    def on_message(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        print(f"{message.topic}: {message.payload.decode()}")
        done.set()

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    with client:
        client.connect(HOST, PORT)
        client.loop_start()
        if not done.wait(10):
            raise SystemExit("no message came")


if __name__ == "__main__":
    main()
