"""A client with callbacks, run by an event loop: on its thread, in order, and awaited."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import oxmqtt.client as mqtt
import pytest
from oxmqtt.aio import running
from support import packets
from support.mosquitto import Mosquitto, free_port
from support.packets import CONNECT, PUBACK, V311
from support.peer import ScriptedPeer

from .conftest import Run
from .link import Link


def client(target: Any, name: str, **options: Any) -> mqtt.Client:
    made = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, **options)
    made.connect_async(target.host, target.port)
    made._reconnect_min_delay = 0.02
    return made


class Problems:
    """What came to the loop's exception handler."""

    def __init__(self) -> None:
        self.found: list[str] = []
        asyncio.get_running_loop().set_exception_handler(self._note)

    def _note(self, loop: Any, context: dict[str, Any]) -> None:
        self.found.append(str(context["exception"]))


async def until(check: Callable[[], object]) -> None:
    while not check():
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_callbacks_come_on_the_loop_in_order(
    run: Run, broker: Mosquitto, name: str, kind: str
) -> None:
    async def program() -> None:
        made = client(broker, name)
        trace: list[Any] = []
        tasks: list[asyncio.Task[None]] = []

        async def work(number: bytes) -> None:
            trace.append(("task", number))

        def note(*what: Any) -> None:
            assert threading.current_thread() is threading.main_thread()
            assert asyncio.get_running_loop()
            trace.append(what)

        def on_connect(client: mqtt.Client, *_: Any) -> None:
            note("connect")
            client.subscribe(name, 1)

        def on_subscribe(client: mqtt.Client, *_: Any) -> None:
            note("subscribe")
            for number in range(3):
                client.publish(name, str(number), qos=1)

        def on_message(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
            note("message", message.payload)
            tasks.append(asyncio.create_task(work(message.payload)))

        async def on_connect_async(*args: Any) -> None:
            await asyncio.sleep(0.01)
            on_connect(*args)

        async def on_message_async(*args: Any) -> None:
            note("begin", args[2].payload)
            await asyncio.sleep(0.002)
            on_message(*args)

        made.on_connect = on_connect if kind == "sync" else on_connect_async
        made.on_subscribe = on_subscribe
        made.on_message = on_message if kind == "sync" else on_message_async
        made.on_disconnect = lambda *_: note("disconnect")
        async with running(made) as same:
            assert same is made
            await until(lambda: ("message", b"2") in trace)
        await asyncio.gather(*tasks)
        calls = [entry for entry in trace if entry[0] != "task"]
        each = [("message", b"%d" % number) for number in range(3)]
        if kind == "async":
            each = [(what, b"%d" % n) for n in range(3) for what in ("begin", "message")]
        assert calls == [("connect",), ("subscribe",), *each, ("disconnect",)]
        assert [entry for entry in trace if entry[0] == "task"] == [
            ("task", b"%d" % number) for number in range(3)
        ]

    run(program)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_callback_that_raises(run: Run, peer: ScriptedPeer, kind: str) -> None:
    """The loop's handler hears of it; the message counts as handled; the client lives on."""

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        for mid in (1, 2):
            connection.send(packets.publish(V311, "t", b"m", qos=1, mid=mid))
            assert connection.expect(PUBACK).mid == mid
        connection.serve()

    async def program() -> None:
        problems = Problems()
        made = client(peer, "raising")

        def raises(client: Any, userdata: Any, message: mqtt.MQTTMessage) -> None:
            raise ValueError(f"message {message.mid}")

        async def raises_later(*args: Any) -> None:
            await asyncio.sleep(0)
            raises(*args)

        made.on_message = raises if kind == "sync" else raises_later
        async with running(made):
            await until(lambda: len(problems.found) == 2)
            await until(lambda: made._ox_engine.unsent == 0)
        assert problems.found == ["message 1", "message 2"]

    peer.converse(script)
    run(program)
    peer.finish()


def test_a_message_is_acknowledged_when_its_coroutine_has_ended(
    run: Run, peer: ScriptedPeer
) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        connection.send(packets.publish(V311, "t", b"m", qos=1, mid=7))
        connection.send(packets.publish(V311, "t", b"m", qos=0))
        connection.expect_nothing(0.05)
        loop.call_soon_threadsafe(go_on.set)
        assert connection.expect(PUBACK).mid == 7
        connection.serve()

    async def program() -> None:
        nonlocal loop, go_on
        loop, go_on = asyncio.get_running_loop(), asyncio.Event()
        made = client(peer, "slow")
        seen = []

        async def on_message(client: Any, userdata: Any, message: mqtt.MQTTMessage) -> None:
            await go_on.wait()
            seen.append(message.mid)

        made.on_message = on_message
        async with running(made):
            await until(lambda: seen == [7, 0])

    loop: Any = None
    go_on: Any = None
    peer.converse(script)
    run(program)
    peer.finish()


def test_a_lost_connection_is_made_again(run: Run, broker: Mosquitto, name: str) -> None:
    async def program() -> None:
        async with Link(broker) as link:
            made = client(link, name)
            trace: list[str] = []

            async def on_pre_connect(*_: Any) -> None:
                await asyncio.sleep(0)
                trace.append("pre_connect")

            made.on_pre_connect = on_pre_connect
            made.on_connect = lambda *_: trace.append("connect")
            made.on_disconnect = lambda *_: trace.append("disconnect")
            async with running(made):
                await until(lambda: "connect" in trace)
                link.cut()
                await until(lambda: trace.count("connect") == 2)
                assert made.is_connected()
            once = ["pre_connect", "connect", "disconnect"]
            assert trace == once * 2

    run(program)


def test_the_first_connection_is_tried_until_it_stands(
    run: Run, broker: Mosquitto, name: str
) -> None:
    async def program() -> None:
        link = Link(broker)
        link.port = free_port()
        made = client(link, name)
        failures: list[None] = []
        made.on_connect_fail = lambda *_: failures.append(None)
        async with running(made):
            await until(lambda: len(failures) == 2)
            await link.open()
            await until(made.is_connected)
        await link.close()

    run(program)


def test_a_connection_that_stands_is_taken_over(run: Run, broker: Mosquitto, name: str) -> None:
    async def program() -> None:
        made = client(broker, name)
        made.connect(broker.host, broker.port)
        connected = asyncio.Event()
        made.on_connect = lambda *_: connected.set()
        async with running(made):
            await connected.wait()
        assert not made.is_connected()

    run(program)


def test_disconnect_in_a_callback_ends_it(run: Run, broker: Mosquitto, name: str) -> None:
    async def program() -> None:
        made = client(broker, name)
        ended = asyncio.Event()
        made.on_connect = lambda client, *_: client.disconnect()
        made.on_disconnect = lambda *_: ended.set()
        async with running(made):
            await ended.wait()
        assert made.socket() is None

    run(program)


def test_it_can_be_cancelled_anywhere(run: Run, peer: ScriptedPeer, broker: Mosquitto) -> None:
    """While it dials, before CONNACK, and while it is connected; afterwards it runs again."""

    async def program() -> None:
        for target in (peer, broker):
            for steps in range(1, 12):
                made = client(target, f"cancelled-{steps}")

                async def live(made: mqtt.Client = made) -> None:
                    async with running(made):
                        await asyncio.Event().wait()

                task = asyncio.ensure_future(live())
                for _ in range(steps):
                    await asyncio.sleep(0.001)
                task.cancel()
                await asyncio.wait({task})
                assert task.cancelled()
                assert made.socket() is None
                made.connect_async(broker.host, broker.port)
                async with running(made):
                    await until(made.is_connected)

    run(program)


def test_manual_acknowledgement(run: Run, peer: ScriptedPeer) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        for mid in (1, 2):
            connection.send(packets.publish(V311, "t", b"m", qos=1, mid=mid))
        assert connection.expect(PUBACK).mid == 2
        connection.serve()

    async def program() -> None:
        made = client(peer, "manual", manual_ack=True)
        seen = []

        async def on_message(client: mqtt.Client, userdata: Any, message: Any) -> None:
            await asyncio.sleep(0)
            if message.mid == 2:
                client.ack(message.mid, message.qos)
            seen.append(message.mid)

        made.on_message = on_message
        async with running(made):
            await until(lambda: len(seen) == 2)
            await until(lambda: made._ox_engine.unsent == 0)

    peer.converse(script)
    run(program)
    peer.finish()


def test_one_loop_at_a_time(run: Run, broker: Mosquitto, name: str) -> None:
    async def program() -> None:
        made = client(broker, name)
        async with running(made):
            with pytest.raises(RuntimeError, match="another loop"):
                async with running(made):
                    pass
        new = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        with pytest.raises(ValueError, match="where to connect"):
            async with running(new):
                pass

    run(program)


def test_two_loops_in_two_threads(broker: Mosquitto, name: str) -> None:
    received: list[tuple[str, bytes]] = []

    def live(own: str, other: str) -> None:
        async def program() -> None:
            made = client(broker, own)
            done = asyncio.Event()

            def on_message(client: Any, userdata: Any, message: mqtt.MQTTMessage) -> None:
                assert threading.current_thread().name == own
                received.append((own, message.payload))
                done.set()

            def on_subscribe(*_: Any) -> None:
                barrier.wait(10)
                made.publish(other, "hello", 1)

            made.on_connect = lambda *_: made.subscribe(own, 1)
            made.on_subscribe = on_subscribe
            made.on_message = on_message
            async with running(made):
                await asyncio.wait_for(done.wait(), 20)
                await until(lambda: made._ox_engine.unfinished == 0)

        asyncio.run(program(), debug=True)

    barrier = threading.Barrier(2)
    names = [f"{name}-a", f"{name}-b"]
    threads = [
        threading.Thread(target=live, args=(own, other), name=own)
        for own, other in (names, reversed(names))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(received) == [(own, b"hello") for own in names]


def test_publish_and_wait_in_a_callback_return(run: Run, broker: Mosquitto, name: str) -> None:
    """Blocking the loop is a mistake, but no deadlock: the engine goes on by itself."""

    async def program() -> None:
        made = client(broker, name)
        done = asyncio.Event()

        def on_connect(client: mqtt.Client, *_: Any) -> None:
            info = client.publish(name, "m", qos=1)
            info.wait_for_publish(10)
            assert info.is_published()
            done.set()

        made.on_connect = on_connect
        async with running(made):
            await done.wait()

    run(program)


def test_a_refused_connection_is_tried_again(run: Run, peer: ScriptedPeer) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.expect(CONNECT)
        connection.send(packets.connack(V311, reason=3))
        connection = peer.accept()
        connection.accept_client()
        connection.serve()

    async def program() -> None:
        made = client(peer, "refused")
        reasons: list[str] = []
        made.on_connect = lambda client, userdata, flags, reason, _: reasons.append(str(reason))
        async with running(made):
            await until(lambda: len(reasons) == 2)
        assert reasons == ["Server unavailable", "Success"]

    peer.converse(script)
    run(program)
    peer.finish()
