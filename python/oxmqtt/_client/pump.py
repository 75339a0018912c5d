"""Moves the bytes of TLS connections between their sockets and the engine, on one thread for all.

Each connection has a socket pair: the engine holds one end and knows nothing of TLS, the pump holds the
other. Nothing blocks here. When one side takes no more, the other is not read. The thread starts with
the first connection and ends with the last.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._native import Relay
    from .buffered_tls import BufferedTls

#: Bytes moved at once; other connections get their turn in between.
_CHUNK = 256 << 10
#: The longest TLS record's content (RFC 8446, clause 5.1).
_RECORD = 16 << 10
#: Seconds a connection may linger after the client has let go of it.
_LINGER = 1.0
#: Seconds within which a piece follows close on the one before, and how many such make a flood.
_CLOSE = 0.0001
_LONG_STREAK = 4
#: Seconds that a flood outlasts its last sign, and of a nap in it.
_FLOOD = 0.005
_NAP = 0.001

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)
_NOTHING = memoryview(b"")

Selector = selectors.BaseSelector


class Stream:
    """One TLS connection. Its methods run on the pump's thread, with the pump's lock held."""

    def __init__(
        self, tls: ssl.SSLSocket | BufferedTls, plain: socket.socket, relay: Relay
    ) -> None:
        tls.setblocking(False)
        plain.setblocking(False)
        self.tls = tls
        self.plain = plain
        self._relay = relay
        #: Why the connection broke; None while it has not, or when the server said goodbye.
        self.error: Exception | None = None
        self.closed = False
        #: Decrypted, and not yet taken by the engine; from the engine, and not yet taken by TLS.
        self._inward = self._outward = _NOTHING
        self._server_done = self._engine_done = self.lingering = False
        #: It is closed a moment later.
        self.let_go = False
        #: TLS may hold input that the socket below no longer shows.
        self._has_more = True
        self._unsendable: OSError | None = None
        self._received_at = 0.0
        self._streak = 0
        self._flood_until = 0.0
        #: Many small pieces come close on each other; a moment later there will be more in one.
        self.wants_nap = False
        self._is_tcp = tls.family != getattr(socket, "AF_UNIX", None)
        self._watched: dict[socket.socket, int] = {}

    def step(self, sock: socket.socket, buffer: bytearray, selector: Selector) -> None:
        """Moves what can be moved now that something can be done with one of the two sockets."""
        if self.closed:
            return
        if self.lingering:
            self._drop_input(buffer)
        elif sock is self.tls:
            self._send()
            self._receive(buffer)
        else:
            self._give()
            if self._has_more:
                self._receive(buffer)
            self._take(buffer)
        if self._unsendable is not None and not self._server_done:
            self._receive(buffer)  # the server may have said why
            self._broke(self._unsendable)
            self._give()
        if self._engine_done and not self._outward:
            if not self.lingering:
                self._say_goodbye()
            if self._server_done:
                self.close(selector)
                return
        self._watch(selector)

    def _receive(self, buffer: bytearray) -> None:
        """From the server to the engine."""
        if self._inward or self._server_done:
            return
        view = memoryview(buffer)
        filled = records = 0
        self._has_more = True
        try:
            while filled <= _CHUNK - _RECORD:
                count = self.tls.recv_into(view[filled:])
                if not count:
                    self._server_done = True
                    self._has_more = False
                    break
                filled += count
                records += 1
        except _WAITS:
            self._has_more = False
        except OSError as error:
            self._has_more = False
            self._broke(error)
        if filled:
            self._inward = view[:filled]
            self._keep_pace(filled, records)
        self._give()

    def _give(self) -> None:
        """To the engine, as much as it takes."""
        try:
            if self._inward:
                self._inward = self._inward[self.plain.send(self._inward) :]
            if self._server_done and not self._inward:
                self.plain.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:  # the engine has closed its end
            self._inward = _NOTHING
        if self._inward:  # the buffer is everybody's
            self._inward = memoryview(bytes(self._inward))

    def _take(self, buffer: bytearray) -> None:
        """From the engine to the server."""
        if self._outward or self._engine_done:
            return
        try:
            count = self.plain.recv_into(buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self._engine_done = True
        elif not self._server_done:
            self._outward = memoryview(buffer)[:count]
            self._send()

    def _send(self) -> None:
        """To the server, as much as it takes. What TLS refused it must be offered again unchanged."""
        passed_on = 0
        try:
            while self._outward:
                sent = self.tls.send(self._outward)
                self._outward = self._outward[sent:]
                passed_on += sent
        except _WAITS:
            self._outward = memoryview(bytes(self._outward))
        except OSError as error:
            self._unsendable = error
            self._outward = _NOTHING
        if passed_on:
            self._relay.passed_on(passed_on)

    def fail(self, error: Exception, selector: Selector) -> None:
        self.error = self.error or error
        self.close(selector)

    def _broke(self, error: OSError) -> None:
        self.error = self.error or error
        self._server_done = True
        self._outward = _NOTHING

    def _keep_pace(self, size: int, records: int) -> None:
        """Naps in a flood, for larger pieces; acknowledges what is none, as the engine does on sockets
        of its own: see ``acknowledge_promptly`` in its streams.
        """
        before, self._received_at = self._received_at, time.monotonic()
        now = self._received_at
        self._streak = self._streak + 1 if now - before < _CLOSE else 0
        if self._streak >= _LONG_STREAK or (now < self._flood_until and records > 1):
            self._flood_until = now + _FLOOD
        in_flood = now < self._flood_until
        self.wants_nap = in_flood and size < _RECORD
        if _QUICK_ACK is None or not self._is_tcp or in_flood:
            return
        try:
            self.tls.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        except OSError:
            pass

    def _say_goodbye(self) -> None:
        """Closes our side, with close_notify (RFC 8446, clause 6.1); the server's is still read.

        Closing with unread bytes would make the kernel take back what was not delivered yet.
        """
        self.lingering = True
        for close in (self.tls.unwrap, lambda: self.tls.shutdown(socket.SHUT_WR)):
            try:
                close()
            except (
                OSError,
                ValueError,
            ):  # it waits for the server's, or there is nothing left to close
                pass

    def _drop_input(self, buffer: bytearray) -> None:
        try:
            while not self._server_done:
                self._server_done = not self.tls.recv_into(buffer)
        except _WAITS:
            pass
        except OSError:
            self._server_done = True

    def _watch(self, selector: Selector) -> None:
        reads_server = not self._server_done and not self._inward
        reads_engine = not self._engine_done and not self._outward
        self._watch_one(selector, self.tls, _READ * reads_server | _WRITE * bool(self._outward))
        self._watch_one(selector, self.plain, _READ * reads_engine | _WRITE * bool(self._inward))

    def _watch_one(self, selector: Selector, sock: socket.socket, mask: int) -> None:
        before = self._watched.get(sock, 0)
        if mask == before:
            return
        self._watched[sock] = mask
        if not mask:
            selector.unregister(sock)
        elif before:
            selector.modify(sock, mask, self)
        else:
            selector.register(sock, mask, self)

    @property
    def is_due(self) -> bool:
        """There is more to move, although no socket will say so."""
        return self._has_more and not (self._inward or self._server_done or self.lingering)

    def close(self, selector: Selector | None) -> None:
        self.closed = True
        if selector is not None:
            for sock, mask in self._watched.items():
                if mask:
                    selector.unregister(sock)
        self.tls.close()
        self.plain.close()


class Pump:
    """The thread, and the connections it serves."""

    def __init__(self) -> None:
        #: Held while bytes move; not while the thread waits.
        self.lock = threading.Lock()
        self.buffer = bytearray()
        self.selector: Selector
        self._streams: set[Stream] = set()
        #: To be looked at without being asked to by their sockets.
        self._due: deque[Stream] = deque()
        #: (when to close at the latest, connection); in order, since all linger equally long.
        self._released: deque[tuple[float, Stream]] = deque()
        self._waker: tuple[socket.socket, socket.socket] | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False

    def connect(
        self, tls: ssl.SSLSocket | BufferedTls, relay: Relay
    ) -> tuple[Stream, socket.socket]:
        """Takes a connection over after its handshake; gives the engine's end of the pair."""
        engine_end, plain = socket.socketpair()
        stream = Stream(tls, plain, relay)
        with self.lock:
            self._streams.add(stream)
            self._due.append(stream)
            if self._thread is None:
                self._start()
            self._wake()
        return stream, engine_end

    def release(self, stream: Stream) -> None:
        """The client has let go of it: what is on its way has a moment left."""
        if stream.closed:  # in a forked child nobody gives the lock back
            return
        with self.lock:
            if not (stream.closed or stream.let_go):
                self._let_go(stream)
                self._wake()

    def _let_go(self, stream: Stream) -> None:
        stream.let_go = True
        self._released.append((time.monotonic() + _LINGER, stream))

    def _start(self) -> None:
        self.buffer = bytearray(_CHUNK)
        self.selector = selectors.DefaultSelector()
        self._waker = socket.socketpair()
        for end in self._waker:
            end.setblocking(False)
        self.selector.register(self._waker[0], _READ)
        self._thread = threading.Thread(target=self._run, name="oxmqtt-tls", daemon=True)
        self._thread.start()

    def _wake(self) -> None:
        if self._waker is not None:
            try:
                self._waker[1].send(b"\0")
            except BlockingIOError:  # it has yet to see the last ones
                pass

    def _run(self) -> None:
        selector = self.selector
        nap = False
        while True:
            timeout = self._released[0][0] - time.monotonic() if self._released else None
            if self._due:
                timeout = 0
            if nap:
                time.sleep(_NAP)
            ready = [(key.data, key.fileobj) for key, _ in selector.select(timeout)]
            nap = False
            with self.lock:
                while self._due:
                    stream = self._due.popleft()
                    ready.append((stream, stream.plain))
                for stream, sock in ready:
                    if stream is None:
                        self._hear()
                        continue
                    try:
                        stream.step(sock, self.buffer, selector)
                    except Exception as error:  # one connection must not end the others'
                        stream.fail(error, selector)
                    nap |= stream.wants_nap
                    if stream.lingering and not stream.let_go:  # its client may be gone
                        self._let_go(stream)
                    if stream.closed:
                        self._streams.discard(stream)
                    elif stream.is_due:
                        self._due.append(stream)
                self._close_overdue()
                if self._stopping or not self._streams:
                    self._end()
                    return

    def _hear(self) -> None:
        try:
            if self._waker is not None:
                self._waker[0].recv(1024)
        except BlockingIOError:
            pass

    def _close_overdue(self) -> None:
        now = time.monotonic()
        while self._released and (self._released[0][0] <= now or self._released[0][1].closed):
            _, stream = self._released.popleft()
            if not stream.closed:
                stream.close(self.selector)
                self._streams.discard(stream)

    def _end(self) -> None:
        self.selector.close()
        for end in self._waker or ():
            end.close()
        self._waker = self._thread = None
        self._stopping = False
        self.buffer = bytearray()
        self._released.clear()

    def stop(self) -> None:
        """Ends the thread before the interpreter goes; the connections are left to the kernel."""
        with self.lock:
            thread = self._thread
            self._stopping = True
            self._wake()
        if thread is not None:
            thread.join(1.0)

    def leave_to_parent(self) -> None:
        """In a forked child: closes the copies of the descriptors, and says nothing to anyone."""
        for stream in self._streams:
            stream.close(None)
        if self._thread is not None:
            self._end()


#: The pump of this process.
pump = Pump()


def before_fork() -> None:
    """No TLS connection is in the middle of a step while the process forks."""
    pump.lock.acquire()


def after_fork_in_parent() -> None:
    pump.lock.release()


def after_fork_in_child() -> None:
    global pump
    left, pump = pump, Pump()
    left.leave_to_parent()
