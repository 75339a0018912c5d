"""A program that is slower than the broker, or than its own publishing: nothing is lost, memory stays bounded.

``FLOOD=1000000`` plays the flood of the slow consumer at full size; it takes twenty minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from oxmqtt import aio
from support import packets
from support.bounds import fits
from support.mosquitto import Mosquitto
from support.packets import PUBACK, PUBLISH, V311
from support.peer import PeerConnection, ScriptedPeer
from support.process import Program

from .conftest import Run

MIB = 1 << 20
FLOOD = int(os.environ.get("FLOOD", "3000"))

#: Runs ``program()``, which may call ``grown()``: bytes since it began, at the most.
CHILD = """
    import asyncio
    from oxmqtt import aio

    def peak():
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))

    before = peak()
    PROGRAM
    asyncio.run(program())
"""


def child(program: str, **values: Any) -> Program:
    return Program(CHILD.replace("PROGRAM", program), "oxmqtt.client", **values)


@contextlib.contextmanager
def playing(peer: ScriptedPeer, script: Callable[[PeerConnection], None]) -> Iterator[None]:
    peer.converse(lambda peer: script(peer.accept()))
    yield
    peer.finish()


def send_until_stuck(connection: PeerConnection, flood: bytes, most: int) -> int:
    """Sends until the client takes no more for a while; how much it took."""
    sent = 0
    connection.sock.settimeout(1.0)
    with contextlib.suppress(TimeoutError, socket.timeout):
        while sent < most:
            sent += connection.sock.send(flood)
    connection.sock.settimeout(None)
    return sent


def test_a_consumer_that_takes_nothing(peer: ScriptedPeer) -> None:
    program = """
    async def program():
        async with aio.Client(HOST, PORT) as client:
            waiting = -1
            while not waiting or waiting != len(client.messages):  # until nothing more comes
                waiting = len(client.messages)
                await asyncio.sleep(1.5)
            say("grown", peak() - before)
            client._client._ox_engine.abort()
    """
    with child(program, HOST=peer.host, PORT=peer.port) as victim:
        connection = peer.accept()
        connection.accept_client()
        flood = packets.publish(V311, "a", bytes(1000)) * 1000
        sent = send_until_stuck(connection, flood, 200 * MIB)
        assert sent < 100 * MIB, "the flood went into a client that takes nothing"
        grown = int(victim.wait_line("grown").split()[1])
    fits("messages that no coroutine takes", grown, 16 * MIB)


@pytest.mark.parametrize("qos", [0, 1])
def test_a_bound_of_messages_stops_the_reading_and_loses_nothing(
    run: Run, broker: Mosquitto, name: str, qos: int
) -> None:
    count, bound = 20_000, 50

    async def program() -> None:
        async with (
            aio.Client(broker.host, broker.port, max_queued_incoming_messages=bound) as slow,
            aio.Client(broker.host, broker.port, max_inflight_messages=1000) as fast,
        ):
            await slow.subscribe(name, qos=qos)
            publishing = asyncio.ensure_future(
                fast.publish_many(((name, b"%0500d" % n) for n in range(count)), qos=qos)
            )
            waiting = -1
            while waiting < bound or waiting != len(slow.messages):  # until nothing more comes
                waiting = len(slow.messages)
                await asyncio.sleep(0.2)
            # What was read before the loop looked is there as well.
            assert bound <= waiting < count // 2
            received = []
            async for message in slow.messages:
                received.append(int(message.payload))
                if len(received) == count:
                    break
            await publishing
            assert received == list(range(count))

    run(program)


def test_a_consumer_that_sleeps(tmp_path: Path, name: str) -> None:
    """1 ms for each message of a flood whose window is as large as MQTT allows: memory stays flat."""
    program = """
    async def program():
        options = {"identifier": NAME, "clean_session": False}
        async with aio.Client(HOST, PORT, **options) as client:
            await client.subscribe(NAME, qos=1)
            say("subscribed")
            expected = 0
            async for message in client.messages:
                assert int(message.payload[:8]) == expected, (message.payload, expected)
                expected += 1
                await asyncio.sleep(0.001)
                if expected == FLOOD:
                    break
            say("grown", peak() - before)
    """
    is_long = FLOOD > 100_000
    padding = bytes(100 if is_long else 1000)
    # The queues that small messages stand in take as much again.
    bound = 32 * MIB if is_long else 16 * MIB

    async def publish(broker: Mosquitto) -> None:
        messages = ((name, b"%08d" % number + padding) for number in range(FLOOD))
        async with aio.Client(broker.host, broker.port, max_inflight_messages=1000) as client:
            await client.publish_many(messages, qos=1, timeout=600)

    with Mosquitto(tmp_path / "mosquitto", extra=("max_inflight_messages 65535",)) as broker:
        values = {"HOST": broker.host, "PORT": broker.port, "NAME": name, "FLOOD": FLOOD}
        with child(program, **values) as consumer:
            consumer.wait_line("subscribed")
            asyncio.run(publish(broker))
            grown = int(consumer.wait_line("grown", 50 + FLOOD / 400).split()[1])
            assert consumer.exit_code() == 0, consumer.error_text()
    fits(f"a consumer that sleeps under a flood of {FLOOD:,}", grown, bound)


def test_a_consumer_that_publishes_under_a_flood(run: Run, peer: ScriptedPeer) -> None:
    """The answer stands behind more than the inbox takes: it is read all the same."""
    flood = packets.publish(V311, "a", bytes(1000)) * 1000

    def script(connection: PeerConnection) -> None:
        connection.accept_client()
        sender = threading.Thread(
            target=lambda: [connection.sock.sendall(flood) for _ in range(40)]
        )
        sender.start()
        mid = connection.expect(PUBLISH).mid
        sender.join()
        connection.send(packets.acknowledge(V311, PUBACK, mid))
        connection.serve()

    async def program() -> None:
        async with aio.Client(peer.host, peer.port, timeout=20) as client:
            count = 0
            async for _ in client.messages:
                count += 1
                if count == 1:
                    await client.publish("answer", qos=1)
                if count == 40_000:
                    break

    with playing(peer, script):
        run(program)


def test_an_answer_behind_too_much_ends_by_its_time_out(peer: ScriptedPeer) -> None:
    program = """
    async def program():
        async with aio.Client(HOST, PORT) as client:
            await client.messages.__anext__()
            try:
                await client.publish("answer", qos=1, timeout=5)
            except aio.MqttError as error:
                say(str(error))
            say("grown", peak() - before)
            client._client._ox_engine.abort()
    """
    flood = packets.publish(V311, "a", bytes(10_000)) * 100
    with child(program, HOST=peer.host, PORT=peer.port) as victim:
        connection = peer.accept()
        connection.accept_client()
        sent = send_until_stuck(connection, flood, 400 * MIB)
        assert 100 * MIB < sent < 300 * MIB, sent
        victim.wait_line("Operation timed out")
        grown = int(victim.wait_line("grown").split()[1])
        assert victim.exit_code() == 0, victim.error_text()
    # An eighth more: the pieces that the messages came in are not all full.
    fits("messages before an answer that is awaited", grown, 144 * MIB)


def test_a_publisher_faster_than_the_socket(run: Run, peer: ScriptedPeer) -> None:
    """It waits while too much is unsent, and goes on when there is room; all of it arrives."""
    count, payload = 20_000, bytes(1000)
    stuck = threading.Event()

    def script(connection: PeerConnection) -> None:
        connection.accept_client()
        assert stuck.wait(20)
        for _ in range(count):
            connection.expect(PUBLISH)
        connection.serve()

    async def program() -> None:
        async with aio.Client(peer.host, peer.port, timeout=20) as client:
            done = 0

            async def publish() -> None:
                nonlocal done
                for _ in range(count):
                    await client.publish("t", payload)
                    done += 1

            publishing = asyncio.ensure_future(publish())
            before = -1
            while done != before:
                before = done
                await asyncio.sleep(0.05)
            assert done < count
            with pytest.raises(aio.MqttError, match="timed out"):
                await client.publish("t", b"one more", timeout=0.05)
            stuck.set()
            await publishing

    with playing(peer, script):
        run(program)
