"""Connecting to a host that has several addresses: a dead one costs a moment, not the whole time-out.

The attempts overlap as in RFC 8305; exceptions are those of ``socket.create_connection``.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Generator, Iterable
from itertools import chain, zip_longest
from typing import Any, Optional

from .abandonable import run
from .needs import Attempt, Ready, Step
from .sequences import drive

#: Seconds after which the next address is tried as well (RFC 8305, clause 5).
_NEXT_AFTER = 0.25

_UNDER_WAY = {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)}
_OWN = (socket.socket, socket.create_connection)

#: (family, type, protocol, canonical name, address), as ``getaddrinfo`` has it.
Address = tuple[Any, Any, int, str, Any]
Source = Optional[tuple[str, int]]


#: What dialling needs: a look-up of the name, then sockets that get connected.
Dial = Generator[Any, Any, Optional[socket.socket]]


def connect(host: str, port: int, source: Source, until: float) -> socket.socket:
    """A connected socket, by ``until`` (``time.monotonic()``); ``source`` is where to connect from.

    :raises OSError: what the last address said.
    """
    if is_overridden():
        return socket.create_connection((host, port), max(until - time.monotonic(), 0.001), source)
    found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    connected = drive(_race(Attempt(), found, source, until), run)
    assert connected is not None  # it was wanted
    return connected


def is_overridden() -> bool:
    """Whether the program has put sockets of its own in their place, as PySocks does."""
    return (socket.socket, socket.create_connection) != _OWN


def is_numeric(host: str) -> bool:
    """Whether nobody has to be asked for the address."""
    for family, address in ((socket.AF_INET, host), (socket.AF_INET6, host.partition("%")[0])):
        try:
            socket.inet_pton(family, address)
        except (OSError, ValueError):
            continue
        return True
    return False


def connecting(attempt: Attempt, host: str, port: int, source: Source, until: float) -> Dial:
    """The same as a sequence; None when it is not wanted any more.

    :raises OSError: what the last address said; a time-out that names the host if the look-up took
        too long.
    """
    look_up = socket.getaddrinfo
    arguments = (host, port, 0, socket.SOCK_STREAM)
    if is_numeric(host):
        found = look_up(*arguments)
    else:
        name = (look_up, *arguments)
        found = yield Step(lambda: look_up(*arguments), attempt, until, shared=name)
        if found is None:
            if attempt.is_wanted():
                raise socket.timeout(f"timed out: the look-up of {host!r} has not answered")
            return None
    return (yield from _race(attempt, found, source, until))


def _race(attempt: Attempt, found: list[Address], source: Source, until: float) -> Dial:
    with _Race(attempt, found, source, until) as race:
        return (yield from race.run())


def alternate(found: list[Address]) -> Iterable[Address]:
    """The families take turns, beginning with that of the first (RFC 8305, clause 4)."""
    families: dict[Any, list[Address]] = {}
    for address in found:
        families.setdefault(address[0], []).append(address)
    return (one for one in chain(*zip_longest(*families.values())) if one is not None)


class _Race:
    """Attempts that are under way; closing it closes all but the winner."""

    def __init__(
        self, attempt: Attempt, found: list[Address], source: Source, until: float
    ) -> None:
        self._attempt = attempt
        self._found = found
        self._source = source
        self._until = until
        self._errors: dict[int, OSError] = {}
        self._under_way: dict[socket.socket, Address] = {}

    def __enter__(self) -> _Race:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._under_way:
            sock.close()

    def run(self) -> Dial:
        for address in alternate(self._found):
            winner = self._start(address) or (yield from self._waiting(_NEXT_AFTER))
            if winner is not None or not self._attempt.is_wanted():
                return winner
        winner = yield from self._waiting(None)
        if winner is not None or not self._attempt.is_wanted():
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
            return None
        return self._finished(sock, code)

    def _waiting(self, seconds: float | None) -> Dial:
        """The first that gets through; None when the time is over, all have failed, or, with
        ``seconds``, one has.
        """
        until = self._until if seconds is None else min(self._until, time.monotonic() + seconds)
        while self._under_way:
            need = Ready(self._attempt, until, writing=list(self._under_way))
            decided: list[socket.socket] = yield need
            if not decided:
                return None
            for sock in decided:
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
