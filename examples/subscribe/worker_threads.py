"""Slow work on threads of its own: the callback only puts messages into a queue.

    python examples/subscribe/worker_threads.py

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
COUNT = 20


def main() -> None:
    subscribed = threading.Event()
    jobs: queue.Queue[mqtt.MQTTMessage | None] = queue.Queue(maxsize=1000)
    results: queue.Queue[int] = queue.Queue()

    def on_subscribe(
        client: mqtt.Client,
        userdata: Any,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        subscribed.set()

    def on_message(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        jobs.put(message)  # a full queue holds the connection back

    def work() -> None:
        while (message := jobs.get()) is not None:
            results.put(int(message.payload) ** 2)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    try:
        with client:
            client.connect(HOST, PORT)
            client.loop_start()
            client.subscribe("examples/jobs", qos=1)
            if not subscribed.wait(10):
                raise SystemExit("no answer to SUBSCRIBE")
            for number in range(COUNT):
                client.publish("examples/jobs", str(number), qos=1)
            total = sum(results.get(timeout=10) for _ in range(COUNT))
    finally:
        for _ in workers:
            jobs.put(None)
        for worker in workers:
            worker.join()
    print(f"4 workers did {COUNT} jobs, sum {total}")


if __name__ == "__main__":
    main()
