"""aiomqtt 2, over paho-mqtt, and oxmqtt.aio, which has its API: publish() awaits the acknowledgement,
an iterator gives messages."""

from __future__ import annotations

import importlib
import logging
from collections.abc import AsyncIterator, Awaitable
from functools import partial
from typing import Any, Callable

from .base import HOST, KEEPALIVE, LONG, Hit
from .iterating import IteratorAdapter


class AiomqttAdapter(IteratorAdapter):
    def __init__(self, module: str, protocol: int) -> None:
        super().__init__(module, protocol)
        self.aiomqtt = importlib.import_module(module)

    async def open(self, port: int, client_id: str = "bench", window: int | None = None) -> None:
        # It warns about every large number of pending calls, which here are the point.
        logging.getLogger("mqtt").setLevel(logging.ERROR)
        versions = self.aiomqtt.ProtocolVersion
        self.client = self.aiomqtt.Client(
            HOST,
            port,
            identifier=client_id,
            protocol=versions.V5 if self.protocol == 5 else versions.V311,
            keepalive=KEEPALIVE,
            timeout=LONG,
            max_inflight_messages=window,
        )
        await self.client.__aenter__()

    async def ask(self, filters: list[str], qos: int) -> None:
        await self.client.subscribe([(topic_filter, qos) for topic_filter in filters])

    def incoming(self) -> AsyncIterator[Any]:
        messages: AsyncIterator[Any] = self.client.messages
        return messages

    async def read(self, hit: Hit) -> None:
        async for message in self.client.messages:
            hit(message.topic.value, message.payload)

    def sending(self, topic: str, payload: bytes, qos: int) -> Callable[[], Awaitable[Any]]:
        return partial(self.client.publish, topic, payload, qos)


class BatchesAdapter(AiomqttAdapter):
    """What only oxmqtt.aio has: many messages with one call, and lists of those that arrived."""

    async def read(self, hit: Hit) -> None:
        async for batch in self.client.batches():
            for message in batch:
                hit(message.topic.value, message.payload)

    async def publish_many(self, topic: str, payload: bytes, qos: int, n: int, window: int) -> None:
        await self.client.publish_many(((topic, payload) for _ in range(n)), qos)
