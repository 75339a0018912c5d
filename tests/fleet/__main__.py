"""Thousands of clients whose broker drops them: how soon they are connected, and back. `make clients` prints the table.

    python -m fleet [--clients 1000] [--many 10000]

The broker is a process of its own. Each line is a process of its own too, and says what it took; a promise that is not
kept makes the exit status 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import resource
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import oxmqtt.client as mqtt
from oxmqtt import aio
from oxmqtt.testing import Broker

PATIENCE = 120.0
#: Seconds of idleness that are measured.
IDLE = 5.0
#: style: seconds until all are connected, until all are back, and threads beside one for each client.
PROMISES = {
    "loop_start": (5.0, 10.0, 50),
    "loop_start, two busy processes": (5.0, 10.0, 50),
    "asyncio": (40.0, 40.0, 50),
    "external loop": (40.0, 40.0, 50),
}


def allow_descriptors() -> int:
    """As many as there may be."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def serve() -> None:
    with Broker() as broker:
        print(broker.port, flush=True)
        for _ in sys.stdin:
            print(broker.drop_connections(), flush=True)


class Server:
    """The broker's process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fleet", "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def drop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("drop\n")
        self._process.stdin.flush()
        self._line()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def busy(count: int) -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def threads_now() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("Threads:"))


class Figures:
    """What one style took."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.online: set[int] = set()
        self.returned: set[int] = set()
        self.most_threads = 0
        self._began = 0.0
        self._cpu = 0.0

    def client(self, number: int) -> mqtt.Client:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, f"fleet{number}")
        client.reconnect_delay_set(1, 60)
        client.on_connect = lambda *_: self.connected(number)
        client.on_disconnect = lambda *_: self.online.discard(number)
        return client

    def connected(self, number: int) -> None:
        if number in self.online:
            return
        self.online.add(number)
        self.returned.add(number)

    def begin(self) -> None:
        self.returned.clear()
        self._began, self._cpu = time.monotonic(), time.process_time()

    def are_all_back(self) -> bool:
        self.most_threads = max(self.most_threads, threads_now())
        done = len(self.returned) == self.count
        return done or time.monotonic() - self._began > PATIENCE

    def end(self) -> dict[str, Any]:
        return {
            "seconds": round(time.monotonic() - self._began, 1),
            "cpu": round(time.process_time() - self._cpu, 1),
            "back": len(self.returned),
        }


def with_threads(server: Server, count: int) -> dict[str, Any]:
    figures = Figures(count)
    figures.begin()
    clients = []
    for number in range(count):
        client = figures.client(number)
        client.connect_async("127.0.0.1", server.port)
        client.loop_start()
        clients.append(client)
    while not figures.are_all_back():
        time.sleep(0.05)
    connected = figures.end()
    figures.begin()
    server.drop()
    while not figures.are_all_back():
        time.sleep(0.05)
    back = figures.end()
    figures.begin()
    time.sleep(IDLE)
    return {
        "connected": connected,
        "back": back,
        "idle": figures.end(),
        "threads": figures.most_threads,
    }


def with_asyncio(server: Server, count: int) -> dict[str, Any]:
    async def main() -> dict[str, Any]:
        figures = Figures(count)
        figures.begin()
        clients = []
        room = asyncio.Semaphore(200)

        async def enter(number: int) -> None:
            client = aio.Client(
                "127.0.0.1", server.port, timeout=PATIENCE, reconnect=aio.Reconnect(1, 60)
            )
            renew = client._client.on_connect
            assert renew is not None

            def connected(*arguments: Any) -> None:
                renew(*arguments)
                figures.returned.add(number)

            client._client.on_connect = connected
            async with room:
                await client.__aenter__()
            clients.append(client)

        async def wait() -> None:
            while not figures.are_all_back():
                await asyncio.sleep(0.05)

        await asyncio.gather(*(enter(number) for number in range(count)))
        await wait()
        connected = figures.end()
        figures.begin()
        await asyncio.get_running_loop().run_in_executor(None, server.drop)
        await wait()
        back = figures.end()
        figures.begin()
        await asyncio.sleep(IDLE)
        return {
            "connected": connected,
            "back": back,
            "idle": figures.end(),
            "threads": figures.most_threads,
        }

    return asyncio.run(main())


def with_external_loop(server: Server, count: int) -> dict[str, Any]:
    """One thread and a selector; the program reconnects, as such programs do."""
    figures = Figures(count)
    selector = selectors.DefaultSelector()

    def opened(client: mqtt.Client, userdata: Any, sock: Any) -> None:
        selector.register(sock, selectors.EVENT_READ, client)

    def closed(client: mqtt.Client, userdata: Any, sock: Any) -> None:
        selector.unregister(sock)
        lost.append(client)

    def turn() -> None:
        for key, _ in selector.select(0.05):
            key.data.loop_read()
        while lost:
            lost.pop().reconnect()

    lost: list[mqtt.Client] = []
    figures.begin()
    for number in range(count):
        client = figures.client(number)
        client.on_socket_open, client.on_socket_close = opened, closed
        client.connect("127.0.0.1", server.port)
        if number % 100 == 0:
            turn()
    while not figures.are_all_back():
        turn()
    connected = figures.end()
    figures.begin()
    server.drop()
    while not figures.are_all_back():
        turn()
    back = figures.end()
    figures.begin()
    time.sleep(IDLE)
    return {
        "connected": connected,
        "back": back,
        "idle": figures.end(),
        "threads": figures.most_threads,
    }


def measure(style: str, count: int) -> None:
    """In a process of its own."""
    server = Server()
    try:
        with busy(2 if "busy" in style else 0):
            if style.startswith("loop_start"):
                figures = with_threads(server, count)
            elif style == "asyncio":
                figures = with_asyncio(server, count)
            else:
                figures = with_external_loop(server, count)
        print(json.dumps(figures), flush=True)
    finally:
        server.close()


def show(style: str, count: int, figures: dict[str, Any]) -> bool:
    """Prints a line; whether the promises are kept."""
    connected, back, idle = figures["connected"], figures["back"], figures["idle"]
    of_a_core = 100 * idle["cpu"] / IDLE
    print(
        f"| {style} | {count} | {connected['seconds']} s | {back['back']} in {back['seconds']} s, "
        f"{back['cpu']} CPU s | {figures['threads']} | {of_a_core:.1f} % |",
        flush=True,
    )
    until_connected, until_back, more_threads = PROMISES[style]
    threads = more_threads + (count if style.startswith("loop_start") else 0)
    return bool(
        back["back"] == count
        and connected["seconds"] <= until_connected
        and back["seconds"] <= until_back
        and figures["threads"] <= threads
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="fleet")
    parser.add_argument("--clients", type=int, default=1000, help="with a thread each")
    parser.add_argument("--many", type=int, default=10_000, help="on one loop")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    room = (allow_descriptors() - 200) // 2  # a client has two
    logging.getLogger("mqtt").setLevel(logging.ERROR)
    if options.serve:
        return serve()
    if options.measure:
        return measure(options.measure[0], int(options.measure[1]))
    print("| style | clients | connected | back | threads at most | of a core when idle |")
    print("|---|---|---|---|---|---|", flush=True)
    kept = True
    for style in PROMISES:
        count = options.clients if style.startswith("loop_start") else min(options.many, room)
        arguments = [sys.executable, "-m", "fleet", "--measure", style, str(count)]
        outcome = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
        kept &= show(style, count, json.loads(outcome.stdout))
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    threading.stack_size(256 << 10)
    main()
