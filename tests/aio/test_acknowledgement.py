"""When a QoS 1 or 2 message is acknowledged: when its consumer asks for the next one."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from oxmqtt import aio
from support import packets
from support.mosquitto import Mosquitto
from support.packets import PUBACK, PUBCOMP, PUBREC, PUBREL, V311
from support.peer import PeerConnection, ScriptedPeer
from support.process import Program
from support.waiting import PATIENCE

from .conftest import Run


@asynccontextmanager
async def kept(broker: Mosquitto, name: str, **options: Any) -> AsyncIterator[aio.Client]:
    """A client with a session that the broker keeps."""
    client = aio.Client(broker.host, broker.port, identifier=name, clean_session=False, **options)
    async with client:
        yield client


async def forget(broker: Mosquitto, name: str) -> None:
    async with aio.Client(broker.host, broker.port, identifier=name, clean_session=True):
        pass


async def unacknowledged(broker: Mosquitto, name: str) -> list[bytes]:
    """What the broker still has for this client; it is acknowledged."""
    left = []
    async with kept(broker, name) as client:
        await client.publish(name, "end", qos=1)
        async for message in client.messages:
            if message.payload == b"end":
                break
            left.append(message.payload)
    await forget(broker, name)
    return left


async def fill(client: aio.Client, name: str, qos: int, count: int = 5) -> None:
    await client.subscribe(name, qos=qos)
    await client.publish_many([(name, str(number)) for number in range(count)], qos=qos)


def test_a_message_is_acknowledged_with_the_next(run: Run, broker: Mosquitto, name: str) -> None:
    async def program() -> None:
        with pytest.raises(RuntimeError):
            async with kept(broker, name) as client:
                await fill(client, name, 1)
                async for message in client.messages:
                    if message.payload == b"2":
                        raise RuntimeError("in hand")
        assert await unacknowledged(broker, name) == [b"2", b"3", b"4"]

    run(program)


def test_a_qos_2_message_is_handed_out_once(run: Run, broker: Mosquitto, name: str) -> None:
    """Those that nobody took stay with the client, which has received them, over connections."""

    async def program() -> None:
        client = aio.Client(broker.host, broker.port, identifier=name, clean_session=False)
        seen = []
        for end in (b"2", b"4"):
            try:
                async with client:
                    if not seen:
                        await fill(client, name, 2)
                    async for message in client.messages:
                        seen.append(message.payload)
                        if message.payload == end:
                            raise RuntimeError("in hand")
            except RuntimeError:
                pass
        assert seen == [b"0", b"1", b"2", b"3", b"4"]
        await forget(broker, name)

    run(program)


@pytest.mark.parametrize("how", ["break", "anext", "batch", "cancel"])
def test_what_was_in_hand_is_acknowledged_by_a_good_end(
    run: Run, broker: Mosquitto, name: str, how: str
) -> None:
    async def program() -> None:
        async with kept(broker, name) as client:
            await fill(client, name, 1, 2 if how != "batch" else 3)
            if how == "break":
                async for _ in client.messages:
                    break
            elif how == "anext":
                await client.messages.__anext__()
            elif how == "batch":
                async for batch in client.batches(2):
                    assert [message.payload for message in batch] == [b"0", b"1"]
                    break
            else:

                async def consume() -> None:
                    async for _ in client.messages:
                        taken.set()
                        await asyncio.Event().wait()

                taken = asyncio.Event()
                task = asyncio.ensure_future(consume())
                await taken.wait()
                task.cancel()
                await asyncio.wait({task})
        last = b"2" if how == "batch" else b"1"
        assert await unacknowledged(broker, name) == [last]

    run(program)


def test_what_was_in_hand_is_acknowledged_when_somebody_asks(
    run: Run, broker: Mosquitto, name: str
) -> None:
    async def program() -> None:
        with pytest.raises(RuntimeError):
            async with kept(broker, name) as client:
                await fill(client, name, 1)
                for number in (b"0", b"1", b"2"):
                    message = await client.messages.__anext__()
                    assert message.payload == number
                del message
                raise RuntimeError("the last one is in hand")
        assert await unacknowledged(broker, name) == [b"2", b"3", b"4"]

    run(program)


def test_a_process_that_is_killed_loses_nothing(run: Run, broker: Mosquitto, name: str) -> None:
    source = f"""
        import asyncio
        from oxmqtt import aio

        async def main():
            options = {{"identifier": {name!r}, "clean_session": False}}
            async with aio.Client({broker.host!r}, {broker.port}, **options) as client:
                await client.subscribe({name!r}, qos=1)
                await client.publish_many([({name!r}, str(n)) for n in range(3)], qos=1)
                async for message in client.messages:
                    if message.payload == b"1":
                        await client.publish("done", qos=1)
                        say("in hand")
                        await asyncio.Event().wait()

        asyncio.run(main())
        """
    with Program(source, "oxmqtt.client") as program:
        program.wait_line("in hand")
        program.process.send_signal(signal.SIGKILL)
        program.process.wait(10)

    async def look() -> None:
        assert await unacknowledged(broker, name) == [b"1", b"2"]

    run(look)


def test_manual_acknowledgement_in_any_order(run: Run, broker: Mosquitto, name: str) -> None:
    async def program() -> None:
        async with kept(broker, name, manual_ack=True) as client:
            await fill(client, name, 1)
            taken = [await client.messages.__anext__() for _ in range(5)]
            for number in (3, 0, 4):
                await client.ack(taken[number])
        assert await unacknowledged(broker, name) == [b"1", b"2"]

    run(program)


def deliver(connection: PeerConnection, qos: int, mid: int) -> None:
    connection.send(packets.publish(V311, "t", str(mid).encode(), qos=qos, mid=mid))


def converse(run: Run, peer: ScriptedPeer, script: Callable[..., None], program: Any) -> None:
    peer.converse(lambda peer: script(peer.accept()))
    run(program)
    peer.finish()


def test_acknowledgements_do_not_wait_for_the_consumer(run: Run, peer: ScriptedPeer) -> None:
    """It asked for the next message, and then does something else for long."""

    def script(connection: PeerConnection) -> None:
        connection.accept_client()
        deliver(connection, 1, 1)
        deliver(connection, 1, 2)
        assert connection.expect(PUBACK).mid == 1
        connection.expect_nothing(0.05)
        loop.call_soon_threadsafe(go_on.set)
        assert connection.expect(PUBACK).mid == 2
        connection.serve()

    async def program() -> None:
        nonlocal loop, go_on
        loop, go_on = asyncio.get_running_loop(), asyncio.Event()
        async with aio.Client(peer.host, peer.port) as client:
            async for message in client.messages:
                if message.mid == 2:
                    await go_on.wait()
                    break

    loop: Any = None
    go_on: Any = None
    converse(run, peer, script, program)


def test_acknowledgements_do_not_wait_for_an_event_loop_that_is_held_up(
    run: Run, peer: ScriptedPeer
) -> None:
    go_on = threading.Event()

    def script(connection: PeerConnection) -> None:
        connection.accept_client()
        connection.send(*(packets.publish(V311, "t", b"", 1, mid) for mid in (1, 2, 3)))
        assert [connection.expect(PUBACK).mid for _ in range(2)] == [1, 2]
        go_on.set()
        connection.serve()

    async def program() -> None:
        async with aio.Client(peer.host, peer.port) as client:
            async for message in client.messages:
                if message.mid == 3:
                    assert go_on.wait(PATIENCE)
                    break

    converse(run, peer, script, program)


def test_a_window_of_one_never_stalls(run: Run, peer: ScriptedPeer) -> None:
    def script(connection: PeerConnection) -> None:
        connection.accept_client()
        for mid in range(1, 200):
            qos = 2 - mid % 2
            deliver(connection, qos, mid)
            if qos == 1:
                assert connection.expect(PUBACK).mid == mid
            else:
                assert connection.expect(PUBREC).mid == mid
                connection.send(packets.acknowledge(V311, PUBREL, mid))
                assert connection.expect(PUBCOMP).mid == mid
        connection.serve()

    async def program() -> None:
        async with aio.Client(peer.host, peer.port) as client:
            mid = 0
            while mid < 199:
                async for message in client.messages:
                    mid = message.mid
                    if mid % 3 == 0 or mid == 199:
                        break

    converse(run, peer, script, program)


def test_many_acknowledgements_go_out_together(run: Run, peer: ScriptedPeer) -> None:
    """A thousand messages that are there are acknowledged in a few writes, all of them."""

    def script(connection: PeerConnection) -> None:
        connection.accept_client()
        for mid in range(1, 1001):
            deliver(connection, 1, mid)
        assert [connection.expect(PUBACK).mid for _ in range(1000)] == list(range(1, 1001))
        connection.serve()

    async def program() -> None:
        async with aio.Client(peer.host, peer.port) as client:
            async for message in client.messages:
                if message.mid == 1000:
                    break

    converse(run, peer, script, program)
