"""From the engine to the callbacks: each event in the form that the callback version wants.

The engine calls ``_handle_*`` on the thread that runs the loop, with no lock held.
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
    reason_code,
)
from .dialling import Dialling, random_client_id
from .log import connack_line, packet_line, publish_line

if TYPE_CHECKING:
    from .._native import MQTTMessage

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


def _handle_message(client: Events, userdata: Any, message: MQTTMessage) -> None:
    """Stands for the callbacks where the program has a ``_handle_on_message`` of its own."""
    client._handle_on_message(message)


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

    def _connack_came(self, *connack: Any) -> None:
        self._connack = connack
        self._handle_connack()

    def _handle_connack(self) -> MQTTErrorCode:
        """Calls ``on_connect``; programs wrap it, and look at the result."""
        session_present, code, packed = self._connack
        flags = int(session_present)
        if self._protocol == MQTTProtocolVersion.MQTTv311 and self._retry_refused(flags, code):
            return MQTTErrorCode.MQTT_ERR_SUCCESS
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
            self._connack_at = time.monotonic()
        line, args = connack_line(flags, reason if self._v5 else code, properties, self._v5)
        self._easy_log(_DEBUG, line, *args)
        self._mqttv5_first_connect = False
        if not self._version1:
            if properties is None:
                properties = Properties(PacketTypes.CONNACK)
            self._call("on_connect", ConnectFlags(session_present), reason, properties)
        elif self._v5:
            flags_dict = ConnectFlagsDict({"session present": flags})
            self._call("on_connect", flags_dict, reason, properties)
        else:
            self._call("on_connect", ConnectFlagsDict({"session present": flags}), code)
        is_accepted = code == 0
        return (
            MQTTErrorCode.MQTT_ERR_SUCCESS if is_accepted else MQTTErrorCode.MQTT_ERR_CONN_REFUSED
        )

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
                self._do_on_disconnect(False, MQTTErrorCode.MQTT_ERR_SUCCESS)
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
                self._do_on_disconnect(False, rc)
            else:
                reason = None if code is None else reason_code(PacketTypes.DISCONNECT, code)
                properties = None if packed is None else unpack(PacketTypes.DISCONNECT, packed)
                if self._v5:
                    self._easy_log(_DEBUG, "Received DISCONNECT %s %s", reason, properties)
                self._do_on_disconnect(True, rc, reason, properties)
        if kind in ("keep_alive", "connack_timeout"):
            return MQTTErrorCode.MQTT_ERR_CONN_LOST
        return rc

    def _do_on_disconnect(
        self,
        packet_from_broker: bool,
        v1_rc: MQTTErrorCode,
        reason: ReasonCode | None = None,
        properties: Properties | None = None,
    ) -> None:
        """Calls ``on_disconnect``; programs wrap it. VERSION1 gets None for what the broker's
        DISCONNECT left out.
        """
        if not self._version1:
            if reason is None:
                reason = convert_disconnect_error_code_to_reason_code(v1_rc)
            if properties is None:
                properties = Properties(PacketTypes.DISCONNECT)
            self._call("on_disconnect", DisconnectFlags(packet_from_broker), reason, properties)
        elif not self._v5:
            self._call("on_disconnect", v1_rc)
        elif packet_from_broker:
            self._call("on_disconnect", reason, properties)
        else:
            self._call("on_disconnect", v1_rc, None)

    def _suback_came(self, mid: int, codes: bytes, packed: bytes | None) -> None:
        self._easy_log(_DEBUG, "Received SUBACK")
        if self._version1 and not self._v5:
            self._call("on_subscribe", mid, tuple(codes))
            return
        reasons = [reason_code(PacketTypes.SUBACK, code) for code in codes]
        self._call("on_subscribe", mid, reasons, unpack(PacketTypes.SUBACK, packed))

    def _unsuback_came(self, mid: int, codes: bytes, packed: bytes | None) -> None:
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
        if self._is_own("_handle_on_message"):
            return (_handle_message,)
        return tuple(self._on_message_filtered.iter_match(topic))

    def _handle_on_message(self, message: MQTTMessage) -> None:
        """Calls the callbacks for a message; programs override it, and call it in their tests."""
        try:
            filtered = tuple(self._on_message_filtered.iter_match(message.topic))
        except UnicodeDecodeError:
            filtered = ()
        for callback in filtered or (self.on_message,):
            if callback is None:
                return
            try:
                callback(self, self._userdata, message)
            except Exception as error:
                if not self._message_callback_failed(callback if filtered else None, error):
                    raise

    def _message_callback_failed(self, callback: Any, error: BaseException) -> bool:
        """Logs it; whether the exception goes no further."""
        if callback is _handle_message:
            return False  # the program's own method has seen it
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
