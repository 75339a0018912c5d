"""Connecting: what fails and how, and that a client can be used again after each failure."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from types import ModuleType
from typing import Any

import pytest
from support import packets
from support.mosquitto import Mosquitto, free_port
from support.peer import PeerConnection, ScriptedPeer
from support.unreachable import blackhole
from support.waiting import Mailbox

from .conftest import Module, in_thread

#: CONNACK's codes of MQTT 3.1.1 (clause 3.2.2.3), and the reason codes they are told as.
REFUSALS = {1: 132, 2: 133, 3: 136, 4: 134, 5: 135}
UNHEARD = pytest.mark.better_than_aiomqtt(
    "paho answers codes 1 and 2 by connecting otherwise, which nobody waits for"
)
#: Reason codes of MQTT 5.0 (clause 3.2.2.2).
REASONS = [0x80, 0x84, 0x85, 0x86, 0x87, 0x88, 0x8A, 0x95, 0x9F]


async def connects(client: Any) -> None:
    """It works, after whatever went before."""
    async with client:
        await client.publish("works", "yes", qos=1)


async def test_refused_port(aiomqtt: ModuleType) -> None:
    client = aiomqtt.Client("127.0.0.1", free_port())
    with pytest.raises(aiomqtt.MqttError, match="Connection refused") as caught:
        await client.__aenter__()
    assert type(caught.value) is aiomqtt.MqttError
    assert "[Errno" in str(caught.value)


async def test_unknown_name(aiomqtt: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(aiomqtt.MqttError) as caught:
        await aiomqtt.Client("nowhere.invalid").__aenter__()
    assert str(caught.value) == f"[Errno {socket.EAI_NONAME}] Name or service not known"


@pytest.mark.parametrize(
    "code", [pytest.param(1, marks=UNHEARD), pytest.param(2, marks=UNHEARD), 3, 4, 5]
)
async def test_refused_connack(aiomqtt: ModuleType, peer: ScriptedPeer, code: int) -> None:
    def script(peer: ScriptedPeer) -> None:
        peer.accept().accept_client(code)
        peer.accept().serve()

    peer.converse(script)
    client = aiomqtt.Client(peer.host, peer.port)
    with pytest.raises(aiomqtt.MqttCodeError) as caught:
        await client.__aenter__()
    assert caught.value.rc.value == REFUSALS[code]
    assert str(caught.value) == f"[code:{REFUSALS[code]}] {caught.value.rc}"
    assert type(caught.value).__name__ == "MqttConnectError"
    await connects(client)


@pytest.mark.parametrize("reason", REASONS)
async def test_refused_connack_of_mqtt_5(
    aiomqtt: ModuleType, peer: ScriptedPeer, reason: int
) -> None:
    peer.converse(lambda peer: peer.accept().accept_client(reason))
    client = aiomqtt.Client(peer.host, peer.port, protocol=aiomqtt.ProtocolVersion.V5)
    with pytest.raises(aiomqtt.MqttCodeError) as caught:
        await client.__aenter__()
    assert caught.value.rc == reason
    assert str(caught.value).startswith(f"[code:{reason}] ")


async def test_refused_by_a_broker(aiomqtt: ModuleType, tmp_path: Any) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    with Mosquitto(tmp_path / "broker", extra=(f"password_file {passwords}",)) as broker:
        client = aiomqtt.Client(broker.host, broker.port, username="me", password="wrong")
        with pytest.raises(aiomqtt.MqttCodeError, match="Not authorized"):
            await client.__aenter__()
        await connects(aiomqtt.Client(broker.host, broker.port))


async def test_no_connack_in_time(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    def script(peer: ScriptedPeer) -> None:
        silent = peer.accept()
        silent.expect(packets.CONNECT)
        peer.accept().serve()

    peer.converse(script)
    client = aiomqtt.Client(peer.host, peer.port, timeout=0.3)
    before = time.monotonic()
    with pytest.raises(aiomqtt.MqttError, match=r"^Operation timed out$"):
        await client.__aenter__()
    assert 0.25 < time.monotonic() - before < 5
    client.timeout = 10
    await connects(client)


@pytest.mark.better_than_aiomqtt("on a busy machine it has CONNACK before it looks at the clock")
async def test_no_time_at_all(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    client = aiomqtt.Client(broker.host, broker.port, timeout=0)
    for _ in range(2):
        with pytest.raises(aiomqtt.MqttError, match=r"^Operation timed out$"):
            await client.__aenter__()
    client.timeout = 10
    await connects(client)


@pytest.mark.better_than_aiomqtt("its timeout begins after the dialling, which it cannot interrupt")
async def test_no_answer_to_the_dialling(aiomqtt: ModuleType) -> None:
    with blackhole() as (host, port):
        before = time.monotonic()
        with pytest.raises(aiomqtt.MqttError, match=r"^Operation timed out$"):
            await aiomqtt.Client(host, port, timeout=0.3).__aenter__()
        assert time.monotonic() - before < 3


async def test_the_broker_hangs_up_before_connack(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.expect(packets.CONNECT)
        connection.close()
        peer.accept().serve()

    peer.converse(script)
    client = aiomqtt.Client(peer.host, peer.port, timeout=1)
    with pytest.raises(aiomqtt.MqttError):
        await client.__aenter__()
    await connects(client)


async def test_patience_without_end(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    await connects(aiomqtt.Client(broker.host, broker.port, timeout=math.inf))


async def test_reusable(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    client = aiomqtt.Client(broker.host, broker.port)
    for n in range(5):
        async with client as entered:
            assert entered is client
            await client.subscribe("reused")
            await client.publish("reused", n)
            assert (await client.messages.__anext__()).payload == b"%d" % n


async def test_not_reentrant(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    client = aiomqtt.Client(broker.host, broker.port)
    async with client:
        with pytest.raises(aiomqtt.MqttReentrantError) as caught:
            await client.__aenter__()
        assert str(caught.value) == "The client context manager is reusable, but not reentrant"
        await client.publish("still", "connected", qos=1)
    await connects(client)


async def test_not_reentrant_while_connecting(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    connected: Mailbox[PeerConnection] = Mailbox()

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.expect(packets.CONNECT)
        connected.put(connection)

    peer.converse(script)
    client = aiomqtt.Client(peer.host, peer.port, timeout=20)
    entering = asyncio.ensure_future(client.__aenter__())
    await in_thread(connected.wait_count, 1)
    with pytest.raises(aiomqtt.MqttReentrantError):
        await client.__aenter__()
    connected.items()[0].send(packets.connack(packets.V311))
    await entering
    await client.__aexit__(None, None, None)


@pytest.mark.better_than_aiomqtt("cancelled, it keeps the connection and its lock")
async def test_cancelled_while_connecting(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    """At any turn of the event loop after CONNECT was sent."""
    connected: Mailbox[bool] = Mailbox()
    turns = range(20)

    def script(peer: ScriptedPeer) -> None:
        for _ in turns:
            connection = peer.accept()
            connection.expect(packets.CONNECT)
            connected.put(True)
            connection.expect_end(2)
        peer.accept().serve()

    peer.converse(script)
    client = aiomqtt.Client(peer.host, peer.port, timeout=20)
    for n in turns:
        entering = asyncio.ensure_future(client.__aenter__())
        await in_thread(connected.wait_count, n + 1)
        for _ in range(n):
            await asyncio.sleep(0)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
    await connects(client)


async def test_leaving_without_entering(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    client = aiomqtt.Client(broker.host, broker.port)
    await client.__aexit__(None, None, None)
    await connects(client)


async def test_leaving_twice(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    client = aiomqtt.Client(broker.host, broker.port)
    async with client:
        await client.__aexit__(None, None, None)
    await connects(client)


async def test_the_callers_exception_passes(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    client = aiomqtt.Client(broker.host, broker.port)
    with pytest.raises(ZeroDivisionError):
        async with client:
            raise ZeroDivisionError
    await connects(client)


@pytest.mark.parametrize("version", ["V31", "V311", "V5"])
async def test_connect_packet(
    aiomqtt: ModuleType, module: Module, peer: ScriptedPeer, version: str
) -> None:
    """Every argument that has a place in CONNECT is there."""
    peer.converse(lambda peer: peer.accept().serve())
    protocol = aiomqtt.ProtocolVersion[version]
    properties = None
    if version == "V5":
        properties = module("properties").Properties(module("packettypes").PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 77
    client = aiomqtt.Client(
        peer.host,
        peer.port,
        identifier="a-client",
        username="me",
        password="secret",
        keepalive=33,
        protocol=protocol,
        clean_session=None if version == "V5" else False,
        will=aiomqtt.Will("will", "gone", 1, True),
        properties=properties,
    )
    async with client:
        assert client.identifier == "a-client"
    peer.finish()
    connect = peer.connections[0].received[0]
    given = connect.connect
    assert given["level"] == int(protocol)
    assert given["client_id"] == "a-client"
    assert given["keepalive"] == 33
    assert (given["username"], given["password"]) == (b"me", b"secret")
    assert (given["will_topic"], given["will_payload"]) == ("will", b"gone")
    assert bool(given["flags"] & 0x02) is (version == "V5")
    assert given["flags"] & 0x3C == 0x2C
    if version == "V5":
        assert connect.properties == {"session_expiry_interval": 77}


@pytest.mark.parametrize(("version", "length"), [("V31", 22), ("V311", 0), ("V5", 0)])
async def test_identifier_made_up(aiomqtt: ModuleType, version: str, length: int) -> None:
    client = aiomqtt.Client("127.0.0.1", protocol=aiomqtt.ProtocolVersion[version])
    assert len(client.identifier) == length


@pytest.mark.better_than_aiomqtt("it never learns of it")
async def test_identifier_assigned_by_the_broker(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    client = aiomqtt.Client(broker.host, broker.port, protocol=aiomqtt.ProtocolVersion.V5)
    async with client:
        assigned = client.identifier
        assert assigned.startswith("auto-")
    async with client:
        assert client.identifier == assigned


@pytest.mark.parametrize("clean_start", [True, False, 3])
async def test_clean_start(aiomqtt: ModuleType, peer: ScriptedPeer, clean_start: Any) -> None:
    def script(peer: ScriptedPeer) -> None:
        for _ in range(2):
            peer.accept().serve()

    peer.converse(script)
    v5 = aiomqtt.ProtocolVersion.V5
    client = aiomqtt.Client(peer.host, peer.port, protocol=v5, clean_start=clean_start)
    for _ in range(2):
        async with client:
            pass
    peer.finish()
    flags = [connection.received[0].connect["flags"] & 2 for connection in peer.connections]
    assert flags == [0 if clean_start is False else 2] * 2


async def test_socket_options_and_bind_address(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    options = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.SOL_SOCKET, socket.SO_RCVBUF, 60_000),
    ]
    port = free_port()
    async with aiomqtt.Client(
        *(broker.host, broker.port),
        socket_options=options,
        bind_address="127.0.0.1",
        bind_port=port,
    ) as client:
        sock = client._client.socket()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) in (60_000, 120_000)
        assert sock.getsockname() == ("127.0.0.1", port)


async def test_bad_arguments(aiomqtt: ModuleType) -> None:
    for arguments in (
        {"transport": "pigeon"},
        {"will": aiomqtt.Will("")},
        {"will": aiomqtt.Will("a", qos=3)},
        {"protocol": aiomqtt.ProtocolVersion.V5, "clean_session": True},
        {"max_inflight_messages": -1},
        {"max_queued_outgoing_messages": -1},
    ):
        with pytest.raises(ValueError):
            aiomqtt.Client("127.0.0.1", **arguments)
    with pytest.raises(TypeError):
        aiomqtt.Client("127.0.0.1", 1883, "a third positional argument")
    with pytest.raises(TypeError):
        aiomqtt.Client("127.0.0.1", will=aiomqtt.Will("a", object()))


@pytest.mark.parametrize(("host", "port"), [("", 1883), ("127.0.0.1", 0), ("127.0.0.1", -1)])
async def test_bad_address(aiomqtt: ModuleType, host: str, port: int) -> None:
    with pytest.raises(ValueError):
        await aiomqtt.Client(host, port).__aenter__()


async def test_paho_style_client_beneath(aiomqtt: ModuleType, module: Module) -> None:
    client = aiomqtt.Client("127.0.0.1", username="me", identifier="it")
    assert isinstance(client._client, module("client").Client)
    assert client._client._client_id == b"it"
    assert client._client.username == "me"
