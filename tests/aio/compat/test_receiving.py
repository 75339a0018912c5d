"""messages: order, queues of the program's own, len(), several consumers, cancellation, and what a message is."""

from __future__ import annotations

import asyncio
import contextlib
from types import ModuleType
from typing import Any

import pytest
from support import packets
from support.mosquitto import Mosquitto
from support.peer import ScriptedPeer

from .conftest import Module, received


async def settled(client: Any, count: int) -> None:
    """So many messages wait; they come one at a time."""
    while len(client.messages) < count:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_order(aiomqtt: ModuleType, broker: Mosquitto, qos: int) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        client.pending_calls_threshold = 1000
        await client.subscribe("order/#", qos)
        sending = asyncio.gather(*(client.publish(f"order/{n % 7}", n, qos) for n in range(1000)))
        seen = [int(message.payload) for message in await received(client, 1000)]
        await sending
        assert seen == list(range(1000))


async def test_what_a_message_is(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe("what/#", 2)
        for qos in (0, 1, 2):
            await client.publish("what/ü", "x", qos)
        for qos, message in enumerate(await received(client, 3)):
            assert isinstance(message, aiomqtt.Message)
            assert isinstance(message.topic, aiomqtt.Topic)
            assert (str(message.topic), message.topic.value) == ("what/ü", "what/ü")
            assert message.topic.matches("what/+")
            assert (message.payload, message.qos, message.retain) == (b"x", qos, False)
            assert message.retain is False
            assert bool(message.mid) is bool(qos)
            assert message.properties is None


async def test_messages_of_ones_own(aiomqtt: ModuleType) -> None:
    first = aiomqtt.Message("a/b", b"x", 1, True, 1, None)
    second = aiomqtt.Message(
        topic=aiomqtt.Topic("a"), payload=b"", qos=0, retain=False, mid=2, properties=None
    )
    assert first.topic == aiomqtt.Topic("a/b")
    assert (first.payload, first.qos, first.retain, first.mid) == (b"x", 1, True, 1)
    assert first < second and not second < first
    assert sorted([second, first]) == [first, second]
    with pytest.raises(ValueError):
        aiomqtt.Message("a/#", b"", 0, False, 0, None)


async def test_len(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        assert len(client.messages) == 0
        await client.subscribe("len", 2)
        for n in range(3):
            await client.publish("len", n, 2)
        await settled(client, 3)
        for left in (2, 1, 0):
            await client.messages.__anext__()
            assert len(client.messages) == left


async def test_lifo_queue(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    queue_type = asyncio.LifoQueue
    async with aiomqtt.Client(broker.host, broker.port, queue_type=queue_type) as client:
        await client.subscribe("lifo", 1)
        for n in range(5):
            await client.publish("lifo", n, 1)
        await settled(client, 5)
        seen = [message.payload for message in await received(client, 5)]
        assert seen == [b"4", b"3", b"2", b"1", b"0"]
        assert len(client.messages) == 0


class HumidityFirst(asyncio.PriorityQueue):  # type: ignore[type-arg]
    def _put(self, item: Any) -> None:
        super()._put((1 if item.topic.matches("humidity/#") else 2, item))

    def _get(self) -> Any:
        return super()._get()[1]


@pytest.mark.parametrize("qos", [0, 1])
async def test_priority_queue(aiomqtt: ModuleType, broker: Mosquitto, qos: int) -> None:
    async with aiomqtt.Client(broker.host, broker.port, queue_type=HumidityFirst) as client:
        await client.subscribe([("temperature/#", qos), ("humidity/#", qos)])
        for topic in ("temperature/1", "humidity/1", "temperature/2", "humidity/2"):
            await client.publish(topic, qos=qos)
        await settled(client, 4)
        seen = [message.topic.value for message in await received(client, 4)]
        assert [topic.partition("/")[0] for topic in seen] == ["humidity"] * 2 + ["temperature"] * 2
        if qos:  # ties are decided by the packet identifier
            assert seen == ["humidity/1", "humidity/2", "temperature/1", "temperature/2"]


async def test_plain_priority_queue(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    """Messages compare with each other."""
    queue_type = asyncio.PriorityQueue
    async with aiomqtt.Client(broker.host, broker.port, queue_type=queue_type) as client:
        await client.subscribe("plain", 1)
        for n in range(5):
            await client.publish("plain", n, 1)
        await settled(client, 5)
        mids = [message.mid for message in await received(client, 5)]
        assert mids == sorted(mids)


@pytest.mark.parametrize("queue_type", [None, asyncio.LifoQueue])
async def test_consumer_waits_before_messages_come(
    aiomqtt: ModuleType, broker: Mosquitto, queue_type: Any
) -> None:
    async with aiomqtt.Client(broker.host, broker.port, queue_type=queue_type) as client:
        await client.subscribe("late")
        waiting = asyncio.ensure_future(received(client, 3))
        for n in range(3):
            await client.publish("late", n, 1)
        assert {message.payload for message in await waiting} == {b"0", b"1", b"2"}


async def test_several_consumers(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    """Each message goes to one of them."""
    seen: list[int] = []
    complete = asyncio.Event()

    async def consume(client: Any) -> None:
        async for message in client.messages:
            seen.append(int(message.payload))
            await asyncio.sleep(0)
            if len(seen) == 300:
                complete.set()

    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe("several", 1)
        tasks = [asyncio.ensure_future(consume(client)) for _ in range(3)]
        for n in range(300):
            await client.publish("several", n, n % 2)
        await complete.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(seen) == list(range(300))


async def test_one_iterator_for_several_tasks(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        messages = client.messages
        assert messages.__aiter__() is messages
        tasks = [asyncio.ensure_future(messages.__anext__()) for _ in range(3)]
        await asyncio.sleep(0)
        await client.subscribe("one")
        for n in range(3):
            await client.publish("one", n, 1)
        assert {m.payload for m in await asyncio.gather(*tasks)} == {b"0", b"1", b"2"}


@pytest.mark.parametrize("queue_type", [None, asyncio.Queue])
async def test_cancelled(aiomqtt: ModuleType, broker: Mosquitto, queue_type: Any) -> None:
    """A consumer that is cancelled takes no message with it."""
    async with aiomqtt.Client(broker.host, broker.port, queue_type=queue_type) as client:
        await client.subscribe("cancelled", 1)
        for n in range(20):
            waiting = asyncio.ensure_future(client.messages.__anext__())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await client.publish("cancelled", n, 1)
            assert int((await client.messages.__anext__()).payload) == n


@pytest.mark.better_than_aiomqtt("a message that comes with the cancellation is lost there")
@pytest.mark.parametrize("queue_type", [None, asyncio.Queue])
async def test_cancelled_when_a_message_comes(
    aiomqtt: ModuleType, broker: Mosquitto, queue_type: Any
) -> None:
    """At any turn of the event loop: the message is the next consumer's."""
    async with aiomqtt.Client(broker.host, broker.port, queue_type=queue_type) as client:
        await client.subscribe("race", 1)
        seen = []
        for n in range(100):
            waiting = asyncio.ensure_future(client.messages.__anext__())
            await asyncio.sleep(0)
            sending = asyncio.ensure_future(client.publish("race", n, 1))
            for _ in range(n % 10):
                await asyncio.sleep(0)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                seen.append(int((await waiting).payload))
            await sending
            if len(seen) == n:
                seen.append(int((await client.messages.__anext__()).payload))
        assert seen == list(range(100))


async def test_with_a_timeout(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe("timeout")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.messages.__anext__(), 0.05)
        await client.publish("timeout", "x")
        assert (await asyncio.wait_for(client.messages.__anext__(), 5)).payload == b"x"


async def test_left_by_break_and_entered_again(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe("break", 1)
        for n in range(4):
            await client.publish("break", n, 1)
        seen = []
        for _ in range(2):
            async for message in client.messages:
                seen.append(int(message.payload))
                if len(seen) % 2 == 0:
                    break
        assert seen == [0, 1, 2, 3]


async def test_retained_messages_first(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    base = f"kept/{aiomqtt.__name__}"
    async with aiomqtt.Client(broker.host, broker.port) as client:
        for n in range(3):
            await client.publish(f"{base}/{n}", n, 1, retain=True)
        await client.subscribe(f"{base}/#")
        assert {(m.payload, m.retain) for m in await received(client, 3)} == {
            (b"0", True),
            (b"1", True),
            (b"2", True),
        }
        for n in range(3):
            await client.publish(f"{base}/{n}", qos=1, retain=True)


async def test_persistent_session(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    """What was published meanwhile comes at the next connection, without a new subscription."""
    name = f"persistent-{aiomqtt.__name__}"
    options = {"identifier": name, "clean_session": False}
    async with aiomqtt.Client(broker.host, broker.port, **options) as client:
        await client.subscribe(name, 1)
    async with aiomqtt.Client(broker.host, broker.port) as other:
        for n in range(10):
            await other.publish(name, n, 1)
    async with aiomqtt.Client(broker.host, broker.port, **options) as client:
        assert [int(m.payload) for m in await received(client, 10)] == list(range(10))
        await client.unsubscribe(name)


async def test_bounded_queue(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    """aiomqtt discards what exceeds max_queued_incoming_messages; oxmqtt stops reading, and loses none."""

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        for n in range(200):
            connection.send(packets.publish(packets.V311, "full", b"%d" % n))
        connection.serve()

    peer.converse(script)
    bound = 5
    async with aiomqtt.Client(peer.host, peer.port, max_queued_incoming_messages=bound) as client:
        await settled(client, bound)
        first = [int(message.payload) for message in await received(client, bound)]
        assert first == list(range(bound))
        if aiomqtt.__name__ == "oxmqtt.aio":
            rest = await received(client, 200 - bound)
            assert [int(message.payload) for message in rest] == list(range(bound, 200))
        await client.publish("the peer", "has sent them all", 1)


async def test_properties_of_mqtt_5(
    aiomqtt: ModuleType, module: Module, peer: ScriptedPeer
) -> None:
    told = {
        "payload_format_indicator": 1,
        "message_expiry_interval": 60,
        "content_type": "text/plain",
        "response_topic": "answers",
        "correlation_data": b"\x00\x01",
    }

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        connection.send(packets.publish(packets.V5, "p", b"x", properties=told))
        connection.serve()

    peer.converse(script)
    v5 = aiomqtt.ProtocolVersion.V5
    async with aiomqtt.Client(peer.host, peer.port, protocol=v5) as client:
        (message,) = await received(client, 1)
        properties = message.properties
        assert isinstance(properties, module("properties").Properties)
        assert properties.PayloadFormatIndicator == 1
        assert properties.MessageExpiryInterval == 60
        assert properties.ContentType == "text/plain"
        assert properties.ResponseTopic == "answers"
        assert properties.CorrelationData == b"\x00\x01"
