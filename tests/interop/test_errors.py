"""What goes wrong arrives as a Python exception, a return code or a reason; never as a dead thread."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import clients, packets
from support.clients import Watched
from support.mosquitto import Mosquitto, free_port
from support.packets import PUBLISH, V5, V311, publish
from support.peer import ScriptedPeer
from support.waiting import Mailbox, drive, eventually, finishes


def test_refused(mqtt: ModuleType) -> None:
    with pytest.raises(ConnectionRefusedError):
        clients.make(mqtt).connect("127.0.0.1", free_port())


def test_unknown_host(mqtt: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver's own exception; no name server is asked."""

    def resolve(host: Any, *arguments: Any, **options: Any) -> Any:
        if host == "no-such-host.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return original(host, *arguments, **options)

    original = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(socket.gaierror):
        clients.make(mqtt).connect("no-such-host.invalid")


def test_silent_network(mqtt: ModuleType) -> None:
    """SYNs that nobody answers: TimeoutError after connect_timeout."""
    # A full backlog drops further SYNs: what a firewall does, on loopback.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        client = clients.make(mqtt)
        client.connect_timeout = 0.5
        started = time.monotonic()
        try:
            with pytest.raises((TimeoutError, socket.timeout)):
                client.connect(*listener.getsockname())
        finally:
            for filler in fillers:
                filler.close()
        assert 0.4 < time.monotonic() - started < 5


