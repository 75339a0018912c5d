"""Bounds for memory: messages in flight, messages queued, size of a packet.

    python examples/patterns/limits.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import os

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))


def main() -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(10)
    client.max_queued_messages_set(100)
    client.max_packet_size = 65_536
    with client:
        # Nothing is connected yet, so all wait in the queue.
        results = [client.publish("examples/limits", str(n), qos=1) for n in range(120)]
        refused = [info for info in results if info.rc == mqtt.MQTT_ERR_QUEUE_SIZE]
        print(f"refused, the queue is full: {len(refused)}")
        client.connect(HOST, PORT)
        client.loop_start()
        kept = [info for info in results if info.rc != mqtt.MQTT_ERR_QUEUE_SIZE]
        for info in kept:
            info.wait_for_publish(10)
        print(f"published: {sum(info.is_published() for info in kept)}")


if __name__ == "__main__":
    main()
