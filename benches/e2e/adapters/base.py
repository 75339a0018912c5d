"""What an adapter offers, and the two ways to run one: on threads or on an event loop.

All methods are coroutines, so that each scenario is written once. Those of a `ThreadAdapter` never
suspend: they block as their users' code does, and no event loop runs beside them.
"""

from __future__ import annotations

import asyncio
import queue
import ssl
import sys
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

HOST = "127.0.0.1"
KEEPALIVE = 60
#: Seconds for anything that should happen at once.
PATIENCE = 20
#: Seconds for the acknowledgement of a whole run.
LONG = 120

#: Takes topic and payload of each message that a user's callback is given.
Hit = Callable[[str, bytes], None]


class Adapter:
    #: How to reach the broker, and with TLS the authority to trust (a PEM file).
    transport = "tcp"
    authority = ""
    rustls = False

    def __init__(self, module: str, protocol: int) -> None:
        self.protocol = protocol

    def tls_context(self) -> ssl.SSLContext | None:
        """For clients that take one."""
        if self.transport != "tls":
            return None
        return ssl.create_default_context(cafile=self.authority)

    async def open(self, port: int, client_id: str = "bench", window: int | None = None) -> None:
        """Connects. `window` limits the unacknowledged messages; without one the library's own
        default holds and its queue is not limited."""
        raise NotImplementedError

    async def subscribe(self, filters: list[str], qos: int, hit: Hit) -> None:
        """Subscribes, each of several filters with its own callback, and waits for the SUBACK."""
        raise NotImplementedError

    async def publish_many(self, topic: str, payload: bytes, qos: int, n: int, window: int) -> None:
        """Publishes n messages as a user would and returns when the client calls them done."""
        raise NotImplementedError

    async def publish_unacked(self, topic: str, payload: bytes, qos: int, n: int) -> int:
        """Hands over n messages that nobody will acknowledge; says how many were accepted."""
        raise NotImplementedError

    async def barrier(self) -> None:
        """Returns when the broker has taken everything sent so far (a SUBACK comes after it)."""
        await self.subscribe(["bench/barrier"], 0, lambda topic, payload: None)

    async def publish_from_threads(
        self, topic: str, payload: bytes, qos: int, n: int, threads: int
    ) -> None:
        raise NotImplementedError

    async def echo(self, topic: str, payload: bytes, qos: int, seconds: float) -> list[int]:
        """Round trips, one at a time: nanoseconds from publish() to the message's callback."""
        raise NotImplementedError

    # How the scenario itself waits.

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        raise NotImplementedError

    def event(self) -> Any:
        raise NotImplementedError

    async def wait(self, event: Any, seconds: float) -> bool:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    async def read_line(self) -> str:
        """The next line on stdin, while the client goes on working."""
        raise NotImplementedError


class ThreadAdapter(Adapter):
    def publish(self, topic: str, payload: bytes, qos: int) -> Any:
        """Hands over one message; what it returns goes to `wait_published`."""
        raise NotImplementedError

    def wait_published(self, receipt: Any) -> None:
        raise NotImplementedError

    async def publish_from_threads(
        self, topic: str, payload: bytes, qos: int, n: int, threads: int
    ) -> None:
        def work() -> None:
            for _ in range(n // threads):
                receipt = self.publish(topic, payload, qos)
            self.wait_published(receipt)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    async def echo(self, topic: str, payload: bytes, qos: int, seconds: float) -> list[int]:
        arrivals: queue.SimpleQueue[int] = queue.SimpleQueue()
        clock = time.perf_counter_ns
        await self.subscribe([topic], qos, lambda topic, payload: arrivals.put(clock()))
        samples = []
        end = clock() + int(seconds * 1e9)
        while clock() < end:
            start = clock()
            self.publish(topic, payload, qos)
            samples.append(arrivals.get(timeout=PATIENCE) - start)
        return samples

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        try:
            main.send(None)
        except StopIteration:
            return
        raise RuntimeError("a thread adapter suspended")

    def event(self) -> threading.Event:
        return threading.Event()

    async def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(seconds)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def read_line(self) -> str:
        return sys.stdin.readline()


class AsyncAdapter(Adapter):
    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """One message as the library's own publish() does it, waiting or not."""
        raise NotImplementedError

    async def publish_from_threads(
        self, topic: str, payload: bytes, qos: int, n: int, threads: int
    ) -> None:
        loop = asyncio.get_running_loop()

        def work() -> None:
            for _ in range(n // threads):
                message = self.publish(topic, payload, qos)
                asyncio.run_coroutine_threadsafe(message, loop).result(LONG)

        with ThreadPoolExecutor(threads) as pool:
            await asyncio.gather(*(loop.run_in_executor(pool, work) for _ in range(threads)))

    async def echo(self, topic: str, payload: bytes, qos: int, seconds: float) -> list[int]:
        arrived = asyncio.Event()
        arrival = 0
        clock = time.perf_counter_ns

        def hit(topic: str, payload: bytes) -> None:
            nonlocal arrival
            arrival = clock()
            arrived.set()

        await self.subscribe([topic], qos, hit)
        samples = []
        end = clock() + int(seconds * 1e9)
        while clock() < end:
            start = clock()
            await self.publish(topic, payload, qos)
            await arrived.wait()
            arrived.clear()
            samples.append(arrival - start)
        return samples

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        asyncio.run(main)

    def event(self) -> asyncio.Event:
        return asyncio.Event()

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        return True

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def read_line(self) -> str:
        return await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
