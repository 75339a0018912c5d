"""subscribe() and unsubscribe(): what they take and return, time-outs and cancellation."""

from __future__ import annotations

import asyncio
import logging
from types import ModuleType
from typing import Any

import pytest
from support import packets
from support.mosquitto import Mosquitto
from support.peer import ScriptedPeer

from .conftest import Module, received


def values(codes: Any) -> list[int]:
    """Reason codes, which are numbers too in the answers of MQTT 3.x."""
    return [getattr(code, "value", code) for code in codes]


@pytest.mark.parametrize("version", ["V31", "V311", "V5"])
async def test_forms_of_the_topic(aiomqtt: ModuleType, broker: Mosquitto, version: str) -> None:
    protocol = aiomqtt.ProtocolVersion[version]
    async with aiomqtt.Client(broker.host, broker.port, protocol=protocol) as client:
        assert values(await client.subscribe("a/#")) == [0]
        assert values(await client.subscribe("a/b", 1)) == [1]
        assert values(await client.subscribe(topic="a/c", qos=2)) == [2]
        if version != "V5":
            assert values(await client.subscribe(("a/d", 1))) == [1]
            assert values(await client.subscribe([("a/e", 1), ("a/f", 0), ("+/g", 2)])) == [1, 0, 2]
        assert values(await client.subscribe("$share/group/a")) == [0]


async def test_options_of_mqtt_5(aiomqtt: ModuleType, module: Module, broker: Mosquitto) -> None:
    options = module("subscribeoptions").SubscribeOptions
    identified = module("properties").Properties(module("packettypes").PacketTypes.SUBSCRIBE)
    identified.SubscriptionIdentifier = 7
    v5 = aiomqtt.ProtocolVersion.V5
    async with aiomqtt.Client(broker.host, broker.port, protocol=v5) as client:
        assert values(await client.subscribe("o/1", options=options(qos=1, noLocal=True))) == [1]
        codes = await client.subscribe([("o/2", options(qos=2)), ("o/3", options(qos=0))])
        assert values(codes) == [2, 0]
        assert all(isinstance(code, module("reasoncodes").ReasonCode) for code in codes)
        assert values(await client.subscribe(("o/4", options(qos=1)))) == [1]
        assert values(await client.subscribe("o/5", properties=identified)) == [0]
        await client.publish("o/1", "not to the sender", 1)
        await client.publish("o/5", "identified")
        (message,) = await received(client, 1)
        assert message.payload == b"identified"
        assert message.properties.SubscriptionIdentifier == [7]


