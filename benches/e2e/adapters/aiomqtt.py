"""aiomqtt, over paho-mqtt: publish() awaits the acknowledgement, an iterator gives messages."""

from __future__ import annotations

import asyncio
import logging

import aiomqtt

from .base import HOST, KEEPALIVE, LONG, AsyncAdapter, Hit


class AiomqttAdapter(AsyncAdapter):
    reader: asyncio.Task[None] | None = None

    async def open(self, port: int, client_id: str = "bench", window: int | None = None) -> None:
        # It warns about every large number of pending calls, which here are the point.
        logging.getLogger("mqtt").setLevel(logging.ERROR)
        versions = aiomqtt.ProtocolVersion
        self.client = aiomqtt.Client(
            HOST,
            port,
            identifier=client_id,
            protocol=versions.V5 if self.protocol == 5 else versions.V311,
            keepalive=KEEPALIVE,
            timeout=LONG,
            max_inflight_messages=window,
        )
        await self.client.__aenter__()

    async def subscribe(self, filters: list[str], qos: int, hit: Hit) -> None:
        async def read() -> None:
            async for message in self.client.messages:
                hit(message.topic.value, message.payload)

        if self.reader is None:
            self.reader = asyncio.create_task(read())
        await self.client.subscribe([(topic_filter, qos) for topic_filter in filters])

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        await self.client.publish(topic, payload, qos)

    async def publish_many(self, topic: str, payload: bytes, qos: int, n: int, window: int) -> None:
        if qos:
            await self.publish_windowed(topic, payload, qos, n, window)
            return
        for _ in range(n):
            await self.client.publish(topic, payload, qos)
