"""A bound for each wait: for an answer of the broker, and for the next message.

    python examples/asyncio/timeouts.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import asyncio
import os

from oxmqtt.aio import Client

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))


async def main() -> None:
    async with Client(HOST, PORT, timeout=10) as client:  # for each answer of the broker
        await client.subscribe("examples/aio/quiet", qos=1, timeout=5)  # for this answer
        try:
            await asyncio.wait_for(client.messages.__anext__(), 0.1)
        except asyncio.TimeoutError:
            print("no message in time")
        await client.publish("examples/aio/quiet", "here", qos=1, timeout=5)
        message = await asyncio.wait_for(client.messages.__anext__(), 5)
        print(f"then one came: {bytes(message.payload).decode()}")


if __name__ == "__main__":
    asyncio.run(main())
