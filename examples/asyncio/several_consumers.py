"""Several tasks read the messages of one client; each message goes to one of them.

    python examples/asyncio/several_consumers.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import asyncio
import os

from oxmqtt.aio import Client

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))
COUNT = 30


async def consume(client: Client, done: list[int]) -> None:
    async for message in client.messages:
        if message.topic.matches("examples/consumers/stop"):
            return
        await asyncio.sleep(0)  # the work on a message
        done.append(int(message.payload))


async def main() -> None:
    done: list[int] = []
    async with Client(HOST, PORT) as client:
        await client.subscribe("examples/consumers/#", qos=1)
        jobs = (("examples/consumers/job", str(number)) for number in range(COUNT))
        await client.publish_many(jobs, qos=1)
        await client.publish_many([("examples/consumers/stop", None)] * 3, qos=1)
        await asyncio.gather(*(consume(client, done) for _ in range(3)))
    print(f"3 consumers did {len(done)} jobs, each once: {sorted(done) == list(range(COUNT))}")


if __name__ == "__main__":
    asyncio.run(main())
