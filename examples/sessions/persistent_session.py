"""A session that outlives its connection: what is published meanwhile arrives later.

    python examples/sessions/persistent_session.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import os
import queue
import threading
import uuid
from typing import Any

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion
from oxmqtt.properties import Properties
from oxmqtt.reasoncodes import ReasonCode

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))
TOPIC = "examples/persistent"
IDENTIFIER = f"example-{uuid.uuid4().hex[:8]}"


def session(clean: bool, received: queue.Queue[str], subscribed: threading.Event) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, IDENTIFIER, clean_session=clean)

    @client.connect_callback()
    def on_connect(
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        print(f"session present: {flags.session_present}")
        if flags.session_present:
            subscribed.set()
        else:
            client.subscribe(TOPIC, qos=1)

    @client.subscribe_callback()
    def on_subscribe(
        client: mqtt.Client,
        userdata: Any,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        subscribed.set()

    @client.message_callback()
    def on_message(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        received.put(message.payload.decode())

    client.connect(HOST, PORT)
    client.loop_start()
    if not subscribed.wait(10):
        raise SystemExit("no subscription")
    return client


def main() -> None:
    received: queue.Queue[str] = queue.Queue()
    session(False, received, threading.Event()).close()
    with mqtt.Client(CallbackAPIVersion.VERSION2) as publisher:
        publisher.connect(HOST, PORT)
        publisher.loop_start()
        publisher.publish(TOPIC, "while you were out", qos=1).wait_for_publish(10)
    with session(False, received, threading.Event()):
        print(received.get(timeout=10))
    session(True, received, threading.Event()).close()  # the broker forgets the session


if __name__ == "__main__":
    main()
