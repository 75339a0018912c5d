"""Starts that fail, or are interrupted, leave nothing behind: the next call works."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType, ModuleType
from typing import Any

import pytest
from oxmqtt import aio
from oxmqtt.testing import Broker
from support import clients
from support.clients import Watched
from support.process import Program
from support.waiting import Mailbox, eventually, finishes


@pytest.fixture(scope="module")
def server() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


def refuse_once(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """The first thread of this name cannot be started."""
    start = threading.Thread.start
    refused: list[str] = []

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith(name) and not refused:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    return refused


@pytest.mark.better_than_paho("loop_stop() raises afterwards")
def test_a_loop_without_a_thread(
    mqtt: ModuleType, server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_once(monkeypatch, "paho-mqtt-client")
    with Watched(mqtt, "refused") as watched:
        watched.client.connect(server.host, server.port)
        with pytest.raises(RuntimeError):
            watched.client.loop_start()
        assert watched.client.loop_stop() == mqtt.MQTT_ERR_INVAL
        assert watched.client.loop_start() == mqtt.MQTT_ERR_SUCCESS
        watched.connects.wait_count(1)
        assert watched.client.loop_start() == mqtt.MQTT_ERR_INVAL
        assert finishes(watched.client.loop_stop, 10, "loop_stop()") == mqtt.MQTT_ERR_SUCCESS


class Struck(BaseException):
    pass


def strike(call: Callable[[], Any], at: int) -> bool:
    """Whether a signal's handler raised behind so many lines of the call."""
    left = at

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.endswith("loops.py"):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise Struck
        return trace

    sys.settrace(trace)
    try:
        call()
    except Struck:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.better_than_paho("loop_stop() raises afterwards")
def test_a_signal_in_loop_start(mqtt: ModuleType) -> None:
    """At every line: the loop runs afterwards, or it does not; either way the client can be used."""
    at = 0
    was_struck = True
    while was_struck:
        at += 1
        client = clients.make(mqtt, "struck")
        was_struck = strike(client.loop_start, at)
        stopped = finishes(client.loop_stop, 10, "loop_stop()")
        assert stopped in (mqtt.MQTT_ERR_SUCCESS, mqtt.MQTT_ERR_INVAL)
        assert client.loop_start() == mqtt.MQTT_ERR_SUCCESS
        assert finishes(client.loop_stop, 10, "loop_stop()") == mqtt.MQTT_ERR_SUCCESS
    assert at > 5


@pytest.mark.better_than_paho("it raises")
def test_several_threads_start_and_stop_one_loop(mqtt: ModuleType, server: Broker) -> None:
    failures: Mailbox[BaseException] = Mailbox()
    with Watched(mqtt, "several") as watched:
        client = watched.client

        def start_and_stop() -> None:
            try:
                for _ in range(50):
                    client.loop_start()
                    client.loop_stop()
            except BaseException as error:
                failures.put(error)

        threads = [threading.Thread(target=start_and_stop) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures.items()
        while client.loop_stop() == mqtt.MQTT_ERR_AGAIN:
            pass
        watched.start(server)


RESOURCES = """
    import resource
    from oxmqtt.testing import Broker

    def connects():
        connected = threading.Event()
        client.on_connect = lambda *_: connected.set()
        client.connect(HOST, PORT)
        client.loop_start()
        assert connected.wait(20)
        client.disconnect()
        client.loop_stop()

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "scarce")
"""


def test_no_descriptor_is_left(client_name: str, server: Broker) -> None:
    """For the runtime, the socket, the waker, whichever comes first: each is missing once."""
    source = """
    def limit(count):
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    failures = 0
    for room in range(20):
        lowest = os.open("/dev/null", os.O_RDONLY)
        os.close(lowest)
        limit(lowest + room)
        try:
            client.connect(HOST, PORT)
        except OSError:
            failures += 1
        else:
            client.disconnect()
        finally:
            limit(soft)
        client.loop_stop()
        connects()
    assert failures
    before = len(os.listdir("/proc/self/fd"))
    connects()
    until = time.monotonic() + 30  # the connection lingers until the broker has closed its side
    while len(os.listdir("/proc/self/fd")) > before:
        assert time.monotonic() < until
        time.sleep(0.01)
    say("done")
    """
    with Program(RESOURCES + source, client_name, HOST=server.host, PORT=server.port) as program:
        program.wait_line("done")
        assert program.exit_code() == 0


def test_an_asyncio_client_without_a_descriptor(server: Broker) -> None:
    """It raises what a program expects where there is no connection, and connects when there is one left."""

    async def connects() -> None:
        async with aio.Client(server.host, server.port):
            pass

    async def program() -> None:
        await connects()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for room in range(4):
            lowest = os.open("/dev/null", os.O_RDONLY)
            os.close(lowest)
            client = aio.Client(server.host, server.port)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + room, hard))
            try:
                await client.__aenter__()
            except aio.MqttError:
                pass
            else:
                await client.__aexit__(None, None, None)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await connects()

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(program())
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= before, "the descriptors are back")


def test_a_signal_while_a_dial_thread_starts(
    mqtt: ModuleType, server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python ends such a thread before it has done anything; the next connect() does not wait for it."""
    from oxmqtt._client import pool

    class Struck(Exception):
        pass

    started: list[str] = []
    start = threading.Thread.start

    def struck(thread: threading.Thread) -> None:
        if thread.name == "oxmqtt-dial":
            started.append(thread.name)
            if len(started) == 1:
                raise Struck
        start(thread)

    monkeypatch.setattr(pool, "_pool", pool.Pool())
    monkeypatch.setattr(threading.Thread, "start", struck)
    client = clients.make(mqtt, "struck")
    with pytest.raises(Struck):
        client.connect("localhost", server.port)
    assert client.connect("localhost", server.port) == mqtt.MQTT_ERR_SUCCESS
    clients.dispose(client)
