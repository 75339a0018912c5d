"""Dialling that gets no answer: loop_stop(), disconnect() and Ctrl-C do not wait for it.

A SYN that nobody answers, a name server that is silent, a peer that accepts and says nothing.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import clients, packets
from support.bounds import within
from support.clients import Watched
from support.mosquitto import free_port
from support.peer import ScriptedPeer
from support.process import Program
from support.unreachable import SILENCE, blackhole, silent_name_server
from support.waiting import eventually, finishes


@pytest.fixture
def silent_resolver(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Name look-ups hang until the event is set."""
    answer = threading.Event()
    asked = threading.Event()
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "broker.example":
            return real(host, *args, **kwargs)
        asked.set()
        answer.wait(20)
        return real("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    answer.asked = asked  # type: ignore[attr-defined]
    return answer


def dials(client: Any) -> bool:
    """It waits for an answer."""
    return client._ox_latest_attempt is not None and client._ox_latest_attempt.wake is not None


def stop_in_time(mqtt: ModuleType, client: Any, state: str) -> None:
    started = time.monotonic()
    assert finishes(client.loop_stop, 10, "loop_stop()") == mqtt.MQTT_ERR_SUCCESS
    within(f"loop_stop(), {state}", time.monotonic() - started, 0.2)
    assert client._thread is None and client.socket() is None


@pytest.mark.better_than_paho("paho waits for connect_timeout")
def test_stop_while_nobody_answers_the_syn(mqtt: ModuleType) -> None:
    with blackhole() as (host, port):
        client = clients.make(mqtt, "syn")
        client.connect_timeout = 8
        failures: list[Any] = []
        client.on_connect_fail = lambda *_: failures.append(1)
        client.connect_async(host, port)
        client.loop_start()
        eventually(lambda: dials(client), "dialling")
        stop_in_time(mqtt, client, "nobody answers the SYN")
        assert not failures, "given up is not failed"


@pytest.mark.better_than_paho("paho waits for the resolver")
def test_stop_while_the_resolver_is_silent(
    mqtt: ModuleType, peer: ScriptedPeer, silent_resolver: Any
) -> None:
    """The next loop_start() dials again; for what the first look-up brings, nobody dials."""
    with Watched(mqtt, "resolver") as watched:
        watched.client.connect_async("broker.example", peer.port)
        watched.client.loop_start()
        assert silent_resolver.asked.wait(10)
        stop_in_time(mqtt, watched.client, "in getaddrinfo()")
        watched.client.loop_start()
        eventually(lambda: dials(watched.client), "dialling")
        silent_resolver.set()
        peer.accept().accept_client()
        watched.connects.wait_count(1)
        peer.expect_no_connection(0.2)


@pytest.mark.better_than_paho("paho dials on, and connects though it was told not to")
@pytest.mark.parametrize("style", ["loop_start", "loop_forever", "connect"])
def test_disconnect_while_dialling(
    mqtt: ModuleType, peer: ScriptedPeer, silent_resolver: Any, style: str
) -> None:
    client = clients.make(mqtt, "goodbye")
    outcome: list[Any] = []
    if style == "connect":
        thread = threading.Thread(
            target=lambda: outcome.append(client.connect("broker.example", peer.port))
        )
        thread.start()
    else:
        client.connect_async("broker.example", peer.port)
        if style == "loop_start":
            client.loop_start()
            thread = client._thread
        else:
            thread = threading.Thread(target=client.loop_forever)
            thread.start()
    assert silent_resolver.asked.wait(10)
    started = time.monotonic()
    assert client.disconnect() == mqtt.MQTT_ERR_NO_CONN
    thread.join(5)
    assert not thread.is_alive()
    within(f"disconnect() while {style} dials", time.monotonic() - started, 0.2)
    if style == "connect":
        assert outcome == [mqtt.MQTT_ERR_NO_CONN]
    silent_resolver.set()
    peer.expect_no_connection(0.2)
    assert client.socket() is None and not client.is_connected()


@pytest.mark.better_than_paho("paho connects to the old address first")
def test_another_address_while_dialling(
    mqtt: ModuleType, peer: ScriptedPeer, silent_resolver: Any
) -> None:
    """connect_async() overtakes a dial that hangs."""
    with Watched(mqtt, "elsewhere") as watched:
        watched.client.connect_async("broker.example", free_port())
        watched.client.loop_start()
        assert silent_resolver.asked.wait(10)
        watched.client.connect_async(peer.host, peer.port)
        peer.accept().accept_client()
        watched.connects.wait_count(1)
        silent_resolver.set()
        assert len(watched.disconnects) == 0


@pytest.mark.parametrize("where", ["syn", "refused", "name"])
def test_exceptions_are_those_of_the_socket(mqtt: ModuleType, where: str) -> None:
    """connect() raises what socket.create_connection() raises."""
    client = clients.make(mqtt, "raises")
    client.connect_timeout = 0.3
    with blackhole() as address:
        if where == "refused":
            address = ("127.0.0.1", free_port())
        elif where == "name":
            address = ("no such name", 1883)
        with pytest.raises(OSError) as expected:
            socket.create_connection(address, 0.3)
        with pytest.raises(OSError) as raised:
            client.connect(*address)
    assert type(raised.value) is type(expected.value)
    assert str(raised.value) == str(expected.value)
    assert client.socket() is None


@pytest.mark.better_than_paho("the CONNACK has no deadline")
@pytest.mark.parametrize("version", [packets.V311, packets.V5])
def test_connack_deadline(mqtt: ModuleType, peer: ScriptedPeer, version: int) -> None:
    """A peer that accepts and never answers CONNECT is given up after connect_timeout, and dialled again."""
    with Watched(mqtt, "unanswered", version=version) as watched:
        watched.client.connect_timeout = 0.4
        watched.client.reconnect_delay_set(0.01, 0.01)
        watched.client.connect(peer.host, peer.port)
        watched.client.loop_start()
        connection = peer.accept()
        connection.expect(packets.CONNECT)
        started = time.monotonic()
        watched.disconnects.wait_count(1)
        took = time.monotonic() - started
        assert took > 0.3
        within("no CONNACK, connect_timeout 0.4 s", took, 0.4)
        connection.expect_end()
        peer.accept().accept_client()
        watched.connects.wait_count(1)


CTRL_C = """
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "dial")
    client.connect_timeout = 8
    try:
        say("dialling")
        {call}
    except KeyboardInterrupt:
        say("interrupted", time.monotonic())
"""

CALLS = {
    "connect": "client.connect(HOST, PORT)",
    "loop_forever": "client.connect_async(HOST, PORT); client.loop_forever()",
    "thread": "client.connect_async(HOST, PORT); client.loop_start(); threading.Event().wait()",
}


def has_begun(pid: int) -> bool:
    """It has a socket, or a thread that looks the name up."""
    process = Path(f"/proc/{pid}")
    try:
        descriptors = [os.readlink(one) for one in (process / "fd").iterdir()]
    except FileNotFoundError:  # one was closed meanwhile
        return False
    has_socket = any(descriptor.startswith("socket:") for descriptor in descriptors)
    return has_socket or len(list((process / "task").iterdir())) > 1


def interrupted_in_time(program: Program, what: str) -> None:
    program.wait_line("dialling")
    eventually(lambda: has_begun(program.process.pid), "the dial")
    started = time.monotonic()
    program.interrupt()
    line = program.wait_line("interrupted", 5)
    within(f"Ctrl-C while {what}", float(line.split()[1]) - started, 0.1)
    assert program.exit_code(2) == 0
    assert program.error_text() == ""


@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_while_nobody_answers_the_syn(client_name: str, call: str) -> None:
    with blackhole() as (host, port):
        source = CTRL_C.format(call=CALLS[call])
        with Program(source, client_name, HOST=host, PORT=port) as program:
            interrupted_in_time(program, f"nobody answers the SYN of {call}")


@pytest.mark.better_than_paho("Ctrl-C waits for the resolver")
@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_while_the_name_server_is_silent(
    client_name: str, tmp_path: Path, call: str
) -> None:
    """The real resolver, in a network of its own."""
    prefix = silent_name_server(tmp_path)
    if not prefix:
        pytest.skip("this machine gives no user namespaces")
    source = SILENCE + CTRL_C.format(call=CALLS[call])
    with Program(source, client_name, prefix=prefix, HOST="broker.example", PORT=1883) as program:
        interrupted_in_time(program, f"a name server is silent to {call}")


@pytest.mark.better_than_paho("loop_stop() waits for the resolver")
def test_stop_while_the_name_server_is_silent(client_name: str, tmp_path: Path) -> None:
    """The real resolver; then the process ends, though the look-up still hangs."""
    prefix = silent_name_server(tmp_path)
    if not prefix:
        pytest.skip("this machine gives no user namespaces")
    source = (
        SILENCE
        + """
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "stop")
    client.connect_async("broker.example", 1883)
    client.loop_start()
    silence.recv(512)
    started = time.monotonic()
    client.loop_stop()
    say("stopped", time.monotonic() - started)
    """
    )
    with Program(source, client_name, prefix=prefix) as program:
        line = program.wait_line("stopped")
        ended = time.monotonic()
        within("loop_stop(), the name server is silent", float(line.split()[1]), 0.2)
        assert program.exit_code(5) == 0
        within("exit while the name server is silent", time.monotonic() - ended, 1)
