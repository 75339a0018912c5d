"""Request and response of MQTT 5.0: answers find their request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from oxmqtt import aio
from oxmqtt.packettypes import PacketTypes
from oxmqtt.properties import Properties
from support import packets
from support.mosquitto import Mosquitto
from support.packets import SUBSCRIBE, V5
from support.peer import ScriptedPeer

from .conftest import Run


def client(broker: Any, **options: Any) -> aio.Client:
    return aio.Client(broker.host, broker.port, protocol=aio.ProtocolVersion.V5, **options)


async def answer(server: aio.Client, question: aio.Message, payload: Any, **changes: Any) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.CorrelationData = question.properties.CorrelationData
    vars(properties).update(changes)
    await server.publish(question.properties.ResponseTopic, payload, properties=properties)


@asynccontextmanager
async def serving(broker: Mosquitto, topic: str, serve: Any) -> AsyncIterator[None]:
    async with client(broker) as server:
        await server.subscribe(topic)

        async def run() -> None:
            async for question in server.messages:
                await serve(server, question)

        task = asyncio.ensure_future(run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


def test_many_at_once(run: Run, broker: Mosquitto, name: str) -> None:
    async def double(server: aio.Client, question: aio.Message) -> None:
        await answer(server, question, int(question.payload) * 2)

    async def program() -> None:
        async with serving(broker, name, double), client(broker) as asker:
            answers = await asyncio.gather(
                *(asker.request(name, number, 5, qos=number % 3) for number in range(100))
            )
            assert [int(one.payload) for one in answers] == [2 * number for number in range(100)]
            assert len(asker.messages) == 0
            assert not asker._replies

    run(program)


def test_one_loop_after_another(run: Run, broker: Mosquitto, name: str) -> None:
    """Requests that wait for the subscription of the first belong to their loop."""

    async def echo(server: aio.Client, question: aio.Message) -> None:
        await answer(server, question, question.payload)

    async def program() -> None:
        async with serving(broker, name, echo), asker:
            answers = await asyncio.gather(*(asker.request(name, text, 5) for text in "abc"))
            assert [one.payload for one in answers] == [b"a", b"b", b"c"]

    asker = client(broker)
    run(program)
    run(program)


def test_answers_that_nobody_waits_for(run: Run, broker: Mosquitto, name: str) -> None:
    """Late, twice, of another correlation, without one: none of them disturbs."""
    late: list[aio.Message] = []

    async def serve(server: aio.Client, question: aio.Message) -> None:
        if question.payload == b"late":
            late.append(question)
            return
        for earlier in late:
            await answer(server, earlier, "too late")
        await answer(server, question, "wrong", CorrelationData=b"nobody")
        topic = question.properties.ResponseTopic
        await server.publish(topic, "without")
        await answer(server, question, "right")
        await answer(server, question, "again")

    async def program() -> None:
        async with serving(broker, name, serve), client(broker) as asker:
            with pytest.raises(aio.MqttError, match="timed out"):
                await asker.request(name, "late", timeout=0.2)
            for _ in range(2):
                assert (await asker.request(name, "soon", timeout=5)).payload == b"right"

    run(program)


def test_properties_of_the_request_are_kept(run: Run, broker: Mosquitto, name: str) -> None:
    async def echo(server: aio.Client, question: aio.Message) -> None:
        await answer(server, question, question.properties.ContentType)

    async def program() -> None:
        async with serving(broker, name, echo), client(broker) as asker:
            properties = Properties(PacketTypes.PUBLISH)
            properties.ContentType = "text/plain"
            reply = await asker.request(name, timeout=5, properties=properties)
            assert reply.payload == b"text/plain"
            assert not hasattr(properties, "ResponseTopic")

    run(program)


def test_the_connection_is_lost(run: Run, broker: Mosquitto, name: str) -> None:
    async def program() -> None:
        async with client(broker) as asker:
            request = asyncio.ensure_future(asker.request(name, timeout=20))
            while not asker._replies:
                await asyncio.sleep(0)
            asker._client.socket().close()
            with pytest.raises(aio.MqttError, match="Disconnected"):
                await request

    run(program)


def test_it_can_be_used_again_on_the_next_connection(
    run: Run, broker: Mosquitto, name: str
) -> None:
    async def echo(server: aio.Client, question: aio.Message) -> None:
        await answer(server, question, question.payload)

    async def program() -> None:
        asker = client(broker)
        async with serving(broker, name, echo):
            for payload in (b"one", b"two"):
                async with asker:
                    assert (await asker.request(name, payload, 5)).payload == payload

    run(program)


def test_before_mqtt_5(run: Run, broker: Mosquitto, name: str) -> None:
    async def program() -> None:
        async with aio.Client(broker.host, broker.port) as asker:
            with pytest.raises(ValueError, match=r"5\.0"):
                await asker.request(name)

    run(program)


def test_the_subscription_is_refused(run: Run, peer: ScriptedPeer, name: str) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        mid = connection.expect(SUBSCRIBE).mid
        connection.send(packets.suback(V5, mid, [0x87]))
        connection.serve()

    async def program() -> None:
        async with client(peer) as asker:
            with pytest.raises(aio.MqttError, match="Not authorized"):
                await asker.request(name, timeout=5)

    peer.converse(script)
    run(program)
    peer.finish()
