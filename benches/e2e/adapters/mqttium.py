"""mqttium: publish() waits for room only and returns a receipt; callbacks must be set before the
connection is made, so a client that receives connects in subscribe()."""

from __future__ import annotations

import asyncio
from typing import Any

from mqttium.api import AsyncClient
from mqttium.enums import MQTTProtocolVersion

from .base import HOST, LONG, AsyncAdapter, Hit

#: Seconds after which a publish() that waits for room will never get any.
ROOM = 2.0


class MqttiumAdapter(AsyncAdapter):
    client: AsyncClient | None = None
    connecting: asyncio.Lock

    async def open(self, port: int, client_id: str = "bench", window: int | None = None) -> None:
        self.port = port
        self.connecting = asyncio.Lock()
        self.options: dict[str, Any] = {
            "client_id": client_id,
            "protocol": MQTTProtocolVersion(self.protocol),
            "subscribe_timeout": float(LONG),
        }
        if window:
            self.options["max_outbound_inflight"] = window
        else:
            self.options["max_unacknowledged_messages"] = None

    async def dial(self, client: AsyncClient) -> None:
        if self.transport == "websockets":
            await client.connect_ws(f"ws://{HOST}:{self.port}/mqtt")
        else:
            await client.connect(HOST, self.port, ssl=self.tls_context())

    async def connected(self) -> AsyncClient:
        async with self.connecting:
            if self.client is None:
                client = AsyncClient(**self.options)
                await self.dial(client)
                self.client = client
            return self.client

    async def subscribe(self, filters: list[str], qos: int, hit: Hit) -> None:
        if self.client is None:
            client = AsyncClient(**self.options, message_delivery="callback")
            if len(filters) == 1:
                client.on_message = lambda message: hit(message.topic, message.payload)
            else:
                for topic_filter in filters:
                    client.message_callback_add(
                        topic_filter, lambda message: hit(message.topic, message.payload)
                    )
            await self.dial(client)
            self.client = client
        await self.client.subscribe([(topic_filter, qos) for topic_filter in filters])

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        client = self.client or await self.connected()
        await client.publish(topic, payload, qos=qos)

    async def publish_many(self, topic: str, payload: bytes, qos: int, n: int, window: int) -> None:
        publish = (await self.connected()).publish
        for _ in range(n):
            receipt = await publish(topic, payload, qos=qos)
        await asyncio.wait_for(receipt.wait(), LONG)

    async def publish_unacked(self, topic: str, payload: bytes, qos: int, n: int) -> int:
        publish = (await self.connected()).publish
        for accepted in range(n):
            try:
                await asyncio.wait_for(publish(topic, payload, qos=qos), ROOM)
            except asyncio.TimeoutError:
                return accepted
        return n
