"""Many clients of one process whose broker drops them all: they come back, and are dialled by few threads.

`make clients` does the same with thousands, and with seconds (`many_clients.py`); here threads are counted.
"""

from __future__ import annotations

import socket
import sys
import threading
from types import ModuleType
from typing import Any

import pytest
from oxmqtt._client import pool as pools
from oxmqtt.testing import Broker
from support import clients
from support.waiting import Mailbox, eventually, finishes

COUNT = 100


@pytest.fixture
def most_threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many there were whenever one was started."""
    counts = [0]
    start = threading.Thread.start

    def counted(thread: threading.Thread) -> None:
        start(thread)
        counts.append(threading.active_count())

    monkeypatch.setattr(threading.Thread, "start", counted)
    return counts


@pytest.mark.better_than_paho("counts oxmqtt's threads")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_all_come_back(mqtt: ModuleType, most_threads: list[int], host: str) -> None:
    before = threading.active_count()
    connects: Mailbox[str] = Mailbox()
    made = []
    with Broker() as broker:
        try:
            for number in range(COUNT):
                client = clients.make(mqtt, f"many{number}")
                client.reconnect_delay_set(1, 1)
                client.on_connect = lambda client, *_: connects.put(client._client_id.decode())
                client.connect_async(host, broker.port)
                client.loop_start()
                made.append(client)
            connects.wait_count(COUNT)
            assert broker.drop_connections() == COUNT
            connects.wait_count(2 * COUNT)
            assert len(set(connects.items()[COUNT:])) == COUNT
            extra = max(most_threads) - before - COUNT
            assert extra <= (0 if host == "127.0.0.1" else pools.MOST)
        finally:
            for client in made:
                clients.dispose(client)


@pytest.mark.better_than_paho("paho imports it again and again where it is not")
def test_a_module_that_is_not_there_is_looked_for_once(
    mqtt: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    class Finder:
        @staticmethod
        def find_spec(name: str, *_: Any) -> None:
            looked.append(name)
            if name == "socks":
                raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.delitem(sys.modules, "socks", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    monkeypatch.setattr(sys, "path", [*sys.path, "/nowhere"])
    monkeypatch.setenv("mqtt_proxy", "socks://127.0.0.1:1")
    with Broker() as broker:
        for _ in range(3):
            client = clients.make(mqtt, "once")
            client.connect(broker.host, broker.port)
            clients.dispose(client)
        assert looked.count("socks") == 1
        with pytest.raises(ValueError, match="PySocks"):
            client.proxy_set(proxy_type=2, proxy_addr="127.0.0.1")
        assert looked.count("socks") == 2, "a program that asks for it may have installed it"


class SilentNames:
    """Look-ups hang until they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer = threading.Event()
        self.asked: Mailbox[str] = Mailbox()
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: Any, *arguments: Any, **named: Any) -> Any:
        if not str(host).endswith(".example"):
            return self._real(host, *arguments, **named)
        self.asked.put(host)
        self.answer.wait(60)
        return self._real("127.0.0.1", *arguments, **named)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(pools, "_pool", pools.Pool())
    names = SilentNames(monkeypatch)
    yield names
    names.answer.set()


@pytest.mark.better_than_paho("paho has a look-up for each")
def test_one_look_up_for_all_who_ask_at_once(mqtt: ModuleType, silent: SilentNames) -> None:
    connects: Mailbox[int] = Mailbox()
    made = []
    with Broker() as broker:
        try:
            for number in range(10):
                client = clients.make(mqtt, f"shared{number}")
                client.on_connect = lambda *_: connects.put(1)
                client.connect_async("broker.example", broker.port)
                client.loop_start()
                made.append(client)
            eventually(
                lambda: all(
                    c._ox_latest_attempt is not None and c._ox_latest_attempt.wake for c in made
                ),
                "dialling",
            )
            silent.answer.set()
            connects.wait_count(10)
            # One that began late on a busy machine asks for itself.
            assert len(silent.asked) < 10
        finally:
            for client in made:
                clients.dispose(client)


@pytest.mark.better_than_paho("its threads have no bound")
def test_hanging_look_ups_do_not_starve_other_clients(
    mqtt: ModuleType, silent: SilentNames
) -> None:
    """All of the pool hangs: addresses need none, names say what has not answered, and wait no longer for it."""
    made = []
    with Broker() as broker:
        try:
            for number in range(pools.MOST + 3):
                client = clients.make(mqtt, f"hangs{number}")
                client.connect_timeout = 60
                client.connect_async(f"n{number}.example", 1883)
                client.loop_start()
                made.append(client)
            silent.asked.wait_count(pools.MOST)
            assert len(silent.asked) == pools.MOST
            client = clients.make(mqtt, "address")
            client.connect(broker.host, broker.port)
            clients.dispose(client)
            client = clients.make(mqtt, "name")
            client.connect_timeout = 0.2
            with pytest.raises((TimeoutError, socket.timeout), match=r"'late\.example'"):
                finishes(lambda: client.connect("late.example", 1883), 30, "connect()")
            for client in made:
                assert finishes(client.loop_stop, 10, "loop_stop()") == mqtt.MQTT_ERR_SUCCESS
            silent.answer.set()
            eventually(lambda: not pools._pool._queue, "the left look-ups")
            assert "late.example" not in silent.asked.items(), "nobody wanted it any more"
        finally:
            for client in made:
                clients.dispose(client)


@pytest.mark.better_than_paho("its thread is gone")
def test_dialling_without_another_thread(mqtt: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system gives none: the look-up runs on the thread that wants it, and later ones have one again."""
    monkeypatch.setattr(pools, "_pool", pools.Pool())
    start = threading.Thread.start
    refused: list[str] = []

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "oxmqtt-dial" and not refused:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with Broker() as broker:
        for _ in range(2):
            client = clients.make(mqtt, "none")
            assert client.connect("localhost", broker.port) == mqtt.MQTT_ERR_SUCCESS
            clients.dispose(client)
    assert refused and len(pools._pool._free) == pools.MOST - 1
