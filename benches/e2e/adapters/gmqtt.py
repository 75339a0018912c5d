"""gmqtt: publish() is fire and forget, the library has no window. A program that must not flood its
broker brings one, here in the message store that gmqtt lets its users replace."""

from __future__ import annotations

import asyncio

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.storage import PersistentStorage

from .base import HOST, KEEPALIVE, LONG, AsyncAdapter, Hit

#: Messages after which a publishing coroutine lets the event loop write.
BREATH = 50


class WindowedStore(PersistentStorage):  # type: ignore[misc]  # gmqtt has no types
    """Unacknowledged messages, with a way to wait until there are fewer."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.changed = asyncio.Event()

    def push_message(self, mid: int, raw_package: bytes) -> None:
        super().push_message(mid, raw_package)
        self.count = len(self._messages)

    def remove_message_by_mid(self, mid: int) -> None:
        super().remove_message_by_mid(mid)
        self.count = len(self._messages)
        self.changed.set()

    async def wait_below(self, limit: int) -> None:
        while self.count >= limit:
            self.changed.clear()
            await self.changed.wait()


class GmqttAdapter(AsyncAdapter):
    async def open(self, port: int, client_id: str = "bench", window: int | None = None) -> None:
        self.store = WindowedStore()
        self.client = gmqtt.Client(client_id, persistent_storage=self.store)
        self.subscribed = asyncio.Event()
        self.client.on_subscribe = lambda *args, **kwargs: self.subscribed.set()
        version = MQTTv50 if self.protocol == 5 else MQTTv311
        tls = self.tls_context() or False
        await self.client.connect(HOST, port, ssl=tls, keepalive=KEEPALIVE, version=version)

    async def subscribe(self, filters: list[str], qos: int, hit: Hit) -> None:
        def on_message(
            client: gmqtt.Client, topic: str, payload: bytes, qos: int, properties: object
        ) -> int:
            hit(topic, payload)
            return 0

        self.client.on_message = on_message
        self.subscribed.clear()
        for topic_filter in filters:
            self.client.subscribe(topic_filter, qos=qos)
        await asyncio.wait_for(self.subscribed.wait(), LONG)

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        self.client.publish(topic, payload, qos=qos)

    async def publish_many(self, topic: str, payload: bytes, qos: int, n: int, window: int) -> None:
        publish = self.client.publish
        for i in range(n):
            publish(topic, payload, qos=qos)
            if self.store.count >= window:
                await self.store.wait_below(window)
            elif i % BREATH == 0:
                await asyncio.sleep(0)
        await self.store.wait_below(1)

    async def publish_unacked(self, topic: str, payload: bytes, qos: int, n: int) -> int:
        for i in range(n):
            try:
                self.client.publish(topic, payload, qos=qos)
            except OverflowError:  # out of packet ids
                break
            if i % BREATH == 0:
                await asyncio.sleep(0)
        return self.store.count
