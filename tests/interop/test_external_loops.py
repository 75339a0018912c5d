"""Clients without a thread of their own: select(), asyncio readers and writers, trio-like splitting, loop_misc timers."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from types import ModuleType
from typing import Any

import pytest
from support import clients, packets
from support.mosquitto import Mosquitto
from support.peer import ScriptedPeer
from support.trace import Trace
from support.waiting import Deadline, drive


class SelectLoop:
    """The pattern of a program with a select() of its own: read, write and misc as the client asks for them."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def until(self, done: Any, what: str, seconds: float = 10) -> None:
        deadline = Deadline(seconds)
        while not done():
            assert not deadline.passed(), f"never came: {what}"
            sock = self.client.socket()
            if sock is None:
                raise AssertionError(f"the socket has gone before {what}")
            want_write = [sock] if self.client.want_write() else []
            readable, writable, _ = select.select([sock], want_write, [], 0.5)
            if readable:
                self.client.loop_read()
            if writable:
                self.client.loop_write()
            self.client.loop_misc()


@pytest.mark.parametrize("version", packets.ALL_VERSIONS)
def test_select(mqtt: ModuleType, broker: Mosquitto, version: int) -> None:
    """50 messages of each QoS go out and come back through a select() loop."""
    client = clients.make(mqtt, f"select{version}", version)
    trace = Trace()
    trace.attach(client)
    loop = SelectLoop(client)
    client.connect(broker.host, broker.port)
    loop.until(client.is_connected, "CONNACK")
    client.subscribe(f"select{version}/#", 2)
    loop.until(lambda: trace.count("on_subscribe"), "SUBACK")
    for number in range(150):
        client.publish(f"select{version}/x", str(number), number % 3)
    loop.until(lambda: trace.count("on_message") == 150, "150 messages")
    loop.until(lambda: trace.count("on_publish") == 150, "150 on_publish")
    client.disconnect()
    loop_end = Deadline(5)
    while client.socket() is not None and not loop_end.passed():
        client.loop_read()
        client.loop_write()
        client.loop_misc()
    assert trace.count("on_disconnect") == 1
    assert client.loop_misc() == mqtt.MQTT_ERR_NO_CONN


class AsyncioBridge:
    """The pattern of paho's asyncio programs: add_reader/add_writer from the socket callbacks, a task for loop_misc."""

    def __init__(self, loop: asyncio.AbstractEventLoop, client: Any) -> None:
        self.loop = loop
        self.client = client
        self.misc: Any = None
        self.opened: list[int] = []
        self.closed: list[int] = []
        client.on_socket_open = self.on_socket_open
        client.on_socket_close = self.on_socket_close
        client.on_socket_register_write = self.on_socket_register_write
        client.on_socket_unregister_write = self.on_socket_unregister_write

    def on_socket_open(self, client: Any, userdata: Any, sock: Any) -> None:
        self.opened.append(sock.fileno())
        self.loop.add_reader(sock, client.loop_read)
        self.misc = self.loop.create_task(self.call_misc())

    def on_socket_close(self, client: Any, userdata: Any, sock: Any) -> None:
        self.closed.append(sock.fileno())
        self.loop.remove_reader(sock)
        self.misc.cancel()

    def on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        self.loop.add_writer(sock, client.loop_write)

    def on_socket_unregister_write(self, client: Any, userdata: Any, sock: Any) -> None:
        self.loop.remove_writer(sock)

    async def call_misc(self) -> None:
        while self.client.loop_misc() == 0:
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("version", packets.ALL_VERSIONS)
def test_asyncio_readers(mqtt: ModuleType, broker: Mosquitto, version: int) -> None:
    async def program() -> None:
        loop = asyncio.get_running_loop()
        client = clients.make(mqtt, f"asyncio{version}", version)
        bridge = AsyncioBridge(loop, client)
        connected, received, gone = loop.create_future(), loop.create_future(), loop.create_future()
        payloads: list[bytes] = []

        def on_connect(*_: Any) -> None:
            client.subscribe(f"asyncio{version}/#", 1)
            connected.set_result(None)

        def on_message(c: Any, u: Any, message: Any) -> None:
            payloads.append(message.payload)
            if len(payloads) == 100:
                received.set_result(None)

        client.on_connect, client.on_message = on_connect, on_message
        client.on_subscribe = lambda *_: [
            client.publish(f"asyncio{version}/x", str(n), n % 2) for n in range(100)
        ]
        client.on_disconnect = lambda *_: gone.set_result(None)
        client.connect(broker.host, broker.port)
        assert isinstance(client.socket(), socket.socket)
        client.socket().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        await asyncio.wait_for(connected, 10)
        await asyncio.wait_for(received, 10)
        client.disconnect()
        await asyncio.wait_for(gone, 10)
        assert sorted(payloads) == sorted(str(n).encode() for n in range(100))
        assert bridge.opened == bridge.closed and len(bridge.opened) == 1

    asyncio.run(program())


