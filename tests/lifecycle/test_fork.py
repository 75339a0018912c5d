"""fork() with live clients: the child's are disconnected, the parent's stream is not touched, the child can begin anew."""

from __future__ import annotations

import os
import time
from types import ModuleType

import pytest
from support.mosquitto import Mosquitto
from support.packets import PUBLISH
from support.peer import ScriptedPeer
from support.process import Program
from support.waiting import PATIENCE

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() here")

PARENT = """
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, from 3.12 on
    def make(name):
        return mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name)
    def connected(client):
        event = threading.Event()
        client.on_connect = lambda *_: event.set()
        client.connect(HOST, PORT)
        client.loop_start()
        assert event.wait(10)
        return client
    def end_of(child):
        _, status = os.waitpid(child, 0)
        return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
"""


@pytest.mark.better_than_paho("the child shares the connection and its publish() says 0")
def test_child_is_disconnected(client_name: str, peer: ScriptedPeer) -> None:
    source = (
        PARENT
        + """
    client = connected(make("parent"))
    client.publish("before", "1")
    child = os.fork()
    if child == 0:
        info = client.publish("child", "never")
        quiet = (client.is_connected(), int(info.rc), client.socket())
        client.disconnect()
        client.loop_stop()
        os._exit(0 if quiet == (False, int(mqtt.MQTT_ERR_NO_CONN), None) else 7)
    say("child", end_of(child))
    client.publish("after", "2")
    say("connected", client.is_connected())
    done = client.publish("done", "3", 1)
    done.wait_for_publish(10)
    client.disconnect()
    """
    )
    with Program(source, client_name, HOST=peer.host, PORT=peer.port) as program:
        connection = peer.accept()
        connection.accept_client()
        topics = []
        for _ in range(3):
            packet = connection.expect(PUBLISH)
            topics.append(packet.topic)
            connection.send(connection.answer(packet))
        assert topics == ["before", "after", "done"], program.error_text()
        assert program.wait_line("child") == "child 0"
        assert program.wait_line("connected") == "connected True"
        assert program.exit_code(5) == 0
        peer.expect_no_connection(0.05)


def test_child_connects_a_client_of_its_own(client_name: str, broker: Mosquitto) -> None:
    """A fresh runtime in the child, more than once, also while the parent publishes."""
    source = (
        PARENT
        + """
    client = connected(make("parent"))
    stop = threading.Event()
    def flood():
        while not stop.is_set():
            client.publish("fork/flood", "x", 1).wait_for_publish(10)
    thread = threading.Thread(target=flood)
    thread.start()
    codes = []
    for number in range(5):
        child = os.fork()
        if child == 0:
            own = connected(make(f"child{number}"))
            info = own.publish("fork/child", str(number), 2)
            info.wait_for_publish(10)
            own.disconnect()
            own.loop_stop()
            os._exit(0 if info.is_published() else 9)
        codes.append(end_of(child))
    stop.set()
    thread.join()
    say("codes", codes, client.is_connected())
    client.disconnect()
    client.loop_stop()
    """
    )
    with Program(source, client_name, HOST=broker.host, PORT=broker.port) as program:
        assert program.wait_line("codes", 30) == "codes [0, 0, 0, 0, 0] True"
        assert program.exit_code(5) == 0


def test_reconnect_in_the_child(client_name: str, broker: Mosquitto) -> None:
    """The inherited object itself can be connected again; the parent does not notice."""
    source = (
        PARENT
        + """
    client = connected(make("parent"))
    child = os.fork()
    if child == 0:
        client._client_id = b"child"
        event = threading.Event()
        client.on_connect = lambda *_: event.set()
        client.loop_stop()
        client.connect(HOST, PORT)
        client.loop_start()
        info = client.publish("fork/again", "x", 1) if event.wait(10) else None
        if info:
            info.wait_for_publish(10)
        os._exit(0 if info and info.is_published() else 9)
    say("child", end_of(child))
    info = client.publish("fork/parent", "x", 1)
    info.wait_for_publish(10)
    say("parent", info.is_published())
    client.disconnect()
    """
    )
    if client_name.startswith("paho"):
        pytest.skip("paho: loop_stop() in the child waits for a thread that is not there")
    with Program(source, client_name, HOST=broker.host, PORT=broker.port) as program:
        assert program.wait_line("child", 30) == "child 0"
        assert program.wait_line("parent") == "parent True"
        assert program.exit_code(5) == 0


@pytest.mark.better_than_paho(
    "paho's children hold a copy of the connection: the parent's end is not seen"
)
def test_child_does_not_keep_the_connection_alive(client_name: str, peer: ScriptedPeer) -> None:
    """The parent leaves, a child lives on: the peer sees the end at once."""
    source = (
        PARENT
        + """
    client = connected(make("parent"))
    child = os.fork()
    if child == 0:
        time.sleep(3)
        os._exit(0)
    client.publish("done", "x")
    client.disconnect()
    client.loop_stop()
    say("left")
    os.waitpid(child, 0)
    """
    )
    with Program(source, client_name, HOST=peer.host, PORT=peer.port) as program:
        connection = peer.accept()
        connection.accept_client()
        program.wait_line("left")
        connection.read_to_end(2)
        assert program.exit_code(8) == 0


def test_two_threads_fork_at_once(client_name: str, broker: Mosquitto) -> None:
    """Both are through with our part before either forks; each child, and the parent, go on."""
    first = """
import concurrent.futures.thread, logging  # their hooks take locks
import os, threading
barrier = None
def meet():
    if barrier is not None and threading.current_thread().name.startswith("fork"):
        barrier.wait(30)
os.register_at_fork(before=meet)
"""
    source = (
        PARENT
        + """
    client = connected(make("parent"))
    codes = []
    def fork(number):
        child = os.fork()
        if child == 0:
            barrier = None
            own = connected(make(f"child{number}"))
            info = own.publish("fork/child", str(number), 1)
            info.wait_for_publish(10)
            os._exit(0 if info.is_published() else 9)
        codes.append(end_of(child))
    for round in range(3):
        barrier = threading.Barrier(2)
        threads = [threading.Thread(target=fork, args=(n,), name=f"fork{n}") for n in range(2)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    info = client.publish("fork/parent", "x", 1)
    info.wait_for_publish(10)
    say("codes", codes, info.is_published())
    client.disconnect()
    """
    )
    values = {"HOST": broker.host, "PORT": broker.port}
    with Program(source, client_name, first=first, **values) as program:
        assert program.wait_line("codes", 60) == "codes [0, 0, 0, 0, 0, 0] True"
        assert program.exit_code() == 0


@pytest.mark.better_than_paho("it has no thread that must stand still")
def test_nothing_moves_until_the_last_fork_is_through(mqtt: ModuleType, broker: Mosquitto) -> None:
    from oxmqtt import _native

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    with client:
        client.connect(broker.host, broker.port)
        client.loop_start()
        client.publish("fork/before", "x", 1).wait_for_publish(PATIENCE)
        _native.before_fork()
        _native.before_fork()
        info = client.publish("fork/paused", "x", 1)
        _native.after_fork_in_parent()
        time.sleep(0.1)
        assert not info.is_published()
        _native.after_fork_in_parent()
        info.wait_for_publish(PATIENCE)
        assert info.is_published()
