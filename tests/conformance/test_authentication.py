"""Enhanced authentication (clause 4.12), by the asyncio client and its coroutine that knows the answers."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from oxmqtt import aio
from oxmqtt.packettypes import PacketTypes
from oxmqtt.properties import Properties
from support.packets import AUTH, CONNECT, V5, connack, disconnect, packet
from support.peer import PeerConnection, ScriptedPeer
from support.properties import encode

METHOD = {"authentication_method": "m"}
CONTINUE, AGAIN = 0x18, 0x19


def auth(reason: int, data: bytes | None = None, **given: Any) -> bytes:
    if data is not None:
        given["authentication_data"] = data
    return packet(AUTH, 0, bytes([reason]) + encode({**METHOD, **given}))


def accepted(data: bytes | None = None) -> bytes:
    given: dict[str, Any] = dict(METHOD)
    if data is not None:
        given["authentication_data"] = data
    return connack(V5, properties=given)


@pytest.fixture
def peer() -> Iterator[ScriptedPeer]:
    with ScriptedPeer(V5) as peer:
        yield peer


class Answers:
    """What the client was asked, and what it answers: the question backwards."""

    def __init__(self) -> None:
        self.questions: list[bytes | None] = []

    async def __call__(self, data: bytes | None) -> bytes | None:
        self.questions.append(data)
        await asyncio.sleep(0)
        if data == b"raise":
            raise PermissionError("wrong signature")
        return b"first" if data is None else data[::-1]


def client(peer: ScriptedPeer, answers: Any, **options: Any) -> aio.Client:
    return aio.Client(
        peer.host,
        peer.port,
        protocol=aio.ProtocolVersion.V5,
        authentication=aio.Authentication("m", answers),
        timeout=10,
        **options,
    )


def converse(
    peer: ScriptedPeer, script: Callable[[PeerConnection], None], program: Callable[[], Any]
) -> None:
    """The script is the broker's side of one connection."""
    peer.converse(lambda peer: script(peer.accept()))
    asyncio.run(asyncio.wait_for(program(), 20), debug=True)
    peer.finish()


def begin(connection: PeerConnection) -> None:
    connect = connection.expect(CONNECT)
    assert connect.properties["authentication_method"] == "m"
    assert connect.properties["authentication_data"] == b"first"


def expect_auth(connection: PeerConnection, reason: int, data: bytes) -> None:
    sent = connection.read()
    assert sent.raw == packet(
        AUTH, 0, bytes([reason]) + encode({**METHOD, "authentication_data": data})
    )


def test_an_exchange_of_several_steps(peer: ScriptedPeer) -> None:
    answers = Answers()

    def broker(connection: PeerConnection) -> None:
        begin(connection)
        for question in (b"one", b"two"):
            connection.send(auth(CONTINUE, question))
            expect_auth(connection, CONTINUE, question[::-1])
        connection.send(accepted(b"last word"))
        connection.serve()

    async def program() -> None:
        async with client(peer, answers):
            pass

    converse(peer, broker, program)
    assert answers.questions == [None, b"one", b"two", b"last word"]


def test_other_properties_of_connect_stay(peer: ScriptedPeer) -> None:
    def broker(connection: PeerConnection) -> None:
        connect = connection.expect(CONNECT)
        assert connect.properties == {
            "session_expiry_interval": 7,
            "authentication_method": "m",
            "authentication_data": b"first",
        }
        connection.send(accepted())
        connection.serve()

    async def program() -> None:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 7
        async with client(peer, Answers(), properties=properties):
            pass
        assert not hasattr(properties, "AuthenticationMethod")

    converse(peer, broker, program)


def test_the_broker_refuses(peer: ScriptedPeer) -> None:
    def broker(connection: PeerConnection) -> None:
        begin(connection)
        connection.send(auth(CONTINUE, b"one"))
        expect_auth(connection, CONTINUE, b"eno")
        connection.send(connack(V5, reason=0x87))
        connection.expect_end()

    async def program() -> None:
        with pytest.raises(aio.MqttConnectError, match="Not authorized"):
            await client(peer, Answers()).__aenter__()

    converse(peer, broker, program)


@pytest.mark.parametrize("step", ["auth", "connack"])
def test_what_the_coroutine_raises_ends_the_connection(peer: ScriptedPeer, step: str) -> None:
    def broker(connection: PeerConnection) -> None:
        begin(connection)
        connection.send(auth(CONTINUE, b"raise") if step == "auth" else accepted(b"raise"))
        connection.read_to_end()

    async def program() -> None:
        with pytest.raises(aio.MqttError, match="Authentication failed: wrong signature"):
            await client(peer, Answers()).__aenter__()

    converse(peer, broker, program)


def test_re_authentication(peer: ScriptedPeer) -> None:
    answers = Answers()

    def broker(connection: PeerConnection) -> None:
        begin(connection)
        connection.send(accepted())
        for _ in range(2):
            expect_auth(connection, AGAIN, b"first")
            connection.send(auth(CONTINUE, b"one"))
            expect_auth(connection, CONTINUE, b"eno")
            connection.send(auth(0, b"fine"))
        connection.serve()

    async def program() -> None:
        async with client(peer, answers) as connected:
            await connected.reauthenticate()
            await connected.reauthenticate(timeout=5)
            await connected.publish("t", "after", qos=1)
        with pytest.raises(aio.MqttCodeError):
            await connected.reauthenticate()

    converse(peer, broker, program)
    assert answers.questions[:4] == [None, None, b"one", b"fine"]


