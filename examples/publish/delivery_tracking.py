"""Know which messages the broker has: by `on_publish`, which tells packet identifier and reason code.

    python examples/publish/delivery_tracking.py

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
    delivered: queue.Queue[int] = queue.Queue()

    def on_publish(
        client: mqtt.Client,
        userdata: Any,
        mid: int,
        reason: ReasonCode,
        properties: Properties,
    ) -> None:
        delivered.put(mid)

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_publish = on_publish
    with client:
        client.connect(HOST, PORT)
        client.loop_start()
        open_orders = {}
        for number in range(5):
            info = client.publish("examples/orders", f"order {number}", qos=2)
            open_orders[info.mid] = number
        while open_orders:
            number = open_orders.pop(delivered.get(timeout=10))
            print(f"order {number} delivered")


if __name__ == "__main__":
    main()
