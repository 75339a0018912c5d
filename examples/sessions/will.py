"""The broker publishes a will when a client is lost without DISCONNECT.

The loss is made here, by shutting the socket down.

    python examples/sessions/will.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import os
import queue
import socket
import threading
from typing import Any

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion
from oxmqtt.properties import Properties
from oxmqtt.reasoncodes import ReasonCode

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))
TOPIC = "examples/will"


def main() -> None:
    subscribed = threading.Event()
    received: queue.Queue[str] = queue.Queue()

    def on_subscribe(
        client: mqtt.Client,
        userdata: Any,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        subscribed.set()

    def on_message(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        received.put(message.payload.decode())

    watcher = mqtt.Client(CallbackAPIVersion.VERSION2)
    watcher.on_subscribe = on_subscribe
    watcher.on_message = on_message
    sensor = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    sensor.will_set(TOPIC, "sensor lost", qos=1)
    with watcher, sensor:
        watcher.connect(HOST, PORT)
        watcher.loop_start()
        watcher.subscribe(TOPIC, qos=1)
        if not subscribed.wait(10):
            raise SystemExit("no answer to SUBSCRIBE")
        sensor.connect(HOST, PORT)
        sensor.loop_start()
        sensor.publish(TOPIC, "sensor here", qos=1).wait_for_publish(10)
        print(received.get(timeout=10))
        sock = sensor.socket()
        if sock is not None:
            sock.shutdown(socket.SHUT_RDWR)
        print(received.get(timeout=10))


if __name__ == "__main__":
    main()
