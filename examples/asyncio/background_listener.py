"""A listener in the background of a service: it starts with the service, ends with it, and keeps the last values.

    python examples/asyncio/background_listener.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from oxmqtt.aio import Client

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))


class Readings:
    """The last value of each sensor; what a web handler would answer from."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.changed = asyncio.Condition()

    async def listen(self, client: Client) -> None:
        async for message in client.messages:
            async with self.changed:
                self.values[str(message.topic)] = float(message.payload)
                self.changed.notify_all()


@contextlib.asynccontextmanager
async def lifespan(readings: Readings) -> AsyncIterator[Client]:
    """For a framework that takes such a function, as Starlette and FastAPI do."""
    async with Client(HOST, PORT) as client:
        await client.subscribe("examples/service/#", qos=1)
        listener = asyncio.create_task(readings.listen(client))
        try:
            yield client
        finally:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener


async def main() -> None:
    readings = Readings()
    async with lifespan(readings) as client:
        for sensor, value in (("hall", 19.5), ("attic", 24.0)):
            await client.publish(f"examples/service/{sensor}", value, qos=1)
        async with readings.changed:
            await asyncio.wait_for(readings.changed.wait_for(lambda: len(readings.values) == 2), 10)
        print(sorted(readings.values.items()))
    print("stopped")


if __name__ == "__main__":
    asyncio.run(main())
