"""The socket a program sees, while the engine owns the connection."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any, Callable, Literal, TypeVar, cast, overload

if TYPE_CHECKING:
    import ssl

    from .._native import Engine, Relay
    from .buffered_tls import BufferedTls

    _Socket = socket.socket
else:
    from .greenlets import plain_socket_class

    _Socket = plain_socket_class()

T = TypeVar("T")


def is_unix(sock: socket.socket) -> bool:
    return sock.family is getattr(socket, "AF_UNIX", None)


def _closed() -> OSError:
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


class ConnectionSocket(_Socket):
    """Stands for the connection in external event loops.

    ``fileno()`` is readable when ``loop_read()`` has something to do. Options, names, ``shutdown()``
    and ``close()`` act on the connection itself; its bytes are the engine's.
    """

    #: By which the engine hears what another thread has passed on, where one does.
    _relay: Relay | None = None

    def __init__(self, connected: socket.socket, engine: Engine) -> None:
        # Without socket.socket.__init__ the object owns no descriptor that it could close.
        self._io_refs = 0
        self._closed = False
        self._descriptor = engine.descriptor()
        self._engine = engine
        self._connected: socket.socket | None = connected
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

    def _duplicate_end(self) -> tuple[int, bool]:
        """As :meth:`_hand_over`, but only a duplicate, for a handshake."""
        if self._connected is None:
            raise _closed()
        return self._connected.dup().detach(), is_unix(self._connected)

    def _hand_over(self) -> tuple[int, bool]:
        """Gives the engine the descriptor of its socket, and says whether that is a unix socket."""
        connected, self._connected = self._connected, None
        if connected is None:
            raise _closed()
        return connected.detach(), is_unix(connected)

    def _below(self) -> int | None:
        """The descriptor of the socket to the server, where the engine has another."""
        return None

    def _error(self) -> BaseException | None:
        """Why the connection broke, where the engine cannot know."""
        return None

    def _release(self) -> None:
        """The connection is over, or never came to be."""
        self._forget()

    def _move_here(self, seconds: float) -> bool:
        """Moves bytes on this thread where that of TLS has ended with the process; whether it has."""
        return False

    def _forget(self) -> None:
        """The client has gone: the engine goes on with the connection by itself."""
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
            raise _closed()
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

    @property
    def _socket(self) -> socket.socket:
        """For programs that look for the socket within paho's WebSocket wrapper, to set options."""
        return self

    def pending(self) -> int:
        """Events that wait for ``loop_read()``."""
        return self._engine.waiting_events


class WakerEnd(socket.socket):
    """One end of a pair; sending on it wakes the loop of its client too."""

    def __init__(self, end: socket.socket, engine: Engine) -> None:
        super().__init__(end.family, end.type, end.proto, fileno=end.detach())
        self.setblocking(False)
        self._engine = engine

    def send(self, data: Any, flags: int = 0) -> int:
        self._engine.interrupt()
        return super().send(data, flags)

    def __del__(self) -> None:
        self.close()  # without a warning: the program never opened it


def waker_pair(engine: Engine) -> dict[str, WakerEnd]:
    """What programs look for under paho's names, made for those that look."""
    ends = socket.socketpair()
    return dict(zip(("_sockpairR", "_sockpairW"), (WakerEnd(end, engine) for end in ends)))


class TlsConnectionSocket(ConnectionSocket):
    """The same for TLS, with what programs ask an ``ssl.SSLSocket`` for."""

    def __init__(self, connected: ssl.SSLSocket | BufferedTls, engine: Engine) -> None:
        from .. import _native
        from . import pump

        if not is_unix(connected):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(connected, engine)
        self._tls = cast("ssl.SSLSocket", connected)  # as far as programs ask it
        self._relay = _native.Relay()
        self._stream, self._connected = pump.pump.connect(connected, self._relay)

    def _below(self) -> int | None:
        return self._tls.fileno() if os.name == "posix" else None

    def _error(self) -> BaseException | None:
        return self._stream.error

    def _release(self) -> None:
        super()._release()
        self._stream.release()

    def _move_here(self, seconds: float) -> bool:
        return self._stream.move_here(seconds)

    def _ask(self, question: Callable[[ssl.SSLSocket], T]) -> T:
        return self._stream.ask(cast("Callable[[Any], T]", question))

    def _connection(self) -> socket.socket:
        """A duplicate of the socket below TLS."""
        return socket.socket(fileno=self._ask(lambda tls: socket.dup(tls.fileno())))

    @property
    def context(self) -> ssl.SSLContext:
        return self._tls.context

    @property
    def server_hostname(self) -> str | None:
        return self._tls.server_hostname

    @property
    def server_side(self) -> bool:
        return False

    @property
    def session(self) -> ssl.SSLSession | None:
        return self._ask(lambda tls: tls.session)

    @property
    def session_reused(self) -> bool | None:
        return self._ask(lambda tls: tls.session_reused)

    @overload
    def getpeercert(self, binary_form: Literal[False] = False) -> dict[str, Any] | None: ...
    @overload
    def getpeercert(self, binary_form: Literal[True]) -> bytes | None: ...
    def getpeercert(self, binary_form: bool = False) -> dict[str, Any] | bytes | None:
        return self._ask(lambda tls: tls.getpeercert(binary_form))

    def cipher(self) -> tuple[str, str, int] | None:
        return self._ask(lambda tls: tls.cipher())

    def shared_ciphers(self) -> list[tuple[str, str, int]] | None:
        return self._ask(lambda tls: tls.shared_ciphers())

    def version(self) -> str | None:
        return self._ask(lambda tls: tls.version())

    def compression(self) -> str | None:
        return self._ask(lambda tls: tls.compression())

    def selected_alpn_protocol(self) -> str | None:
        return self._ask(lambda tls: tls.selected_alpn_protocol())

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        return self._ask(lambda tls: tls.get_channel_binding(cb_type))
