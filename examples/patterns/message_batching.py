"""Many small readings in few messages: a thread collects up to 100 of them, or what came in 50 ms.

    python examples/patterns/message_batching.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))
MOST = 100
SECONDS = 0.05


def batches(readings: queue.Queue[int | None], client: mqtt.Client, sent: list[int]) -> None:
    going = True
    while going:
        batch: list[int] = []
        end: float | None = None
        while len(batch) < MOST:
            try:
                wait = None if end is None else max(0.0, end - time.monotonic())
                reading = readings.get(timeout=wait)
            except queue.Empty:
                break
            if reading is None:
                going = False
                break
            batch.append(reading)
            end = end or time.monotonic() + SECONDS
        if batch:
            client.publish("examples/batches", json.dumps(batch), qos=1).wait_for_publish(10)
            sent.append(len(batch))


def main() -> None:
    readings: queue.Queue[int | None] = queue.Queue()
    sent: list[int] = []
    with mqtt.Client(CallbackAPIVersion.VERSION2) as client:
        client.connect(HOST, PORT)
        client.loop_start()
        thread = threading.Thread(target=batches, args=(readings, client, sent))
        thread.start()
        for number in range(1000):
            readings.put(number)
        readings.put(None)
        thread.join()
    print(f"{sum(sent)} readings, in fewer messages: {len(sent) < 1000}")


if __name__ == "__main__":
    main()
