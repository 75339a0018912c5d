"""Event loops: one after the other, one per thread, uvloop, and anyio's task groups and pytest plugin."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import Any

import pytest
from support.mosquitto import Mosquitto

from .conftest import received


async def exchange(client: Any, topic: str, count: int = 100) -> None:
    async with client:
        await client.subscribe(topic, 1)
        for n in range(count):
            await client.publish(topic, n, 1 + n % 2)
        assert [int(m.payload) for m in await received(client, count)] == list(range(count))


def test_a_client_for_each_loop(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    async def main() -> None:
        await exchange(aiomqtt.Client(broker.host, broker.port), "each")

    for _ in range(3):
        asyncio.run(main(), debug=True)


@pytest.mark.better_than_aiomqtt("its clients are made inside a loop and belong to it")
@pytest.mark.parametrize("limit", [None, 2])
def test_one_client_on_loop_after_loop(
    aiomqtt: ModuleType, broker: Mosquitto, limit: int | None
) -> None:
    client = aiomqtt.Client(broker.host, broker.port, max_concurrent_outgoing_calls=limit)
    for _ in range(3):
        asyncio.run(exchange(client, "after"), debug=True)


def test_a_loop_in_each_thread(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    failures: list[BaseException] = []

    async def main(n: int) -> None:
        await exchange(aiomqtt.Client(broker.host, broker.port), f"thread/{n}", 300)

    def run(n: int) -> None:
        try:
            asyncio.run(main(n))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


async def test_several_clients_on_one_loop(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    clients = [aiomqtt.Client(broker.host, broker.port) for _ in range(20)]
    await asyncio.gather(*(exchange(client, f"of/{n}") for n, client in enumerate(clients)))


async def test_a_busy_loop_delays_nothing_for_ever(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe("busy", 1)
        for n in range(10):
            await client.publish("busy", n, 1)
            time.sleep(0.01)  # a program that blocks its event loop
        assert [int(m.payload) for m in await received(client, 10)] == list(range(10))


def run_on_uvloop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    uvloop = pytest.importorskip("uvloop")
    loop = uvloop.new_event_loop()
    unhandled: list[Any] = []
    loop.set_debug(True)
    loop.set_exception_handler(lambda loop, context: unhandled.append(context))
    try:
        loop.run_until_complete(asyncio.wait_for(main(), 40))
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
    assert not unhandled


def test_uvloop(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    """aiomqtt has Nagle's algorithm on: on the embedded broker each of its messages waits 40 ms for a delayed ACK."""

    async def main() -> None:
        client = aiomqtt.Client(broker.host, broker.port)
        for _ in range(2):
            await exchange(client, "uvloop", 300)
        with pytest.raises(aiomqtt.MqttError, match="refused"):
            await aiomqtt.Client("127.0.0.1", 1).__aenter__()

    run_on_uvloop(main)


def test_loss_and_cancellation_on_uvloop(aiomqtt: ModuleType, own_broker: Mosquitto) -> None:
    async def main() -> None:
        client = aiomqtt.Client(own_broker.host, own_broker.port)
        with pytest.raises(aiomqtt.MqttError, match="Disconnected during message iteration"):
            async with client:
                await client.subscribe("a")
                waiting = asyncio.ensure_future(client.messages.__anext__())
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                own_broker.kill()
                await client.messages.__anext__()
        own_broker.start()
        await exchange(client, "again")

    run_on_uvloop(main)


@pytest.mark.better_than_aiomqtt(
    "it watches descriptors that it has closed; the plugin hears of it"
)
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_anyio(aiomqtt: ModuleType, broker: Mosquitto, anyio_backend: str) -> None:
    """A task group is cancelled from within `async for`."""
    anyio = pytest.importorskip("anyio")
    seen: list[bytes] = []

    async def listen(client: Any, scope: Any) -> None:
        async for message in client.messages:
            seen.append(message.payload)
            if len(seen) == 3:
                scope.cancel()

    client = aiomqtt.Client(broker.host, broker.port)
    for _ in range(2):
        seen.clear()
        async with client, anyio.create_task_group() as group:
            await client.subscribe("anyio")
            group.start_soon(listen, client, group.cancel_scope)
            await anyio.wait_all_tasks_blocked()
            for n in range(3):
                await client.publish("anyio", n, 1)
        assert seen == [b"0", b"1", b"2"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_anyio_deadlines(aiomqtt: ModuleType, broker: Mosquitto, anyio_backend: str) -> None:
    anyio = pytest.importorskip("anyio")
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe("deadline")
        with anyio.move_on_after(0.05) as scope:
            await client.messages.__anext__()
        assert scope.cancel_called
        with anyio.fail_after(10):
            await client.publish("deadline", "x", 1)
            assert (await client.messages.__anext__()).payload == b"x"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.TaskGroup came with Python 3.11")
async def test_task_group(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    """The exception of one task cancels the listening one; the connection ends in good order."""

    async def listen(client: Any) -> None:
        async for message in client.messages:
            if message.payload == b"stop":
                raise KeyError

    client = aiomqtt.Client(broker.host, broker.port)
    with pytest.raises(BaseException) as caught:
        async with client, asyncio.TaskGroup() as group:  # type: ignore[attr-defined]
            await client.subscribe("group")
            group.create_task(listen(client))
            group.create_task(asyncio.sleep(60))
            await client.publish("group", "stop")
    assert isinstance(caught.value.exceptions[0], KeyError)
    await exchange(client, "after the group", 3)
