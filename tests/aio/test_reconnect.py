"""Connections that the client makes again: nothing is lost, nobody has to do anything."""

from __future__ import annotations

import asyncio
import threading

import pytest
from oxmqtt import aio
from oxmqtt.aio._subscribing import Call, Subscription
from support import packets
from support.mosquitto import Mosquitto
from support.packets import CONNECT, PUBLISH, SUBSCRIBE, V5, V311
from support.peer import ScriptedPeer
from support.waiting import eventually

from .conftest import Run
from .link import Link

AT_ONCE = aio.Reconnect(1, 1)


def client(link: Link, name: str, **options: object) -> aio.Client:
    client = aio.Client(
        link.host,
        link.port,
        identifier=name,
        reconnect=AT_ONCE,
        **options,  # type: ignore[arg-type]
    )
    client._client._reconnect_min_delay = client._client._reconnect_max_delay = 0.02
    return client


def test_async_for_goes_on(run: Run, broker: Mosquitto, name: str) -> None:
    async def program() -> None:
        async with (
            Link(broker) as link,
            client(link, name) as connected,
            aio.Client(broker.host, broker.port) as other,
        ):
            await connected.subscribe(name, qos=1)

            async def send() -> None:
                while True:
                    await other.publish(name, str(link.connections), qos=1)
                    await asyncio.sleep(0.01)

            sending = asyncio.ensure_future(send())
            async for message in connected.messages:
                if message.payload == b"1" and link.connections == 1:
                    link.cut()
                if message.payload == b"2":
                    break
            sending.cancel()

    run(program)


def test_unanswered_publishes_are_answered_by_the_next_connection(
    run: Run, broker: Mosquitto, name: str
) -> None:
    async def program() -> None:
        options = {"clean_session": False, "max_inflight_messages": 5}
        async with Link(broker) as link, client(link, name, **options) as connected:
            await connected.subscribe(name, qos=2)
            link.hold_answers()
            publishes = [
                asyncio.ensure_future(connected.publish(name, str(number), qos=1 + number % 2))
                for number in range(20)
            ]
            await asyncio.sleep(0)
            link.cut()
            link.release_answers()
            outcomes = await asyncio.gather(*publishes)
            assert [outcome.value for outcome in outcomes] == [0] * 20
            received: list[int] = []
            async for message in connected.messages:
                received.append(int(message.payload))
                if len(set(received)) == 20:
                    break
            assert sorted(set(received)) == list(range(20))
        async with aio.Client(broker.host, broker.port, identifier=name, clean_session=True):
            pass

    run(program)


@pytest.mark.parametrize("call", ["subscribe", "unsubscribe"])
def test_an_unanswered_request_is_asked_again(
    run: Run, broker: Mosquitto, name: str, call: str
) -> None:
    async def program() -> None:
        async with Link(broker) as link, client(link, name) as connected:
            link.hold_answers()
            request = asyncio.ensure_future(getattr(connected, call)(name))
            await asyncio.sleep(0)
            link.cut()
            link.release_answers()
            await request
            assert link.connections == 2

    run(program)


def test_dialling_goes_on_until_somebody_listens(run: Run, broker: Mosquitto, name: str) -> None:
    async def program() -> None:
        link = Link(broker)
        await link.open()
        failures = 0
        opening = []

        async with client(link, name) as connected:

            def on_connect_fail(*_: object) -> None:
                nonlocal failures
                failures += 1
                if failures == 3:
                    opening.append(asyncio.ensure_future(link.open()))

            connected._client.on_connect_fail = on_connect_fail
            await link.close()
            await connected.publish(name, "late", qos=1)
            assert failures >= 3
        await link.close()

    run(program)


