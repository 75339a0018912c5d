"""A link to a broker on the test's own event loop, to be cut, held up, or closed."""

from __future__ import annotations

import asyncio
import socket
import struct
from types import TracebackType

from support.mosquitto import Mosquitto

CHUNK = 1 << 16


class Link:
    """Listens on loopback and passes each connection on to the broker.

    :ivar connections: how many there were.
    """

    host = "127.0.0.1"

    def __init__(self, broker: Mosquitto) -> None:
        self.port = 0
        self.connections = 0
        self._broker = broker
        self._server: asyncio.AbstractServer | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._passes = asyncio.Event()
        self._passes.set()
        self._joined = asyncio.Condition()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Nobody can connect any more; connections that stand are cut."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.cut()
        if server is not None:
            await server.wait_closed()

    def cut(self) -> None:
        """Resets all connections."""
        for writer in list(self._writers):
            sock: socket.socket | None = writer.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self._writers.clear()
        for pump in self._pumps:
            pump.cancel()

    def hold_answers(self) -> None:
        """What the broker sends stays here."""
        self._passes.clear()

    def release_answers(self) -> None:
        self._passes.set()

    async def wait_for_connections(self, count: int) -> None:
        async with self._joined:
            await self._joined.wait_for(lambda: self.connections >= count)

    async def __aenter__(self) -> Link:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_connection(self._broker.host, self._broker.port)
        self._writers |= {writer, upstream[1]}
        for source, target, is_answer in (
            (reader, upstream[1], False),
            (upstream[0], writer, True),
        ):
            pump = asyncio.ensure_future(self._pump(source, target, is_answer))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)
        async with self._joined:
            self.connections += 1
            self._joined.notify_all()

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, is_answer: bool
    ) -> None:
        try:
            while chunk := await source.read(CHUNK):
                if is_answer:
                    await self._passes.wait()
                target.write(chunk)
                await target.drain()
        except OSError:
            pass
        finally:
            target.close()
            self._writers.discard(target)
