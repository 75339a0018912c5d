"""How an event loop hears that a client's inbox has something: its descriptor is readable."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections.abc import Callable
from typing import NamedTuple


def watch(
    loop: asyncio.AbstractEventLoop, descriptor: int, callback: Callable[[], object]
) -> Callable[[], None]:
    """Calls back on the loop's thread whenever the descriptor is readable, until the result is called."""
    try:
        loop.add_reader(descriptor, callback)
    except NotImplementedError:  # the proactor loop of Windows
        return _thread.watch(loop, descriptor, callback)

    def stop() -> None:
        if not loop.is_closed():
            loop.remove_reader(descriptor)

    return stop


class _Watched(NamedTuple):
    loop: asyncio.AbstractEventLoop
    callback: Callable[[], object]


class _WatchingThread:
    """One thread for all loops that cannot watch descriptors; it runs while there is one to watch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[int, _Watched] = {}
        #: Those whose callback is on its way: looked at again when it has run.
        self._told: set[int] = set()
        self._thread: threading.Thread | None = None
        self._wake: socket.socket | None = None

    def watch(
        self, loop: asyncio.AbstractEventLoop, descriptor: int, callback: Callable[[], object]
    ) -> Callable[[], None]:
        with self._lock:
            self._watched[descriptor] = _Watched(loop, callback)
            if self._thread is None:
                waker, self._wake = socket.socketpair()
                self._wake.setblocking(False)
                self._thread = threading.Thread(
                    target=self._run, args=(waker,), name="oxmqtt-wakeups", daemon=True
                )
                self._thread.start()
        self._look_again()
        return lambda: self._forget(descriptor)

    def _forget(self, descriptor: int) -> None:
        with self._lock:
            self._watched.pop(descriptor, None)
            self._told.discard(descriptor)
        self._look_again()

    def _look_again(self) -> None:
        wake = self._wake
        if wake is not None:
            try:
                wake.send(b"\0")
            except OSError:  # it has enough to wake up by, or has just ended
                pass

    def _run(self, waker: socket.socket) -> None:
        with waker:
            while True:
                with self._lock:
                    if not self._watched:
                        self._thread = None
                        wake, self._wake = self._wake, None
                        break
                    descriptors = [fd for fd in self._watched if fd not in self._told]
                try:
                    readable = select.select([waker.fileno(), *descriptors], [], [])[0]
                except (OSError, ValueError):  # one was closed; _forget() is on its way
                    continue
                for descriptor in readable:
                    if descriptor == waker.fileno():
                        waker.recv(4096)
                    else:
                        self._tell(descriptor)
        if wake is not None:
            wake.close()

    def _tell(self, descriptor: int) -> None:
        with self._lock:
            watched = self._watched.get(descriptor)
            if watched is None:
                return
            self._told.add(descriptor)
        try:
            watched.loop.call_soon_threadsafe(self._call, descriptor, watched)
        except RuntimeError:  # the loop is closed
            self._forget(descriptor)

    def _call(self, descriptor: int, watched: _Watched) -> None:
        try:
            if self._watched.get(descriptor) is watched:
                watched.callback()
        finally:
            with self._lock:
                self._told.discard(descriptor)
            self._look_again()


_thread = _WatchingThread()