async def test_refused_filter(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    """A failure is returned, not raised."""

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        asked = connection.expect(packets.SUBSCRIBE)
        connection.send(packets.suback(packets.V311, asked.mid, [1, 0x80]))
        connection.serve()

    peer.converse(script)
    async with aiomqtt.Client(peer.host, peer.port) as client:
        assert values(await client.subscribe([("a", 1), ("b", 1)])) == [1, 0x80]


@pytest.mark.parametrize("topic", ["", "a/#/b", "a+", [], [("", 0)], None])
async def test_bad_filter(aiomqtt: ModuleType, broker: Mosquitto, topic: Any) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        with pytest.raises(ValueError):
            await client.subscribe(topic)
        await client.subscribe("good")


async def test_bad_filter_to_unsubscribe(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        for topic in ("", None, [""]):
            with pytest.raises(ValueError):
                await client.unsubscribe(topic)


async def test_bad_qos(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        for qos in (-1, 3):
            with pytest.raises(ValueError):
                await client.subscribe("a", qos)


@pytest.mark.parametrize("version", ["V31", "V311", "V5"])
async def test_unsubscribed(aiomqtt: ModuleType, broker: Mosquitto, version: str) -> None:
    protocol = aiomqtt.ProtocolVersion[version]
    async with aiomqtt.Client(broker.host, broker.port, protocol=protocol) as client:
        for topic in ("u/1", "u/2", "u/3", "u/4"):
            await client.subscribe(topic)
        await client.unsubscribe("u/1")
        await client.unsubscribe(["u/2", "u/3"])
        for n in range(1, 5):
            await client.publish(f"u/{n}", n)
        (message,) = await received(client, 1)
        assert message.payload == b"4"


async def test_no_answer_in_time(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        while (packet := connection.read_any()) is not None:
            if packet.kind == packets.CONNECT or [("c", 0)] == packet.filters:
                connection.send(connection.answer(packet))

    peer.converse(script)
    client = aiomqtt.Client(peer.host, peer.port)
    async with client:
        for call in (client.subscribe, client.unsubscribe):
            for timeout in (0.1, 0):
                with pytest.raises(aiomqtt.MqttError, match=r"^Operation timed out$"):
                    await call("b", timeout=timeout)
        client.timeout = 0.1
        for call in (client.subscribe, client.unsubscribe):
            with pytest.raises(aiomqtt.MqttError, match=r"^Operation timed out$"):
                await call("b")
        client.timeout = 10
        await client.subscribe("c")
        await client.unsubscribe("c")


async def test_late_answer(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    """The answer to a call that has given up is nobody's; the next call gets its own."""

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        first = connection.expect(packets.SUBSCRIBE)
        second = connection.expect(packets.SUBSCRIBE)
        for asked, reason in ((first, 0), (second, 2)):
            connection.send(packets.suback(packets.V311, asked.mid, [reason]))
        connection.serve()

    peer.converse(script)
    async with aiomqtt.Client(peer.host, peer.port) as client:
        with pytest.raises(aiomqtt.MqttError, match=r"^Operation timed out$"):
            await client.subscribe("a", 0, timeout=0.05)
        assert values(await client.subscribe("b", 2)) == [2]


async def test_cancelled(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        connection.expect(packets.SUBSCRIBE)
        loop.call_soon_threadsafe(asked.set)
        connection.serve()

    peer.converse(script)
    async with aiomqtt.Client(peer.host, peer.port) as client:
        task = asyncio.ensure_future(client.subscribe("a"))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert values(await client.subscribe("b", 1)) == [1]


class Trigger(logging.Handler):
    """Calls something when the client logs a packet."""

    def __init__(self, packet: str, call: Any) -> None:
        super().__init__()
        self._packet = packet
        self._call = call

    def emit(self, record: logging.LogRecord) -> None:
        if self._packet in record.getMessage():
            self._call()


@pytest.mark.better_than_aiomqtt("before Python 3.12, asyncio.wait_for() loses the cancellation")
async def test_cancelled_with_the_answer(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    """The answer is here, but the task does not know yet: it is cancelled all the same."""

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        asked = connection.expect(packets.SUBSCRIBE)
        suback = packets.suback(packets.V311, asked.mid, [0])
        connection.send(suback, packets.publish(packets.V311, "now", b"cancel"))
        connection.serve()

    peer.converse(script)
    logger = logging.Logger("own", logging.DEBUG)
    async with aiomqtt.Client(peer.host, peer.port, logger=logger) as client:
        task = asyncio.ensure_future(client.subscribe("a"))
        logger.addHandler(Trigger("Received PUBLISH", task.cancel))
        with pytest.raises(asyncio.CancelledError):
            await task
        (message,) = await received(client, 1)
        assert message.payload == b"cancel"


@pytest.mark.parametrize("call", ["subscribe", "unsubscribe"])
async def test_without_a_connection(aiomqtt: ModuleType, broker: Mosquitto, call: str) -> None:
    client = aiomqtt.Client(broker.host, broker.port)
    for _ in range(2):
        with pytest.raises(aiomqtt.MqttCodeError) as caught:
            await getattr(client, call)("a")
        assert caught.value.rc == 4
        assert str(caught.value) == "[code:4] The client is not currently connected."
        async with client:
            pass