@pytest.mark.better_than_paho("paho waits a whole keep-alive for the CONNACK")
def test_silent_peer(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """The peer accepts and says nothing: the CONNACK has a deadline, on_disconnect tells."""
    with Watched(mqtt, "silent", reconnect_on_failure=False) as watched:
        watched.client.connect_timeout = 0.5
        started = time.monotonic()
        watched.start(peer, wait=False)
        watched.disconnects.wait_count(1, 5)
        assert time.monotonic() - started < 4
        assert len(watched.connects) == 0
        assert not watched.client.is_connected()


@pytest.mark.better_than_paho("paho leaves the unconnected socket to the garbage collector")
def test_gone_unix_socket(mqtt: ModuleType, tmp_path: Path) -> None:
    client = clients.make(mqtt, transport="unix")
    with pytest.raises(FileNotFoundError):
        client.connect(str(tmp_path / "nobody"))


MALFORMED = {
    "remaining length of five bytes": b"\x30\xff\xff\xff\xff\x01",
    "qos 3": b"\x36\x05\x00\x01a\x00\x01",
    "publish too short": b"\x30\x01\x00",
    "topic longer than packet": b"\x30\x04\x00\x09ab",
    "packet type 0": b"\x00\x00",
    "connect from the server": packets.connect(V311, "x"),
    "subscribe from the server": b"\x82\x06\x00\x01\x00\x01a\x00",
    "puback too short": b"\x40\x01\x00",
    "suback empty": b"\x90\x00",
}
MALFORMED_NEW = {
    "invalid utf-8 topic": b"\x30\x04\x00\x02\xff\xfe",
    "topic with nul": b"\x30\x05\x00\x03a\x00b",
    "topic with wildcard": b"\x30\x03\x00\x01#",
    "packet id 0": b"\x32\x05\x00\x01a\x00\x00",
    "reserved bits of PUBACK": b"\x41\x02\x00\x01",
    "reserved bits of PINGRESP": b"\xd1\x00",
    "second connack": packets.connack(V311),
}


@pytest.mark.parametrize("version", [V311, V5])
@pytest.mark.parametrize(
    "raw",
    [
        *(pytest.param(raw, id=name) for name, raw in MALFORMED.items()),
        *(
            pytest.param(raw, id=name, marks=pytest.mark.better_than_paho("paho accepts it"))
            for name, raw in MALFORMED_NEW.items()
        ),
    ],
)
def test_malformed_bytes(mqtt: ModuleType, peer: ScriptedPeer, version: int, raw: bytes) -> None:
    """The connection ends with a reason, once; the loop thread lives and connects again."""
    if version == V5 and raw[0] >> 4 == PUBLISH and len(raw) < 10:
        raw = with_property_length(raw)
    if version == V5 and raw == packets.connack(V311):
        raw = packets.connack(V5)
    with Watched(mqtt, "malformed", version=version) as watched:
        watched.client._reconnect_min_delay = 0.05
        watched.client.connect(peer.host, peer.port)
        watched.client.loop_start()
        first = peer.accept()
        first.accept_client()
        watched.connects.wait_count(1)
        first.send(raw)
        last = first.read_to_end()
        if version == V5 and not mqtt.__name__.startswith("paho"):
            assert [packet.kind for packet in last] == [packets.DISCONNECT], last
            assert last[0].reason in (0x81, 0x82, 0x94), last
        second = peer.accept()
        second.accept_client()
        watched.connects.wait_count(2)
        assert len(watched.disconnects) == 1
        from_server, reason, _text = watched.disconnects.items()[0]
        assert not from_server and reason >= 0x80
        second.send(publish(version, "fine", b"again"))
        watched.messages.wait_count(1)


def with_property_length(raw: bytes) -> bytes:
    """The same PUBLISH for MQTT 5 where its topic and id are whole."""
    if raw[2:4] in (b"\x00", b"\x00\x09") or raw[1] == 0xFF or len(raw) < 5:
        return raw
    return bytes([raw[0], raw[1] + 1]) + raw[2:] + b"\x00"


@pytest.mark.better_than_paho("the exception kills paho's thread; is_connected() stays true")
def test_exception_under_loop_start(
    mqtt: ModuleType, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reported to threading.excepthook; the thread lives on; the message is not lost for the next callback."""
    reports: Mailbox[Any] = Mailbox()
    monkeypatch.setattr(threading, "excepthook", reports.put)
    with Watched(mqtt, "raises") as watched:
        watched.start(broker)
        watched.subscribe("raises/#", 1)
        good = watched.client.on_message

        def on_message(client: Any, userdata: Any, message: Any) -> None:
            good(client, userdata, message)
            if message.payload == b"bad":
                raise ZeroDivisionError("in a callback")

        watched.client.on_message = on_message
        for payload in ("bad", "good", "bad", "good"):
            watched.client.publish("raises/x", payload, 1)
        watched.messages.wait_count(4)
        reports.wait_count(2)
        assert {report.exc_type for report in reports} == {ZeroDivisionError}
        assert watched.client.is_connected()
        assert len(watched.disconnects) == 0
        assert all(report.thread is watched.client._thread for report in reports)


def test_exception_in_loop(mqtt: ModuleType, broker: Mosquitto) -> None:
    """Under loop() it comes out of loop()."""
    client = clients.make(mqtt, "raises2")

    def on_connect(*_: Any) -> None:
        raise ZeroDivisionError("in a callback")

    client.on_connect = on_connect
    client.connect(broker.host, broker.port)
    with pytest.raises(ZeroDivisionError, match="in a callback"):
        drive(client, lambda: False, "never")
    client.disconnect()


def test_exception_in_loop_forever(mqtt: ModuleType, broker: Mosquitto) -> None:
    client = clients.make(mqtt, "raises3")
    client.on_connect = lambda *_: client.subscribe("raises3", 1)
    client.on_subscribe = lambda *_: client.publish("raises3", "x", 1)

    def on_message(*_: Any) -> None:
        raise ZeroDivisionError("in a callback")

    client.on_message = on_message
    client.connect(broker.host, broker.port)
    with pytest.raises(ZeroDivisionError):
        finishes(client.loop_forever, 10, "loop_forever()")
    client.disconnect()


def test_suppressed_exceptions(mqtt: ModuleType, broker: Mosquitto) -> None:
    """suppress_exceptions: logged with paho's text, nothing raised, the next callback comes."""
    client = clients.make(mqtt, "suppressed")
    client.suppress_exceptions = True
    texts: list[str] = []
    client.on_log = lambda c, u, level, text: texts.append(text)
    seen: list[int] = []

    def on_connect(*_: Any) -> None:
        client.subscribe("suppressed")
        raise ZeroDivisionError("in a callback")

    client.on_connect = on_connect
    client.on_subscribe = lambda *_: seen.append(1)
    client.connect(broker.host, broker.port)
    drive(client, lambda: seen, "on_subscribe")
    assert "Caught exception in on_connect: in a callback" in texts
    client.disconnect()


@pytest.mark.parametrize("api", [1, 2])
def test_on_connect_fail(mqtt: ModuleType, api: int) -> None:
    """Nobody listens: on_connect_fail for each try, and the thread stays to try again."""
    client = clients.make(mqtt, "fail", api=api)
    client.reconnect_delay_set(1, 1)
    failures: Mailbox[Any] = Mailbox()
    client.on_connect_fail = lambda *arguments: failures.put(arguments)
    port = free_port()
    client.connect_async("127.0.0.1", port)
    client.loop_start()
    failures.wait_count(1)
    assert failures.items()[0] == (client, None)
    assert client._thread.is_alive()
    client.disconnect()
    finishes(client.loop_stop, 3, "loop_stop()")


def test_disconnect_during_the_wait_for_a_reconnect(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    with Watched(mqtt, "waiting") as watched:
        watched.client.reconnect_delay_set(30, 60)
        watched.client.connect(peer.host, peer.port)
        watched.client.loop_start()
        connection = peer.accept()
        connection.accept_client()
        watched.connects.wait_count(1)
        connection.reset()
        watched.disconnects.wait_count(1)
        watched.client.disconnect()
        eventually(
            lambda: watched.client._thread is None or not watched.client._thread.is_alive(),
            "the end of the loop thread",
            3,
        )
        peer.expect_no_connection(0.1)


def test_on_publish_that_raises_without_a_loop(mqtt: ModuleType, broker: Mosquitto) -> None:
    """It comes out of publish(); the other messages get theirs with the next call."""
    client = clients.make(mqtt, "raises4")
    told: list[int] = []

    def on_publish(client: Any, userdata: Any, mid: int, *_: Any) -> None:
        told.append(mid)
        if len(told) == 1:
            raise ZeroDivisionError("in a callback")

    client.on_publish = on_publish
    client.connect(broker.host, broker.port)
    drive(client, client.is_connected, "the connection")
    client.on_socket_register_write = lambda *_: None  # so that publish() calls nobody
    mids = [client.publish("raises4", "x").mid for _ in range(5)]
    drive_writing(client)
    client.on_socket_register_write = None
    with pytest.raises(ZeroDivisionError, match="in a callback"):
        mids.append(client.publish("raises4", "x").mid)
        drive(client, lambda: False, "an exception")
    drive(client, lambda: len(told) == 6, "the other messages")
    assert told[:5] == mids[:5]
    client.disconnect()


def drive_writing(client: Any) -> None:
    """Lets what was published leave, without reading."""
    if hasattr(client, "_engine"):
        eventually(lambda: not client._ox_engine.unsent, "all to be sent")


@pytest.mark.parametrize("api", [1, 2])
def test_on_publish_that_publishes_without_a_loop(
    mqtt: ModuleType, broker: Mosquitto, api: int
) -> None:
    """A chain of messages ends inside the first publish()."""
    client = clients.make(mqtt, "chain", api=api)
    client.connect(broker.host, broker.port)
    drive(client, client.is_connected, "the connection")
    told: list[int] = []

    def on_publish(client: Any, userdata: Any, mid: int, *_: Any) -> None:
        told.append(mid)
        if len(told) < 10:
            client.publish("chain", "x")

    client.on_publish = on_publish
    client.publish("chain", "x")
    assert len(told) == 10
    client.disconnect()
