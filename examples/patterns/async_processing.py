"""Process messages concurrently, at most ten at a time, on an event loop.

    python examples/patterns/async_processing.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import asyncio
import os

from oxmqtt.aio import Client

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))
COUNT = 50


async def process(text: str, slots: asyncio.Semaphore, done: list[str]) -> None:
    try:
        await asyncio.sleep(0.001)  # a database, another service
        done.append(text)
    finally:
        slots.release()


async def main() -> None:
    slots = asyncio.Semaphore(10)
    done: list[str] = []
    tasks: set[asyncio.Task[None]] = set()
    async with Client(HOST, PORT) as client:
        await client.subscribe("examples/processing", qos=1)
        await client.publish_many((("examples/processing", str(n)) for n in range(COUNT)), qos=1)
        seen = 0
        async for message in client.messages:
            await slots.acquire()  # no slot: no further message is taken
            tasks.add(asyncio.create_task(process(bytes(message.payload).decode(), slots, done)))
            tasks = {task for task in tasks if not task.done()}
            seen += 1
            if seen == COUNT:
                break
        await asyncio.gather(*tasks)
    print(f"processed {len(set(done))} messages")


if __name__ == "__main__":
    asyncio.run(main())
