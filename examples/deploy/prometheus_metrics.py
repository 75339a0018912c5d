"""Metrics for Prometheus: connections, messages, sizes (needs the package prometheus-client).

    python examples/deploy/prometheus_metrics.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
METRICS_PORT (9464) is where the page is; 0 takes a free port.
"""

from __future__ import annotations

import os
import queue
import threading
import urllib.request
from typing import Any

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion
from oxmqtt.properties import Properties
from oxmqtt.reasoncodes import ReasonCode
from prometheus_client import Counter, Gauge, Histogram, start_http_server

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))
METRICS_PORT = int(os.environ.get("METRICS_PORT", "9464"))
TOPIC = "examples/metrics"

CONNECTED = Gauge("mqtt_connected", "1 while the broker has accepted the connection")
RECEIVED = Counter("mqtt_messages_received", "Messages received")
SIZE = Histogram("mqtt_payload_bytes", "Size of received payloads", buckets=(10, 100, 1000, 10_000))


def watched_client(subscribed: threading.Event, received: queue.Queue[bytes]) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)

    @client.connect_callback()
    def on_connect(
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        CONNECTED.set(0 if reason.is_failure else 1)
        client.subscribe(TOPIC, qos=1)

    @client.disconnect_callback()
    def on_disconnect(
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        CONNECTED.set(0)

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
        RECEIVED.inc()
        SIZE.observe(len(message.payload))
        received.put(message.payload)

    return client


def main() -> None:
    server, thread = start_http_server(METRICS_PORT, addr="127.0.0.1")
    subscribed = threading.Event()
    received: queue.Queue[bytes] = queue.Queue()
    with watched_client(subscribed, received) as client:
        client.connect(HOST, PORT)
        client.loop_start()
        if not subscribed.wait(10):
            raise SystemExit("no answer to SUBSCRIBE")
        for number in range(3):
            client.publish(TOPIC, bytes(number * 100), qos=1)
            received.get(timeout=10)
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as page:
            lines = page.read().decode().splitlines()
    server.shutdown()
    server.server_close()
    thread.join()
    print(
        *(line for line in lines if line.startswith("mqtt_") and "_created" not in line), sep="\n"
    )


if __name__ == "__main__":
    main()
