"""The client: ``import oxmqtt.client as mqtt`` in place of ``import paho.mqtt.client as mqtt``.

This module has the names of paho's; the client itself is put together from ``oxmqtt._client``.
"""

from __future__ import annotations

import socket as _socket
import warnings
from typing import TYPE_CHECKING, Any, Literal

from ._client import closing as _closing
from ._client import constants as _constants
from ._client import process as _process
from ._client.callbacks import Callbacks as _Callbacks
from ._client.codes import (
    ConnectFlags,
    DisconnectFlags,
    connack_string,
    convert_connack_rc_to_reason_code,
    convert_disconnect_error_code_to_reason_code,
    error_string,
)
from ._client.codes import _base62 as _base62
from ._client.constants import *  # noqa: F403
from ._client.dialling import random_client_id as _random_client_id
from ._client.internals import Internals as _Internals
from ._client.log import LOGGING_LEVEL
from ._client.loops import Loops as _Loops
from ._client.older_calls import OlderCalls as _OlderCalls
from ._client.older_calls import without_api_version as _without_api_version
from ._client.options import Options as _Options
from ._client.service_records import ServiceRecords as _ServiceRecords
from ._client.state import MQTT_CLEAN_START_FIRST_ONLY
from ._client.subscriptions import Subscriptions as _Subscriptions
from ._client.tls import Tls as _Tls
from ._native import MQTTMessage, MQTTMessageInfo
from ._native import topic_matches_sub as _topic_matches_sub
from .enums import (
    CallbackAPIVersion,
    ConnackCode,
    LogLevel,
    MessageState,
    MessageType,
    MQTTErrorCode,
    MQTTProtocolVersion,
    PahoClientMode,
)
from .enums import _ConnectionState as _ConnectionState
from .exception import MalformedPacket, MQTTException
from .matcher import MQTTMatcher
from .packettypes import PacketTypes
from .properties import Properties
from .reasoncodes import ReasonCode, ReasonCodes
from .subscribeoptions import SubscribeOptions

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._client.types import *  # noqa: F403
    from .url import BrokerUrl

