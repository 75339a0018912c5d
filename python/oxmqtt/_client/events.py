"""From the engine to the callbacks: each event in the form that the callback version wants.

The engine calls ``_handle_*`` on the thread that runs the loop, with no lock held.
"""

from __future__ import annotations

import threading
import time
from typing import Any

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
    reason_code,
)
from .dialling import Dialling, random_client_id
from .log import connack_line, packet_line, publish_line

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


class Events(Dialling):
    """What happens on a connection, told to the callbacks."""

    @property
    def _version1(self) -> bool:
        version = self._callback_api_version
        if version not in (CallbackAPIVersion.VERSION1, CallbackAPIVersion.VERSION2):
            raise RuntimeError("Unsupported callback API version")
        return version is CallbackAPIVersion.VERSION1

    def _call(self, name: str, *args: Any) -> None:
        """Calls a callback, if there is one; its exception is logged, and goes on unless suppressed."""
        callback = getattr(self, name)
        if callback is None:
            return
        with self._calling:
            try:
                result = callback(self, self._userdata, *args)
            except Exception as error:
                self._easy_log(LogLevel.MQTT_LOG_ERR, f"Caught exception in {name}: %s", error)
                if not self.suppress_exceptions:
                    raise
            else:
                if self._on_event_loop and hasattr(result, "__await__"):
                    self._defer([result], None)

    def _defer(self, awaitables: list[Any], ack_due: tuple[int, int, int] | None) -> None:
        """Lets the event loop await what a callback returned, before it calls any other.

        ``ack_due`` names the message that is to be acknowledged then.
        """
        self._deferred.append((awaitables, ack_due))
        self._engine.pause()

    def _handle_connack(self, session_present: bool, code: int, packed: bytes | None) -> None:
        flags = int(session_present)
        if self._protocol == MQTTProtocolVersion.MQTTv311 and self._retry_refused(flags, code):
            return
        if self._v5:
            reason = reason_code(PacketTypes.CONNACK, code)
            properties: Properties | None = unpack(PacketTypes.CONNACK, packed)
            keep_alive = getattr(properties, "ServerKeepAlive", None)
            if keep_alive is not None:
                self._keepalive = keep_alive
        else:
            reason = convert_connack_rc_to_reason_code(code)
            properties = None
        if code == 0:
            if self._state is _ConnectionState.MQTT_CS_CONNECTING:
                self._state = _ConnectionState.MQTT_CS_CONNECTED
            self._connected_at = time.monotonic()
        line, args = connack_line(flags, reason if self._v5 else code, properties, self._v5)
        self._easy_log(_DEBUG, line, *args)
        self._mqttv5_first_connect = False
        if not self._version1:
            if properties is None:
                properties = Properties(PacketTypes.CONNACK)
            self._call("on_connect", ConnectFlags(session_present), reason, properties)
            return
        flags_dict = ConnectFlagsDict({"session present": flags})
        if self._v5:
            self._call("on_connect", flags_dict, reason, properties)
        else:
            self._call("on_connect", flags_dict, code)

    def _handle_auth(self, code: int, packed: bytes | None) -> None:
        reason = reason_code(PacketTypes.AUTH, code)
        self._easy_log(_DEBUG, "Received AUTH %s", reason)
        if self._on_auth is not None:
            self._on_auth(reason, unpack(PacketTypes.AUTH, packed))

    def _retry_refused(self, flags: int, code: int) -> bool:
        """Tries MQTT 3.1 or an own client identifier where the broker wants that."""
        if not self._reconnect_on_failure:
            return False
        if code == ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION:
            what = "attempting downgrade to MQTT v3.1."
            self._protocol = MQTTProtocolVersion.MQTTv31
        elif code == ConnackCode.CONNACK_REFUSED_IDENTIFIER_REJECTED and self._client_id == b"":
            what = "attempting to use non-empty CID"
            self._client_id = random_client_id()
        else:
            return False
        self._easy_log(_DEBUG, f"Received CONNACK (%s, %s), {what}", flags, code)
        self.reconnect()
        return True

    def _handle_closed(
        self, kind: str, code: int | None, packed: bytes | None, text: str
    ) -> MQTTErrorCode:
        """``code`` and ``packed`` are those of the broker's DISCONNECT, None where it had none."""
        rc = _CLOSED[kind]
        if kind == "refused" and self._v5:
            rc = MQTTErrorCode.MQTT_ERR_PROTOCOL
        if kind == "protocol":
            self._easy_log(_DEBUG, "Received malformed packet: %s", text)
        error = None if self._sock is None else self._sock._error()
        if error is not None:
            self._easy_log(LogLevel.MQTT_LOG_ERR, "failed to receive on socket: %s", error)
        if kind == "requested" or self._state is _ConnectionState.MQTT_CS_DISCONNECTING:
            sock = self._sock
            try:
                self._disconnected(MQTTErrorCode.MQTT_ERR_SUCCESS)
            finally:
                if self._sock is sock:  # the callback did not connect again
                    self._state = _ConnectionState.MQTT_CS_DISCONNECTED
                    self._sock_close()
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        if kind != "refused":
            self._state = _ConnectionState.MQTT_CS_CONNECTION_LOST
        try:
            self._sock_close()
        finally:
            if kind != "by_server":
                self._disconnected(rc)
            else:
                if self._v5:
                    self._easy_log(
                        _DEBUG,
                        "Received DISCONNECT %s %s",
                        None if code is None else reason_code(PacketTypes.DISCONNECT, code),
                        None if packed is None else unpack(PacketTypes.DISCONNECT, packed),
                    )
                self._disconnected(rc, from_server=True, code=code, packed=packed)
        if kind in ("keep_alive", "connack_timeout"):
            return MQTTErrorCode.MQTT_ERR_CONN_LOST
        return rc

    def _disconnected(
        self,
        rc: MQTTErrorCode,
        *,
        from_server: bool = False,
        code: int | None = None,
        packed: bytes | None = None,
    ) -> None:
        """Calls ``on_disconnect``; VERSION1 gets None for what the broker's DISCONNECT left out."""
        reason = None if code is None else reason_code(PacketTypes.DISCONNECT, code)
        if not self._version1:
            if reason is None:
                reason = convert_disconnect_error_code_to_reason_code(rc)
            properties = unpack(PacketTypes.DISCONNECT, packed)
            self._call("on_disconnect", DisconnectFlags(from_server), reason, properties)
        elif not self._v5:
            self._call("on_disconnect", rc)
        elif from_server:
            given = None if packed is None else unpack(PacketTypes.DISCONNECT, packed)
            self._call("on_disconnect", reason, given)
        else:
            self._call("on_disconnect", rc, None)

    def _handle_suback(self, mid: int, codes: bytes, packed: bytes | None) -> None:
        self._easy_log(_DEBUG, "Received SUBACK")
        if self._version1 and not self._v5:
            self._call("on_subscribe", mid, tuple(codes))
            return
        reasons = [reason_code(PacketTypes.SUBACK, code) for code in codes]
        self._call("on_subscribe", mid, reasons, unpack(PacketTypes.SUBACK, packed))

    def _handle_unsuback(self, mid: int, codes: bytes, packed: bytes | None) -> None:
        self._easy_log(_DEBUG, "Received UNSUBACK (Mid: %d)", mid)
        reasons = [reason_code(PacketTypes.UNSUBACK, code) for code in codes]
        properties = unpack(PacketTypes.UNSUBACK, packed)
        if not self._version1:
            self._call("on_unsubscribe", mid, reasons, properties)
        elif self._v5:
            answer = reasons[0] if len(reasons) == 1 else reasons
            self._call("on_unsubscribe", mid, properties, answer)
        else:
            self._call("on_unsubscribe", mid)

    def _handle_published(
        self, mid: int, packet_type: int, code: int, packed: bytes | None
    ) -> None:
        if self._version1 and not self._has_own_on_publish:
            self._call("on_publish", mid)
        else:
            reason = reason_code(packet_type, code)
            self._do_on_publish(mid, reason, unpack(packet_type, packed))

    def _do_on_publish(
        self, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> MQTTErrorCode:
        """Calls ``on_publish``; programs wrap it."""
        if self._version1:
            self._call("on_publish", mid)
        else:
            self._call("on_publish", mid, reason_code, properties)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _callbacks_for(self, topic: str) -> tuple[Any, ...]:
        return tuple(self._on_message_filtered.iter_match(topic))

    def _message_callback_failed(self, callback: Any, error: BaseException) -> bool:
        """Logs it; whether the exception goes no further."""
        if callback is None:
            self._easy_log(LogLevel.MQTT_LOG_ERR, "Caught exception in on_message: %s", error)
        else:
            self._easy_log(
                LogLevel.MQTT_LOG_ERR,
                "Caught exception in user defined callback function %s: %s",
                getattr(callback, "__name__", repr(callback)),
                error,
            )
        return self.suppress_exceptions and isinstance(error, Exception)

    def _log_message(self, message: Any) -> None:
        traits = (message.dup, message.qos, message.retain, message.mid)
        size, properties = len(message.payload), message.properties
        line, args = publish_line(False, traits, message.topic, size, properties, self._v5)
        self._easy_log(_DEBUG, line, *args)

    def _log_publish(
        self, qos: int, retain: bool, mid: int, topic: str, properties: Any, size: int
    ) -> None:
        traits = (False, qos, retain, mid)
        name = topic.encode("utf-8")
        line, args = publish_line(True, traits, name, size, properties, self._v5)  # type: ignore[arg-type]
        self._easy_log(_DEBUG, line, *args)

    def _log_resend(self, message: Any) -> None:
        traits = (True, message.qos, message.retain, message.mid)
        size, properties = len(message.payload), message.properties
        name = message.topic.encode("utf-8")
        line, args = publish_line(True, traits, name, size, properties, self._v5)
        self._easy_log(_DEBUG, line, *args)

    def _log_packet(self, sent: bool, name: str, mid: int | None) -> None:
        line, args = packet_line(sent, name, mid)
        self._easy_log(_DEBUG, line, *args)
