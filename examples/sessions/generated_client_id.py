"""Under MQTT 5.0 the broker makes a client identifier and tells it.

    python examples/sessions/generated_client_id.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import os
import queue
from typing import Any

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion
from oxmqtt.properties import Properties
from oxmqtt.reasoncodes import ReasonCode

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))


def main() -> None:
    assigned: queue.Queue[str] = queue.Queue()

    def on_connect(
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        assigned.put(getattr(properties, "AssignedClientIdentifier", ""))

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect = on_connect
    with client:
        client.connect(HOST, PORT)
        client.loop_start()
        identifier = assigned.get(timeout=10)
        print(f"the broker assigned an identifier of {len(identifier)} characters")


if __name__ == "__main__":
    main()
