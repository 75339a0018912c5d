"""fork() with a connected asyncio client: the child can have its own, and the parent's does not notice."""

from __future__ import annotations

import os

import pytest
from support.mosquitto import Mosquitto
from support.process import Program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() here")

SOURCE = """
    import asyncio, gc, warnings
    from oxmqtt import aio

    warnings.simplefilter("ignore")  # fork with threads; the child drops an open client

    async def exchange(client, topic):
        await client.subscribe(topic, qos=1)
        await client.publish(topic, "m", qos=1)
        return (await client.messages.__anext__()).payload == b"m"

    async def own():
        async with aio.Client(HOST, PORT) as client:
            return await exchange(client, "fork/child")

    async def main():
        client = aio.Client(HOST, PORT, reconnect=RECONNECT, will=aio.Will("fork/will", "gone"))
        async with aio.Client(HOST, PORT) as watcher:
            await watcher.subscribe("fork/will")
            async with client:
                child = os.fork()
                if child == 0:
                    arrived = asyncio.run(own())
                    del client
                    gc.collect()
                    os._exit(0 if arrived else 7)
                loop = asyncio.get_running_loop()
                _, status = await loop.run_in_executor(None, os.waitpid, child, 0)
                arrived = await exchange(client, "fork/parent")
                say("ended", os.WEXITSTATUS(status), arrived, len(watcher._mailbox))

    asyncio.run(main())
"""


@pytest.mark.parametrize("reconnect", [False, True])
def test_the_child_has_its_own(broker: Mosquitto, reconnect: bool) -> None:
    values = {"HOST": broker.host, "PORT": broker.port, "RECONNECT": reconnect}
    with Program(SOURCE, "oxmqtt.client", **values) as program:
        assert program.wait_line("ended", 20) == "ended 0 True 0"
        assert program.exit_code(5) == 0
