"""Hosts with several addresses, IPv6, unix sockets, the local address, and one bound for all of dialling."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import clients
from support.certificates import Authority
from support.clients import Watched
from support.mosquitto import Mosquitto, free_port
from support.peer import ScriptedPeer
from support.tls_peer import TlsPeer, server_context
from support.unreachable import blackhole

from .conftest import TlsMosquitto

HOST = "broker.example"


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What HOST resolves to; the port is that of each address."""
    found: list[tuple[str, int]] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != HOST:
            return real(host, port, *args, **kwargs)
        return [one for address in found for one in real(*address, 0, socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return found


@pytest.fixture
def dead() -> Iterator[tuple[str, int]]:
    with blackhole() as address:
        yield address


@pytest.mark.better_than_paho("paho waits the whole time-out for each address")
def test_a_dead_address_costs_a_moment(
    mqtt: ModuleType, broker: Mosquitto, resolves: list[Any], dead: tuple[str, int]
) -> None:
    resolves += [dead, dead, (broker.host, broker.port)]
    with Watched(mqtt, "several") as watched:
        watched.client.connect_timeout = 8
        started = time.monotonic()
        watched.client.connect(HOST, 1)
        assert time.monotonic() - started < 4
        watched.client.loop_start()
        watched.connects.wait_count(1)


def test_a_refusing_address_costs_nothing(
    mqtt: ModuleType, broker: Mosquitto, resolves: list[Any]
) -> None:
    resolves += [("127.0.0.1", free_port()), (broker.host, broker.port)]
    with Watched(mqtt, "several") as watched:
        watched.client.connect(HOST, 1)
        watched.client.loop_start()
        watched.connects.wait_count(1)


@pytest.mark.better_than_paho("there the time-out is that of each address")
def test_all_dead(mqtt: ModuleType, resolves: list[Any], dead: tuple[str, int]) -> None:
    resolves += [dead, dead, dead]
    client = clients.make(mqtt, "dead")
    client.connect_timeout = 0.4
    with pytest.raises((TimeoutError, socket.timeout), match="timed out"):
        client.connect(HOST, 1)


def test_same_exceptions_as_paho(
    mqtt: ModuleType, paho: ModuleType, resolves: list[Any], dead: tuple[str, int]
) -> None:
    """All refuse; one is dead and one refuses; nobody; no such local address."""
    refusing = ("127.0.0.1", free_port())
    cases: list[tuple[list[Any], dict[str, Any]]] = [
        ([refusing, refusing], {}),
        ([refusing, dead], {}),
        ([dead], {}),
        ([("::1", free_port(socket.AF_INET6)), refusing], {}),
        ([refusing], {"bind_address": "192.0.2.1"}),
        ([refusing], {"bind_address": "no.such.name.example"}),
    ]

    def said(module: ModuleType, arguments: dict[str, Any]) -> Any:
        client = clients.make(module, "refused")
        client.connect_timeout = 0.3
        with pytest.raises(OSError) as caught:
            client.connect(HOST, 1, **arguments)
        clients.dispose(client)
        return type(caught.value), caught.value.errno, str(caught.value)

    for addresses, arguments in cases:
        resolves[:] = addresses
        ours, theirs = said(mqtt, arguments), said(paho, arguments)
        assert ours[:2] == theirs[:2] and ours[2].split(" while")[0] == theirs[2].split(" while")[0]


def test_unknown_name_as_with_paho(
    mqtt: ModuleType, paho: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(module: ModuleType) -> Any:
        with pytest.raises(socket.gaierror) as caught:
            clients.make(module, "unknown").connect("no such name", 1883)
        return caught.value.errno, str(caught.value)

    assert said(mqtt) == said(paho)


def test_ipv6(mqtt: ModuleType, tmp_path: Path) -> None:
    class Mosquitto6(Mosquitto):
        host = "::1"

    with Mosquitto6(tmp_path) as broker, Watched(mqtt, "six") as watched:
        watched.start(broker)
        assert watched.client.socket().family is socket.AF_INET6


def test_tls_to_an_ipv6_address(mqtt: ModuleType, authority: Authority, tmp_path: Path) -> None:
    class TlsMosquitto6(TlsMosquitto):
        host = "::1"

    with TlsMosquitto6(tmp_path, authority.issue()) as broker, Watched(mqtt, "six") as watched:
        watched.client.tls_set(str(authority.certificate))
        watched.start(broker)


def test_local_address_and_port(mqtt: ModuleType, broker: Mosquitto) -> None:
    port = free_port()
    with Watched(mqtt, "bound") as watched:
        watched.start(broker, bind_address="127.0.0.2", bind_port=port)
        assert watched.client.socket().getsockname() == ("127.0.0.2", port)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets here")
def test_unix_socket_with_tls(mqtt: ModuleType, authority: Authority, tmp_path: Path) -> None:
    """The name to verify must then be said; without one nothing is verified in silence."""
    path = str(tmp_path / "broker.sock")
    with ScriptedPeer(unix_path=path) as peer:
        received: list[Any] = []

        def serve() -> None:
            connection = peer.accept()
            connection.sock = server_context(authority.issue()).wrap_socket(
                connection.sock, server_side=True
            )
            received.append(connection.accept_client())
            connection.serve()

        thread = threading.Thread(target=serve)
        thread.start()
        with Watched(mqtt, "unix", transport="unix") as watched:
            watched.client.tls_set(str(authority.certificate), server_hostname="localhost")
            watched.client.connect(path, 1)
            watched.client.loop_start()
            watched.connects.wait_count(1)
        thread.join()
        assert received
        client = clients.make(mqtt, "unix", transport="unix")
        client.tls_set(str(authority.certificate))
        with pytest.raises(ValueError, match="check_hostname requires server_hostname"):
            client.connect(path, 1)


@pytest.mark.better_than_paho("there each step has the time-out to itself")
def test_one_time_out_for_all_steps(mqtt: ModuleType, authority: Authority) -> None:
    """A handshake in which every byte comes just in time."""
    stop = threading.Event()

    def drip(sock: socket.socket) -> None:
        sock.recv(4096)
        record = b"\x16\x03\x03\x40\x00" + b"\x02\x00\x3f\xfc" + bytes(16000)
        try:
            for byte in record:
                if stop.wait(0.1):
                    return
                sock.sendall(bytes([byte]))
        except OSError:
            pass

    with TlsPeer(below=drip) as peer:
        client = clients.make(mqtt, "dripping")
        client.tls_set(str(authority.certificate))
        client.connect_timeout = 0.5
        started = time.monotonic()
        with pytest.raises((TimeoutError, socket.timeout, ssl.SSLError)):
            client.connect(peer.host, peer.port)
        assert time.monotonic() - started < 2
        stop.set()
