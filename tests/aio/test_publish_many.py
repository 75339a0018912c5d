"""Publishing in bulk: from lists, generators and asynchronous generators, with bounded memory."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import pytest
from oxmqtt import aio
from support import packets
from support.mosquitto import Mosquitto
from support.packets import PUBLISH, V5
from support.peer import ScriptedPeer

from .conftest import Run


def numbers(topic: str, count: int) -> Iterator[tuple[str, str]]:
    return ((topic, str(number)) for number in range(count))


async def numbers_async(topic: str, count: int) -> AsyncIterator[tuple[str, str]]:
    for message in numbers(topic, count):
        await asyncio.sleep(0)
        yield message


@pytest.mark.parametrize("kind", ["list", "generator", "asynchronous"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_all_arrive_in_order(run: Run, broker: Mosquitto, name: str, qos: int, kind: str) -> None:
    count = 2500

    async def program() -> None:
        async with aio.Client(broker.host, broker.port, max_inflight_messages=100) as client:
            await client.subscribe(name, qos=2)
            messages = {
                "list": lambda: list(numbers(name, count)),
                "generator": lambda: numbers(name, count),
                "asynchronous": lambda: numbers_async(name, count),
            }[kind]()
            publishing = asyncio.ensure_future(client.publish_many(messages, qos=qos))
            received: list[int] = []
            async for batch in client.batches():
                received += [int(message.payload) for message in batch]
                if len(received) == count:
                    break
            await publishing
            assert received == list(range(count))

    run(program)


@pytest.mark.parametrize("qos", [0, 1])
def test_a_generator_without_end_is_taken_as_there_is_room(
    run: Run, peer: ScriptedPeer, name: str, qos: int
) -> None:
    """The peer reads nothing: what was taken is bounded by what may be unsent, or unanswered."""
    taken = 0

    def endless() -> Iterator[tuple[str, bytes]]:
        nonlocal taken
        for taken in itertools.count(1):  # noqa: B007
            yield name, bytes(1000)

    async def program() -> None:
        async with aio.Client(peer.host, peer.port, max_inflight_messages=10) as client:
            publishing = asyncio.ensure_future(client.publish_many(endless(), qos=qos))
            before = -1
            while taken != before:  # until it waits
                before = taken
                await asyncio.sleep(0.1)
            assert not publishing.done()
            most = 2000 if qos else 20_000
            assert 1000 <= taken <= most
            publishing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await publishing
            client._client._ox_engine.abort()

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        connections.append(connection)

    connections: list[object] = []
    peer.converse(script)
    run(program)
    peer.finish()


def test_others_have_their_turn(run: Run, broker: Mosquitto, name: str) -> None:
    async def program() -> None:
        async with aio.Client(broker.host, broker.port) as client:
            turns = 0

            async def count_turns() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            counting = asyncio.ensure_future(count_turns())
            await client.publish_many([(name, "m")] * 20_000)
            assert turns >= 10
            counting.cancel()

    run(program)


def test_a_bad_message_stops_it(run: Run, broker: Mosquitto, name: str) -> None:
    async def program() -> None:
        async with aio.Client(broker.host, broker.port) as client:
            await client.subscribe(name)
            with pytest.raises(ValueError, match="wildcards"):
                await client.publish_many([(name, "good"), ("a/#", "bad"), (name, "not taken")])
            with pytest.raises(TypeError):
                await client.publish_many([(name, object())])  # type: ignore[list-item]
            with pytest.raises((TypeError, ValueError)):
                await client.publish_many([(name,)])  # type: ignore[list-item]
            await client.publish(name, "last")
            received = [(await client.messages.__anext__()).payload for _ in range(2)]
            assert received == [b"good", b"last"]

    run(program)


def test_what_the_broker_refuses_is_told(run: Run, peer: ScriptedPeer, name: str) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        for number in range(10):
            mid = connection.expect(PUBLISH).mid
            reason = 0x97 if number == 3 else 0
            connection.send(packets.acknowledge(V5, packets.PUBACK, mid, reason))
        connection.serve()

    async def program() -> None:
        options = {"protocol": aio.ProtocolVersion.V5}
        async with aio.Client(peer.host, peer.port, **options) as client:  # type: ignore[arg-type]
            with pytest.raises(aio.MqttCodeError, match="Quota exceeded"):
                await client.publish_many(numbers(name, 10), qos=1)

    peer.converse(script)
    run(program)
    peer.finish()


def test_nothing_is_nothing(run: Run, broker: Mosquitto) -> None:
    async def program() -> None:
        async with aio.Client(broker.host, broker.port) as client:
            await client.publish_many([], qos=1)
            await client.publish_many(iter(()))

    run(program)
