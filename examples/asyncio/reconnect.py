"""Go on after a lost connection: `async for` continues with the next one.

A second client with the same identifier makes the broker end the first one's connection. The session is kept and
the messages have QoS 2, so none is lost meanwhile and none comes twice.

    python examples/asyncio/reconnect.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import uuid

from oxmqtt.aio import Client, Reconnect

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))
IDENTIFIER = f"example-{uuid.uuid4().hex[:8]}"
TOPIC = f"examples/aio/{IDENTIFIER}"


async def main() -> None:
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    back_off = Reconnect(min_delay=1, max_delay=30)
    async with Client(
        HOST, PORT, identifier=IDENTIFIER, clean_session=False, reconnect=back_off
    ) as client:
        await client.subscribe(TOPIC, qos=2)
        await client.publish(TOPIC, "before", qos=2)
        async for message in client.messages:
            text = bytes(message.payload).decode()
            print(text)
            if text == "after":
                break
            async with Client(HOST, PORT, identifier=IDENTIFIER, clean_session=False):
                pass  # takes the session over, and goes
            await client.publish(TOPIC, "after", qos=2)
    async with Client(HOST, PORT, identifier=IDENTIFIER):
        pass  # the broker forgets the session


if __name__ == "__main__":
    asyncio.run(main())
