"""The thread of the TLS connections: collections in the middle of its work, starts that fail, connections that break, fork, exit."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Callable

import pytest
from support import clients
from support.clients import Watched
from support.process import Program
from support.waiting import PATIENCE, drive, eventually

pytestmark = pytest.mark.better_than_paho("it has no such thread")


@pytest.fixture(scope="module")
def broker() -> Iterator[Any]:
    from oxmqtt.testing import Broker

    with Broker(tls=True) as running:
        yield running


class TlsPort:
    """The broker's other port, as the helpers want it."""

    def __init__(self, broker: Any) -> None:
        self.host, self.port = "localhost", broker.tls_port


def secured(mqtt: ModuleType, broker: Any, name: str) -> Watched:
    watched = Watched(mqtt, name)
    watched.client.tls_set(broker.ca_file)
    return watched


def program(source: str, client_name: str, broker: Any, **values: Any) -> Program:
    return Program(
        LIVE + source, client_name, PORT=broker.tls_port, CA=str(broker.ca_file), **values
    )


#: A client whose messages come back to it, and one line that says whether they still do.
LIVE = """
    import contextlib, gc, warnings
    warnings.simplefilter("ignore", DeprecationWarning)

    def make(name="", tls=True):
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name)
        if tls:
            client.tls_set(CA)
        return client

    subscribed, back = threading.Event(), threading.Event()
    live = make()
    live.on_connect = lambda client, *_: client.subscribe(f"own/{os.getpid()}")
    live.on_subscribe = lambda *_: subscribed.set()
    live.on_message = lambda *_: back.set()
    live.connect("localhost", PORT)
    live.loop_start()
    assert subscribed.wait(30)

    def comes_back():
        back.clear()
        live.publish(f"own/{os.getpid()}", "x", 1)
        return back.wait(30)

    def in_child(work):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                work()
                code = 0
            finally:
                os._exit(code)
        return child

    def ended_well(child):
        return os.waitpid(child, 0)[1] == 0

    def connect_anew():
        assert not live.is_connected()
        own = make()
        own.connect("localhost", PORT)
        own.loop_start()
        own.publish("child", "x", 1).wait_for_publish(30)
        own.disconnect()
        own.loop_stop()
"""


def test_collections_everywhere(client_name: str, broker: Any) -> None:
    """At each allocation, also in the middle of a step, clients in cycles are finalised, which lets their
    connections go and asks others. The rest goes on: traffic, new connections, fork, exit.
    """
    source = """
    class App:
        def __init__(self):
            self.client = make()
            self.client.on_message = self.on_message
            self.client.connect("localhost", PORT)

        def on_message(self, *_):
            pass

        def __del__(self):
            sock = live.socket()
            if sock is not None:  # as in the child
                asked.append(sock.version())
            where.add(threading.current_thread().name)

    asked, where = [], set()
    gc.collect()
    gc.freeze()
    gc.set_threshold(1)
    until = time.monotonic() + 60
    number = 0
    while number < 40 or ("oxmqtt-tls" not in where and time.monotonic() < until):
        number += 1
        App()
        assert comes_back(), number
    child = in_child(connect_anew)
    assert comes_back()
    say("where", "oxmqtt-tls" in where, set(asked) == {live.socket().version()}, ended_well(child))
    """
    with program(source, client_name, broker) as running:
        assert running.wait_line("where", 120) == "where True True True"
        assert running.exit_code(PATIENCE) == 0
        assert running.error_text() == ""


