"""The ways to run a client. Each is a way to drain its inbox; none moves a byte."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..enums import LogLevel, MQTTErrorCode, _ConnectionState
from .listening import is_own
from .sequences import LoopNeed, Pause, Reconnect, Round, drive
from .waiting import leave_turn, ready

if TYPE_CHECKING:
    from ..client import Client

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


def wait(client: Client, timeout: float) -> None:
    """Waits for events, an interruption, or the time-out in seconds."""
    ready([client._ox_engine.descriptor()], [], timeout)


def one_round(client: Client, timeout: float = 1.0) -> MQTTErrorCode:
    """One round of every loop; subclasses may put their own wait around it."""
    if timeout < 0.0:
        raise ValueError("Invalid timeout.")
    if client._sock is None:
        return _NO_CONN
    wait(client, timeout)
    return drain(client)


def drain(client: Client) -> MQTTErrorCode:
    rc = client._ox_engine.drain(client)
    return MQTTErrorCode(rc) if rc else _SUCCESS


def interrupt(client: Client) -> None:
    """Whoever waits for this client looks whether it still has to."""
    client._ox_engine.interrupt()
    attempt = client._ox_latest_attempt
    if attempt is not None:
        attempt.look_again()


def should_exit(client: Client) -> bool:
    return client._thread_terminate or client._state in (
        _ConnectionState.MQTT_CS_DISCONNECTING,
        _ConnectionState.MQTT_CS_DISCONNECTED,
    )


def loop_forever(
    client: Client, timeout: float = 1.0, retry_first_connection: bool = False
) -> MQTTErrorCode:
    """Calls callbacks, and reconnects, until :meth:`disconnect` or :meth:`loop_stop`."""
    if client._thread is threading.current_thread():  # what it waits for wakes it
        timeout = max(timeout, _idle_time(client))
    with _marked_as_looping(client):
        return drive(
            loop_sequence(client, timeout, retry_first_connection),
            lambda need: _satisfy(client, need),
        )


def _satisfy(client: Client, need: LoopNeed) -> MQTTErrorCode:
    """What the sequence of a loop needs, on the thread that runs it."""
    if isinstance(need, Round):
        return client._loop(need.timeout)
    if isinstance(need, Reconnect):
        return client.reconnect()
    wait(client, need.seconds)
    return drain(client)


@contextmanager
def _marked_as_looping(client: Client) -> Iterator[None]:
    client._ox_engine.looping = True
    try:
        yield
    finally:
        leave_turn()
        client._ox_engine.looping = False
        release_descriptor(client)


def release_descriptor(client: Client) -> None:
    """Without connection and loop nobody waits on it; the next one makes another."""
    if client._sock is None and not client._ox_dialling and not has_loop(client):
        client._ox_engine.release_descriptor()


def has_loop(client: Client) -> bool:
    """A loop runs, on a thread or on an event loop."""
    return client._ox_engine.looping or client._ox_on_event_loop


def loop_sequence(
    client: Client, timeout: float, retry_first_connection: bool
) -> Generator[LoopNeed, MQTTErrorCode, MQTTErrorCode]:
    """The sequence of :meth:`loop_forever`."""
    while True:
        rc = yield from _running_connection(client, timeout, retry_first_connection)
        if should_exit(client) or not client._ox_settings.reconnect_on_failure:
            return rc
        yield from _backing_off(client)
        if should_exit(client):
            return rc
        if not connect_due(client) and client._sock is None:
            yield from _trying_reconnect(client, retry=True)


def _running_connection(
    client: Client, timeout: float, retry_first_connection: bool
) -> Generator[LoopNeed, MQTTErrorCode, MQTTErrorCode]:
    """Runs until the connection ends or the loop has to."""
    while True:
        if connect_due(client):
            if not (yield from _trying_reconnect(client, retry=retry_first_connection)):
                yield from _backing_off(client)
            if should_exit(client):
                return _NO_CONN
            continue
        if client._sock is None and _dialled_elsewhere(client):
            yield Pause(min(timeout, _LONGEST_WAIT))
            rc = _SUCCESS
        elif client._sock is None:  # a subclass with a `_loop` of its own takes it for granted
            rc = _NO_CONN
        else:
            rc = yield Round(timeout)
        if client._thread_terminate:
            yield from _finishing(client)
            return MQTTErrorCode.MQTT_ERR_NOMEM
        if rc != _SUCCESS and not connect_due(client):
            return rc


def connect_due(client: Client) -> bool:
    """``connect_async()`` was called, and the loop has yet to dial."""
    return client._state is _ConnectionState.MQTT_CS_CONNECT_ASYNC


def _dialled_elsewhere(client: Client) -> bool:
    """No connection yet, but another thread makes one or is about to."""
    own_thread = client._thread is threading.current_thread()
    is_new = client._state is _ConnectionState.MQTT_CS_NEW and own_thread
    return (is_new or client._ox_dialling) and not should_exit(client)


def _trying_reconnect(client: Client, retry: bool) -> Generator[LoopNeed, MQTTErrorCode, bool]:
    """Reconnects; a failure goes to ``on_connect_fail`` and, without ``retry``, to the caller."""
    try:
        yield Reconnect()
    except OSError:
        _connect_failed(client)
        if not retry:
            raise
        client._easy_log(LogLevel.MQTT_LOG_DEBUG, "Connection failed, retrying")
        return False
    return True


def _connect_failed(client: Client) -> None:
    callback = client.on_connect_fail
    if callback is None:
        return
    with client._ox_calling:
        try:
            callback(client, client._userdata)
        except Exception as error:
            line = "Caught exception in on_connect_fail: %s"
            client._easy_log(LogLevel.MQTT_LOG_ERR, line, error)


def _backing_off(client: Client) -> Generator[LoopNeed, MQTTErrorCode, None]:
    """Waits before a reconnect: longer each time, unless the connection had lasted."""
    delay = client._reconnect_delay
    lasted = time.monotonic() - client._ox_connack_at
    if delay is None or (client._ox_connack_at and lasted >= delay):
        delay = client._ox_settings.reconnect_min_delay
    else:
        delay = min(delay * 2, client._ox_settings.reconnect_max_delay)
    client._reconnect_delay = delay
    client._ox_connack_at = 0.0
    import random

    # Clients that lost the same broker must not come back in step.
    until = time.monotonic() + delay * random.uniform(0.5, 1.0)
    while not should_exit(client) and client._sock is None:
        left = until - time.monotonic()
        if left <= 0:
            return
        yield Pause(min(left, _LONGEST_WAIT))


def _finishing(client: Client) -> Generator[LoopNeed, MQTTErrorCode, None]:
    """Gives what is on its way a moment, so that its callbacks are not lost."""
    until = time.monotonic() + _STOP_GRACE
    while client._sock is not None and (
        client._ox_engine.unfinished
        or client._ox_engine.unsent
        or client._state is _ConnectionState.MQTT_CS_DISCONNECTING
    ):
        left = until - time.monotonic()
        if left <= 0:
            return
        yield Pause(min(left, 0.02))
    yield Pause(0)


def dispatch_without_loop(client: Client) -> None:
    """``disconnect()`` where no loop runs: its callbacks are called here, as paho does."""
    if client._ox_engine.in_callback or has_loop(client) or client.on_socket_register_write:
        return
    if client._thread is not None or client._ox_dialling:
        return
    until = min(time.monotonic() + _DISCONNECT_GRACE, client._ox_closes_by)
    while client._sock is not None and client._state is _ConnectionState.MQTT_CS_DISCONNECTING:
        left = until - time.monotonic()
        if left <= 0:
            return
        if not client._sock._move_here(_SHORT_WAIT):
            wait(client, left)
        drain(client)
    release_descriptor(client)


def loop_start(client: Client) -> MQTTErrorCode:
    """Runs the loop on a thread of its own until :meth:`loop_stop`."""
    if sys.is_finalizing():  # before Python 3.12 it would wait for ever for the thread to start
        raise RuntimeError("can't create new thread at interpreter shutdown")
    name = f"paho-mqtt-client-{client._ox_settings.client_id.decode()}"
    thread = threading.Thread(target=client._thread_main, name=name, daemon=True)
    handled = sys.exc_info()[1]
    try:
        is_first = client._ox_seat.setdefault("loop", thread) is thread
        if client._thread is not None or not is_first:
            _leave_seat(client, thread)
            return MQTTErrorCode.MQTT_ERR_INVAL
        client._thread_terminate = False
        client._thread = thread
        thread.start()
    except BaseException as error:  # a signal may strike before it starts, or while it does
        if _decide(thread, _DROPPED) is _DROPPED:
            _leave_seat(client, thread)
        struck = error.__context__
        if isinstance(error, (KeyError, RuntimeError)) and struck not in (None, handled):
            raise struck from None  # Thread.start() stumbled over the signal's exception
        raise
    return _SUCCESS


def _leave_seat(client: Client, thread: threading.Thread) -> None:
    """The thread is not the client's any more."""
    if client._thread is thread:
        client._thread = None
    if client._ox_seat.get("loop") is thread:
        del client._ox_seat["loop"]