def test_without_a_connection(run: Run, broker: Mosquitto, name: str) -> None:
    """QoS 0 is refused, QoS 1 waits as long as it is told to, and goes out all the same."""

    async def program() -> None:
        async with Link(broker) as link, client(link, name, clean_session=False) as connected:
            await connected.subscribe(name, qos=1)
            await link.close()
            while connected._is_online:
                await asyncio.sleep(0)
            with pytest.raises(aio.MqttCodeError) as raised:
                await connected.publish(name, "lost")
            assert raised.value.rc == 4
            with pytest.raises(aio.MqttError, match="timed out"):
                await connected.publish(name, "kept", qos=1, timeout=0.05)
            with pytest.raises(aio.MqttError, match="timed out"):
                await connected.subscribe("other", timeout=0.05)
            await link.open()
            message = await connected.messages.__anext__()
            assert message.payload == b"kept"

    run(program)


def test_leaving_without_a_connection(run: Run, broker: Mosquitto, name: str) -> None:
    async def program() -> None:
        link = Link(broker)
        await link.open()
        async with client(link, name) as connected:
            publish = asyncio.ensure_future(connected.publish(name, "never", qos=1))
            await link.close()
            while connected._is_online:
                await asyncio.sleep(0)
        with pytest.raises(aio.MqttError):
            await publish
        with pytest.raises(aio.MqttError, match="Disconnected"):
            await connected.messages.__anext__()

    run(program)