def test_a_refused_re_authentication(peer: ScriptedPeer) -> None:
    def broker(connection: PeerConnection) -> None:
        begin(connection)
        connection.send(accepted())
        expect_auth(connection, AGAIN, b"first")
        connection.send(disconnect(V5, 0x87))
        connection.read_to_end()

    async def program() -> None:
        async with client(peer, Answers()) as connected:
            with pytest.raises(aio.MqttError, match="Disconnected") as raised:
                await connected.reauthenticate()
            assert "Not authorized" in str(raised.value.__cause__)

    converse(peer, broker, program)


def test_each_connection_authenticates(peer: ScriptedPeer) -> None:
    answers = Answers()

    def broker(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        begin(connection)
        connection.send(accepted())
        connection.reset()
        connection = peer.accept()
        begin(connection)
        connection.send(auth(CONTINUE, b"one"))
        expect_auth(connection, CONTINUE, b"eno")
        connection.send(accepted())
        connection.serve()

    async def program() -> None:
        options = {"reconnect": aio.Reconnect(1, 1)}
        async with client(peer, answers, **options) as connected:
            while b"one" not in answers.questions:
                await asyncio.sleep(0.01)
            await connected.publish("t", "m", qos=1)

    peer.converse(broker)
    asyncio.run(asyncio.wait_for(program(), 20), debug=True)
    peer.finish()
    assert answers.questions == [None, None, b"one"]


def test_an_answer_that_comes_too_late_goes_nowhere(peer: ScriptedPeer) -> None:
    """The connection that asked is gone; the next one asks too, and gets its own answer."""
    release = threading.Event()
    late = threading.Event()

    async def respond(data: bytes | None) -> bytes | None:
        if data == b"old":
            late.set()
            try:
                while not release.is_set():
                    await asyncio.sleep(0.005)
            finally:
                release.wait(10)
        return b"first" if data is None else data[::-1]

    def broker(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        begin(connection)
        connection.send(accepted())
        expect_auth(connection, AGAIN, b"first")
        connection.send(auth(CONTINUE, b"old"))
        assert late.wait(10)
        connection.reset()
        release.set()
        connection = peer.accept()
        begin(connection)
        connection.send(auth(CONTINUE, b"new"))
        expect_auth(connection, CONTINUE, b"wen")
        connection.send(accepted())
        connection.serve()

    async def program() -> None:
        options = {"reconnect": True}
        connected = client(peer, respond, **options)
        connected._client._reconnect_min_delay = 0.02
        async with connected:
            with pytest.raises(aio.MqttError):
                await connected.reauthenticate()
            await connected.publish("t", "m", qos=1)

    peer.converse(broker)
    asyncio.run(asyncio.wait_for(program(), 20), debug=True)
    peer.finish()


def test_re_authentications_at_once_come_one_after_the_other(peer: ScriptedPeer) -> None:
    def broker(connection: PeerConnection) -> None:
        begin(connection)
        connection.send(accepted())
        expect_auth(connection, AGAIN, b"first")
        timed_out.wait(10)
        connection.send(auth(0))
        for _ in range(2):
            expect_auth(connection, AGAIN, b"first")
            connection.send(auth(0))
        connection.serve()

    timed_out = threading.Event()

    async def program() -> None:
        async with client(peer, Answers()) as connected:
            with pytest.raises(aio.MqttError, match="timed out"):
                await connected.reauthenticate(timeout=0.05)
            timed_out.set()
            await asyncio.gather(connected.reauthenticate(), connected.reauthenticate())

    converse(peer, broker, program)


def test_an_answer_that_is_too_large_ends_the_connection(peer: ScriptedPeer) -> None:
    async def respond(data: bytes | None) -> bytes | None:
        return b"first" if data is None else bytes(70_000)

    def broker(connection: PeerConnection) -> None:
        begin(connection)
        connection.send(auth(CONTINUE, b"one"))
        connection.read_to_end()

    async def program() -> None:
        with pytest.raises(aio.MqttError, match="too large"):
            await client(peer, respond).__aenter__()

    converse(peer, broker, program)


def test_no_data_shows_in_the_log(peer: ScriptedPeer, caplog: pytest.LogCaptureFixture) -> None:
    def broker(connection: PeerConnection) -> None:
        begin(connection)
        connection.send(auth(CONTINUE, b"hunter2"))
        expect_auth(connection, CONTINUE, b"2retnuh")
        connection.send(accepted(b"secret"))
        connection.serve()

    async def program() -> None:
        logger = logging.getLogger("test.auth")
        logger.setLevel(logging.DEBUG)
        async with client(peer, Answers(), logger=logger):
            pass

    with caplog.at_level(logging.DEBUG, "test.auth"):
        converse(peer, broker, program)
    assert "Received AUTH" in caplog.text
    for secret in ("hunter2", "2retnuh", "secret", "first"):
        assert secret not in caplog.text


def test_it_needs_mqtt_5_and_a_method() -> None:
    with pytest.raises(ValueError, match=r"5\.0"):
        aio.Client("localhost", authentication=aio.Authentication("m", Answers()))

    async def program() -> None:
        with pytest.raises(ValueError, match="authentication"):
            await aio.Client("localhost").reauthenticate()

    asyncio.run(program())
