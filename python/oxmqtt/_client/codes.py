"""Result codes of paho and return codes of CONNACK: their texts and their reason codes."""

from __future__ import annotations

from typing import NamedTuple

from ..enums import ConnackCode, MQTTErrorCode
from ..packettypes import PacketTypes
from ..reasoncodes import ReasonCode

_ERROR_TEXTS: dict[int, str] = {
    MQTTErrorCode.MQTT_ERR_SUCCESS: "No error.",
    MQTTErrorCode.MQTT_ERR_NOMEM: "Out of memory.",
    MQTTErrorCode.MQTT_ERR_PROTOCOL: "A network protocol error occurred when communicating with the broker.",
    MQTTErrorCode.MQTT_ERR_INVAL: "Invalid function arguments provided.",
    MQTTErrorCode.MQTT_ERR_NO_CONN: "The client is not currently connected.",
    MQTTErrorCode.MQTT_ERR_CONN_REFUSED: "The connection was refused.",
    MQTTErrorCode.MQTT_ERR_NOT_FOUND: "Message not found (internal error).",
    MQTTErrorCode.MQTT_ERR_CONN_LOST: "The connection was lost.",
    MQTTErrorCode.MQTT_ERR_TLS: "A TLS error occurred.",
    MQTTErrorCode.MQTT_ERR_PAYLOAD_SIZE: "Payload too large.",
    MQTTErrorCode.MQTT_ERR_NOT_SUPPORTED: "This feature is not supported.",
    MQTTErrorCode.MQTT_ERR_AUTH: "Authorisation failed.",
    MQTTErrorCode.MQTT_ERR_ACL_DENIED: "Access denied by ACL.",
    MQTTErrorCode.MQTT_ERR_ERRNO: "Error defined by errno.",
    MQTTErrorCode.MQTT_ERR_QUEUE_SIZE: "Message queue full.",
    MQTTErrorCode.MQTT_ERR_KEEPALIVE: "Client or broker did not communicate in the keepalive interval.",
}

_CONNACK_TEXTS: dict[int, str] = {
    ConnackCode.CONNACK_ACCEPTED: "Connection Accepted.",
    ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION: "Connection Refused: unacceptable protocol version.",
    ConnackCode.CONNACK_REFUSED_IDENTIFIER_REJECTED: "Connection Refused: identifier rejected.",
    ConnackCode.CONNACK_REFUSED_SERVER_UNAVAILABLE: "Connection Refused: broker unavailable.",
    ConnackCode.CONNACK_REFUSED_BAD_USERNAME_PASSWORD: "Connection Refused: bad user name or password.",
    ConnackCode.CONNACK_REFUSED_NOT_AUTHORIZED: "Connection Refused: not authorised.",
}

_CONNACK_REASONS: dict[int, str] = {
    ConnackCode.CONNACK_ACCEPTED: "Success",
    ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION: "Unsupported protocol version",
    ConnackCode.CONNACK_REFUSED_IDENTIFIER_REJECTED: "Client identifier not valid",
    ConnackCode.CONNACK_REFUSED_SERVER_UNAVAILABLE: "Server unavailable",
    ConnackCode.CONNACK_REFUSED_BAD_USERNAME_PASSWORD: "Bad user name or password",
    ConnackCode.CONNACK_REFUSED_NOT_AUTHORIZED: "Not authorized",
}

_DISCONNECT_REASONS = {
    MQTTErrorCode.MQTT_ERR_SUCCESS: "Success",
    MQTTErrorCode.MQTT_ERR_KEEPALIVE: "Keep alive timeout",
    MQTTErrorCode.MQTT_ERR_PROTOCOL: "Protocol error",
}


class ConnectFlags(NamedTuple):
    """Flags of CONNACK, as ``on_connect`` gets them (OASIS MQTT 5.0, clause 3.2.2.1)."""

    session_present: bool


class DisconnectFlags(NamedTuple):
    """Circumstances of a disconnect, as ``on_disconnect`` gets them."""

    is_disconnect_packet_from_server: bool


class ConnectFlagsDict(dict):  # type: ignore[type-arg]
    """``{"session present": 0 or 1}`` of callback API version 1, readable as an attribute too."""

    @property
    def session_present(self) -> bool:
        return bool(self["session present"])


_UNKNOWN_REASON = "Connection Refused: unknown reason."


def error_string(mqtt_errno: MQTTErrorCode | int) -> str:
    """The text for a result code (``MQTT_ERR_*``)."""
    try:
        return _ERROR_TEXTS.get(mqtt_errno, "Unknown error.")
    except TypeError:  # not even a key
        return "Unknown error."


def connack_string(connack_code: int | ReasonCode) -> str:
    """The text for a CONNACK return code of MQTT 3.x, or the name of a reason code."""
    if isinstance(connack_code, ReasonCode):
        return str(connack_code)
    try:
        return _CONNACK_TEXTS.get(connack_code, _UNKNOWN_REASON)
    except TypeError:  # not even a key
        return _UNKNOWN_REASON


def convert_connack_rc_to_reason_code(connack_code: ConnackCode | int) -> ReasonCode:
    """The reason code that says what a CONNACK return code of MQTT 3.x says.

    Their numbers differ: compare by name, as in ``reason == "Not authorized"``.
    """
    name = _CONNACK_REASONS.get(connack_code, "Unspecified error")
    return ReasonCode(PacketTypes.CONNACK, name)


def convert_disconnect_error_code_to_reason_code(rc: MQTTErrorCode) -> ReasonCode:
    """The reason code that says what the result code of a lost connection says.

    Their numbers differ: compare by name, as in ``reason == "Keep alive timeout"``.
    """
    return ReasonCode(PacketTypes.DISCONNECT, _DISCONNECT_REASONS.get(rc, "Unspecified error"))


def reason_code(packet_type: int, value: int) -> ReasonCode:
    """A received reason code; one that the standard does not know keeps its number."""
    try:
        return ReasonCode(packet_type, identifier=value)
    except (KeyError, ValueError):
        code = ReasonCode(packet_type, "Unspecified error" if value >= 0x80 else "Success")
        code.value = value
        return code


def _base62(
    num: int,
    base: str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    padding: int = 1,
) -> str:
    """A number in base 62, filled up with zeros to ``padding`` digits."""
    if num < 0:
        raise ValueError("Number must be positive or zero")
    text = ""
    while num:
        num, digit = divmod(num, 62)
        text = base[digit] + text
    return text.rjust(padding, base[0])


def random_client_id() -> bytes:
    """A client identifier for servers that want one (MQTT 3.1 and some of 3.1.1)."""
    import uuid

    return _base62(uuid.uuid4().int, padding=22).encode("utf8")
