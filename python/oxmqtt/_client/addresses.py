"""Connecting to a host that has several addresses: a dead one costs a moment, not the whole time-out.

The attempts overlap as in RFC 8305; exceptions are those of ``socket.create_connection``.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections.abc import Iterable
from itertools import chain, zip_longest
from typing import Any, Optional

#: Seconds after which the next address is tried as well (RFC 8305, clause 5).
_NEXT_AFTER = 0.25

_UNDER_WAY = {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)}
_OWN = (socket.socket, socket.create_connection)

#: (family, type, protocol, canonical name, address), as ``getaddrinfo`` has it.
Address = tuple[Any, Any, int, str, Any]
Source = Optional[tuple[str, int]]


def connect(host: str, port: int, source: Source, until: float) -> socket.socket:
    """A connected socket, by ``until`` (``time.monotonic()``); ``source`` is where to connect from.

    :raises OSError: what the last address said.
    """
    if (socket.socket, socket.create_connection) != _OWN:  # the program's own, such as PySocks'
        return socket.create_connection((host, port), max(until - time.monotonic(), 0.001), source)
    found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    with _Race(found, source, until) as race:
        return race.run()


def alternate(found: list[Address]) -> Iterable[Address]:
    """The families take turns, beginning with that of the first (RFC 8305, clause 4)."""
    families: dict[Any, list[Address]] = {}
    for address in found:
        families.setdefault(address[0], []).append(address)
    return (one for one in chain(*zip_longest(*families.values())) if one is not None)


class _Race:
    """Attempts that are under way; closing it closes all but the winner."""

    def __init__(self, found: list[Address], source: Source, until: float) -> None:
        self._found = found
        self._source = source
        self._until = until
        self._selector = selectors.DefaultSelector()
        self._errors: dict[int, OSError] = {}
        self._under_way: dict[socket.socket, Address] = {}

    def __enter__(self) -> _Race:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for sock in self._under_way:
            sock.close()

    def run(self) -> socket.socket:
        for address in alternate(self._found):
            winner = self._start(address) or self._wait(_NEXT_AFTER)
            if winner is not None:
                return winner
        winner = self._wait(None)
        if winner is not None:
            return winner
        if self._under_way or not self._errors:
            raise socket.timeout("timed out")
        raise self._errors[max(self._errors)]

    def _start(self, address: Address) -> socket.socket | None:
        family, kind, protocol, _, target = address
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            self._failed(address, error)
            return None
        self._under_way[sock] = address
        try:
            sock.setblocking(False)
            if self._source is not None:
                sock.bind(self._source)
            code = sock.connect_ex(target)
        except OSError as error:
            self._lost(sock, error)
            return None
        if code in _UNDER_WAY:
            self._selector.register(sock, selectors.EVENT_WRITE)
            return None
        return self._finished(sock, code)

    def _wait(self, seconds: float | None) -> socket.socket | None:
        """The first that gets through; None when the time is over, all have failed, or, with
        ``seconds``, one has.
        """
        until = self._until if seconds is None else min(self._until, time.monotonic() + seconds)
        while self._under_way:
            left = until - time.monotonic()
            if left <= 0:
                return None
            for key, _ in self._selector.select(left):
                sock: Any = key.fileobj
                self._selector.unregister(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                winner = self._finished(sock, code)
                if winner is not None or seconds is not None:
                    return winner
        return None

    def _finished(self, sock: socket.socket, code: int) -> socket.socket | None:
        if code:
            self._lost(sock, OSError(code, os.strerror(code)))
            return None
        del self._under_way[sock]
        return sock

    def _lost(self, sock: socket.socket, error: OSError) -> None:
        address = self._under_way.pop(sock)
        sock.close()
        self._failed(address, error)

    def _failed(self, address: Address, error: OSError) -> None:
        self._errors[self._found.index(address)] = error
