"""The connection ends: on purpose, or lost inside `async for`, a call, or the block."""

from __future__ import annotations

import asyncio
import socket
from types import ModuleType
from typing import Any

import pytest
from support import packets
from support.mosquitto import Mosquitto
from support.peer import PeerConnection, ScriptedPeer

from .conftest import received

DISCONNECTED = r"^Disconnected during message iteration$"


async def lost(aiomqtt: ModuleType, client: Any) -> Exception:
    """The error of an `async for`."""
    with pytest.raises(aiomqtt.MqttError, match=DISCONNECTED) as caught:
        async for _ in client.messages:
            pass
    return caught.value


def ending(how: str, again: bool = True) -> Any:
    """A broker that ends the connection after three messages; it may oblige once more."""

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        connection.expect(packets.PUBLISH)
        connection.send(*(packets.publish(connection.version, "a", b"%d" % n) for n in range(3)))
        if how == "disconnect":
            connection.send(packets.disconnect(packets.V5, 0x8B))
        if how == "reset":
            connection.expect(packets.PUBLISH)  # the client has read the three
            connection.reset()
        else:
            connection.close()
        if again:
            peer.accept().serve()

    return script


@pytest.mark.parametrize("how", ["close", "reset", "disconnect"])
async def test_inside_async_for(aiomqtt: ModuleType, peer: ScriptedPeer, how: str) -> None:
    """What came before is delivered first; then there is an MqttError."""
    peer.converse(ending(how))
    protocol = aiomqtt.ProtocolVersion.V5 if how == "disconnect" else None
    client = aiomqtt.Client(peer.host, peer.port, protocol=protocol)
    seen = []
    with pytest.raises(aiomqtt.MqttError, match=DISCONNECTED) as caught:
        async with client:
            await client.publish("begin", "now")
            async for message in client.messages:
                seen.append(message.payload)
                if how == "reset" and len(seen) == 3:
                    await client.publish("end", "now")
    assert seen == [b"0", b"1", b"2"]
    cause = caught.value.__cause__
    assert type(cause) is aiomqtt.MqttCodeError
    assert str(cause) == f"[code:{cause.rc.value}] {cause.rc}"
    if how == "disconnect":
        assert cause.rc == 0x8B
    async with client:
        await client.publish("works", "again", 1)


