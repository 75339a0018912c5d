"""Beginnings and ends: dropped clients, closed loops, other loops, exits, descriptors and threads."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from oxmqtt import aio
from support.mosquitto import Mosquitto
from support.process import Program
from support.waiting import eventually

from .conftest import Run


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


async def will_of(broker: Mosquitto, topic: str, end: Any) -> bytes:
    """The will that the broker publishes when a client ends in some way."""
    async with aio.Client(broker.host, broker.port) as watcher:
        await watcher.subscribe(topic)
        client = aio.Client(broker.host, broker.port, will=aio.Will(topic, "gone"))
        await client.__aenter__()
        await end(client)
        del client
        gc.collect()
        message = await watcher.messages.__anext__()
        payload: bytes = message.payload
        return payload


def test_a_client_that_is_dropped(run: Run, broker: Mosquitto, name: str) -> None:
    async def nothing(client: aio.Client) -> None:
        pass

    async def program() -> None:
        with pytest.warns(ResourceWarning, match="unclosed client"):
            assert await will_of(broker, name, nothing) == b"gone"

    run(program)


def test_a_loop_that_is_closed_before_the_client(broker: Mosquitto) -> None:
    before = descriptors()

    async def program() -> aio.Client:
        client = aio.Client(broker.host, broker.port)
        await client.__aenter__()
        return client

    client = asyncio.run(program(), debug=True)
    with pytest.warns(ResourceWarning, match="unclosed client"):
        del client
        gc.collect()
    eventually(lambda: descriptors() == before, "the descriptors are given back")


def test_a_client_on_one_loop_after_the_other(broker: Mosquitto, name: str) -> None:
    client = aio.Client(
        broker.host, broker.port, max_concurrent_outgoing_calls=1, queue_type=asyncio.LifoQueue
    )

    async def program() -> bytes:
        async with client:
            await client.subscribe(name)
            await client.publish(name, "m", qos=1)
            payload: bytes = (await client.messages.__anext__()).payload
            return payload

    for _ in range(3):
        assert asyncio.run(program(), debug=True) == b"m"


def test_two_loops_in_two_threads(broker: Mosquitto, name: str) -> None:
    results: list[int] = []

    def live(number: int) -> None:
        async def program() -> None:
            topic = f"{name}/{number}"
            async with aio.Client(broker.host, broker.port) as client:
                await client.subscribe(topic, qos=1)
                await client.publish_many([(topic, str(n)) for n in range(500)], qos=1)
                count = 0
                async for _ in client.messages:
                    count += 1
                    if count == 500:
                        break
                results.append(count)

        asyncio.run(program(), debug=True)

    threads = [threading.Thread(target=live, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [500, 500]


def test_nothing_is_left_behind(run: Run, broker: Mosquitto, name: str) -> None:
    """After 100 connections: as many descriptors, threads and tasks as before."""

    async def once(client: aio.Client) -> None:
        async with client:
            await client.subscribe(name)
            await client.publish(name, "m", qos=1)
            await client.messages.__anext__()

    async def program() -> None:
        await once(aio.Client(broker.host, broker.port))
        before = descriptors(), len(asyncio.all_tasks())
        again = aio.Client(broker.host, broker.port)
        for _ in range(50):
            await once(aio.Client(broker.host, broker.port))
            await once(again)
        for _ in range(20):
            with pytest.raises(aio.MqttError):
                await once(aio.Client("127.0.0.1", 1))
        # Fewer are left where earlier tests left something to the garbage collection.
        while any(
            now > then for now, then in zip((descriptors(), len(asyncio.all_tasks())), before)
        ):
            await asyncio.sleep(0.01)
        while any(name.endswith("-dial") for name in names()):
            await asyncio.sleep(0.01)

    run(program)


def test_many_clients_on_one_loop(run: Run, broker: Mosquitto, name: str) -> None:
    count = 300

    async def live(number: int) -> None:
        topic = f"{name}/{number}"
        async with aio.Client(broker.host, broker.port, timeout=30) as client:
            await client.subscribe(topic)
            nonlocal ready
            ready += 1
            if ready == count:
                everybody.set()
            await everybody.wait()
            await client.publish(topic, str(number), qos=1)
            message = await client.messages.__anext__()
            assert message.payload == str(number).encode()

    ready = 0
    everybody: Any = None

    async def program() -> None:
        nonlocal everybody
        everybody = asyncio.Event()
        await asyncio.gather(*(live(number) for number in range(count)))

    run(program)


class WithoutReaders(asyncio.SelectorEventLoop):
    """A loop that cannot watch descriptors, as the proactor loop of Windows, for others than itself."""

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:
        raise NotImplementedError

    def remove_reader(self, fd: Any) -> bool:
        raise NotImplementedError


def test_a_loop_that_cannot_watch_descriptors(broker: Mosquitto, name: str) -> None:
    before = descriptors()

    async def program(number: int) -> None:
        topic = f"{name}/{number}"
        async with aio.Client(broker.host, broker.port) as client:
            await client.subscribe(topic, qos=1)
            await client.publish_many([(topic, str(n)) for n in range(1000)], qos=1)
            received: list[int] = []
            async for message in client.messages:
                received.append(int(message.payload))
                if len(received) == 1000:
                    break
            assert received == list(range(1000))

    async def both() -> None:
        await asyncio.gather(program(1), program(2))

    for _ in range(2):
        loop = WithoutReaders()
        try:
            loop.run_until_complete(asyncio.wait_for(both(), 30))
        finally:
            loop.close()
    eventually(lambda: "oxmqtt-wakeups" not in names(), "the thread ends")
    eventually(lambda: descriptors() <= before, "the descriptors are given back")


EXIT = """
    import asyncio
    from oxmqtt import aio

    async def main():
        global client
        client = aio.Client(HOST, PORT, will=aio.Will(NAME, "will"), reconnect=RECONNECT)
        await client.__aenter__()
        await client.publish(NAME, "last words")
        say("ready")
        END

    asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["return", "raise SystemExit(3)", "raise RuntimeError('end')"])
@pytest.mark.parametrize("reconnect", [False, True])
def test_a_program_that_ends_with_a_connected_client(
    run: Run, broker: Mosquitto, name: str, end: str, reconnect: bool
) -> None:
    """It ends at once; what it published arrives, and then its will."""

    async def program() -> None:
        async with aio.Client(broker.host, broker.port) as watcher:
            await watcher.subscribe(name)
            source = EXIT.replace("END", end)
            values = {"HOST": broker.host, "PORT": broker.port, "NAME": name}
            with Program(source, "oxmqtt.client", **values, RECONNECT=reconnect) as child:
                loop = asyncio.get_running_loop()
                code = await loop.run_in_executor(None, child.exit_code)
                assert code == {"re": 0, "Sy": 3, "Ru": 1}[end.replace("raise ", "")[:2]]
            received = [(await watcher.messages.__anext__()).payload for _ in range(2)]
            assert received == [b"last words", b"will"]

    run(program)


def test_an_unused_client_needs_no_loop(tmp_path: Path) -> None:
    client = aio.Client("localhost", max_concurrent_outgoing_calls=3)
    assert repr(client) == "<Client '' localhost:1883>"
    del client
