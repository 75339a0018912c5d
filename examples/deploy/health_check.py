"""A health check for a container: exit code 0 when a message goes to the broker and back, else 1.

    python examples/deploy/health_check.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
MQTT_HEALTH_SECONDS (5) is its patience.
"""

from __future__ import annotations

import os
import sys
import threading
import uuid
from typing import Any

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion
from oxmqtt.properties import Properties
from oxmqtt.reasoncodes import ReasonCode

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))
SECONDS = float(os.environ.get("MQTT_HEALTH_SECONDS", "5"))


def healthy() -> bool:
    topic = f"examples/health/{uuid.uuid4().hex}"
    came_back = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)

    @client.subscribe_callback()
    def on_subscribe(
        client: mqtt.Client,
        userdata: Any,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        client.publish(topic, "ping", qos=1)

    @client.message_callback()
    def on_message(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        came_back.set()

    client.connect_timeout = SECONDS
    with client:
        client.connect(HOST, PORT)
        client.loop_start()
        client.subscribe(topic, qos=1)
        return came_back.wait(SECONDS)


def main() -> int:
    try:
        well = healthy()
    except OSError as error:
        print(f"unhealthy: {error}")
        return 1
    print("healthy" if well else "unhealthy: no message came back")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
