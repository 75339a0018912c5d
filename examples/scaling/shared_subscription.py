"""Share the messages of one topic among several processes: a shared subscription (OASIS MQTT 5.0, clause 4.8.2).

    python examples/scaling/shared_subscription.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883); with several brokers, MQTT_BROKERS is "host:port,host:port"
and each of them gets its own workers.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
from multiprocessing.queues import Queue
from typing import Any

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion
from oxmqtt.properties import Properties
from oxmqtt.reasoncodes import ReasonCode

ONE = f"{os.environ.get('MQTT_HOST', 'localhost')}:{os.environ.get('MQTT_PORT', '1883')}"
BROKERS = os.environ.get("MQTT_BROKERS", ONE).split(",")
WORKERS = 3
COUNT = 30


def connect(broker: str, client: mqtt.Client) -> None:
    host, _, port = broker.rpartition(":")
    client.connect(host, int(port))


def work(broker: str, ready: Queue[str], done: Queue[str]) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)

    @client.subscribe_callback()
    def on_subscribe(
        client: mqtt.Client,
        userdata: Any,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        ready.put(f"{reasons[-1]}")

    @client.message_callback()
    def on_message(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/stop"):
            client.disconnect()
        else:
            done.put(message.payload.decode())

    connect(broker, client)
    client.subscribe([("$share/workers/examples/shared", 1), ("examples/shared/stop", 1)])
    client.loop_forever()


def main() -> None:
    context = multiprocessing.get_context("spawn")
    ready: Queue[str] = context.Queue()
    done: Queue[str] = context.Queue()
    processes = [
        context.Process(target=work, args=(broker, ready, done), daemon=True)
        for broker in BROKERS
        for _ in range(WORKERS)
    ]
    for process in processes:
        process.start()
    for _ in processes:
        ready.get(timeout=30)
    results: list[str] = []
    for broker in BROKERS:
        with mqtt.Client(CallbackAPIVersion.VERSION2) as client:
            connect(broker, client)
            client.loop_start()
            for number in range(COUNT):
                client.publish("examples/shared", f"{broker} {number}", qos=1)
            try:
                results.extend(done.get(timeout=10) for _ in range(COUNT))
            except queue.Empty:
                raise SystemExit("messages are missing") from None
            client.publish("examples/shared/stop", None, qos=1).wait_for_publish(10)
    for process in processes:
        process.join(10)
    print(f"{len(processes)} processes did {len(set(results))} jobs, each once: {done.empty()}")


if __name__ == "__main__":
    main()
