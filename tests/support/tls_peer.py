"""A broker with TLS that the tests can set up wrongly: Python's `ssl` on the server's side, or a script below TLS."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import Any, Callable

from . import packets
from .certificates import Identity
from .peer import PeerConnection
from .waiting import PATIENCE, Mailbox


def server_context(identity: Identity | None = None, ciphers: str = "") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if ciphers:
        context.set_ciphers(ciphers)
    if identity is not None:
        context.load_cert_chain(identity.chain, identity.key)
    return context


class TlsPeer:
    """Accepts on loopback; every connection is served by a thread of its own.

    :param below: what to do with a connection instead of a handshake.
    """

    host = "localhost"

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        below: Callable[[socket.socket], Any] | None = None,
    ) -> None:
        self._context = context
        self._below = below
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        #: Connections whose handshake succeeded, and the first packet of each.
        self.connects: Mailbox[tuple[ssl.SSLSocket, Any]] = Mailbox()
        #: Why the others' did not.
        self.failures: Mailbox[OSError] = Mailbox()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._start(self._accept)

    def __enter__(self) -> TlsPeer:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in (self._listener, *self._sockets):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
        for thread in self._threads:
            thread.join(PATIENCE)
        for sock in self._sockets:  # those whose handshake ended meanwhile, too
            sock.close()

    def _start(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(PATIENCE)
            self._sockets.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        if self._context is None:
            assert self._below is not None
            self._below(sock)
            return
        try:
            tls = self._context.wrap_socket(sock, server_side=True)
        except OSError as error:
            self.failures.put(error)
            return
        self._sockets.append(tls)
        connection = PeerConnection(tls, packets.V311)
        try:
            self.connects.put((tls, connection.accept_client()))
            if self._below is None:
                connection.serve()
            else:
                self._below(tls)
        except (OSError, AssertionError, ValueError) as error:
            self.failures.put(OSError(str(error)))
