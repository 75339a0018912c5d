"""TLS connections in the life of a process: breaks, back-pressure, fork, exit, collection, and no secret anywhere."""

from __future__ import annotations

import gc
import os
import resource
import socket
import ssl
import threading
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import clients, packets
from support.certificates import Authority, Identity
from support.clients import Watched
from support.peer import PeerConnection
from support.process import Program
from support.tls_peer import TlsPeer, server_context
from support.waiting import Mailbox, drive, eventually

from .conftest import TlsMosquitto

MEGABYTE = 1 << 20


def below_tls(tls: ssl.SSLSocket) -> socket.socket:
    return socket.socket(fileno=os.dup(tls.fileno()))


def secured(mqtt: ModuleType, authority: Authority, name: str) -> Watched:
    watched = Watched(mqtt, name)
    watched.client.tls_set(str(authority.certificate))
    return watched


def garbage(tls: ssl.SSLSocket) -> None:
    with below_tls(tls) as tcp:
        tcp.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))


def cut(tls: ssl.SSLSocket) -> None:
    with below_tls(tls) as tcp:
        tcp.shutdown(socket.SHUT_RDWR)


def half_a_record(tls: ssl.SSLSocket) -> None:
    with below_tls(tls) as tcp:
        tcp.sendall(b"\x17\x03\x03\x40\x00" + bytes(100))
        tcp.shutdown(socket.SHUT_WR)


def goodbye(tls: ssl.SSLSocket) -> None:
    tls.unwrap()


@pytest.mark.parametrize("end", [garbage, cut, half_a_record, goodbye])
def test_end_in_mid_stream(
    mqtt: ModuleType, authority: Authority, server: Identity, end: Any
) -> None:
    """What came before it is delivered, on_disconnect comes, the log says why, and the client comes back."""
    messages = [packets.publish(4, "t", bytes([number]) * 50_000) for number in range(5)]

    def serve(tls: ssl.SSLSocket) -> None:
        if len(peer.connects) > 1:
            PeerConnection(tls, 4).serve()  # type: ignore[arg-type]
            return
        tls.sendall(b"".join(messages))
        try:
            end(tls)
            while tls.recv(4096):
                pass
        except OSError:
            pass

    with TlsPeer(server_context(server), below=serve) as peer:
        with secured(mqtt, authority, "breaks") as watched:
            log: Mailbox[str] = Mailbox()
            watched.client.on_log = lambda c, u, level, text: log.put(text)
            watched.client.reconnect_delay_set(0.01, 0.01)
            watched.start(peer)
            watched.messages.wait_count(5)
            watched.disconnects.wait_count(1)
            watched.connects.wait_count(2)
            broke = [line for line in log if line.startswith("failed to receive on socket: ")]
            assert bool(broke) == (end is garbage), broke


def test_a_blocked_callback_stops_the_server(
    mqtt: ModuleType, authority: Authority, server: Identity
) -> None:
    """Not the pings: those go on. Then everything arrives."""
    count = 600
    sent: list[int] = []
    pings: Mailbox[int] = Mailbox()
    release = threading.Event()

    def serve(tls: ssl.SSLSocket) -> None:
        def read() -> None:
            buffer = bytearray()
            try:
                while chunk := below.recv(4096):
                    buffer += chunk
                    while (raw := packets.split(buffer)) is not None:
                        if raw[0] == 0xC0:
                            pings.put(1)
            except OSError:
                pass

        below = tls
        tls.settimeout(60)
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        for number in range(count):
            tls.sendall(packets.publish(4, "t", bytes(100_000)))
            sent.append(number)
        while not release.wait(0.1):
            pass
        reader.join(20)

    def blocks(*_: Any) -> None:
        release.wait(50)
        watched.messages.put(1)

    with TlsPeer(server_context(server), below=serve) as peer:
        with secured(mqtt, authority, "blocked") as watched:
            watched.client.on_message = blocks
            watched.start(peer, keepalive=1)
            pings.wait_count(2)
            assert len(sent) < count * 0.8, "the server was never stopped"
            release.set()
            watched.messages.wait_count(count, 30)
            assert watched.client.is_connected()


