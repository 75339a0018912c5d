"""zmqtt: publish() awaits the acknowledgement, each subscription is an iterator with a bounded queue."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from functools import partial
from typing import Any, Callable

import zmqtt

from .base import HOST, KEEPALIVE, Hit
from .iterating import IteratorAdapter


class ZmqttAdapter(IteratorAdapter):
    async def open(self, port: int, client_id: str = "bench", window: int | None = None) -> None:
        self.client = zmqtt.create_client(
            HOST,
            port,
            client_id=client_id,
            keepalive=KEEPALIVE,
            version="5.0" if self.protocol == 5 else "3.1.1",
        )
        await self.client.connect()

    async def ask(self, filters: list[str], qos: int) -> None:
        self.subscription = self.client.subscribe(*filters, qos=zmqtt.QoS(qos))
        await self.subscription.__aenter__()

    async def subscribe(self, filters: list[str], qos: int, hit: Hit) -> None:
        await self.ask(filters, qos)
        self.start_reading(hit)

    def incoming(self) -> AsyncIterator[Any]:
        messages: AsyncIterator[Any] = self.subscription
        return messages

    async def read(self, hit: Hit) -> None:
        async for message in self.subscription:
            hit(message.topic, message.payload)

    def sending(self, topic: str, payload: bytes, qos: int) -> Callable[[], Awaitable[Any]]:
        return partial(self.client.publish, topic, payload, qos=zmqtt.QoS(qos))
