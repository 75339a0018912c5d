"""Subscriptions on a broker that lost them: asked for again as they were made, and a refusal is seen."""

from __future__ import annotations

import asyncio
import time

import pytest
from oxmqtt import aio
from oxmqtt.client import Properties
from oxmqtt.packettypes import PacketTypes
from oxmqtt.testing import Broker
from support import packets
from support.packets import SUBSCRIBE, V5, V311
from support.peer import PeerConnection, ScriptedPeer
from support.waiting import eventually

from .conftest import Run

FILTERS = [f"site/building/floor/room/sensor/{number}" for number in range(60)]


def client(host: str, port: int, version: int = V5) -> aio.Client:
    made = aio.Client(
        host, port, protocol=aio.ProtocolVersion(version), reconnect=aio.Reconnect(1, 1)
    )
    made._client._reconnect_min_delay = made._client._reconnect_max_delay = 0.02
    return made


async def subscriptions(broker: Broker, count: int) -> None:
    while sum(len(each.subscriptions) for each in broker.clients) != count:
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("version", [V311, V5])
def test_call_by_call_within_the_limits_of_the_broker(run: Run, version: int) -> None:
    async def program() -> None:
        with Broker(maximum_packet_size=1000) as broker:
            async with client(broker.host, broker.port, version) as connected:
                for name in FILTERS:
                    await connected.subscribe(name)
                await connected.unsubscribe(FILTERS[0])
                broker.restart(keep_sessions=False)
                await subscriptions(broker, len(FILTERS) - 1)

    run(program)


def test_a_call_that_has_become_too_large_is_split(run: Run) -> None:
    """The next server takes less."""

    def filters_of(connection: PeerConnection) -> int:
        packet = connection.expect(SUBSCRIBE)
        connection.send(connection.answer(packet))
        return len(packet.filters)

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        assert filters_of(connection) == len(FILTERS)
        connection.close()
        connection = peer.accept()
        connection.accept_client(properties={"maximum_packet_size": 1000})
        renewed = 0
        while renewed < len(FILTERS):
            renewed += filters_of(connection)
        peer_done.set()
        connection.expect(packets.DISCONNECT)

    async def program() -> None:
        with ScriptedPeer(V5) as peer:
            peer.converse(script)
            async with client(peer.host, peer.port) as connected:
                await connected.subscribe([(name, 0) for name in FILTERS])
                await asyncio.get_running_loop().run_in_executor(None, peer_done.wait, 20)

    import threading

    peer_done = threading.Event()
    run(program)


def test_what_was_asked_in_one_call_is_asked_in_one(run: Run) -> None:
    """With its own properties; at most eight filters, as some brokers take, if the program kept to that."""
    seen: list[int] = []

    def script(peer: ScriptedPeer) -> None:
        for _ in range(2):
            connection = peer.accept()
            connection.accept_client()
            left = 24
            while left:
                packet = connection.expect(SUBSCRIBE)
                count = len(packet.filters)
                seen.append(count)
                if count > 8:
                    break
                left -= count
                connection.send(connection.answer(packet))
            connection.close()
        peer.accept().accept_client()

    async def program() -> None:
        with ScriptedPeer(V5) as peer:
            peer.converse(script)
            async with client(peer.host, peer.port) as connected:
                for start in range(0, 24, 8):
                    properties = Properties(PacketTypes.SUBSCRIBE)
                    properties.SubscriptionIdentifier = start + 1
                    names = FILTERS[start : start + 8]
                    await connected.subscribe([(name, 1) for name in names], properties=properties)
                await asyncio.get_running_loop().run_in_executor(None, peer.finish)

    run(program)
    assert seen == [8] * 6


