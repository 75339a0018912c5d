"""Ask and get an answer, with the Response Topic and Correlation Data of MQTT 5.0 (clause 4.10).

    python examples/asyncio/request_response.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import asyncio
import os

from oxmqtt.aio import Client, ProtocolVersion
from oxmqtt.packettypes import PacketTypes
from oxmqtt.properties import Properties

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))
V5 = ProtocolVersion.V5


async def serve(ready: asyncio.Event) -> None:
    async with Client(HOST, PORT, protocol=V5) as server:
        await server.subscribe("examples/square", qos=1)
        ready.set()
        async for question in server.messages:
            asked = question.properties
            if asked is None or not hasattr(asked, "ResponseTopic"):
                continue
            properties = Properties(PacketTypes.PUBLISH)
            properties.CorrelationData = asked.CorrelationData
            answer = int(question.payload) ** 2
            await server.publish(asked.ResponseTopic, answer, qos=1, properties=properties)


async def main() -> None:
    ready = asyncio.Event()
    server = asyncio.create_task(serve(ready))
    await asyncio.wait_for(ready.wait(), 10)
    async with Client(HOST, PORT, protocol=V5) as client:
        questions = (client.request("examples/square", n, timeout=10, qos=1) for n in range(5))
        answers = await asyncio.gather(*questions)
        print([int(answer.payload) for answer in answers])
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
