"""paho-mqtt, and every package with its API: the same program, another import."""

from __future__ import annotations

import importlib
import threading
from typing import Any

from .base import HOST, KEEPALIVE, LONG, PATIENCE, Hit, ThreadAdapter


class PahoAdapter(ThreadAdapter):
    def __init__(self, module: str, protocol: int) -> None:
        super().__init__(module, protocol)
        self.mqtt = importlib.import_module(module)

    async def open(self, port: int, client_id: str = "bench", window: int | None = None) -> None:
        mqtt = self.mqtt
        version = mqtt.MQTTv5 if self.protocol == 5 else mqtt.MQTTv311
        transport = "websockets" if self.transport == "websockets" else "tcp"
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id, protocol=version, transport=transport
        )
        if self.transport == "tls":
            choice = {"backend": "rustls"} if self.rustls and "oxmqtt" in mqtt.__name__ else {}
            self.client.tls_set(self.authority, **choice)
        if window:
            self.client.max_inflight_messages_set(window)
        connected = threading.Event()
        self.subscribed = threading.Event()
        self.client.on_connect = lambda *args: connected.set()
        self.client.on_subscribe = lambda *args: self.subscribed.set()
        self.client.connect(HOST, port, KEEPALIVE)
        self.client.loop_start()
        if not connected.wait(PATIENCE):
            raise TimeoutError("no CONNACK")

    async def subscribe(self, filters: list[str], qos: int, hit: Hit) -> None:
        def on_message(client: Any, userdata: Any, message: Any) -> None:
            hit(message.topic, message.payload)

        if len(filters) == 1:
            self.client.on_message = on_message
        else:
            for topic_filter in filters:
                self.client.message_callback_add(topic_filter, on_message)
        self.subscribed.clear()
        self.client.subscribe([(topic_filter, qos) for topic_filter in filters])
        if not self.subscribed.wait(LONG):
            raise TimeoutError("no SUBACK")

    async def publish_many(self, topic: str, payload: bytes, qos: int, n: int, window: int) -> None:
        publish = self.client.publish
        for _ in range(n):
            info = publish(topic, payload, qos)
        self.wait_published(info)

    async def publish_unacked(self, topic: str, payload: bytes, qos: int, n: int) -> int:
        publish = self.client.publish
        return sum(publish(topic, payload, qos).rc == 0 for _ in range(n))

    def publish(self, topic: str, payload: bytes, qos: int) -> Any:
        return self.client.publish(topic, payload, qos)

    def wait_published(self, receipt: Any) -> None:
        receipt.wait_for_publish(LONG)
        if not receipt.is_published():  # the wait says nothing when its time is up
            raise TimeoutError("wait_for_publish() ran out of time")