def test_a_flood_under_cuts(run: Run, broker: Mosquitto, name: str) -> None:
    """2,000 messages under 20 resets, both ways, with sessions that are kept: none is lost, order holds."""
    count, cuts = 2000, 20

    async def program() -> None:
        async with (
            Link(broker) as link,
            client(link, f"{name}-to", clean_session=False) as receiver,
            client(link, f"{name}-from", clean_session=False) as sender,
        ):
            await receiver.subscribe(name, qos=1)

            async def send() -> None:
                await sender.publish_many(((name, str(n)) for n in range(count)), qos=1, timeout=30)

            sending = asyncio.ensure_future(send())
            firsts: list[int] = []
            seen: set[int] = set()
            due = count // cuts
            async for message in receiver.messages:
                number = int(message.payload)
                if number not in seen:
                    seen.add(number)
                    firsts.append(number)
                if len(seen) == count:
                    break
                if len(seen) >= due:
                    due += count // cuts
                    link.cut()
            await sending
            assert sorted(seen) == list(range(count))
            assert link.connections > cuts
        for end in ("to", "from"):
            options = {"identifier": f"{name}-{end}", "clean_session": True}
            async with aio.Client(broker.host, broker.port, **options):  # type: ignore[arg-type]
                pass

    run(program)


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("version", [V311, V5])
def test_subscriptions_are_renewed_if_the_session_is_lost(
    run: Run, peer: ScriptedPeer, name: str, version: int, present: bool
) -> None:
    def broker(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        for _ in range(3):
            packet = connection.read()
            connection.send(connection.answer(packet))
        connection.reset()
        connection = peer.accept()
        connection.expect(CONNECT)
        connection.send(packets.connack(version, session_present=present))
        if not present:
            assert connection.expect(SUBSCRIBE).filters == [("a", 1)]
            assert connection.expect(SUBSCRIBE).filters == [("b", 2)]
        again.set()
        connection.expect(PUBLISH)

    async def program() -> None:
        options = {"clean_session": False} if version == V311 else {"clean_start": False}
        protocol = aio.ProtocolVersion(version)
        connected = aio.Client(
            peer.host,
            peer.port,
            identifier=name,
            protocol=protocol,
            reconnect=AT_ONCE,
            **options,  # type: ignore[arg-type]
        )
        connected._client._reconnect_min_delay = 0.02
        async with connected:
            await connected.subscribe([("a", 1), ("gone", 0)])
            await connected.subscribe("b", 2)
            await connected.unsubscribe("gone")
            while not again.is_set():
                await asyncio.sleep(0.01)
            await connected.publish(name)

    again = threading.Event()
    peer.converse(broker)
    run(program)
    peer.finish()


def test_a_broker_that_refuses_the_next_connection_is_asked_again(
    run: Run, peer: ScriptedPeer, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    def broker(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        connection.reset()
        connection = peer.accept()
        connection.expect(CONNECT)
        connection.send(packets.connack(V311, reason=3))
        connection = peer.accept()
        connection.accept_client()
        connection.serve()

    async def program() -> None:
        connected = aio.Client(peer.host, peer.port, identifier=name, reconnect=True)
        connected._client._reconnect_min_delay = 0.02
        async with connected:
            await connected.publish(name, qos=1)

    peer.converse(broker)
    run(program)
    peer.finish()
    assert "Connection lost" in caplog.text
    assert "Connection refused: Server unavailable" in caplog.text


def test_a_client_that_is_dropped_stops_making_connections(
    run: Run, broker: Mosquitto, name: str
) -> None:
    async def program() -> None:
        async with Link(broker) as link:
            connected = client(link, name)
            await connected.__aenter__()
            task = connected._task
            with pytest.warns(ResourceWarning, match="unclosed"):
                del connected
            while task is not None and not task.done():
                await asyncio.sleep(0.01)

    run(program)


def test_an_answer_that_nobody_waits_for_any_more_counts(
    run: Run, peer: ScriptedPeer, name: str
) -> None:
    """SUBACK and UNSUBACK after the time-out of the call: the next connection knows of them."""

    def broker(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        for _ in range(4):
            requests.append(connection.read())
            if len(requests) > 2:  # the first two are answered late
                connection.send(connection.answer(requests[-1]))
            if len(requests) == 3:
                timed_out.wait(10)
                connection.send(connection.answer(requests[0]), connection.answer(requests[1]))
        connection.reset()
        connection = peer.accept()
        connection.accept_client()
        assert connection.expect(SUBSCRIBE).filters == [("late", 1)]
        again.set()
        connection.serve()

    requests: list[packets.Packet] = []
    timed_out, again = threading.Event(), threading.Event()

    async def program() -> None:
        connected = aio.Client(peer.host, peer.port, reconnect=True)
        connected._client._reconnect_min_delay = 0.02
        async with connected:
            connected._subscriptions["gone"] = Subscription(0, Call(None))
            for call in (connected.subscribe("late", 1), connected.unsubscribe("gone")):
                task = asyncio.ensure_future(call)
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(task, 0.05)
            await connected.publish(name, "m", qos=1)
            timed_out.set()
            await connected.publish(name, "m", qos=1)
            while not again.is_set():
                await asyncio.sleep(0.01)

    peer.converse(broker)
    run(program)
    peer.finish()


def test_a_call_before_the_loop_has_heard_of_the_loss(run: Run, peer: ScriptedPeer) -> None:
    def broker(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        entered.wait(10)
        connection.reset()
        connection = peer.accept()
        connection.accept_client()
        connection.serve()

    entered = threading.Event()

    async def program() -> None:
        connected = aio.Client(peer.host, peer.port, reconnect=aio.Reconnect(0.02))
        async with connected:
            entered.set()
            # The loop is busy meanwhile.
            eventually(lambda: not connected._client._ox_engine.online, "the loss")
            assert connected._is_online
            await connected.subscribe("late", 1)
            assert "late" in connected._subscriptions

    peer.converse(broker)
    run(program)
    peer.finish()


@pytest.mark.parametrize("reconnects", [False, True])
@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_that_ends_right_after_connack(
    run: Run, peer: ScriptedPeer, name: str, reconnects: bool, reset: bool
) -> None:
    def broker(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.expect(CONNECT)
        connection.send(packets.connack(V311))
        connection.reset() if reset else connection.close()
        if reconnects:
            connection = peer.accept()
            connection.accept_client()
            connection.serve()

    async def program() -> None:
        connected = aio.Client(peer.host, peer.port, reconnect=reconnects)
        connected._client._reconnect_min_delay = 0.02
        if reconnects:
            async with connected:
                await connected.publish(name, "m", qos=1)
            return
        with pytest.raises(aio.MqttError):
            async with connected:
                await connected.messages.__anext__()

    peer.converse(broker)
    run(program)
    peer.finish()
