"""publish(): payloads, qualities of service, properties, limits, time-outs and cancellation."""

from __future__ import annotations

import asyncio
import math
from types import ModuleType
from typing import Any

import pytest
from support import packets
from support.mosquitto import Mosquitto
from support.packets import Packet
from support.peer import ScriptedPeer

from .conftest import Module, in_thread, received

#: What may be published, and what arrives.
PAYLOADS: list[tuple[Any, bytes]] = [
    ("text", b"text"),
    ("ünï", "ünï".encode()),
    (b"\0\xff", b"\0\xff"),
    (bytearray(b"array"), b"array"),
    (42, b"42"),
    (-1, b"-1"),
    (28.4, b"28.4"),
    (1e300, b"1e+300"),
    (True, b"True"),
    (None, b""),
    ("", b""),
    (b"x" * 300_000, b"x" * 300_000),
]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_payloads(aiomqtt: ModuleType, broker: Mosquitto, qos: int) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe("payloads", qos)
        for given, arrives in PAYLOADS:
            await client.publish("payloads", given, qos)
            message = await client.messages.__anext__()
            assert (message.payload, message.qos) == (arrives, qos)
            assert type(message.payload) is bytes


async def test_no_payload(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe("nothing")
        await client.publish("nothing")
        await client.publish(topic="nothing", payload=None, qos=0, retain=False, properties=None)
        assert [m.payload for m in await received(client, 2)] == [b"", b""]


@pytest.mark.parametrize("payload", [object(), [1], {"a": 1}, {1}, (1,)])
async def test_payload_of_another_type(
    aiomqtt: ModuleType, broker: Mosquitto, payload: object
) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        with pytest.raises(TypeError):
            await client.publish("payloads", payload)


@pytest.mark.parametrize(
    ("topic", "qos"), [("", 0), ("a/+", 0), ("a/#", 1), ("a", 3), ("a", -1), ("a" * 65_536, 0)]
)
async def test_bad_values(aiomqtt: ModuleType, broker: Mosquitto, topic: str, qos: int) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        with pytest.raises(ValueError):
            await client.publish(topic, "x", qos)
        await client.publish("good", "x", 1)


@pytest.mark.parametrize("version", ["V31", "V311", "V5"])
async def test_retained(aiomqtt: ModuleType, broker: Mosquitto, version: str) -> None:
    protocol = aiomqtt.ProtocolVersion[version]
    topic = f"retained/{aiomqtt.__name__}/{version}"
    async with aiomqtt.Client(broker.host, broker.port, protocol=protocol) as client:
        await client.publish(topic, "kept", qos=1, retain=True)
        await client.subscribe(topic)
        await client.publish(topic, "fresh")
        kept, fresh = await received(client, 2)
        assert (kept.payload, kept.retain) == (b"kept", True)
        assert (fresh.payload, fresh.retain) == (b"fresh", False)
        await client.publish(topic, retain=True)


async def test_properties(aiomqtt: ModuleType, module: Module, broker: Mosquitto) -> None:
    properties = module("properties").Properties(module("packettypes").PacketTypes.PUBLISH)
    properties.ContentType = "text/plain"
    properties.UserProperty = [("a", "1"), ("b", "2")]
    properties.CorrelationData = b"\x01"
    v5 = aiomqtt.ProtocolVersion.V5
    async with aiomqtt.Client(broker.host, broker.port, protocol=v5) as client:
        await client.subscribe("properties")
        await client.publish("properties", "x", properties=properties)
        await client.publish("properties", "x")
        told, none = await received(client, 2)
    assert told.properties.ContentType == "text/plain"
    assert told.properties.UserProperty == [("a", "1"), ("b", "2")]
    assert told.properties.CorrelationData == b"\x01"
    assert isinstance(told.properties, module("properties").Properties)
    assert none.properties.json() == {}


def unanswering(kind: int) -> Any:
    """A broker that never answers packets of one kind."""

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        while (packet := connection.read_any()) is not None:
            if packet.kind != kind:
                connection.send(connection.answer(packet))

    return script


@pytest.mark.parametrize("qos", [1, 2])
async def test_no_answer_in_time(aiomqtt: ModuleType, peer: ScriptedPeer, qos: int) -> None:
    peer.converse(unanswering(packets.PUBLISH))
    async with aiomqtt.Client(peer.host, peer.port) as client:
        for timeout in (0.1, 0):
            with pytest.raises(aiomqtt.MqttError, match=r"^Operation timed out$"):
                await client.publish("a", "x", qos, timeout=timeout)
        client.timeout = 0.1
        with pytest.raises(aiomqtt.MqttError, match=r"^Operation timed out$"):
            await client.publish("a", "x", qos)
        await client.publish("a", "x", 0)
        client.timeout = 10
    peer.finish()
    sent = [p for p in peer.connections[0].received if p.kind == packets.PUBLISH]
    assert [packet.qos for packet in sent] == [qos, qos, qos, 0]


async def test_patience_without_end(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        for qos in (0, 1, 2):
            await client.publish("a", "x", qos, timeout=math.inf)


async def test_cancelled(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    """The others that wait are not concerned."""
    published = asyncio.Event()
    loop = asyncio.get_running_loop()

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        asked = [connection.expect(packets.PUBLISH) for _ in range(3)]
        loop.call_soon_threadsafe(published.set)
        connection.expect(packets.PUBLISH, qos=0)
        for packet in asked:
            connection.send(connection.answer(packet))
        connection.serve()

    peer.converse(script)
    async with aiomqtt.Client(peer.host, peer.port) as client:
        tasks = [asyncio.ensure_future(client.publish("a", n, 1)) for n in range(3)]
        await published.wait()
        tasks[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        await client.publish("go", "on")
        await tasks[0]
        await tasks[2]
        await client.publish("a", "still works", 1)


async def test_many_at_once_keep_their_order(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        client.pending_calls_threshold = 1000
        await client.subscribe("many", 2)
        await asyncio.gather(*(client.publish("many", n, 1) for n in range(300)))
        assert [int(m.payload) for m in await received(client, 300)] == list(range(300))


async def test_max_concurrent_outgoing_calls(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    """Only so many are under way; the next goes out when one is answered."""
    loop = asyncio.get_running_loop()
    waiting = asyncio.Event()
    seen: list[Packet] = []

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        seen.extend(connection.expect(packets.PUBLISH) for _ in range(2))
        loop.call_soon_threadsafe(waiting.set)
        connection.expect_nothing(0.2)
        connection.send(connection.answer(seen[0]))
        seen.append(connection.expect(packets.PUBLISH))
        for packet in seen[1:]:
            connection.send(connection.answer(packet))
        connection.serve()

    peer.converse(script)
    async with aiomqtt.Client(peer.host, peer.port, max_concurrent_outgoing_calls=2) as client:
        calls = [client.publish("a", n, 1) for n in range(3)]
        calls += [client.subscribe("b"), client.unsubscribe("b")]
        tasks = [asyncio.ensure_future(call) for call in calls]
        await waiting.wait()
        assert not any(task.done() for task in tasks)
        await asyncio.gather(*tasks)
    peer.finish()
    assert [int(packet.payload) for packet in seen] == [0, 1, 2]


async def test_max_inflight_messages(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        for n in range(5):
            packet = connection.expect(packets.PUBLISH, payload=b"%d" % n)
            if n < 2:
                connection.expect_nothing(0.1)
            connection.send(connection.answer(packet))
        connection.serve()

    peer.converse(script)
    async with aiomqtt.Client(peer.host, peer.port, max_inflight_messages=1) as client:
        await asyncio.gather(*(client.publish("a", n, 1) for n in range(5)))


async def test_max_queued_outgoing_messages(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        asked = connection.expect(packets.PUBLISH)
        connection.expect(packets.PUBLISH, qos=0)
        connection.send(connection.answer(asked))
        connection.serve()

    peer.converse(script)
    limits = {"max_inflight_messages": 1, "max_queued_outgoing_messages": 1}
    async with aiomqtt.Client(peer.host, peer.port, **limits) as client:
        first = asyncio.ensure_future(client.publish("a", "under way", 1))
        await asyncio.sleep(0)
        with pytest.raises(aiomqtt.MqttCodeError) as caught:
            await client.publish("a", "too many", 1)
        assert caught.value.rc == 15
        assert str(caught.value) == "[code:15] Message queue full."
        await client.publish("go", "on")
        await first
        await client.publish("a", "room again", 1)


async def test_after_leaving(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        pass
    for qos in (0, 1, 2):
        with pytest.raises(aiomqtt.MqttCodeError) as caught:
            await client.publish("a", "x", qos)
        assert caught.value.rc == 4
        assert str(caught.value) == "[code:4] The client is not currently connected."


async def test_before_entering(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    client = aiomqtt.Client(broker.host, broker.port)
    with pytest.raises(aiomqtt.MqttCodeError) as caught:
        await client.publish("a", "x")
    assert caught.value.rc == 4


async def test_leaving_waits_for_what_was_published(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as reader:
        await reader.subscribe("flushed")
        async with aiomqtt.Client(broker.host, broker.port) as client:
            for n in range(2000):
                await client.publish("flushed", n)
        assert [int(m.payload) for m in await received(reader, 2000)] == list(range(2000))


async def test_warning_of_many_pending_calls(
    aiomqtt: ModuleType, peer: ScriptedPeer, caplog: pytest.LogCaptureFixture
) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        asked = [connection.expect(packets.PUBLISH) for _ in range(11)]
        for packet in asked:
            connection.send(connection.answer(packet))
        connection.serve()

    peer.converse(script)
    async with aiomqtt.Client(peer.host, peer.port) as client:
        assert client.pending_calls_threshold == 10
        await asyncio.gather(*(client.publish("a", n, 1) for n in range(11)))
    warnings = [r.getMessage() for r in caplog.records if r.name == "mqtt"]
    assert warnings == ["There are 11 pending publish calls."]


async def test_published_by_the_paho_style_client(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe("beneath")
        info = client._client.publish("beneath", "x", 1)
        assert (await client.messages.__anext__()).payload == b"x"
        await in_thread(info.wait_for_publish, 5)
        assert info.is_published()
