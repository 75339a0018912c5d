"""From the engine to the callbacks: each event in the form that the callback version wants.

The engine calls these by way of ``handlers.py``, on the thread that runs the loop, with no lock held.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..enums import (
    CallbackAPIVersion,
    ConnackCode,
    LogLevel,
    MQTTErrorCode,
    MQTTProtocolVersion,
    _ConnectionState,
)
from ..packettypes import PacketTypes
from ..properties import Properties
from ..reasoncodes import ReasonCode
from .codes import (
    ConnectFlags,
    ConnectFlagsDict,
    DisconnectFlags,
    convert_connack_rc_to_reason_code,
    convert_disconnect_error_code_to_reason_code,
    random_client_id,
    reason_code,
)
from .listening import is_own
from .log import connack_line

if TYPE_CHECKING:
    from .._native import MQTTMessage
    from ..client import Client

_DEBUG = LogLevel.MQTT_LOG_DEBUG

#: How a connection ended, by the engine's word, as paho's result code.
_CLOSED = {
    "requested": MQTTErrorCode.MQTT_ERR_SUCCESS,
    "by_server": MQTTErrorCode.MQTT_ERR_SUCCESS,
    "refused": MQTTErrorCode.MQTT_ERR_CONN_REFUSED,
    "protocol": MQTTErrorCode.MQTT_ERR_PROTOCOL,
    "keep_alive": MQTTErrorCode.MQTT_ERR_KEEPALIVE,
    "connack_timeout": MQTTErrorCode.MQTT_ERR_KEEPALIVE,
    "lost": MQTTErrorCode.MQTT_ERR_CONN_LOST,
}


def unpack(packet_type: int, packed: bytes | None) -> Properties:
    """Received properties; empty ones for None."""
    properties = Properties(packet_type)
    if packed is not None:
        properties.unpack(packed)
    return properties


def _handle_message(client: Client, userdata: Any, message: MQTTMessage) -> None:
    """Stands for the callbacks where the program has a ``_handle_on_message`` of its own."""
    client._handle_on_message(message)


def _version1(client: Client) -> bool:
    version = client._ox_settings.callback_api_version
    if version not in (CallbackAPIVersion.VERSION1, CallbackAPIVersion.VERSION2):
        raise RuntimeError("Unsupported callback API version")
    return version is CallbackAPIVersion.VERSION1


def call(client: Client, name: str, *args: Any) -> None:
    """Calls a callback, if there is one; its exception is logged, and goes on unless suppressed."""
    callback = getattr(client, name)
    if callback is None:
        return
    with client._ox_calling:
        try:
            result = callback(client, client._userdata, *args)
        except Exception as error:
            client._easy_log(LogLevel.MQTT_LOG_ERR, f"Caught exception in {name}: %s", error)
            if not client.suppress_exceptions:
                raise
        else:
            if client._ox_on_event_loop and hasattr(result, "__await__"):
                defer(client, [result], None)


def defer(client: Client, awaitables: list[Any], ack_due: tuple[int, int, int] | None) -> None:
    """Lets the event loop await what a callback returned, before it calls any other.

    ``ack_due`` names the message that is to be acknowledged then.
    """
    client._ox_deferred.append((awaitables, ack_due))
    client._ox_engine.pause()


def connack_came(client: Client, *connack: Any) -> None:
    client._ox_connack = connack
    client._handle_connack()


def handle_connack(client: Client) -> MQTTErrorCode:
    """Calls ``on_connect``; programs wrap it, and look at the result."""
    session_present, code, packed = client._ox_connack
    flags = int(session_present)
    if client._ox_settings.protocol == MQTTProtocolVersion.MQTTv311 and _retry_refused(
        client, flags, code
    ):
        return MQTTErrorCode.MQTT_ERR_SUCCESS
    if client._ox_settings.is_v5:
        reason = reason_code(PacketTypes.CONNACK, code)
        properties: Properties | None = unpack(PacketTypes.CONNACK, packed)
        keep_alive = getattr(properties, "ServerKeepAlive", None)
        if keep_alive is not None:
            client._ox_settings.keepalive = keep_alive
    else:
        reason = convert_connack_rc_to_reason_code(code)
        properties = None
    if code == 0:
        if client._state is _ConnectionState.MQTT_CS_CONNECTING:
            client._state = _ConnectionState.MQTT_CS_CONNECTED
        client._ox_connack_at = time.monotonic()
    line, args = connack_line(
        flags, reason if client._ox_settings.is_v5 else code, properties, client._ox_settings.is_v5
    )
    client._easy_log(_DEBUG, line, *args)
    client._ox_settings.mqttv5_first_connect = False
    if not _version1(client):
        if properties is None:
            properties = Properties(PacketTypes.CONNACK)
        call(client, "on_connect", ConnectFlags(session_present), reason, properties)
    elif client._ox_settings.is_v5:
        flags_dict = ConnectFlagsDict({"session present": flags})
        call(client, "on_connect", flags_dict, reason, properties)
    else:
        call(client, "on_connect", ConnectFlagsDict({"session present": flags}), code)
    is_accepted = code == 0
    return MQTTErrorCode.MQTT_ERR_SUCCESS if is_accepted else MQTTErrorCode.MQTT_ERR_CONN_REFUSED


def handle_auth(client: Client, code: int, packed: bytes | None) -> None:
    reason = reason_code(PacketTypes.AUTH, code)
    client._easy_log(_DEBUG, "Received AUTH %s", reason)
    if client._ox_on_auth is not None:
        client._ox_on_auth(reason, unpack(PacketTypes.AUTH, packed))


def _retry_refused(client: Client, flags: int, code: int) -> bool:
    """Tries MQTT 3.1 or an own client identifier where the broker wants that."""
    if not client._ox_settings.reconnect_on_failure:
        return False
    if code == ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION:
        what = "attempting downgrade to MQTT v3.1."
        client._ox_settings.protocol = MQTTProtocolVersion.MQTTv31
    elif (
        code == ConnackCode.CONNACK_REFUSED_IDENTIFIER_REJECTED
        and client._ox_settings.client_id == b""
    ):
        what = "attempting to use non-empty CID"
        client._ox_settings.client_id = random_client_id()
    else:
        return False
    client._easy_log(_DEBUG, f"Received CONNACK (%s, %s), {what}", flags, code)
    client.reconnect()
    return True


def handle_closed(
    client: Client, kind: str, code: int | None, packed: bytes | None, text: str
) -> MQTTErrorCode:
    """``code`` and ``packed`` are those of the broker's DISCONNECT, None where it had none."""
    rc = _CLOSED[kind]
    if kind == "refused" and client._ox_settings.is_v5:
        rc = MQTTErrorCode.MQTT_ERR_PROTOCOL
    if kind == "protocol":
        client._easy_log(_DEBUG, "Received malformed packet: %s", text)
    error = None if client._sock is None else client._sock._error()
    if error is not None:
        client._easy_log(LogLevel.MQTT_LOG_ERR, "failed to receive on socket: %s", error)
    if kind == "requested" or client._state is _ConnectionState.MQTT_CS_DISCONNECTING:
        sock = client._sock
        try:
            client._do_on_disconnect(False, MQTTErrorCode.MQTT_ERR_SUCCESS)
        finally:
            if client._sock is sock:  # the callback did not connect again
                client._state = _ConnectionState.MQTT_CS_DISCONNECTED
                client._sock_close()
        return MQTTErrorCode.MQTT_ERR_SUCCESS
    if kind != "refused":
        client._state = _ConnectionState.MQTT_CS_CONNECTION_LOST
    try:
        client._sock_close()
    finally:
        if kind != "by_server":
            client._do_on_disconnect(False, rc)
        else:
            reason = None if code is None else reason_code(PacketTypes.DISCONNECT, code)
            properties = None if packed is None else unpack(PacketTypes.DISCONNECT, packed)
            if client._ox_settings.is_v5:
                client._easy_log(_DEBUG, "Received DISCONNECT %s %s", reason, properties)
            client._do_on_disconnect(True, rc, reason, properties)
    if kind in ("keep_alive", "connack_timeout"):
        return MQTTErrorCode.MQTT_ERR_CONN_LOST
    return rc


