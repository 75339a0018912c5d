"""The socket a program sees, while the engine owns the connection."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._native import Engine


class ConnectionSocket(socket.socket):
    """Stands for the connection in external event loops.

    ``fileno()`` is readable when ``loop_read()`` has something to do. Options, names, ``shutdown()``
    and ``close()`` act on the connection itself; its bytes are the engine's.
    """

    def __init__(self, connected: socket.socket, engine: Engine) -> None:
        # Without socket.socket.__init__ the object owns no descriptor that it could close.
        self._io_refs = 0
        self._closed = False
        self._connected: socket.socket | None = connected
        self._descriptor = engine.descriptor()
        self._engine = engine
        self._kind = (connected.family, connected.type, connected.proto)

    def __repr__(self) -> str:
        return f"<oxmqtt.{type(self).__name__} fd={self._descriptor} {self.family.name}>"

    @property
    def family(self) -> socket.AddressFamily:
        return self._kind[0]

    @property
    def type(self) -> socket.SocketKind:
        return self._kind[1]

    @property
    def proto(self) -> int:
        return self._kind[2]

    def fileno(self) -> int:
        return self._descriptor

    def _hand_over(self) -> int:
        """Gives the connected socket's descriptor away, to the engine."""
        connected, self._connected = self._connected, None
        if connected is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return connected.detach()

    def _release(self) -> None:
        """The connection is over, or never came to be."""
        self._descriptor = -1
        connected, self._connected = self._connected, None
        if connected is not None:
            connected.close()

    def _connection(self) -> socket.socket:
        """A duplicate of the connection's socket, to act on it."""
        if self._connected is not None:
            return self._connected.dup()
        descriptor = self._engine.duplicate_socket()
        if descriptor is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return socket.socket(fileno=descriptor)

    def setsockopt(self, *args: Any) -> None:
        with self._connection() as connection:
            connection.setsockopt(*args)

    def getsockopt(self, *args: Any) -> Any:
        with self._connection() as connection:
            return connection.getsockopt(*args)

    def getsockname(self) -> Any:
        with self._connection() as connection:
            return connection.getsockname()

    def getpeername(self) -> Any:
        with self._connection() as connection:
            return connection.getpeername()

    def shutdown(self, how: int) -> None:
        with self._connection() as connection:
            connection.shutdown(how)

    def close(self) -> None:
        """Cuts the connection, as if the network had."""
        self._engine.abort()

    def detach(self) -> int:
        """Gives nothing away: the connection is the engine's."""
        return self._descriptor

    def getblocking(self) -> bool:
        return False

    def gettimeout(self) -> float | None:
        return 0.0

    def setblocking(self, flag: bool) -> None:
        """Has no effect: the engine never blocks."""

    def settimeout(self, value: float | None) -> None:
        """Has no effect: the engine never blocks."""

    def pending(self) -> int:
        """Events that wait for ``loop_read()``."""
        return self._engine.waiting_events


class WakerEnd:
    """Either end of what wakes a loop, where paho has a pair of sockets."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def fileno(self) -> int:
        return self._engine.descriptor()

    def send(self, data: bytes) -> int:
        """Wakes the loop."""
        self._engine.interrupt()
        return len(data)

    def recv(self, size: int) -> bytes:
        """Has nothing to take: a loop call makes the descriptor quiet again."""
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def close(self) -> None:
        """Has no effect: the descriptor is given back when connection and loop have ended."""
