"""The client's side of a TLS connection that takes many records with one system call.

``ssl.SSLSocket`` makes two calls for each record, and brokers put each message into a record of its own.
Here ``ssl`` works on memory, and the socket is read and written in large pieces.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any, cast

#: Bytes of one system call; what is larger costs the allocator more than it saves.
_PIECE = 64 << 10
_NOTHING = memoryview(b"")


class BufferedTls(socket.socket):
    """In what it does an ``ssl.SSLSocket`` over the socket that it takes over."""

    def __init__(
        self, connected: socket.socket, context: ssl.SSLContext, server_hostname: str | None
    ) -> None:
        if context.check_hostname and not server_hostname:  # ``wrap_bio`` would check nothing
            raise ValueError("check_hostname requires server_hostname")
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_hostname
        )
        timeout = connected.gettimeout()
        kind = connected.family, connected.type, connected.proto
        super().__init__(*kind, fileno=connected.detach())
        self.settimeout(timeout)
        #: Encrypted, and not yet taken by the socket; the plain bytes that are in it.
        self._unsent = _NOTHING
        self._accepted = 0

    def __getattr__(self, name: str) -> Any:
        """The questions that programs ask: ``getpeercert()``, ``cipher()``, ``version()`` ..."""
        return getattr(self.__dict__.get("_tls"), name)

    def do_handshake(self) -> None:
        """Within the time-out of the socket, all in all.

        :raises ssl.SSLError: it failed.
        :raises TimeoutError: it took too long.
        """
        timeout = self.gettimeout()
        until = None if timeout is None else time.monotonic() + timeout
        assert self._tls is not None
        while True:
            try:
                self._tls.do_handshake()
                return self._flush()
            except ssl.SSLWantReadError:
                self._flush()
            except ssl.SSLError:
                self._flush()  # the alert that tells the server
                raise
            if until is not None:
                self.settimeout(max(until - time.monotonic(), 0.001))
            try:
                self._fill()
            except socket.timeout:
                raise socket.timeout("The handshake operation timed out") from None

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """What one record holds; 0 at the end. As with ``ssl.SSLSocket``, an end without close_notify
        is an end.

        :raises BlockingIOError: nothing is there.
        """
        if self._tls is None:
            return super().recv_into(buffer)
        while True:
            try:
                return cast("int", self._tls.read(len(buffer), buffer))
            except ssl.SSLWantReadError:
                self._flush_if_possible()
                self._fill()
            except ssl.SSLEOFError:
                return 0

    def send(self, data: Any, flags: int = 0) -> int:
        """Encrypts a piece; says so when the socket has taken all of it.

        :raises BlockingIOError: not yet; the same data must be offered again.
        """
        if not self._accepted:
            if self._tls is None:
                raise ValueError("TLS has been shut down")
            self._accepted = self._tls.write(data[:_PIECE])
        self._flush()
        accepted, self._accepted = self._accepted, 0
        return accepted

    def unwrap(self) -> None:
        """Sends close_notify.

        :raises ssl.SSLWantReadError: that of the server has yet to come.
        """
        if self._tls is not None:
            try:
                self._tls.unwrap()
            finally:
                self._flush()

    def shutdown(self, how: int) -> None:
        """Closes that direction of the socket; what is then read is not decrypted any more."""
        self._tls = None
        super().shutdown(how)

    def _fill(self) -> None:
        piece = super().recv(_PIECE)
        if piece:
            self._incoming.write(piece)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        while self._unsent or self._outgoing.pending:
            self._unsent = self._unsent or memoryview(self._outgoing.read())
            self._unsent = self._unsent[super().send(self._unsent) :]

    def _flush_if_possible(self) -> None:
        """Answers that TLS gives by itself, such as to a change of keys."""
        try:
            self._flush()
        except OSError:  # the next call that sends says so
            pass