def do_on_disconnect(
    client: Client,
    packet_from_broker: bool,
    v1_rc: MQTTErrorCode,
    reason: ReasonCode | None = None,
    properties: Properties | None = None,
) -> None:
    """Calls ``on_disconnect``; programs wrap it. VERSION1 gets None for what the broker's
    DISCONNECT left out.
    """
    if not _version1(client):
        if reason is None:
            reason = convert_disconnect_error_code_to_reason_code(v1_rc)
        if properties is None:
            properties = Properties(PacketTypes.DISCONNECT)
        call(client, "on_disconnect", DisconnectFlags(packet_from_broker), reason, properties)
    elif not client._ox_settings.is_v5:
        call(client, "on_disconnect", v1_rc)
    elif packet_from_broker:
        call(client, "on_disconnect", reason, properties)
    else:
        call(client, "on_disconnect", v1_rc, None)


def suback_came(client: Client, mid: int, codes: bytes, packed: bytes | None) -> None:
    client._easy_log(_DEBUG, "Received SUBACK")
    if _version1(client) and not client._ox_settings.is_v5:
        call(client, "on_subscribe", mid, tuple(codes))
        return
    reasons = [reason_code(PacketTypes.SUBACK, code) for code in codes]
    call(client, "on_subscribe", mid, reasons, unpack(PacketTypes.SUBACK, packed))