def loop_stop(client: Client) -> MQTTErrorCode:
    """Ends the thread of :meth:`loop_start`; the connection stays as it is."""
    thread = client._thread
    if thread is None:
        return MQTTErrorCode.MQTT_ERR_INVAL
    client._thread_terminate = True
    interrupt(client)
    if thread is threading.current_thread():
        return _SUCCESS
    join(thread, _STOP_BOUND)
    if thread.is_alive() and not (
        thread.ident in client._ox_calling or client._ox_engine.callback_runs
    ):
        join(thread, _STOP_LATEST)
    if thread.is_alive():
        return MQTTErrorCode.MQTT_ERR_AGAIN
    release_descriptor(client)
    return _SUCCESS


def thread_main(client: Client) -> None:
    thread = threading.current_thread()
    if _decide(thread, _RUNS) is not _RUNS:
        return
    try:
        client._ox_engine.survives_exceptions = True
        while True:
            try:
                client.loop_forever(retry_first_connection=True)
                return
            except Exception:
                _report_exception()
            if should_exit(client):
                return
    finally:
        client._ox_engine.survives_exceptions = False
        client._thread_terminate = False
        _leave_seat(client, thread)


def _idle_time(client: Client) -> float:
    """Seconds after which the thread looks whether it should go on, though nobody has woken it."""
    return _LONGEST_WAIT if is_own(client, "_loop") else _IDLE_WAIT


def _report_exception() -> None:
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