__all__ = [
    "LOGGING_LEVEL",
    "MQTT_CLEAN_START_FIRST_ONLY",
    "CallbackAPIVersion",
    "Client",
    "ConnackCode",
    "ConnectFlags",
    "DisconnectFlags",
    "LogLevel",
    "MQTTErrorCode",
    "MQTTException",
    "MQTTMatcher",
    "MQTTMessage",
    "MQTTMessageInfo",
    "MQTTProtocolVersion",
    "MalformedPacket",
    "MessageState",
    "MessageType",
    "PacketTypes",
    "PahoClientMode",
    "Properties",
    "ReasonCode",
    "ReasonCodes",
    "SubscribeOptions",
    "WebsocketConnectionError",
    "connack_string",
    "convert_connack_rc_to_reason_code",
    "convert_disconnect_error_code_to_reason_code",
    "error_string",
    "topic_matches_sub",
]
__all__ += _constants.__all__
# Names for annotations, which are loaded when a program uses one.
__all__ += [
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


def topic_matches_sub(sub: str, topic: str) -> bool:
    """Whether a topic filter matches a topic name (OASIS MQTT 5.0, clause 4.7)."""
    return _topic_matches_sub(sub, topic)


class WebsocketConnectionError(ConnectionError):
    """The WebSocket handshake failed."""


class Client(
    _Internals,
    _Callbacks,
    _Options,
    _Subscriptions,
    _Tls,
    _Loops,
    _ServiceRecords,
    _OlderCalls,
):
    """A connection to an MQTT broker, with paho's methods and callbacks.

    :param callback_api_version: which arguments callbacks get; ``VERSION2`` is the one to use.
    :param client_id: the client identifier (OASIS MQTT 5.0, clause 3.1.3.1); empty lets the broker
        choose.
    :param clean_session: MQTT 3.x: whether the broker forgets the session; True when left out.
        MQTT 5.0 has ``clean_start`` of :meth:`connect` instead.
    :param userdata: handed to every callback.
    :param protocol: ``MQTTv31``, ``MQTTv311`` or ``MQTTv5``.
    :param transport: ``"tcp"``, ``"websockets"`` or ``"unix"``.
    :param reconnect_on_failure: whether the loops connect again after a loss.
    :param manual_ack: leave acknowledgements to :meth:`ack`.
    :raises ValueError: an argument is not valid, or a persistent session has no client identifier.

    As a context manager, and by :meth:`close`, it hands over what was published, disconnects and stops its
    loop thread.
    """

    @_without_api_version
    def __init__(
        self,
        callback_api_version: CallbackAPIVersion = CallbackAPIVersion.VERSION1,
        client_id: str | bytes | None = "",
        clean_session: bool | None = None,
        userdata: Any = None,
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
        transport: Literal["tcp", "websockets", "unix"] = "tcp",
        reconnect_on_failure: bool = True,
        manual_ack: bool = False,
    ) -> None:
        if callback_api_version == CallbackAPIVersion.VERSION1:
            warnings.warn(
                "Callback API version 1 is deprecated, update to latest version",
                category=DeprecationWarning,
                stacklevel=3,
            )
        if callback_api_version not in CallbackAPIVersion:
            raise ValueError("Unsupported callback API version")
        transport = transport.lower()  # type: ignore[assignment]
        if transport == "unix" and not hasattr(_socket, "AF_UNIX"):
            raise ValueError('"unix" transport not supported')
        if transport not in ("websockets", "tcp", "unix"):
            raise ValueError(f'transport must be "websockets", "tcp" or "unix", not {transport}')
        if not isinstance(client_id, (str, bytes, type(None))):
            raise TypeError("client_id must be str, bytes or None")
        no_id = client_id is None or len(client_id) == 0
        if protocol == MQTTProtocolVersion.MQTTv5:
            if clean_session is not None:
                raise ValueError("Clean session is not used for MQTT 5.0")
        else:
            self._clean_session = clean_session is None or clean_session
            if not self._clean_session and no_id:
                raise ValueError("A client id must be provided if clean session is False.")
        if client_id is None or no_id:
            needs_id = protocol == MQTTProtocolVersion.MQTTv31
            encoded_id = _random_client_id() if needs_id else b""
        else:
            encoded_id = client_id.encode("utf-8") if isinstance(client_id, str) else client_id
        self._forget_options()
        self._init_callbacks()
        self._callback_api_version = callback_api_version
        self._client_id = encoded_id
        self._userdata = userdata
        self._protocol = protocol
        self._transport = transport
        self._reconnect_on_failure = reconnect_on_failure
        self._manual_ack = manual_ack
        _process.register(self)

    @classmethod
    def from_url(cls, url: str | BrokerUrl, **arguments: Any) -> Self:
        """A client that knows where to connect: transport, credentials, TLS and all are set.

        ``connect_url()`` without argument then connects, and ``connect_url_async()`` leaves that to the
        loop.

        :param url: such as ``mqtts://user:password@host:8883?keepalive=30``; :mod:`oxmqtt.url` has the keys.
        :param arguments: those of the constructor; ``callback_api_version`` is ``VERSION2`` when left out.
        :raises ValueError: the URL is not valid, or says what an argument says too.
        :raises OSError: a certificate cannot be read.
        """
        from ._client import urls

        return urls.make(cls, url, arguments)

    def connect_url(self, url: str | BrokerUrl | None = None) -> MQTTErrorCode:
        """Connects as :meth:`connect`, to where the URL says, with the settings that it has.

        :param url: that of :meth:`from_url` or of the call before when left out.
        :raises ValueError: the URL is not valid, or is without TLS where TLS is set already, or there
            is none.
        :raises OSError: what :meth:`connect` raises, or a certificate cannot be read.
        """
        from ._client import urls

        return self.connect(**urls.target(self, url))

    def connect_url_async(self, url: str | BrokerUrl | None = None) -> None:
        """As :meth:`connect_url`, but dialling is left to ``loop_start()`` or ``loop_forever()``."""
        from ._client import urls

        self.connect_async(**urls.target(self, url))

    def reinitialise(
        self, client_id: str = "", clean_session: bool = True, userdata: Any = None
    ) -> None:
        """Starts over: gives the connection up and forgets messages, options and callbacks."""
        _closing.finish_disconnect(self)
        self._engine.drop_unfinished()  # first: who waits for one learns that it was dropped
        self._sock_close()
        self._engine.reset()
        version = self._callback_api_version
        arguments: tuple[Any, ...] = (version, client_id, clean_session, userdata)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.__init__(*arguments)  # type: ignore[misc]

    def drop_out_messages(self) -> list[MQTTMessage]:
        """Takes all QoS 1 and 2 messages back that are not finished, oldest first."""
        return self._engine.drop_unfinished()

    def close(self, timeout: float = _closing.LATEST) -> bool:
        """Hands over what was published, disconnects, stops the loop thread and gives all descriptors back.

        It waits until the broker has what was accepted, as long as that makes progress: five seconds
        without any are too many.

        :param timeout: seconds that it waits at the most.
        :returns: whether the broker has everything. If not, the log says how much it has not.
        """
        return _closing.close(self, timeout) == 0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        left = _closing.close(self, _closing.LATEST)
        if left:
            line = f"{self!r}: {left} messages were not handed over to the broker"
            warnings.warn(line, ResourceWarning, stacklevel=2)

    def __del__(self) -> None:
        # The native base looks after the connection: a subclass may have a __del__ of its own.
        sock, self._sock = self._sock, None
        if sock is not None:
            try:
                self._call("on_socket_close", sock)
            finally:
                sock._forget()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._client_id.decode('utf-8', 'replace')!r} {self._state.name}>"


if not TYPE_CHECKING:  # to a type checker, every name would exist

    def __getattr__(name):
        """Names that few programs use are loaded when they are used."""
        if name.startswith("__"):  # Python itself asks for some of those
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from ._client import leftovers

        globals()[name] = value = leftovers.find(name)
        return value

    def __dir__():
        from ._client import leftovers

        return sorted(leftovers.NAMES | globals().keys())
