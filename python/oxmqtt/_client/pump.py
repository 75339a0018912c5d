"""Moves the bytes of TLS connections between their sockets and the engine, on one thread for all.

Each connection has a socket pair: the engine holds one end and knows nothing of TLS, the pump holds the
other. Nothing blocks here. When one side takes no more, the other is not read. The thread starts with
the first connection and ends with the last.

Only the thread touches the connections. Others leave word in its mail, a ``deque``, and wake it: no lock
is held while Python runs, so whatever a garbage collection finalises here, on any thread, may do the same.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from .tls_stream import CHUNK, Stream

if TYPE_CHECKING:
    from .._native import Relay
    from .tls_stream import Tls

#: Seconds of a nap in a flood.
_NAP = 0.001
#: Seconds for which a connection waits while another starts the thread.
_START_BOUND = 1.0
#: Connections of one thread: ``select()`` takes no more than 512 sockets on Windows.
_CAPACITY = 200 if issubclass(selectors.DefaultSelector, selectors.SelectSelector) else 1 << 20

_READ = selectors.EVENT_READ


class Waker:
    """Wakes a thread that waits in a selector.

    Its sockets close with the last reference: another thread may be about to write to one when the
    thread gives it up.
    """

    def __init__(self) -> None:
        self.receiver, self._sender = self._pair = socket.socketpair()
        for end in self._pair:
            end.setblocking(False)

    def wake(self) -> None:
        with suppress(OSError):  # it has yet to see the last ones
            self._sender.send(b"\0")

    def hear(self) -> None:
        with suppress(BlockingIOError):
            self.receiver.recv(1024)

    def close(self) -> None:
        for end in self.__dict__.get("_pair", ()):  # nothing, where there was no descriptor left
            end.close()

    __del__ = close


class Worker:
    """The thread and the connections it serves."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._buffer = bytearray(CHUNK)
        self._waker = Waker()
        self._selector = selectors.DefaultSelector()
        #: All connections; those that the thread has not looked at yet are in the mail.
        self._streams: set[Stream] = set()
        #: To be looked at without being asked to by their sockets.
        self._mail: deque[Stream] = deque()
        #: Those in their last moment; in order, since that is equally long for all.
        self._leaving: deque[Stream] = deque()
        #: Whether it takes connections; whether they are left as they are at its end.
        self._accepts, self._is_stopping = True, False
        self.thread = threading.Thread(target=self._run, name="oxmqtt-tls", daemon=True)

    def start(self, first: Stream) -> None:
        """:raises OSError: there is no descriptor or no thread for it."""
        try:
            self._selector.register(self._waker.receiver, _READ)
            self._add(first)
            self.thread.start()
        except BaseException as error:
            first.worker = None
            self._selector.close()
            self._waker.close()
            if isinstance(error, RuntimeError):  # loops try again after an OSError
                raise OSError(f"no thread for TLS connections: {error}") from error
            raise

    def _add(self, stream: Stream) -> None:
        stream.worker = self
        self._streams.add(stream)
        self.post(stream)

    def take(self, stream: Stream) -> bool:
        """Takes a connection over; false if the thread is full or about to end."""
        if not self._accepts or len(self._streams) >= _CAPACITY:
            return False
        self._add(stream)
        if self._accepts:
            return True
        try:  # it may be ending: whoever takes the connection out of the mail has it
            self._mail.remove(stream)
        except ValueError:
            return True
        self._streams.discard(stream)
        return False

    def post(self, stream: Stream) -> None:
        """Has the thread look at a connection."""
        self._mail.append(stream)
        self._waker.wake()

    def stop(self, until: float) -> None:
        """Ends the thread by then; the connections are left to the kernel."""
        self._is_stopping = True
        self._waker.wake()
        self.thread.join(max(0.0, until - time.monotonic()))

    def move_here(self, seconds: float) -> bool:
        """Moves what can be moved, on this thread, where the exit has ended that of the worker: a finaliser
        may still say goodbye. Whether that is so.
        """
        if not self._is_stopping or self.thread.is_alive():
            return False
        self._move(seconds)
        return True

    def leave_to_parent(self) -> None:
        """In a forked child: closes the copies of the descriptors, and says nothing to anyone."""
        for stream in self._streams:
            stream.leave_to_parent()
        self._selector.close()
        self._waker.close()

    def _run(self) -> None:
        reason: BaseException | None = None
        try:
            while not self._may_end():
                self._move()
        except BaseException as error:
            reason = error
        finally:
            self._accepts = False
            self._pump.forget(self)
            if reason is not None:
                for stream in list(self._streams):
                    self._fail(stream, reason)
            if not self._is_stopping:
                self._selector.close()

    def _may_end(self) -> bool:
        """Whether there is nothing left to do; from then on no connection is taken."""
        if self._is_stopping:
            return True
        if self._streams:
            return False
        self._accepts = False
        if not self._mail:
            return True
        self._accepts = True  # one came in between
        return False

    def _move(self, seconds: float | None = None) -> None:
        """Moves what can be moved, once; waits for so many seconds at the most."""
        ready = self._wait(seconds)
        now = time.monotonic()
        wants_nap = False
        for _ in range(len(self._mail)):
            try:
                stream = self._mail.popleft()
            except IndexError:  # it was taken back
                break
            stream.answer()
            ready.append((stream, stream.plain))
        for stream, sock in ready:
            try:
                stream.step(sock, self._buffer, self._selector)
            except Exception as error:  # one connection must not end the others'
                self._fail(stream, error)
            wants_nap |= stream.wants_nap
            if stream.takes_leave(now):
                self._leaving.append(stream)
            if stream.closed:
                self._streams.discard(stream)
            elif stream.is_due:
                self._mail.append(stream)
        while self._leaving and (self._leaving[0].closed or self._time_left() <= 0):
            stream = self._leaving.popleft()
            if stream.stays(now):
                self._leaving.append(stream)
                continue
            stream.close(self._selector)
            self._streams.discard(stream)
        if wants_nap:
            time.sleep(_NAP)

    def _wait(self, seconds: float | None) -> list[tuple[Stream, socket.socket]]:
        """The connections that can move something, each with the socket that says so."""
        timeout = seconds
        if self._leaving:
            left = self._time_left()
            timeout = left if seconds is None else min(seconds, left)
        try:
            keys = self._selector.select(0 if self._mail else timeout)
        except (OSError, ValueError):  # somebody closed a socket below: its connection will tell
            time.sleep(_NAP)
            return [(stream, sock) for stream in list(self._streams) for sock in stream.sockets]
        ready = []
        for key, _ in keys:
            if key.data is None:
                self._waker.hear()
            else:
                ready.append((key.data, key.fileobj))
        return ready  # type: ignore[return-value]

    def _time_left(self) -> float:
        return (self._leaving[0].closes_at or 0.0) - time.monotonic()

    def _fail(self, stream: Stream, error: BaseException) -> None:
        with suppress(Exception):
            stream.fail(error, self._selector)
        self._streams.discard(stream)


