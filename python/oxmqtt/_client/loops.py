"""The ways to run a client. Each is a way to drain its inbox; none moves a byte."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..enums import LogLevel, MQTTErrorCode, _ConnectionState
from .events import Events
from .older_calls import drops
from .sequences import LoopNeed, Pause, Reconnect, Round, drive
from .waiting import leave_turn, ready

if TYPE_CHECKING:
    from .sockets import ConnectionSocket

#: Seconds that a stopping loop gives to what is on its way: acknowledgements, a disconnect.
_STOP_GRACE = 0.1
#: Seconds after which loop_stop() leaves a callback that runs on to itself.
_STOP_BOUND = 0.16
#: Seconds that it gives to a thread that ends by itself, on a machine that has no time for it.
_STOP_LATEST = 1.0
#: Seconds that disconnect() without a loop waits for the packet to leave.
_DISCONNECT_GRACE = 1.0
#: Seconds between two looks at the engine where a finaliser moves the bytes of TLS.
_SHORT_WAIT = 0.01
#: The longest wait: an interrupted or overridden loop looks at its flags this often.
_LONGEST_WAIT = 1.0
#: The same for the thread of loop_start(), which all who change such a flag wake. Each look of a thousand
#: idle clients costs.
_IDLE_WAIT = 30.0

_SUCCESS = MQTTErrorCode.MQTT_ERR_SUCCESS
_NO_CONN = MQTTErrorCode.MQTT_ERR_NO_CONN


class Loops(Events):
    """``loop_start`` for a thread, ``loop_forever`` for this one, ``loop`` for one round, and
    ``loop_read`` with ``socket`` for a program's own event loop.

    The engine connects, reads, writes and keeps the connection alive without any of them; they call
    the callbacks.
    """

    def _wait(self, timeout: float) -> None:
        """Waits for events, an interruption, or the time-out in seconds."""
        ready([self._engine.descriptor()], [], timeout)

    @drops("max_packets", 1)
    def loop(self, timeout: float = 1.0) -> MQTTErrorCode:
        """Waits up to ``timeout`` seconds for events and calls their callbacks.

        :returns: ``MQTT_ERR_SUCCESS``, else why there is no connection any more. It does not
            reconnect.
        :raises ValueError: ``timeout`` is negative.
        """
        return self._loop(timeout)

    def _loop(self, timeout: float = 1.0) -> MQTTErrorCode:
        """One round of every loop; subclasses may put their own wait around it."""
        if timeout < 0.0:
            raise ValueError("Invalid timeout.")
        if self._sock is None:
            return _NO_CONN
        self._wait(timeout)
        return self._drain()

    def _drain(self) -> MQTTErrorCode:
        rc = self._engine.drain(self)
        return MQTTErrorCode(rc) if rc else _SUCCESS

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Calls the callbacks of what arrived; for event loops that watch :meth:`socket`.

        ``max_packets`` is accepted for compatibility and has no effect, as in paho.
        """
        return _NO_CONN if self._sock is None else self._drain()

    @drops("max_packets", 0)
    def loop_write(self) -> MQTTErrorCode:
        """Has nothing to do: the engine writes by itself."""
        return _NO_CONN if self._sock is None else _SUCCESS

    def loop_misc(self) -> MQTTErrorCode:
        """Has nothing to do: the engine keeps the connection alive by itself."""
        return _NO_CONN if self._sock is None else _SUCCESS

    def want_write(self) -> bool:
        """Always False: an event loop never needs to watch for writing."""
        return False

    def socket(self) -> ConnectionSocket | None:
        """The connection's socket for event loops, or None.

        It is readable when :meth:`loop_read` has something to do.
        """
        return self._sock

    def _should_exit(self) -> bool:
        return self._thread_terminate or self._state in (
            _ConnectionState.MQTT_CS_DISCONNECTING,
            _ConnectionState.MQTT_CS_DISCONNECTED,
        )

    @drops("max_packets", 1, before_a_bool=True)
    def loop_forever(
        self, timeout: float = 1.0, retry_first_connection: bool = False
    ) -> MQTTErrorCode:
        """Calls callbacks, and reconnects, until :meth:`disconnect` or :meth:`loop_stop`.

        :param timeout: seconds; an upper bound of one wait.
        :param retry_first_connection: after :meth:`connect_async`, keep trying.
        :returns: the result code of the last round.
        :raises OSError: the first connection failed and is not retried.
        """
        if self._thread is threading.current_thread():  # what it waits for wakes it
            timeout = max(timeout, self._idle_time())
        with self._marked_as_looping():
            return drive(self._loop_sequence(timeout, retry_first_connection), self._satisfy)

    def _satisfy(self, need: LoopNeed) -> MQTTErrorCode:
        """What the sequence of a loop needs, on the thread that runs it."""
        if isinstance(need, Round):
            return self._loop(need.timeout)
        if isinstance(need, Reconnect):
            return self.reconnect()
        self._wait(need.seconds)
        return self._drain()

    @contextmanager
    def _marked_as_looping(self) -> Iterator[None]:
        self._engine.configure(looping=True)
        try:
            yield
        finally:
            leave_turn()
            self._engine.configure(looping=False)
            self._release_descriptor()

    def _release_descriptor(self) -> None:
        """Without connection and loop nobody waits on it; the next one makes another."""
        if self._sock is None and not self._dialling and not self._has_loop():
            self._engine.release_descriptor()

    def _has_loop(self) -> bool:
        """A loop runs, on a thread or on an event loop."""
        return self._engine.looping or self._on_event_loop

    def _loop_sequence(
        self, timeout: float, retry_first_connection: bool
    ) -> Generator[LoopNeed, MQTTErrorCode, MQTTErrorCode]:
        """The sequence of :meth:`loop_forever`."""
        while True:
            rc = yield from self._running_connection(timeout, retry_first_connection)
            if self._should_exit() or not self._reconnect_on_failure:
                return rc
            yield from self._backing_off()
            if self._should_exit():
                return rc
            if not self._connect_due() and self._sock is None:
                yield from self._trying_reconnect(retry=True)

    def _running_connection(
        self, timeout: float, retry_first_connection: bool
    ) -> Generator[LoopNeed, MQTTErrorCode, MQTTErrorCode]:
        """Runs until the connection ends or the loop has to."""
        while True:
            if self._connect_due():
                if not (yield from self._trying_reconnect(retry=retry_first_connection)):
                    yield from self._backing_off()
                if self._should_exit():
                    return _NO_CONN
                continue
            if self._sock is None and self._dialled_elsewhere():
                yield Pause(min(timeout, _LONGEST_WAIT))
                rc = _SUCCESS
            elif self._sock is None:  # a subclass with a `_loop` of its own takes it for granted
                rc = _NO_CONN
            else:
                rc = yield Round(timeout)
            if self._thread_terminate:
                yield from self._finishing()
                return MQTTErrorCode.MQTT_ERR_NOMEM
            if rc != _SUCCESS and not self._connect_due():
                return rc

    def _connect_due(self) -> bool:
        """``connect_async()`` was called, and the loop has yet to dial."""
        return self._state is _ConnectionState.MQTT_CS_CONNECT_ASYNC

    def _dialled_elsewhere(self) -> bool:
        """No connection yet, but another thread makes one or is about to."""
        own_thread = self._thread is threading.current_thread()
        is_new = self._state is _ConnectionState.MQTT_CS_NEW and own_thread
        return (is_new or self._dialling) and not self._should_exit()

    def _trying_reconnect(self, retry: bool) -> Generator[LoopNeed, MQTTErrorCode, bool]:
        """Reconnects; a failure goes to ``on_connect_fail`` and, without ``retry``, to the caller."""
        try:
            yield Reconnect()
        except OSError:
            self._connect_failed()
            if not retry:
                raise
            self._easy_log(LogLevel.MQTT_LOG_DEBUG, "Connection failed, retrying")
            return False
        return True

    def _connect_failed(self) -> None:
        callback = self.on_connect_fail
        if callback is None:
            return
        with self._calling:
            try:
                callback(self, self._userdata)
            except Exception as error:
                line = "Caught exception in on_connect_fail: %s"
                self._easy_log(LogLevel.MQTT_LOG_ERR, line, error)

    def _backing_off(self) -> Generator[LoopNeed, MQTTErrorCode, None]:
        """Waits before a reconnect: longer each time, unless the connection had lasted."""
        delay = self._reconnect_delay
        lasted = time.monotonic() - self._connack_at
        if delay is None or (self._connack_at and lasted >= delay):
            delay = self._reconnect_min_delay
        else:
            delay = min(delay * 2, self._reconnect_max_delay)
        self._reconnect_delay = delay
        self._connack_at = 0.0
        import random

        # Clients that lost the same broker must not come back in step.
        until = time.monotonic() + delay * random.uniform(0.5, 1.0)
        while not self._should_exit() and self._sock is None:
            left = until - time.monotonic()
            if left <= 0:
                return
            yield Pause(min(left, _LONGEST_WAIT))

    def _finishing(self) -> Generator[LoopNeed, MQTTErrorCode, None]:
        """Gives what is on its way a moment, so that its callbacks are not lost."""
        until = time.monotonic() + _STOP_GRACE
        while self._sock is not None and (
            self._engine.unfinished
            or self._engine.unsent
            or self._state is _ConnectionState.MQTT_CS_DISCONNECTING
        ):
            left = until - time.monotonic()
            if left <= 0:
                return
            yield Pause(min(left, 0.02))
        yield Pause(0)

    def _dispatch_without_loop(self) -> None:
        """``disconnect()`` where no loop runs: its callbacks are called here, as paho does."""
        if self._engine.in_callback or self._has_loop() or self.on_socket_register_write:
            return
        if self._thread is not None or self._dialling:
            return
        until = min(time.monotonic() + _DISCONNECT_GRACE, self._closes_by)
        while self._sock is not None and self._state is _ConnectionState.MQTT_CS_DISCONNECTING:
            left = until - time.monotonic()
            if left <= 0:
                return
            if not self._sock._move_here(_SHORT_WAIT):
                self._wait(left)
            self._drain()
        self._release_descriptor()

    def loop_start(self) -> MQTTErrorCode:
        """Runs the loop on a thread of its own until :meth:`loop_stop`.

        An exception in a callback is reported to ``threading.excepthook``; the thread lives on.

        :returns: ``MQTT_ERR_SUCCESS``, or ``MQTT_ERR_INVAL`` if the thread runs already.
        :raises RuntimeError: the system gives no thread; another call may get one.
        """
        if sys.is_finalizing():  # before Python 3.12 it would wait for ever for the thread to start
            raise RuntimeError("can't create new thread at interpreter shutdown")
        name = f"paho-mqtt-client-{self._client_id.decode()}"
        thread = threading.Thread(target=self._thread_main, name=name, daemon=True)
        handled = sys.exc_info()[1]
        try:
            is_first = self._seat.setdefault("loop", thread) is thread
            if self._thread is not None or not is_first:
                self._leave_seat(thread)
                return MQTTErrorCode.MQTT_ERR_INVAL
            self._thread_terminate = False
            self._thread = thread
            thread.start()
        except BaseException as error:  # a signal may strike before it starts, or while it does
            if _decide(thread, _DROPPED) is _DROPPED:
                self._leave_seat(thread)
            struck = error.__context__
            if isinstance(error, (KeyError, RuntimeError)) and struck not in (None, handled):
                raise struck from None  # Thread.start() stumbled over the signal's exception
            raise
        return _SUCCESS

    def _leave_seat(self, thread: threading.Thread) -> None:
        """The thread is not the client's any more."""
        if self._thread is thread:
            self._thread = None
        if self._seat.get("loop") is thread:
            del self._seat["loop"]

    @drops("force", 0)
    def loop_stop(self) -> MQTTErrorCode:
        """Ends the thread of :meth:`loop_start`; the connection stays as it is.

        It returns within 200 ms.  Dialling is given up; the next :meth:`loop_start` dials again.

        :returns: ``MQTT_ERR_SUCCESS``; ``MQTT_ERR_AGAIN`` if a callback still runs: the thread ends
            when it returns, and another call waits for that again; ``MQTT_ERR_INVAL`` if there is
            no thread.
        """
        thread = self._thread
        if thread is None:
            return MQTTErrorCode.MQTT_ERR_INVAL
        self._thread_terminate = True
        self._interrupt()
        if thread is threading.current_thread():
            return _SUCCESS
        join(thread, _STOP_BOUND)
        if thread.is_alive() and not (thread.ident in self._calling or self._engine.callback_runs):
            join(thread, _STOP_LATEST)
        if thread.is_alive():
            return MQTTErrorCode.MQTT_ERR_AGAIN
        self._release_descriptor()
        return _SUCCESS

    def _thread_main(self) -> None:
        thread = threading.current_thread()
        if _decide(thread, _RUNS) is not _RUNS:
            return
        try:
            self._engine.configure(survives_exceptions=True)
            while True:
                try:
                    self.loop_forever(retry_first_connection=True)
                    return
                except Exception:
                    self._report_exception()
                if self._should_exit():
                    return
        finally:
            self._engine.configure(survives_exceptions=False)
            self._thread_terminate = False
            self._leave_seat(thread)

    def _idle_time(self) -> float:
        """Seconds after which the thread looks whether it should go on, though nobody has woken it."""
        return _LONGEST_WAIT if self._is_own("_loop") else _IDLE_WAIT

    def _report_exception(self) -> None:
        args = threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread()))
        threading.excepthook(args)


#: What becomes of a thread whose start was disturbed.
_RUNS, _DROPPED = "runs", "dropped"


def _decide(thread: threading.Thread, fate: str) -> str:
    """The thread itself and whoever starts it decide at once: the first one's word counts."""
    decided: str = vars(thread).setdefault("_oxmqtt_fate", fate)
    return decided


def join(thread: threading.Thread, seconds: float) -> None:
    """Waits for the end of a thread that may be in the middle of its start."""
    until = time.monotonic() + seconds
    while True:
        left = max(0.0, until - time.monotonic())
        try:
            return thread.join(left)
        except RuntimeError:
            if not left:
                return
            time.sleep(0.001)
