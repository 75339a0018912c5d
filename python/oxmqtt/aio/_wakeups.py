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


#: Descriptors that one thread watches: Windows' ``select()`` takes 512 sockets, one of which wakes it.
_MOST = 500


class WatchingThread:
    """A thread for loops that cannot watch descriptors; it runs while there is one to watch.

    :param most: descriptors that it takes.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._watched: dict[int, _Watched] = {}
        #: Those whose callback is on its way: looked at again when it has run.
        self._told: set[int] = set()
        self._thread: threading.Thread | None = None
        self._wake: socket.socket | None = None

    def watch(self, descriptor: int, watched: _Watched) -> bool:
        """Whether it does; one that has enough to watch does not."""
        with self._lock:
            if len(self._watched) >= self._most:
                return False
            if self._thread is None:
                self._start()
            self._watched[descriptor] = watched
        self._look_again()
        return True

    def _start(self) -> None:
        waker, wake = socket.socketpair()
        wake.setblocking(False)
        thread = threading.Thread(
            target=self._run, args=(waker,), name="oxmqtt-wakeups", daemon=True
        )
        self._thread, self._wake = thread, wake  # it waits for the lock before it looks
        try:
            thread.start()
        except BaseException:
            self._thread = self._wake = None
            waker.close()
            wake.close()
            raise

    def forget(self, descriptor: int) -> None:
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
                for descriptor in _readable([waker.fileno(), *descriptors]):
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
            self.forget(descriptor)

    def _call(self, descriptor: int, watched: _Watched) -> None:
        try:
            if self._watched.get(descriptor) is watched:
                watched.callback()
        finally:
            with self._lock:
                self._told.discard(descriptor)
            self._look_again()


def _readable(descriptors: list[int]) -> list[int]:
    """Waits for one that is readable, or closed: whoever closed it is about to say so."""
    try:
        if hasattr(select, "poll"):
            poll = select.poll()
            for descriptor in descriptors:
                poll.register(descriptor, select.POLLIN)
            return [descriptor for descriptor, _ in poll.poll()]
        return select.select(descriptors, [], [])[0]
    except (OSError, ValueError):
        return [one for one in descriptors if _is_readable(one)]


def _is_readable(descriptor: int) -> bool:
    try:
        return bool(select.select([descriptor], [], [], 0)[0])
    except (OSError, ValueError):
        return True


class WatchingThreads:
    """As many as it takes."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._threads: list[WatchingThread] = []

    def watch(
        self, loop: asyncio.AbstractEventLoop, descriptor: int, callback: Callable[[], object]
    ) -> Callable[[], None]:
        watched = _Watched(loop, callback)
        with self._lock:
            for thread in self._threads:
                if thread.watch(descriptor, watched):
                    break
            else:
                thread = WatchingThread(self._most)
                thread.watch(descriptor, watched)
                self._threads.append(thread)
        return lambda: thread.forget(descriptor)


_thread = WatchingThreads()