class Pump:
    """The TLS connections of this process."""

    def __init__(self) -> None:
        #: More than one only where a thread is full.
        self._workers: set[Worker] = set()
        self._latest: Worker | None = None
        #: Keeps many first connections from starting a thread each; nothing else depends on it.
        self._starting = threading.RLock()

    def connect(self, tls: Tls, relay: Relay) -> tuple[Stream, socket.socket]:
        """Takes a connection over after its handshake; gives the engine's end of the pair.

        :raises OSError: it cannot, and the connection stays the caller's.
        """
        engine_end, plain = socket.socketpair()
        try:
            stream = Stream(tls, plain, relay)
            if self._latest is None or not self._latest.take(stream):
                self._start(stream)
        except BaseException:
            engine_end.close()
            plain.close()
            raise
        return stream, engine_end

    def _start(self, stream: Stream) -> None:
        starting = self._starting
        is_mine = starting.acquire(timeout=_START_BOUND)
        try:
            if self._latest is not None and self._latest.take(stream):
                return
            worker = Worker(self)
            self._workers.add(worker)
            try:
                worker.start(stream)
            except BaseException:
                self._workers.discard(worker)
                raise
            self._latest = worker
            if worker not in self._workers:  # it has come and gone
                self._latest = None
        finally:
            if is_mine:
                starting.release()
            else:
                self._starting = threading.RLock()

    def forget(self, worker: Worker) -> None:
        """On the thread of the worker, at its end."""
        self._workers.discard(worker)
        if self._latest is worker:
            self._latest = None

    def stop(self, until: float) -> None:
        """Ends the threads before the interpreter goes."""
        for worker in list(self._workers):
            worker.stop(until)

    def leave_to_parent(self) -> None:
        for worker in self._workers:
            worker.leave_to_parent()


#: The pump of this process.
pump = Pump()
#: Those of the processes this one was forked from. OpenSSL may have been at work on their connections
#: at that moment, so nothing of them is used, or freed.
_left: list[Pump] = []


def after_fork_in_child() -> None:
    global pump
    left, pump = pump, Pump()
    _left.append(left)
    left.leave_to_parent()