def test_asyncio_sees_a_lost_connection(mqtt: ModuleType) -> None:
    """The reader of the event loop wakes when the peer resets; reconnect() gives a new socket."""

    async def program(peer: ScriptedPeer) -> None:
        loop = asyncio.get_running_loop()
        client = clients.make(mqtt, "asyncio-lost")
        bridge = AsyncioBridge(loop, client)
        events: asyncio.Queue[str] = asyncio.Queue()
        client.on_connect = lambda *_: events.put_nowait("connect")
        client.on_disconnect = lambda *_: events.put_nowait("disconnect")
        client.connect(peer.host, peer.port)
        connection = peer.accept()
        connection.sock.sendall(packets.connack(packets.V311))
        assert await asyncio.wait_for(events.get(), 10) == "connect"
        connection.reset()
        assert await asyncio.wait_for(events.get(), 10) == "disconnect"
        assert client.socket() is None
        assert len(bridge.closed) == 1
        client.reconnect()
        peer.accept().sock.sendall(packets.connack(packets.V311))
        assert await asyncio.wait_for(events.get(), 10) == "connect"
        assert len(bridge.opened) == 2
        client.disconnect()
        assert await asyncio.wait_for(events.get(), 10) == "disconnect"
        assert events.empty(), "on_disconnect comes once"

    with ScriptedPeer() as peer:
        asyncio.run(program(peer))


def test_socket_is_the_connection(mqtt: ModuleType, broker: Mosquitto) -> None:
    """Names and options of socket() are those of the connection; it is one object while the connection lives."""
    client = clients.make(mqtt, "sock")
    seen: list[Any] = []
    client.on_socket_open = lambda c, u, sock: seen.append(sock)
    client.on_socket_close = lambda c, u, sock: seen.append(sock)
    assert client.socket() is None
    client.connect(broker.host, broker.port)
    sock = client.socket()
    assert sock is seen[0]
    assert sock is client._sock
    assert sock.getpeername() == (broker.host, broker.port)
    assert sock.getsockname()[0] == broker.host
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 32768
    loop = SelectLoop(client)
    loop.until(client.is_connected, "CONNACK")
    assert client.socket() is sock
    client.disconnect()
    deadline = Deadline(5)
    while client.socket() is not None and not deadline.passed():
        client.loop(0.05)
    assert seen == [sock, sock]


def test_loop_wakes_for_a_publish_of_another_thread(mqtt: ModuleType, broker: Mosquitto) -> None:
    """loop(30) on one thread does not sit out its timeout while another thread publishes."""
    import threading

    client = clients.make(mqtt, "wake")
    client.connect(broker.host, broker.port)
    SelectLoop(client).until(client.is_connected, "CONNACK")
    done: list[int] = []
    client.on_publish = lambda *_: done.append(1)
    thread = threading.Thread(target=lambda: client.publish("wake/x", "x", 1))
    timer = threading.Timer(0.1, thread.start)
    timer.start()
    deadline = Deadline(10)
    while not done:
        client.loop(30)
        assert not deadline.passed(), "loop() slept through the publish"
    timer.join()
    thread.join()
    client.disconnect()


def test_first_loop_waits(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """The first loop() after connect() waits for CONNACK; nothing that connect() did wakes it before."""
    client = clients.make(mqtt, "first-loop")
    client.connect(peer.host, peer.port)
    connection = peer.accept()
    connection.expect(packets.CONNECT)
    answer = threading.Timer(0.1, connection.send, [packets.connack(packets.V311)])
    answer.start()
    try:
        assert client.loop(10) == mqtt.MQTT_ERR_SUCCESS
        assert client.is_connected()
    finally:
        answer.join()
        clients.dispose(client)


def test_a_round_that_ended_leaves_nothing_readable(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """Else the next loop() would not wait."""
    with clients.Watched(mqtt, "quiet") as watched:
        watched.client.connect(peer.host, peer.port)
        peer.accept().accept_client()
        drive(watched.client, lambda: len(watched.connects) == 1, "on_connect")
        assert select.select([watched.client.socket()], [], [], 0) == ([], [], [])


def by_select(client: Any, done: Any, what: str) -> None:
    SelectLoop(client).until(done, what)


@pytest.mark.parametrize("loop", [drive, by_select], ids=["loop", "loop_read"])
@pytest.mark.parametrize("answer", ["CONNACK", "SUBACK"])
def test_a_round_ends_where_a_program_sets_its_callbacks(
    mqtt: ModuleType, peer: ScriptedPeer, loop: Any, answer: str
) -> None:
    """What came right behind the answer waits for the next round, and the descriptor stays readable."""

    def serve(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.read()
        waiting = b"".join(packets.publish(packets.V311, "t", b"m", 1, mid) for mid in (1, 2, 3))
        connack = packets.connack(packets.V311, session_present=True)
        if answer == "CONNACK":
            connection.send(connack + waiting)
        else:
            connection.send(connack)
            mid = connection.expect(packets.SUBSCRIBE).mid
            connection.send(packets.suback(packets.V311, mid, [1]) + waiting)
        connection.serve()

    peer.converse(serve)
    with clients.Watched(mqtt, "rounds", clean=False) as watched:
        client = watched.client
        client.on_message = None
        client.connect(peer.host, peer.port)
        loop(client, lambda: len(watched.connects) == 1, "on_connect")
        if answer == "SUBACK":
            client.subscribe("t", 1)
            loop(client, lambda: len(watched.subscribed) == 1, "on_subscribe")
        client.on_message = lambda c, u, message: watched.messages.put(message)
        loop(client, lambda: len(watched.messages) == 3, "the messages")