def test_a_server_that_reads_nothing(
    mqtt: ModuleType, authority: Authority, server: Identity
) -> None:
    """Giving up leaves neither descriptor nor thread behind."""
    stop = threading.Event()
    before = set(threading.enumerate())
    descriptors = len(os.listdir("/proc/self/fd"))
    with TlsPeer(server_context(server), below=lambda tls: stop.wait(20)) as peer:
        watched = secured(mqtt, authority, "unread")
        watched.start(peer)
        for _ in range(10):
            watched.client.publish("t", bytes(MEGABYTE))
        watched.close()
        stop.set()
    eventually(lambda: set(threading.enumerate()) <= before, "the threads to end")
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= descriptors + 1, "descriptors closed")


def test_a_dropped_client_is_collected(
    mqtt: ModuleType, authority: Authority, tls_broker: TlsMosquitto
) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    client = clients.make(mqtt, "dropped")
    client.tls_set(str(authority.certificate))
    client.connect(tls_broker.host, tls_broker.port)
    drive(client, client.is_connected, "CONNACK")
    reference = weakref.ref(client)
    del client
    gc.collect()
    assert reference() is None
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= descriptors + 2, "descriptors closed")
    eventually(
        lambda: not [thread for thread in threading.enumerate() if thread.name == "oxmqtt-tls"],
        "the pump to end",
    )


EXIT = """
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="leaver")
    client.tls_set(CA)
    event = threading.Event()
    client.on_connect = lambda *_: event.set()
    client.connect(HOST, PORT)
    client.loop_start()
    assert event.wait(10)
"""


@pytest.mark.better_than_paho("what the socket did not take at once is lost at exit")
def test_exit_flushes(client_name: str, authority: Authority, server: Identity) -> None:
    """And says no DISCONNECT, so that the will is published."""
    got: Mailbox[Any] = Mailbox()

    def serve(tls: ssl.SSLSocket) -> None:
        for packet in PeerConnection(tls, 4).read_to_end():
            got.put((packet.kind, len(packet.raw)))
        got.put("end")

    source = EXIT + "    for n in range(20): client.publish('t', bytes(100_000))\n"
    with TlsPeer(server_context(server), below=serve) as peer:
        values = {"HOST": peer.host, "PORT": peer.port, "CA": str(authority.certificate)}
        with Program(source, client_name, **values) as program:
            assert program.exit_code(10) == 0, program.error_text()
            got.wait_item("end")
            assert program.error_text() == ""
    kinds = [item[0] for item in got.items() if item != "end"]
    assert kinds.count(packets.PUBLISH) == 20 and packets.DISCONNECT not in kinds


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() here")
@pytest.mark.better_than_paho("the child shares the connection")
def test_fork(client_name: str, authority: Authority, tls_broker: TlsMosquitto) -> None:
    """The parent's connection goes on; the child's client is disconnected and can connect anew."""
    source = (
        "    import warnings\n"
        "    warnings.simplefilter('ignore', DeprecationWarning)\n"
        + EXIT
        + """
    codes = []
    for number in range(3):
        child = os.fork()
        if child == 0:
            quiet = (client.is_connected(), client.socket()) == (False, None)
            own = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"child{number}")
            own.tls_set(CA)
            own.connect(HOST, PORT)
            own.loop_start()
            info = own.publish("fork", "x", 1)
            info.wait_for_publish(10)
            own.disconnect()
            own.loop_stop()
            os._exit(0 if quiet and info.is_published() else 9)
        client.publish("parent", bytes(300_000), 1).wait_for_publish(10)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    say("codes", codes, client.is_connected())
    client.disconnect()
    client.loop_stop()
    """
    )
    values = {"HOST": tls_broker.host, "PORT": tls_broker.port, "CA": str(authority.certificate)}
    with Program(source, client_name, **values) as program:
        assert program.wait_line("codes", 30) == "codes [0, 0, 0] True"
        assert program.exit_code(5) == 0


def test_memory_is_not_held_per_client(
    mqtt: ModuleType, authority: Authority, tls_broker: TlsMosquitto
) -> None:
    """Idle clients have no buffers of the pump's size."""
    crowd = []
    context = ssl.create_default_context(cafile=str(authority.certificate))

    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    def connect(number: int) -> None:
        client = clients.make(mqtt, f"idle{number}")
        client.tls_set_context(context)
        client.connect(tls_broker.host, tls_broker.port)
        crowd.append(client)

    for number in range(20):
        connect(number)
    before = resident()
    for number in range(20, 220):
        connect(number)
    each = (resident() - before) / 200
    for client in crowd:
        client.disconnect()
    assert each < 150_000, f"{each / 1024:.0f} KiB for each client"
