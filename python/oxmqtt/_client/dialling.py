"""From the settings to a connection and back: dialling, CONNECT, DISCONNECT.

Python dials (:mod:`.transport`), so each exception is exactly Python's; the connected socket then goes to
the engine.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from ..enums import LogLevel, MQTTErrorCode, PahoClientMode, _ConnectionState
from ..packettypes import PacketTypes
from ..properties import Properties
from ..reasoncodes import ReasonCode
from . import abandonable, events, loops, packets, private_names, transport
from .listening import is_logged, is_own
from .log import connect_line
from .needs import AnyNeed, Attempt
from .sequences import drive
from .settings import MQTT_CLEAN_START_FIRST_ONLY, Target

if TYPE_CHECKING:
    import socket

    from .._native import HandshakeLayers
    from ..client import Client
    from .sockets import ConnectionSocket


def connect(client: Client, target: Target) -> MQTTErrorCode:
    """Connects to a broker and sends CONNECT; the answer comes with the loop."""
    settings = client._ox_settings
    if settings.is_v5:
        settings.mqttv5_first_connect = True
    elif target.clean_start != MQTT_CLEAN_START_FIRST_ONLY:
        raise ValueError("Clean start only applies to MQTT V5")
    elif target.connect_properties:
        raise ValueError("Properties only apply to MQTT V5")
    set_target(client, target, _ConnectionState.MQTT_CS_CONNECTING)
    return client.reconnect()


def connect_async(client: Client, target: Target) -> None:
    """As :func:`connect`, but dialling is left to ``loop_start()`` or ``loop_forever()``."""
    set_target(client, target, _ConnectionState.MQTT_CS_CONNECT_ASYNC)
    loops.interrupt(client)


def set_target(client: Client, target: Target, state: _ConnectionState) -> None:
    settings = client._ox_settings
    checked = target.checked(settings.transport)
    client._sock_close()
    vars(settings).update(checked._asdict())
    client._state = state


def reconnect(client: Client) -> MQTTErrorCode:
    """Connects again to where :meth:`connect` went; works in callbacks too."""
    if sys.is_finalizing():  # a finaliser's call: no thread starts any more
        raise ConnectionAbortedError("the interpreter is shutting down")
    return drive(reconnecting(client), abandonable.run)


def reconnecting(client: Client) -> Generator[AnyNeed, Any, MQTTErrorCode]:
    """The sequence of :meth:`reconnect`: it yields what it has to wait for."""
    settings = client._ox_settings
    if len(settings.host) == 0:
        raise ValueError("Invalid host.")
    if settings.port <= 0:
        raise ValueError("Invalid port number.")
    attempt = Attempt(lambda attempt: _is_wanted(client, attempt))
    overtaken, client._ox_latest_attempt = client._ox_latest_attempt, attempt
    if overtaken is not None:
        overtaken.look_again()
    dialled_before = client._ox_dialling
    _set_dialling(client, True)
    try:
        client._state = _ConnectionState.MQTT_CS_CONNECTING
        client._sock_close()
        if attempt.is_wanted():
            events.call(client, "on_pre_connect")
        if attempt.is_wanted() and (yield from _opening(client, attempt)):
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        return _leave_it(client, attempt)
    finally:
        attempt.waker = None
        if client._ox_latest_attempt is attempt:
            client._ox_latest_attempt = None  # it holds the client, which may be dropped now
        _set_dialling(client, dialled_before)
        if client._ox_engine.looping:  # a later loop() would return at once, with nothing
            client._ox_engine.interrupt()


def _is_wanted(client: Client, attempt: Attempt) -> bool:
    """Whether this is the latest call of reconnect(), and nothing has stopped it."""
    is_stopped = client._thread_terminate and client._thread is threading.current_thread()
    is_connecting = client._state is _ConnectionState.MQTT_CS_CONNECTING
    return client._ox_latest_attempt is attempt and is_connecting and not is_stopped


def _opening(client: Client, attempt: Attempt) -> Generator[AnyNeed, Any, bool]:
    """Dials and sends CONNECT, as long as that is wanted; whether it has."""
    until = time.monotonic() + client._ox_settings.connect_timeout
    dialled: socket.socket | None = yield from transport.dialled(client, attempt, until)
    if dialled is None:
        return False
    if not attempt.is_wanted():
        dialled.close()
        return False
    try:
        client._ox_engine.descriptor()  # if there is none left, before others have hold of it
        sock = transport.wrap(client, dialled)
    except BaseException:
        dialled.close()
        raise
    layers = None
    try:
        shake_hands = transport.handshake(client, sock, until)
        if shake_hands is not None:
            layers = yield from transport.calling_elsewhere(
                attempt, until, shake_hands, lambda late: None
            )
    except BaseException:
        sock._release()
        raise
    if not attempt.is_wanted():
        sock._release()
        return False
    client._sock = sock
    try:
        events.call(client, "on_socket_open", sock)
        if not attempt.is_wanted():
            return False
        _hand_to_engine(client, sock, layers)
    except BaseException:
        if client._sock is sock:
            client._sock_close()
        raise
    return True


def _leave_it(client: Client, attempt: Attempt) -> MQTTErrorCode:
    """Leaves the connection to whoever came between."""
    if client._ox_latest_attempt is not attempt:
        return MQTTErrorCode.MQTT_ERR_SUCCESS
    client._sock_close()
    if client._state is _ConnectionState.MQTT_CS_CONNECTING:
        client._state = _ConnectionState.MQTT_CS_CONNECT_ASYNC  # for the next loop_start()
    elif client._state is _ConnectionState.MQTT_CS_DISCONNECTING:
        client._state = _ConnectionState.MQTT_CS_DISCONNECTED
    return MQTTErrorCode.MQTT_ERR_NO_CONN


def _hand_to_engine(client: Client, sock: ConnectionSocket, layers: HandshakeLayers | None) -> None:
    settings = client._ox_settings
    will: tuple[Any, ...] | None = None
    if settings.will:
        will = (
            settings.will_topic.decode("utf-8"),
            bytes(settings.will_payload),
            settings.will_qos,
            bool(settings.will_retain),
            settings.will_properties if settings.is_v5 else None,
        )
    clean = _clean_flag(client)
    has_password = settings.username is not None and settings.password is not None
    client._ox_observe()
    if is_logged(client):
        flags = (
            int(settings.username is not None),
            int(has_password),
            int(bool(settings.will and settings.will_retain)),
            settings.will_qos if settings.will else 0,
            int(settings.will),
            int(clean),
            settings.keepalive,
        )
        line, args = connect_line(
            flags,
            settings.client_id,
            settings.connect_properties,
            settings.is_v5,
        )
        client._easy_log(LogLevel.MQTT_LOG_DEBUG, line, *args)
    below = sock._below()
    descriptor, unix = sock._hand_over()
    client._ox_engine.connect(
        descriptor,
        unix=unix,
        relay=sock._relay,
        below=below,
        layers=layers,
        client_id=settings.client_id,
        clean_start=clean,
        keep_alive=settings.keepalive,
        username=settings.username,
        password=settings.password if has_password else None,
        will=will,
        properties=_announced(client) if settings.is_v5 else None,
        bridge=settings.client_mode == PahoClientMode.MQTT_BRIDGE and not settings.is_v5,
        connack_timeout=settings.connect_timeout,
        rewrite=(lambda packet: packets.rewritten_connect(client, packet))
        if is_own(client, "_packet_queue")
        else None,
    )


def _announced(client: Client) -> Properties | None:
    """The properties of CONNECT, with the bounds that the program set."""
    settings = client._ox_settings
    given = settings.connect_properties
    if settings.max_packet_size is None or hasattr(given, "MaximumPacketSize"):
        return given
    properties = Properties(PacketTypes.CONNECT)
    if given is not None:
        vars(properties).update(vars(given))
    properties.MaximumPacketSize = settings.max_packet_size
    return properties


def _clean_flag(client: Client) -> bool:
    settings = client._ox_settings
    if not settings.is_v5:
        return bool(settings.clean_session)
    if settings.clean_start == MQTT_CLEAN_START_FIRST_ONLY:
        return settings.mqttv5_first_connect
    return bool(settings.clean_start)


def close_socket(client: Client) -> None:
    """Gives the connection up; ``on_socket_close`` comes first."""
    sock, client._sock = client._sock, None
    if sock is None:
        return
    try:
        events.call(client, "on_socket_close", sock)
    finally:
        if client._sock is None:  # else the callback has connected again
            client._ox_engine.abandon()
            if client._state == _ConnectionState.MQTT_CS_CONNECTED:
                client._state = _ConnectionState.MQTT_CS_CONNECTION_LOST
        sock._release()


def disconnect(
    client: Client,
    reasoncode: ReasonCode | None = None,
    properties: Properties | None = None,
) -> MQTTErrorCode:
    """Sends DISCONNECT behind everything published so far, and ends the connection."""
    if client._sock is None:
        client._state = _ConnectionState.MQTT_CS_DISCONNECTED
        loops.interrupt(client)
        return MQTTErrorCode.MQTT_ERR_NO_CONN
    before, client._state = client._state, _ConnectionState.MQTT_CS_DISCONNECTING
    if client._ox_settings.is_v5:
        client._easy_log(
            LogLevel.MQTT_LOG_DEBUG,
            "Sending DISCONNECT reasonCode=%s properties=%s",
            reasoncode,
            properties,
        )
    else:
        client._easy_log(LogLevel.MQTT_LOG_DEBUG, "Sending DISCONNECT")
    waiting = client._ox_engine.unfinished
    if waiting:
        line = "DISCONNECT does not wait for %d messages that the broker has not acknowledged"
        client._easy_log(LogLevel.MQTT_LOG_WARNING, line, waiting)
    reason = 0 if reasoncode is None or not client._ox_settings.is_v5 else reasoncode.value
    try:
        client._ox_engine.disconnect(reason, properties if client._ox_settings.is_v5 else None)
    except BaseException:  # properties that are not valid: nothing was sent
        client._state = before
        raise
    loops.dispatch_without_loop(client)
    return MQTTErrorCode.MQTT_ERR_SUCCESS


def is_connected(client: Client) -> bool:
    """Whether the broker has accepted the connection and it still stands."""
    if client._state != _ConnectionState.MQTT_CS_CONNECTED:
        return False
    # Without a connection, the program has set the state by itself, as tests do.
    return client._ox_engine.online or client._sock is None


def reset_sockets(client: Client, sockpair_only: bool = False) -> None:
    """Gives all descriptors back; programs call it after ``loop_stop()``."""
    if not sockpair_only:
        client._sock_close()
    private_names.close_wakers(client)
    loops.release_descriptor(client)


def _set_dialling(client: Client, is_dialling: bool) -> None:
    client._ox_dialling = client._ox_engine.dialling = is_dialling