async def test_messages_that_nobody_took(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    """The connection is lost before the program asks for messages: it still gets them, in order."""
    peer.converse(ending("close", again=False))
    async with aiomqtt.Client(peer.host, peer.port, timeout=0.5) as client:
        await client.publish("begin", "now")
        with pytest.raises(aiomqtt.MqttError):
            while True:
                await client.publish("until", "lost")
                await asyncio.sleep(0.001)
        assert [m.payload for m in await received(client, 3)] == [b"0", b"1", b"2"]
        await lost(aiomqtt, client)


async def test_broker_killed(aiomqtt: ModuleType, own_broker: Mosquitto) -> None:
    client = aiomqtt.Client(own_broker.host, own_broker.port)
    with pytest.raises(aiomqtt.MqttError, match=DISCONNECTED):
        async with client:
            await client.subscribe("a")
            own_broker.kill()
            async for _ in client.messages:
                pass
    with pytest.raises(aiomqtt.MqttError, match="Connection refused"):
        await client.__aenter__()
    own_broker.start()
    async with client:
        await client.subscribe("a")
        await client.publish("a", "back")
        assert (await client.messages.__anext__()).payload == b"back"


async def test_every_consumer_hears_of_it(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        connection.expect(packets.PUBLISH)
        connection.close()

    peer.converse(script)
    async with aiomqtt.Client(peer.host, peer.port) as client:
        tasks = [asyncio.ensure_future(lost(aiomqtt, client)) for _ in range(3)]
        await asyncio.sleep(0)
        await client.publish("end", "now")
        await asyncio.gather(*tasks)
        await lost(aiomqtt, client)
        for call in (client.subscribe, client.unsubscribe, client.publish):
            with pytest.raises(aiomqtt.MqttCodeError) as caught:
                await call("a")
            assert int(caught.value.rc) == 4


@pytest.mark.better_than_aiomqtt(
    "calls that wait for an answer hear nothing, and wait for their time-out"
)
@pytest.mark.parametrize("call", ["publish", "subscribe", "unsubscribe"])
async def test_inside_a_call(aiomqtt: ModuleType, peer: ScriptedPeer, call: str) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        connection.read()
        connection.close()

    peer.converse(script)
    async with aiomqtt.Client(peer.host, peer.port, timeout=25) as client:
        arguments = {"qos": 1} if call == "publish" else {}
        with pytest.raises(aiomqtt.MqttError, match="Disconnected before the broker answered"):
            await getattr(client, call)("a", **arguments)


def hanging_up(peer: ScriptedPeer) -> None:
    """A broker that ends the connection at the first message, and obliges the next one."""
    connection = peer.accept()
    connection.accept_client()
    connection.expect(packets.PUBLISH)
    connection.close()
    peer.accept().serve()


async def test_leaving_after_the_loss(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    """Nothing is raised for what the program has handled."""
    peer.converse(hanging_up)
    client = aiomqtt.Client(peer.host, peer.port)
    async with client:
        await client.publish("end", "now")
        await lost(aiomqtt, client)
    async with client:
        await client.publish("works", "again", 1)


@pytest.mark.better_than_aiomqtt("it raises MqttCodeError if the loss shows only while it leaves")
async def test_leaving_while_it_is_lost(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    peer.converse(hanging_up)
    client = aiomqtt.Client(peer.host, peer.port)
    async with client:
        await client.publish("end", "now")
    async with client:
        await client.publish("works", "again", 1)


async def test_orderly_end(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    """DISCONNECT, and then the end of the stream, also where the program fails."""

    def script(peer: ScriptedPeer) -> None:
        for _ in range(2):
            connection = peer.accept()
            connection.accept_client()
            connection.expect(packets.PUBLISH)
            connection.expect(packets.DISCONNECT)
            connection.expect_end()

    peer.converse(script)
    client = aiomqtt.Client(peer.host, peer.port)
    async with client:
        await client.publish("a", "x")
    with pytest.raises(KeyError):
        async with client:
            await client.publish("a", "x")
            raise KeyError


async def test_messages_after_leaving(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe("left")
    error = await lost(aiomqtt, client)
    if aiomqtt.__name__ == "aiomqtt":
        assert error.__cause__ is None


async def test_cancelled_block(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    """A task that listens is cancelled: the connection ends in good order."""
    listening = asyncio.Event()

    async def listen(client: Any) -> None:
        async with client:
            await client.subscribe("a")
            listening.set()
            async for _ in client.messages:
                pass

    client = aiomqtt.Client(broker.host, broker.port, will=aiomqtt.Will("will/cancelled", "no"))
    async with aiomqtt.Client(broker.host, broker.port) as watcher:
        await watcher.subscribe("will/cancelled")
        task = asyncio.ensure_future(listen(client))
        await listening.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await watcher.publish("will/cancelled", "end")
        assert (await watcher.messages.__anext__()).payload == b"end"
    async with client:
        pass


@pytest.mark.parametrize("qos", [0, 1])
async def test_will(aiomqtt: ModuleType, broker: Mosquitto, qos: int) -> None:
    """The broker publishes it when the connection is lost, not when it ends."""
    topic = f"will/{aiomqtt.__name__}/{qos}"
    will = aiomqtt.Will(topic, payload="gone", qos=qos, retain=False)
    async with aiomqtt.Client(broker.host, broker.port) as watcher:
        await watcher.subscribe(topic, qos)
        async with aiomqtt.Client(broker.host, broker.port, will=will):
            pass
        await watcher.publish(topic, "no will")
        async with aiomqtt.Client(broker.host, broker.port, will=will) as client:
            client._client.socket().shutdown(socket.SHUT_RDWR)
            first, second = await received(watcher, 2)
        assert first.payload == b"no will"
        assert (second.payload, second.qos) == (b"gone", qos)


async def test_keep_alive(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    """An idle client pings; a broker that does not answer is given up."""
    pinged: list[PeerConnection] = []

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        connection.expect(packets.PINGREQ)
        connection.send(packets.pingresp())
        connection.expect(packets.PINGREQ)
        pinged.append(connection)

    peer.converse(script)
    async with aiomqtt.Client(peer.host, peer.port, keepalive=1) as client:
        await lost(aiomqtt, client)
    assert pinged
