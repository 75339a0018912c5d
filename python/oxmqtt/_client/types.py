"""Names for annotations: what callbacks take, and what arguments may be.

``oxmqtt.client`` has these names and imports this module when one is used, so that a program without
annotations does not pay for them.
"""

from __future__ import annotations

from typing import Any, Callable, Literal, Protocol, Union

from ..client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from ..enums import MQTTErrorCode
from ..properties import Properties
from ..reasoncodes import ReasonCode

__all__ = [
    "CallbackOnConnect",
    "CallbackOnConnectFail",
    "CallbackOnConnect_v1",
    "CallbackOnConnect_v1_mqtt3",
    "CallbackOnConnect_v1_mqtt5",
    "CallbackOnConnect_v2",
    "CallbackOnDisconnect",
    "CallbackOnDisconnect_v1",
    "CallbackOnDisconnect_v1_mqtt3",
    "CallbackOnDisconnect_v1_mqtt5",
    "CallbackOnDisconnect_v2",
    "CallbackOnLog",
    "CallbackOnMessage",
    "CallbackOnPreConnect",
    "CallbackOnPublish",
    "CallbackOnPublish_v1",
    "CallbackOnPublish_v2",
    "CallbackOnSocket",
    "CallbackOnSubscribe",
    "CallbackOnSubscribe_v1",
    "CallbackOnSubscribe_v1_mqtt3",
    "CallbackOnSubscribe_v1_mqtt5",
    "CallbackOnSubscribe_v2",
    "CallbackOnUnsubscribe",
    "CallbackOnUnsubscribe_v1",
    "CallbackOnUnsubscribe_v1_mqtt3",
    "CallbackOnUnsubscribe_v1_mqtt5",
    "CallbackOnUnsubscribe_v2",
    "CleanStartOption",
    "HTTPHeader",
    "PayloadType",
    "SocketLike",
    "WebSocketHeaders",
]

#: What ``publish()`` and ``will_set()`` send: text as UTF-8, numbers in decimal, None as nothing.
PayloadType = Union[str, bytes, bytearray, int, float, None]

#: ``clean_start`` of MQTT 5.0; 3 is ``MQTT_CLEAN_START_FIRST_ONLY``.
CleanStartOption = Union[bool, Literal[3]]

HTTPHeader = dict[str, str]
#: Headers to add to those of the WebSocket handshake, or a function from the usual ones to one's own.
WebSocketHeaders = Union[Callable[[HTTPHeader], HTTPHeader], HTTPHeader]


class SocketLike(Protocol):
    """What ``on_socket_open`` and its relatives get; an event loop needs its ``fileno()``."""

    def recv(self, buffer_size: int, /) -> bytes: ...

    def send(self, buffer: bytes | bytearray, /) -> int: ...

    def close(self) -> None: ...

    def fileno(self) -> int: ...

    def setblocking(self, flag: bool, /) -> None: ...


# Callbacks. "v1" and "v2" are the callback API versions, "mqtt3" and "mqtt5" protocol versions; each
# takes the client and its userdata first.

_MaybeProperties = Union[Properties, None]

CallbackOnPreConnect = Callable[[Client, Any], None]
CallbackOnConnectFail = Callable[[Client, Any], None]
CallbackOnMessage = Callable[[Client, Any, MQTTMessage], None]
CallbackOnLog = Callable[[Client, Any, int, str], None]
CallbackOnSocket = Callable[[Client, Any, SocketLike], None]

CallbackOnConnect_v1_mqtt3 = Callable[[Client, Any, dict[str, Any], MQTTErrorCode], None]
CallbackOnConnect_v1_mqtt5 = Callable[
    [Client, Any, dict[str, Any], ReasonCode, _MaybeProperties], None
]
CallbackOnConnect_v1 = Union[CallbackOnConnect_v1_mqtt5, CallbackOnConnect_v1_mqtt3]
CallbackOnConnect_v2 = Callable[[Client, Any, ConnectFlags, ReasonCode, _MaybeProperties], None]
CallbackOnConnect = Union[CallbackOnConnect_v1, CallbackOnConnect_v2]

CallbackOnDisconnect_v1_mqtt3 = Callable[[Client, Any, MQTTErrorCode], None]
CallbackOnDisconnect_v1_mqtt5 = Callable[
    [Client, Any, Union[ReasonCode, int, None], _MaybeProperties], None
]
CallbackOnDisconnect_v1 = Union[CallbackOnDisconnect_v1_mqtt3, CallbackOnDisconnect_v1_mqtt5]
CallbackOnDisconnect_v2 = Callable[
    [Client, Any, DisconnectFlags, ReasonCode, _MaybeProperties], None
]
CallbackOnDisconnect = Union[CallbackOnDisconnect_v1, CallbackOnDisconnect_v2]

CallbackOnPublish_v1 = Callable[[Client, Any, int], None]
CallbackOnPublish_v2 = Callable[[Client, Any, int, ReasonCode, Properties], None]
CallbackOnPublish = Union[CallbackOnPublish_v1, CallbackOnPublish_v2]

CallbackOnSubscribe_v1_mqtt3 = Callable[[Client, Any, int, tuple[int, ...]], None]
CallbackOnSubscribe_v1_mqtt5 = Callable[[Client, Any, int, list[ReasonCode], Properties], None]
CallbackOnSubscribe_v1 = Union[CallbackOnSubscribe_v1_mqtt3, CallbackOnSubscribe_v1_mqtt5]
CallbackOnSubscribe_v2 = Callable[[Client, Any, int, list[ReasonCode], _MaybeProperties], None]
CallbackOnSubscribe = Union[CallbackOnSubscribe_v1, CallbackOnSubscribe_v2]

CallbackOnUnsubscribe_v1_mqtt3 = Callable[[Client, Any, int], None]
CallbackOnUnsubscribe_v1_mqtt5 = Callable[
    [Client, Any, int, Properties, Union[ReasonCode, list[ReasonCode]]], None
]
CallbackOnUnsubscribe_v1 = Union[CallbackOnUnsubscribe_v1_mqtt3, CallbackOnUnsubscribe_v1_mqtt5]
CallbackOnUnsubscribe_v2 = Callable[[Client, Any, int, list[ReasonCode], _MaybeProperties], None]
CallbackOnUnsubscribe = Union[CallbackOnUnsubscribe_v1, CallbackOnUnsubscribe_v2]