def unsuback_came(client: Client, mid: int, codes: bytes, packed: bytes | None) -> None:
    client._easy_log(_DEBUG, "Received UNSUBACK (Mid: %d)", mid)
    reasons = [reason_code(PacketTypes.UNSUBACK, code) for code in codes]
    properties = unpack(PacketTypes.UNSUBACK, packed)
    if not _version1(client):
        call(client, "on_unsubscribe", mid, reasons, properties)
    elif client._ox_settings.is_v5:
        answer = reasons[0] if len(reasons) == 1 else reasons
        call(client, "on_unsubscribe", mid, properties, answer)
    else:
        call(client, "on_unsubscribe", mid)


def handle_published(
    client: Client, mid: int, packet_type: int, code: int, packed: bytes | None
) -> None:
    if _version1(client) and not client._ox_has_own_on_publish:
        call(client, "on_publish", mid)
    else:
        reason = reason_code(packet_type, code)
        client._do_on_publish(mid, reason, unpack(packet_type, packed))


def do_on_publish(
    client: Client, mid: int, reason_code: ReasonCode, properties: Properties
) -> MQTTErrorCode:
    """Calls ``on_publish``; programs wrap it."""
    if _version1(client):
        call(client, "on_publish", mid)
    else:
        call(client, "on_publish", mid, reason_code, properties)
    return MQTTErrorCode.MQTT_ERR_SUCCESS


def callbacks_for(client: Client, topic: str) -> tuple[Any, ...]:
    if is_own(client, "_handle_on_message"):
        return (_handle_message,)
    return tuple(client._on_message_filtered.iter_match(topic))


def handle_on_message(client: Client, message: MQTTMessage) -> None:
    """Calls the callbacks for a message; programs override it, and call it in their tests."""
    try:
        filtered = tuple(client._on_message_filtered.iter_match(message.topic))
    except UnicodeDecodeError:
        filtered = ()
    for callback in filtered or (client.on_message,):
        if callback is None:
            return
        try:
            callback(client, client._userdata, message)
        except Exception as error:
            if not message_callback_failed(client, callback if filtered else None, error):
                raise


def message_callback_failed(client: Client, callback: Any, error: BaseException) -> bool:
    """Logs it; whether the exception goes no further."""
    if callback is _handle_message:
        return False  # the program's own method has seen it
    if callback is None:
        client._easy_log(LogLevel.MQTT_LOG_ERR, "Caught exception in on_message: %s", error)
    else:
        client._easy_log(
            LogLevel.MQTT_LOG_ERR,
            "Caught exception in user defined callback function %s: %s",
            getattr(callback, "__name__", repr(callback)),
            error,
        )
    return client.suppress_exceptions and isinstance(error, Exception)
