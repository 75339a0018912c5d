"""One TLS connection between its socket and the engine's end of a socket pair; see :mod:`.pump`."""

from __future__ import annotations

import errno
import os
import queue
import selectors
import socket
import ssl
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union, cast

from .buffered_tls import BufferedTls

if TYPE_CHECKING:
    from .._native import Relay
    from .pump import Worker

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)
Tls = Union[ssl.SSLSocket, BufferedTls]
Selector = selectors.BaseSelector
_Answer = tuple[Any, Optional[Exception]]
_Question = tuple[Callable[[Tls], Any], "queue.SimpleQueue[_Answer]"]

#: Bytes moved at once; other connections get their turn in between.
CHUNK = 256 << 10
#: The longest TLS record's content (RFC 8446, clause 5.1).
_RECORD = 16 << 10
#: Seconds of the last moment of a connection, which begins anew while the server takes what the kernel
#: has; and those within which it must have taken something.
_LINGER = 1.0
_STALLED = 5.0
#: Seconds for an answer, and between two looks at whether anybody is left to give one.
_ANSWER_BOUND = 5.0
_LOOK_EVERY = 0.1
#: Seconds within which a piece follows close on the one before, and how many such make a flood.
_CLOSE = 0.0001
_LONG_STREAK = 4
#: Seconds that a flood outlasts its last sign.
_FLOOD = 0.005

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)
_NOTHING = memoryview(b"")


def _bare(error: E) -> E:
    """An exception to be kept, without the frames that it would keep alive."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _held_by_kernel(tls: Tls) -> int:
    """Bytes that the server has yet to acknowledge; 0 where the system does not say."""
    try:
        import fcntl
        import termios

        answer = fcntl.ioctl(tls.fileno(), termios.TIOCOUTQ, bytes(4))
    except (ImportError, AttributeError, OSError, ValueError):
        return 0
    return int.from_bytes(answer, sys.byteorder)


class Stream:
    """One TLS connection. Its methods run on the thread of its worker, except where they say so."""

    def __init__(self, tls: Tls, plain: socket.socket, relay: Relay) -> None:
        tls.setblocking(False)
        plain.setblocking(False)
        self.tls = tls
        self.plain = plain
        self.worker: Worker | None = None
        self._relay = relay
        self._questions: deque[_Question] = deque()
        self._is_let_go = self._is_left = False
        #: When that ends at the latest; None while it has not begun.
        self.closes_at: float | None = None
        #: What the kernel held then and has not sent, and when that last became less.
        self._held, self._taken_at = 0, 0.0
        #: Why the connection broke; None while it has not, or when the server said goodbye.
        self.error: BaseException | None = None
        self.closed = False
        #: Decrypted, and not yet taken by the engine; from the engine, and not yet taken by TLS.
        self._inward = self._outward = _NOTHING
        self._server_done = self._engine_done = self._lingering = False
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

    def release(self) -> None:
        """The client has let go of it: what is on its way has a moment left. On any thread, also in the
        middle of a step.
        """
        self._is_let_go = True
        self._post()

    def ask(self, question: Callable[[Tls], T]) -> T:
        """The answer of the connection, which only its thread may use. On any thread.

        :raises TimeoutError: the thread does not come to it.
        """
        if self._is_left:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        worker = self.worker
        if worker is not None and worker.thread.ident != threading.get_ident():
            answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
            self._questions.append((question, answers))
            self._post()
            until = time.monotonic() + _ANSWER_BOUND
            while not self.closed and worker.thread.is_alive():
                with suppress(queue.Empty):
                    value, error = answers.get(timeout=_LOOK_EVERY)
                    if error is not None:
                        raise error
                    return cast("T", value)
                if time.monotonic() > until:
                    raise TimeoutError("the TLS connection does not answer")
        return question(self.tls)

    def move_here(self, seconds: float) -> bool:
        """On the thread of a finaliser, at the exit: see the worker's."""
        worker = self.worker
        return worker is not None and worker.move_here(seconds)

    def _post(self) -> None:
        worker = self.worker
        if worker is not None and not self.closed:
            worker.post(self)

    def answer(self) -> None:
        """Answers what was asked."""
        while self._questions:
            question, answers = self._questions.popleft()
            try:
                answers.put((question(self.tls), None))
            except Exception as error:
                answers.put((None, error))

    def takes_leave(self, now: float) -> bool:
        """Whether its last moment begins: the client has let go of it, or we have said goodbye."""
        has_leave = self._is_let_go or self._lingering
        if self.closed or self.closes_at is not None or not has_leave:
            return False
        self.closes_at = now + _LINGER
        self._held, self._taken_at = _held_by_kernel(self.tls), now
        return True

    def stays(self, now: float) -> bool:
        """Whether its last moment begins anew: the server has yet to take bytes, and takes some."""
        before, held = self._held, _held_by_kernel(self.tls)
        if held < before:
            self._held, self._taken_at = held, now
        # It had something a moment ago: the server gets that moment for what it then took.
        if self.closed or not before or now - self._taken_at >= _STALLED:
            return False
        self.closes_at = now + _LINGER
        return True

    def step(self, sock: socket.socket, buffer: bytearray, selector: Selector) -> None:
        """Moves what can be moved now that something can be done with one of the two sockets."""
        if self.closed:
            return
        if self._lingering:
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
            if not self._lingering:
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
            while filled <= CHUNK - _RECORD:
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
            self._unsendable = _bare(error)
            self._outward = _NOTHING
        if passed_on:
            self._relay.passed_on(passed_on)

    def fail(self, error: BaseException, selector: Selector) -> None:
        self.error = self.error or _bare(error)
        self.close(selector)

    def _broke(self, error: OSError) -> None:
        self.error = self.error or _bare(error)
        self._server_done = True
        self._outward = _NOTHING

    def _keep_pace(self, size: int, records: int) -> None:
        """Naps in a flood, for larger pieces; acknowledges what is none, as the engine does on sockets
        of its own: see ``acknowledge_promptly`` in its streams.
        """
        before, self._received_at = self._received_at, time.perf_counter()
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
        self._lingering = True
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
        if not mask:
            selector.unregister(sock)
        elif before:
            selector.modify(sock, mask, self)
        else:
            selector.register(sock, mask, self)
        self._watched[sock] = mask

    @property
    def sockets(self) -> tuple[socket.socket, socket.socket]:
        return self.tls, self.plain

    @property
    def is_due(self) -> bool:
        """There is more to move, although no socket will say so."""
        return self._has_more and not (self._inward or self._server_done or self._lingering)

    def close(self, selector: Selector) -> None:
        self.closed = True
        self.worker = None
        for sock, mask in self._watched.items():
            if mask:
                with suppress(KeyError, ValueError, OSError):  # a socket may be closed already
                    selector.unregister(sock)
        self._watched.clear()
        with suppress(OSError):
            self.tls.close()
        self.plain.close()

    def leave_to_parent(self) -> None:
        """In a forked child, whatever the thread was doing: closes the copies of the descriptors."""
        self.closed = self._is_left = True
        for sock in (self.tls, self.plain):
            descriptor = sock.detach()
            if descriptor >= 0:
                os.close(descriptor)