def test_a_refusal_is_not_kept_from_the_consumer(run: Run) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        connection.send(connection.answer(connection.expect(SUBSCRIBE)))
        connection.close()
        connection = peer.accept()
        connection.accept_client()
        packet = connection.expect(SUBSCRIBE)
        connection.send(packets.suback(V5, packet.mid, [0x87]))
        connection.expect(packets.DISCONNECT)

    async def program() -> None:
        with ScriptedPeer(V5) as peer:
            peer.converse(script)
            with pytest.raises(aio.MqttError) as caught:
                async with client(peer.host, peer.port) as connected:
                    await connected.subscribe("secret")
                    async for _ in connected.messages:
                        pass
            assert "secret" in str(caught.value.__cause__)
            assert "Not authorized" in str(caught.value.__cause__)

    run(program)


def test_many_cancelled_calls_cost_their_number(run: Run) -> None:
    """Ten times as many that wait for a connection take ten times as long, not a hundred times."""

    async def cancelled(connected: aio.Client, count: int) -> float:
        calls = [asyncio.ensure_future(connected.subscribe("a")) for _ in range(count)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        started = time.process_time()
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        return time.process_time() - started

    async def program() -> None:
        with Broker() as broker:
            async with client(broker.host, broker.port) as connected:
                broker.refuse(0x88)
                broker.drop_connections()
                while connected._is_online:
                    await asyncio.sleep(0.001)
                few, many = await cancelled(connected, 500), await cancelled(connected, 5000)
                assert many < 40 * few

    run(program)


def test_what_was_refused_for_want_of_a_connection_is_never_sent(run: Run) -> None:
    async def program() -> None:
        with Broker() as broker:
            connected = aio.Client(broker.host, broker.port, identifier="refused")
            async with connected:
                broker.drop_connections()
                while connected._is_online:
                    await asyncio.sleep(0.001)
                for qos in (0, 1, 2):
                    with pytest.raises(aio.MqttCodeError):
                        await connected.publish("a", "refused", qos)
            broker.clear()
            async with connected:
                await connected.publish("a", "taken", 2)
            assert [message.payload for message in broker.messages] == [b"taken"]

    run(program)


@pytest.mark.parametrize("host", ["127.0.0.1\0", "local\0host"])
def test_a_host_with_a_nul(run: Run, host: str) -> None:
    async def program() -> None:
        with pytest.raises(ValueError, match="host"):
            await aio.Client(host, 1883).__aenter__()

    run(program)


def test_the_loop_is_told_of_every_client_of_many(run: Run) -> None:
    """Loops that cannot watch descriptors: a thread takes so many, the next the others."""
    import os

    from oxmqtt.aio import _wakeups

    async def program() -> None:
        loop = asyncio.get_running_loop()
        threads = _wakeups.WatchingThreads(most=3)
        pipes = [os.pipe() for _ in range(8)]
        told: set[int] = set()

        def hear(number: int) -> None:
            os.read(pipes[number][0], 1)
            told.add(number)

        stops = [
            threads.watch(loop, pipes[number][0], lambda number=number: hear(number))
            for number in range(8)
        ]
        for _ in range(2):
            told.clear()
            for _, write in pipes:
                os.write(write, b"x")
            while len(told) < 8:
                await asyncio.sleep(0.001)
        for stop in stops:
            stop()
        eventually(lambda: all(each._thread is None for each in threads._threads), "their end")
        for ends in pipes:
            for end in ends:
                os.close(end)

    run(program)


def test_a_watching_thread_that_cannot_be_started(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import threading

    from oxmqtt.aio import _wakeups

    start = threading.Thread.start
    refused: list[str] = []

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "oxmqtt-wakeups" and not refused:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)

    async def program() -> None:
        loop = asyncio.get_running_loop()
        threads = _wakeups.WatchingThreads()
        read, write = os.pipe()
        told = asyncio.Event()

        def hear() -> None:
            os.read(read, 1)
            told.set()

        with pytest.raises(RuntimeError):
            threads.watch(loop, read, hear)
        stop = threads.watch(loop, read, hear)
        os.write(write, b"x")
        await told.wait()
        stop()
        os.close(read)
        os.close(write)

    run(program)
