"""Several readers of one client, single messages and batches: each message goes to exactly one."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from oxmqtt import aio
from oxmqtt.testing import Broker

from .conftest import Run


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_each_message_goes_to_one_of_many(
    run: Run, mqtt_broker: Broker, name: str, qos: int
) -> None:
    count = 3000

    async def program() -> None:
        async with aio.Client(
            mqtt_broker.host, mqtt_broker.port, max_inflight_messages=100
        ) as client:
            await client.subscribe(name, qos=qos)
            seen: Counter[int] = Counter()
            everything = asyncio.Event()

            def note(message: aio.Message) -> None:
                seen[int(message.payload)] += 1
                if len(seen) == count:
                    everything.set()

            async def one_by_one() -> None:
                async for message in client.messages:
                    note(message)
                    if int(message.payload) % 7 == 0:
                        await asyncio.sleep(0)

            async def in_batches(most: int) -> None:
                async for batch in client.batches(most):
                    assert 1 <= len(batch) <= most
                    for message in batch:
                        note(message)
                    await asyncio.sleep(0)

            async def one_at_a_time() -> None:
                while True:
                    note(await client.messages.__anext__())

            readers = [one_by_one(), one_by_one(), in_batches(1), in_batches(100), one_at_a_time()]
            tasks = [asyncio.ensure_future(reader) for reader in readers]
            await client.publish_many([(name, str(number)) for number in range(count)], qos=qos)
            await everything.wait()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert set(seen.values()) == {1}

    run(program)


def test_messages_come_in_order(run: Run, aio_mqtt_client: aio.Client, name: str) -> None:
    async def program() -> None:
        async with aio_mqtt_client as client:
            await client.subscribe(name, qos=2)
            numbers = [str(number).encode() for number in range(500)]
            await client.publish_many([(name, number) for number in numbers], qos=2)
            received = []
            async for message in client.messages:
                received.append(message.payload)
                if len(received) == 250:
                    break
            async for batch in client.batches():
                received += [message.payload for message in batch]
                if len(received) == 500:
                    break
            assert received == numbers
            assert len(client.messages) == 0

    run(program)


def test_a_cancelled_consumer_loses_no_message(
    run: Run, aio_mqtt_client: aio.Client, name: str
) -> None:
    async def program() -> None:
        async with aio_mqtt_client as client:
            await client.subscribe(name)
            first = asyncio.ensure_future(client.messages.__anext__())
            second = asyncio.ensure_future(client.messages.__anext__())
            await asyncio.sleep(0)
            # It is cancelled in the very step in which it is told that there is a message.
            drained = client._on_drained

            def drain_and_cancel() -> None:
                drained()
                if len(client._mailbox):
                    first.cancel()

            client._runner._drained = drain_and_cancel
            await client.publish(name, "one")
            assert (await asyncio.wait_for(second, 5)).payload == b"one"
            assert first.cancelled()

    run(program)


def test_a_waiting_consumer_can_be_cancelled(
    run: Run, aio_mqtt_client: aio.Client, name: str
) -> None:
    async def program() -> None:
        async with aio_mqtt_client as client:
            await client.subscribe(name)
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(client.messages.__anext__(), 0.01)
            assert not client._consumers
            await client.publish(name, "still here")
            assert (await client.messages.__anext__()).payload == b"still here"

    run(program)


def test_batches_are_not_empty(run: Run, aio_mqtt_client: aio.Client) -> None:
    async def program() -> None:
        async with aio_mqtt_client as client:
            with pytest.raises(ValueError, match="at least 1"):
                client.batches(0)

    run(program)


def test_messages_of_a_lost_connection_come_before_the_error(
    run: Run, aio_mqtt_client: aio.Client, name: str
) -> None:
    async def program() -> None:
        async with aio_mqtt_client as client:
            await client.subscribe(name)
            await client.publish_many([(name, str(number)) for number in range(10)], qos=1)
            while len(client.messages) < 10:
                await asyncio.sleep(0)
            client._client.socket().close()
            received = []
            with pytest.raises(aio.MqttError, match="Disconnected"):
                async for message in client.messages:
                    received.append(int(message.payload))
            assert received == list(range(10))
            with pytest.raises(aio.MqttError):
                await client.batches().__anext__()

    run(program)


def test_messages_that_nobody_took_are_there_next_time(
    run: Run, aio_mqtt_client: aio.Client, name: str
) -> None:
    async def program() -> None:
        async with aio_mqtt_client as client:
            await client.subscribe(name)
            await client.publish_many([(name, "early")] * 3, qos=1)
            while len(client.messages) < 3:
                await asyncio.sleep(0)
        async with client:
            assert len(client.messages) == 3
            assert (await client.messages.__anext__()).payload == b"early"

    run(program)