def test_a_collection_in_the_middle_of_a_step(
    mqtt: ModuleType, broker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection is let go by the thread that is at work on it; another client connects all the same."""
    from oxmqtt._client.buffered_tls import BufferedTls

    watched = secured(mqtt, broker, "in-mid-step")
    due: list[Callable[[], None]] = []
    let_go = threading.Event()
    receive = BufferedTls.recv_into

    def receive_and_finalise(tls: BufferedTls, *args: Any) -> int:
        if due and threading.current_thread().name == "oxmqtt-tls":
            due.pop()()
            let_go.set()
        return receive(tls, *args)

    monkeypatch.setattr(BufferedTls, "recv_into", receive_and_finalise)
    watched.start(TlsPort(broker))
    sock = watched.client.socket()

    def finalise() -> None:
        assert sock.version() and sock.getpeercert()
        watched.client._sock_close()

    due.append(finalise)
    watched.client.publish("t", "x", 1)
    assert let_go.wait(PATIENCE)
    with secured(mqtt, broker, "after") as after:
        after.start(TlsPort(broker))
    watched.close()


class FailsOnce:
    """Selectors of which a method raises once; ``__init__`` is one, too."""

    def __init__(self, method: str, error: BaseException) -> None:
        errors = [error]

        def called(selector: Any, *args: Any) -> Any:
            if errors:
                raise errors.pop()
            return getattr(selectors.DefaultSelector, method)(selector, *args)

        self.DefaultSelector = type("Failing", (selectors.DefaultSelector,), {method: called})


def fails_once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: Exception) -> None:
    real = getattr(owner, name)

    def call(*args: Any) -> Any:
        if owner is threading.Thread and args[0].name != "oxmqtt-tls":
            return real(*args)
        monkeypatch.setattr(owner, name, real)
        raise error

    monkeypatch.setattr(owner, name, call)


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (threading.Thread, "start", RuntimeError("can't start new thread")),
        (threading.Thread, "start", MemoryError("no memory")),
        (socket, "socketpair", OSError(errno.EMFILE, "Too many open files")),
        (selectors, "__init__", OSError(errno.EMFILE, "Too many open files")),
        (selectors, "register", OSError(errno.ENOSPC, "No space left on device")),
        (selectors, "register", MemoryError("no memory")),
        (selectors, "select", OSError(errno.ENOMEM, "Cannot allocate memory")),
        (selectors, "select", SystemExit("the thread ends")),
    ],
)
def test_what_fails_once(
    mqtt: ModuleType,
    broker: Any,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    error: Any,
) -> None:
    """Costs one attempt at the most: connect() says so, or the connection is lost. The next one works."""
    from oxmqtt._client import pump

    with Watched(mqtt, "first") as first:  # the engine has its own descriptors from then on
        first.start(broker)
    idle()
    descriptors = len(os.listdir("/proc/self/fd"))
    client = clients.make(mqtt, "fails")
    client.tls_set(broker.ca_file)
    if owner is selectors:
        monkeypatch.setattr(pump, "selectors", FailsOnce(name, error))
    else:
        fails_once(monkeypatch, owner, name, error)
    lost: list[Any] = []
    client.on_disconnect = lambda *args: lost.append(args)
    if name == "select":
        client.connect("localhost", broker.tls_port)
        drive(client, lambda: client.is_connected() or lost, "CONNACK or the end")
    else:
        with pytest.raises((OSError, MemoryError), match=str(error.args[-1])):
            client.connect("localhost", broker.tls_port)
    client.connect("localhost", broker.tls_port)
    drive(client, client.is_connected, "CONNACK")
    client.disconnect()
    client.close()
    error.__traceback__ = None
    idle(descriptors)


def idle(descriptors: int = 1 << 20) -> None:
    """Waits until no TLS connection is left, nor what it took."""
    eventually(
        lambda: not [thread for thread in threading.enumerate() if thread.name == "oxmqtt-tls"],
        "the thread to end",
    )
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= descriptors, "descriptors closed")


@pytest.mark.parametrize("layer", ["tls", "plain"])
def test_no_descriptors_left(client_name: str, broker: Any, layer: str) -> None:
    """With each number of them connect() works or raises OSError, and nothing stays open."""
    source = """
    import resource
    live.disconnect()
    live.loop_stop()

    port = PORT if LAYER == "tls" else PLAIN

    def count():
        return len(os.listdir("/proc/self/fd"))

    def settled(most):
        until = time.monotonic() + 30
        while count() > most and time.monotonic() < until:
            time.sleep(0.005)
        return count() <= most

    def attempt(spare):
        taken = []
        client = make(f"spare{spare}", LAYER == "tls")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        try:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            for _ in range(spare):
                os.close(taken.pop())
            try:
                client.connect("localhost", port)
                return True
            except OSError:
                return False
        finally:
            for descriptor in taken:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            client.connect("localhost", port)
            until = time.monotonic() + 30
            while not client.is_connected() and time.monotonic() < until:
                client.loop(0.1)
            assert client.is_connected(), spare
            client.close()

    attempt(100)
    assert settled(40)
    before = count()
    worked = [attempt(spare) for spare in range(14)]
    say("worked", worked[0], worked[-1], settled(before))
    """
    with program(source, client_name, broker, LAYER=layer, PLAIN=broker.port) as running:
        assert running.wait_line("worked", 120) == "worked False True True"
        assert running.exit_code(PATIENCE) == 0


def test_one_connection_breaks(
    mqtt: ModuleType, broker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an exception that nobody foresaw: the others go on, and the log of its client says why."""
    from oxmqtt._client.buffered_tls import BufferedTls

    receive = BufferedTls.recv_into
    broken: list[Any] = []

    def break_one(tls: BufferedTls, *args: Any) -> int:
        if tls in broken:
            raise ValueError("nobody foresaw this")
        return receive(tls, *args)

    monkeypatch.setattr(BufferedTls, "recv_into", break_one)
    with secured(mqtt, broker, "breaks") as one, secured(mqtt, broker, "goes-on") as other:
        log: list[str] = []
        one.client.on_log = lambda c, u, level, text: log.append(text)
        one.start(TlsPort(broker))
        other.start(TlsPort(broker))
        broken.append(one.client.socket()._tls)
        one.client.publish("t", "x", 1)
        one.disconnects.wait_count(1)
        assert "failed to receive on socket: nobody foresaw this" in log
        other.client.publish("t", "x", 1).wait_for_publish(PATIENCE)
        assert other.client.is_connected() and len(other.disconnects) == 0
        one.connects.wait_count(2)


def test_more_connections_than_a_thread_takes(
    mqtt: ModuleType, broker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where select() takes no more than 512 sockets: another thread has the others."""
    from oxmqtt._client import pump

    idle()
    monkeypatch.setattr(pump, "_CAPACITY", 2)
    crowd = [secured(mqtt, broker, f"crowd{number}") for number in range(5)]
    for watched in crowd:
        watched.start(TlsPort(broker))
    threads = [thread for thread in threading.enumerate() if thread.name == "oxmqtt-tls"]
    assert len(threads) == 3
    for watched in crowd:
        watched.client.publish("t", "x", 1).wait_for_publish(PATIENCE)
        assert watched.published.wait_count(1)
        watched.close()
    idle()


FLOOD = """
    def flood():
        while not stop:
            live.publish("flood", bytes(20_000))
            live.publish("flood", bytes(50))

    stop = False
    threading.Thread(target=flood, daemon=True).start()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() here")
def test_fork_while_bytes_move(client_name: str, broker: Any) -> None:
    """The child closes its copies, whatever the thread was about, and connects anew."""
    source = (
        FLOOD
        + """
    children = [in_child(connect_anew) for _ in range(10)]
    codes = [ended_well(child) for child in children]
    stop = True
    say("codes", all(codes), comes_back())
    """
    )
    with program(source, client_name, broker) as running:
        assert running.wait_line("codes", 120) == "codes True True"
        assert running.exit_code(PATIENCE) == 0
        assert running.error_text() == ""


@pytest.mark.parametrize("round_", range(5))
def test_exit_while_bytes_move(client_name: str, broker: Any, round_: int) -> None:
    with program(FLOOD + "    assert comes_back()\n", client_name, broker) as running:
        assert running.exit_code(PATIENCE) == 0
        assert running.error_text() == ""


def test_the_child_of_a_fork_ends_in_the_ordinary_way(client_name: str, broker: Any) -> None:
    """Nothing of the parent's connections is freed there, in the middle of whatever OpenSSL was doing."""
    source = (
        FLOOD
        + """
    for _ in range(10):
        child = os.fork()
        if child == 0:
            sys.exit(0)
        assert ended_well(child)
    stop = True
    say("back", comes_back())
    """
    )
    with program(source, client_name, broker) as running:
        assert running.wait_line("back", 120) == "back True"
        assert running.exit_code(PATIENCE) == 0
        assert running.error_text() == ""
