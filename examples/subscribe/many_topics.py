"""Many topics in one SUBSCRIBE, with a QoS each; the broker's answer tells what it granted.

    python examples/subscribe/many_topics.py

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
TOPICS = [("examples/many/a", 0), ("examples/many/b", 1), ("examples/many/c", 2)]


def main() -> None:
    answers: queue.Queue[list[ReasonCode]] = queue.Queue()

    def on_subscribe(
        client: mqtt.Client,
        userdata: Any,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        answers.put(reasons)

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_subscribe = on_subscribe
    with client:
        client.connect(HOST, PORT)
        client.loop_start()
        client.subscribe(TOPICS)
        for (topic, _), reason in zip(TOPICS, answers.get(timeout=10)):
            print(f"{topic}: {reason}")


if __name__ == "__main__":
    main()
