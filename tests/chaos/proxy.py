"""The proxy between client and server: parses both directions, tells the judge, and resets both ends as planned."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from support.packets import CONNECT, PINGREQ, PINGRESP, Packet, packet, parse, split

from .plan import DOWN, UP, Cut

#: Closing with this set sends RST and forgets what was not sent.
RESET = struct.pack("ii", 1, 0)

CHUNK = 65536

#: Seconds that a server has to answer a ping.
PING_SECONDS = 5.0


class Judge(Protocol):
    """Is told of every packet in the order in which the client lived it."""

    def opened(self) -> None: ...

    def sent(self, packet: Packet) -> None:
        """The client sent it; whether it goes on to the server is open."""

    def delivered(self, packet: Packet) -> None:
        """It is about to go to the client, whole."""

    def closed(self, rest: bytes) -> None:
        """The connection is over; `rest` is the beginning of a packet that the client did not finish."""


class Proxy:
    """One listening port in front of the server, for one client."""

    host = "127.0.0.1"

    def __init__(
        self,
        server: tuple[str, int],
        version: int,
        judge: Judge,
        plan: Callable[[int], Cut],
    ) -> None:
        self.server = server
        self.version = version
        self.judge = judge
        self.plan = plan
        self.port = 0
        #: Cut the connections that are made from now on?
        self.cutting = False
        #: Resets by the plan's name for the place.
        self.resets: Counter[str] = Counter()
        self.reset_count = 0
        #: Ends of connections with a plan that came before it.
        self.other_ends: list[str] = []
        self.connections = 0
        self._current: Connection | None = None

    async def serve(self) -> asyncio.AbstractServer:
        listener = await asyncio.start_server(self._accept, self.host, limit=CHUNK)
        self.port = listener.sockets[0].getsockname()[1]
        return listener

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        before, connection = self._current, Connection(self, reader, writer)
        self._current = connection
        if before is not None:
            await before.client_gone.wait()
        await connection.run()

    def start_cutting(self) -> None:
        """By plan from the next connection on, which begins at once."""
        self.cutting = True
        self.end_standing()

    def stop_cutting(self) -> None:
        """The next connection, which begins at once, stands until its ends do not want it."""
        self.cutting = False
        self.end_standing()

    def end_standing(self) -> None:
        if self._current is not None:
            self._current.stop.set()


class Connection:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(
        self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.proxy = proxy
        self.judge = proxy.judge
        self.client = (reader, writer)
        self.client_gone = asyncio.Event()
        self.stop = asyncio.Event()
        self.reason = ""
        self.rest = bytearray()
        self.cut: Cut | None = None
        #: False once the server's end is reset: what the client sends then goes nowhere.
        self.forwarding = True
        #: The server has done all that a CONNECT makes it do, or has not got one.
        self.settled = asyncio.Event()
        self.settled.set()

    async def run(self) -> None:
        proxy = self.proxy
        proxy.connections += 1
        if proxy.cutting:
            self.cut = proxy.plan(proxy.connections)
        self.judge.opened()
        try:
            server = await asyncio.open_connection(*proxy.server, limit=CHUNK)
            await self._live(server)
        finally:
            self.client_gone.set()

    async def _live(self, server: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        """Passes packets until the plan or one of the ends says stop, then resets both."""
        writers = {"client": self.client[1], "server": server[1]}
        for writer in writers.values():
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pumps = [
            asyncio.ensure_future(self._pump(UP, self.client[0], server[1])),
            asyncio.ensure_future(self._pump(DOWN, server[0], self.client[1])),
        ]
        try:
            await asyncio.wait_for(self.stop.wait(), self.cut.patience if self.cut else None)
        except asyncio.TimeoutError:
            self._end("at a random time")
        await self._reset(writers)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _reset(self, writers: dict[str, asyncio.StreamWriter]) -> None:
        """Resets both ends, in the order of the plan, and takes note of the end."""
        if self.cut is not None and self.reason:
            if self.reason.startswith("closed"):
                self.proxy.other_ends.append(self.reason)
            else:
                self.proxy.resets[self.reason] += 1
                self.proxy.reset_count += 1
        self.forwarding = False
        first = self.cut.first if self.cut else ""
        order = ["server", "client"] if first == "server" else ["client", "server"]
        for index, end in enumerate(order):
            if index == 1 and first and self.cut and self.cut.lag:
                await asyncio.sleep(self.cut.lag)
            if end == "server":
                await self._settle()
            writer = writers[end]
            sock = writer.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            if end == "client":
                self.judge.closed(bytes(self.rest))
                self.client_gone.set()
            writer.transport.abort()

    async def _settle(self) -> None:
        """Lets the server finish with CONNECT.

        mosquitto sends what a session has left at once. Where the connection is lost in the middle of that, it forgets for which
        messages it owed PUBREL, and sends their PUBLISH anew: no client can be right then.
        """
        try:
            await asyncio.wait_for(self.settled.wait(), PING_SECONDS)
        except asyncio.TimeoutError:
            self.proxy.other_ends.append("the server did not answer PINGREQ")

    def _end(self, reason: str) -> None:
        """Only the first reason counts."""
        if not self.stop.is_set():
            self.reason = reason
            self.stop.set()

    async def _pump(
        self, direction: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Passes packets one by one, until the plan, or an end, says stop."""
        buffer = self.rest if direction == UP else bytearray()
        try:
            while chunk := await reader.read(CHUNK):
                buffer += chunk
                while (raw := split(buffer)) is not None:
                    self._pass(direction, raw, writer)
        except ConnectionError:
            pass  # as good as an end
        if direction == DOWN:
            self.settled.set()
        self._end(f"closed by the {'client' if direction == UP else 'server'}")

    def _pass(self, direction: str, raw: bytes, writer: asyncio.StreamWriter) -> None:
        found = parse(raw, self.proxy.version)
        if found.kind == PINGRESP and not self.settled.is_set():
            self.settled.set()
            return
        if direction == UP and not self.client_gone.is_set():
            self.judge.sent(found)
        if self.stop.is_set() or not self.forwarding or writer.transport.is_closing():
            return
        size = len(raw)
        last = self.cut.passes(direction, found.kind, size) if self.cut else None
        passing = size if last is None else last
        if direction == DOWN and passing == size:
            self.judge.delivered(found)
        writer.write(raw[:passing])
        if found.kind == CONNECT and passing == size:
            self.settled.clear()
            writer.write(packet(PINGREQ, 0, b""))
        if last is not None and self.cut:
            self._end(self.cut.name)


class ProxyThread:
    """Runs the proxies on an event loop of their own."""

    def __init__(self, *proxies: Proxy) -> None:
        self.proxies = proxies
        self.failures: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._failed)
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies")

    def __enter__(self) -> ProxyThread:
        self._thread.start()
        self._listeners = [self._call(proxy.serve()) for proxy in self.proxies]
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(callback)

    async def _close(self) -> None:
        for listener in self._listeners:
            listener.close()
        for proxy in self.proxies:
            proxy.end_standing()
        here = asyncio.current_task()
        running = [task for task in asyncio.all_tasks() if task is not here]
        if running:
            await asyncio.wait(running, timeout=5)

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")
