"""Connections that a program brings and that are no sockets of Python: TLS of its own, a channel of SSH.

A program that overrides ``_create_socket_connection`` may return anything that behaves like one. The
engine cannot read from it, so it takes the way of TLS: the pump moves its bytes.
"""

from __future__ import annotations

import socket
from typing import Any


class ForeignSocket:
    """To the pump, an ``ssl.SSLSocket`` whose handshake is done.

    :param given: has ``fileno()``, ``send()``, ``close()``, ``recv()`` or ``recv_into()``, and
        ``setblocking()`` or ``settimeout()``. When nothing is there, they raise ``BlockingIOError``.
    """

    def __init__(self, given: Any) -> None:
        self._given = given
        self.family = getattr(given, "family", socket.AF_INET)
        self.type = getattr(given, "type", socket.SOCK_STREAM)
        self.proto = getattr(given, "proto", 0)

    def __getattr__(self, name: str) -> Any:
        """What programs ask it for."""
        return getattr(self.__dict__["_given"], name)

    def do_handshake(self) -> None:
        """Has been done."""

    def setblocking(self, flag: bool) -> None:
        if hasattr(self._given, "setblocking"):
            self._given.setblocking(flag)
        else:
            self._given.settimeout(None if flag else 0.0)

    def setsockopt(self, *args: Any) -> None:
        if hasattr(self._given, "setsockopt"):
            self._given.setsockopt(*args)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        try:
            data = self._given.recv(nbytes or len(buffer))
        except socket.timeout:
            raise BlockingIOError from None
        buffer[: len(data)] = data
        return len(data)

    def send(self, data: Any, flags: int = 0) -> int:
        try:
            sent: int = self._given.send(bytes(data))
        except socket.timeout:
            raise BlockingIOError from None
        return sent

    def unwrap(self) -> None:
        """Has nothing to say goodbye with."""

    def shutdown(self, how: int) -> None:
        if hasattr(self._given, "shutdown"):
            self._given.shutdown(how)

    def fileno(self) -> int:
        descriptor: int = self._given.fileno()
        return descriptor

    def close(self) -> None:
        self._given.close()
