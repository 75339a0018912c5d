"""Subscribe and publish on an event loop.

    python examples/asyncio/subscribe_and_publish.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import asyncio
import os

from oxmqtt.aio import Client

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))


async def main() -> None:
    async with Client(HOST, PORT) as client:
        await client.subscribe("examples/aio/+/temperature", qos=1)
        await client.publish("examples/aio/kitchen/temperature", 21.5, qos=1)
        async for message in client.messages:
            print(f"{message.topic}: {float(message.payload)}")
            break


if __name__ == "__main__":
    asyncio.run(main())
