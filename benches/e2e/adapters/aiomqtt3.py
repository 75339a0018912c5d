"""aiomqtt 3, without paho-mqtt: MQTT 5 only; the program acknowledges messages itself and chooses
packet identifiers. A QoS 0 message that comes while nobody waits for one is discarded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from functools import partial
from typing import Any, Callable

import aiomqtt

from .base import HOST, KEEPALIVE, Hit
from .iterating import IteratorAdapter


class Aiomqtt3Adapter(IteratorAdapter):
    async def open(self, port: int, client_id: str = "bench", window: int | None = None) -> None:
        self.client = aiomqtt.Client(
            hostname=HOST, port=port, identifier=client_id, clean_start=True, keep_alive=KEEPALIVE
        )
        await self.client.__aenter__()

    async def ask(self, filters: list[str], qos: int) -> None:
        for topic_filter in filters:
            await self.client.subscribe(topic_filter, max_qos=aiomqtt.QoS(qos))

    def incoming(self) -> AsyncIterator[Any]:
        messages: AsyncIterator[Any] = self.client.messages()
        return messages

    async def read(self, hit: Hit) -> None:
        async for message in self.client.messages():
            hit(message.topic, message.payload)
            if message.packet_id is not None:
                await self.client.puback(message.packet_id)

    async def taken(self, message: Any) -> None:
        if message.packet_id is not None:
            await self.client.puback(message.packet_id)

    def sending(self, topic: str, payload: bytes, qos: int) -> Callable[[], Awaitable[Any]]:
        publish, packet_ids = self.client.publish, self.client.packet_ids
        if not qos:
            return partial(publish, topic, payload)
        level = aiomqtt.QoS(qos)
        return lambda: publish(topic, payload, qos=level, packet_id=next(packet_ids))
