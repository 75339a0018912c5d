"""The client: ``import oxmqtt.client as mqtt`` in place of ``import paho.mqtt.client as mqtt``.

This module has the names of paho's; the client itself is put together from ``oxmqtt._client``.
"""

from __future__ import annotations

import socket as _socket
import warnings
from typing import TYPE_CHECKING, Any, Literal

from ._client import closing as _closing
from ._client import constants as _constants
from ._client import dialling as _dialling
from ._client import events as _events
from ._client import log as _log
from ._client import loops as _loops
from ._client import packets as _packets
from ._client import private_names as _private_names
from ._client import process as _process
from ._client import proxies as _proxies
from ._client import service_records as _service_records
from ._client import subscriptions as _subscriptions
from ._client import tls as _tls
from ._client import transport as _transport
from ._client.codes import (
    ConnectFlags,
    DisconnectFlags,
    connack_string,
    convert_connack_rc_to_reason_code,
    convert_disconnect_error_code_to_reason_code,
    error_string,
)
from ._client.codes import _base62 as _base62
from ._client.codes import random_client_id as _random_client_id
from ._client.configuration import Configuration as _Configuration
from ._client.constants import *  # noqa: F403
from ._client.listening import overridable as _overridable
from ._client.log import LOGGING_LEVEL
from ._client.older_calls import drops as _drops
from ._client.older_calls import warn as _warn_of_older_call
from ._client.older_calls import without_api_version as _without_api_version
from ._client.settings import MQTT_CLEAN_START_FIRST_ONLY
from ._client.settings import Settings as _Settings
from ._client.settings import Target as _Target
from ._native import MQTTMessage, MQTTMessageInfo
from ._native import prepare as _prepare
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

    from ._client.sockets import ConnectionSocket
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
    try:
        return _topic_matches_sub(sub, topic)
    except UnicodeEncodeError:  # half of a surrogate pair, which never comes by MQTT
        matcher = MQTTMatcher()
        matcher[sub] = True
        return any(matcher.iter_match(topic))


class WebsocketConnectionError(ConnectionError):
    """The WebSocket handshake failed."""


class Client(_Configuration):
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
        elif clean_session is not None and not clean_session and no_id:
            raise ValueError("A client id must be provided if clean session is False.")
        if client_id is None or no_id:
            needs_id = protocol == MQTTProtocolVersion.MQTTv31
            encoded_id = _random_client_id() if needs_id else b""
        else:
            encoded_id = client_id.encode("utf-8") if isinstance(client_id, str) else client_id
        settings = _Settings()
        settings.callback_api_version = callback_api_version
        settings.client_id = encoded_id
        settings.protocol = protocol
        settings.transport = transport
        settings.reconnect_on_failure = reconnect_on_failure
        settings.manual_ack = manual_ack
        settings.clean_session = clean_session is None or clean_session
        self._ox_begin(settings)
        self._userdata = userdata
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
        self._ox_engine.drop_unfinished()  # first: who waits for one learns that it was dropped
        self._sock_close()
        self._ox_engine.reset()
        version = self._ox_settings.callback_api_version
        arguments: tuple[Any, ...] = (version, client_id, clean_session, userdata)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.__init__(*arguments)  # type: ignore[misc]

    def drop_out_messages(self) -> list[MQTTMessage]:
        """Takes all QoS 1 and 2 messages back that are not finished, oldest first."""
        return self._ox_engine.drop_unfinished()

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
                _events.call(self, "on_socket_close", sock)
            finally:
                sock._forget()

    def __getstate__(self) -> Any:
        raise TypeError("a client cannot be copied or pickled: it has a connection; make another")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._ox_settings.client_id.decode('utf-8', 'replace')!r} {self._state.name}>"

    # Connecting: _client/dialling.py

    def connect(
        self,
        host: str,
        port: int = 1883,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Properties | None = None,
    ) -> MQTTErrorCode:
        """Connects to a broker and sends CONNECT; the answer comes with the loop.

        :param host: name or address, or the path of a unix socket.
        :param keepalive: seconds; 0 for none.
        :param bind_address: local address to connect from, with ``bind_port``.
        :param clean_start: MQTT 5.0: whether the broker forgets the session (clause 3.1.2.4);
            ``MQTT_CLEAN_START_FIRST_ONLY`` for the first connection only.
        :param properties: MQTT 5.0 properties of the CONNECT.
        :raises ConnectionRefusedError: nobody listens there.
        :raises socket.gaierror: the name is unknown.
        :raises TimeoutError: no answer within :attr:`connect_timeout`, handshakes included.
        :raises WebsocketConnectionError: the server refused the WebSocket handshake.
        :raises ValueError: an argument is not valid.
        """
        target = _Target(host, port, keepalive, bind_address, bind_port, clean_start, properties)
        return _dialling.connect(self, target)

    def connect_async(
        self,
        host: str,
        port: int = 1883,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Properties | None = None,
    ) -> None:
        """As :meth:`connect`, but dialling is left to ``loop_start()`` or ``loop_forever()``."""
        target = _Target(host, port, keepalive, bind_address, bind_port, clean_start, properties)
        _dialling.connect_async(self, target)

    def reconnect(self) -> MQTTErrorCode:
        """Connects again to where :meth:`connect` went; works in callbacks too.

        The latest call wins: one that another overtakes, from a callback of its own or from another
        thread, leaves the connection to that one.

        :returns: ``MQTT_ERR_SUCCESS``, or ``MQTT_ERR_NO_CONN`` if ``disconnect()`` or ``loop_stop()``
            came between.
        :raises ValueError: there was no :meth:`connect` or :meth:`connect_async`.
        """
        return _dialling.reconnect(self)

    def disconnect(
        self,
        reasoncode: ReasonCode | None = None,
        properties: Properties | None = None,
    ) -> MQTTErrorCode:
        """Sends DISCONNECT behind everything published so far, and ends the connection.

        The broker drops the will (OASIS MQTT 5.0, clause 3.14.4). It does not wait for acknowledgements,
        as :meth:`close` does. Without a connection it only stops
        reconnecting and returns ``MQTT_ERR_NO_CONN``.

        :param reasoncode: MQTT 5.0: why; success when left out.
        :param properties: MQTT 5.0 properties of the DISCONNECT.
        """
        return _dialling.disconnect(self, reasoncode, properties)

    def connect_srv(
        self,
        domain: str | None = None,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Properties | None = None,
    ) -> MQTTErrorCode:
        """Connects to a broker that the SRV records of a domain name, in their order.

        The records are those of ``_mqtt._tcp``, and with TLS of ``_secure-mqtt._tcp``. The other
        arguments are those of :meth:`connect`.

        :param domain: this host's own when left out.
        :raises ValueError: dnspython is missing, there is no such record, or no broker answered.
        """
        return _service_records.connect(
            self, domain, keepalive, bind_address, bind_port, clean_start, properties
        )

    def is_connected(self) -> bool:
        """Whether the broker has accepted the connection and it still stands."""
        return _dialling.is_connected(self)

    # Requests: _client/subscriptions.py

    def subscribe(
        self,
        topic: Any,
        qos: int = 0,
        options: SubscribeOptions | None = None,
        properties: Properties | None = None,
    ) -> tuple[MQTTErrorCode, int | None]:
        """Subscribes to one topic filter or several.

        :param topic: a filter; a tuple ``(filter, qos)`` or, with MQTT 5.0,
            ``(filter, SubscribeOptions)``; or a list of such tuples.
        :param qos: 0, 1 or 2, for a filter alone.
        :param options: with MQTT 5.0, for a filter alone, in place of ``qos``.
        :param properties: MQTT 5.0 properties of the SUBSCRIBE.
        :returns: ``(MQTT_ERR_SUCCESS, mid)``; ``mid`` names the answer in ``on_subscribe``. Without a
            connection ``(MQTT_ERR_NO_CONN, None)``.
        :raises ValueError: a filter, QoS or option is not valid.
        """
        return _subscriptions.subscribe(self, topic, qos, options, properties)

    def unsubscribe(
        self, topic: str | list[str], properties: Properties | None = None
    ) -> tuple[MQTTErrorCode, int | None]:
        """Unsubscribes from one topic filter or a list of them.

        :returns: ``(MQTT_ERR_SUCCESS, mid)``; ``mid`` names the answer in ``on_unsubscribe``. Without a
            connection ``(MQTT_ERR_NO_CONN, None)``.
        :raises ValueError: a filter is not valid.
        """
        return _subscriptions.unsubscribe(self, topic, properties)

    # Ways to run it: _client/loops.py

    @_drops("max_packets", 1)
    def loop(self, timeout: float = 1.0) -> MQTTErrorCode:
        """Waits up to ``timeout`` seconds for events and calls their callbacks.

        :returns: ``MQTT_ERR_SUCCESS``, else why there is no connection any more. It does not
            reconnect.
        :raises ValueError: ``timeout`` is negative.
        """
        return self._loop(timeout)

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Calls the callbacks of what arrived; for event loops that watch :meth:`socket`.

        ``max_packets`` is accepted for compatibility and has no effect, as in paho.
        """
        return MQTTErrorCode.MQTT_ERR_NO_CONN if self._sock is None else _loops.drain(self)

    @_drops("max_packets", 0)
    def loop_write(self) -> MQTTErrorCode:
        """Has nothing to do: the engine writes by itself."""
        return (
            MQTTErrorCode.MQTT_ERR_NO_CONN if self._sock is None else MQTTErrorCode.MQTT_ERR_SUCCESS
        )

    def loop_misc(self) -> MQTTErrorCode:
        """Has nothing to do: the engine keeps the connection alive by itself."""
        return (
            MQTTErrorCode.MQTT_ERR_NO_CONN if self._sock is None else MQTTErrorCode.MQTT_ERR_SUCCESS
        )

    def want_write(self) -> bool:
        """Always False: an event loop never needs to watch for writing."""
        return False

    def socket(self) -> ConnectionSocket | None:
        """The connection's socket for event loops, or None.

        It is readable when :meth:`loop_read` has something to do.
        """
        return self._sock

    @_drops("max_packets", 1, before_a_bool=True)
    def loop_forever(
        self, timeout: float = 1.0, retry_first_connection: bool = False
    ) -> MQTTErrorCode:
        """Calls callbacks, and reconnects, until :meth:`disconnect` or :meth:`loop_stop`.

        :param timeout: seconds; an upper bound of one wait.
        :param retry_first_connection: after :meth:`connect_async`, keep trying.
        :returns: the result code of the last round.
        :raises OSError: the first connection failed and is not retried.
        """
        return _loops.loop_forever(self, timeout, retry_first_connection)

    def loop_start(self) -> MQTTErrorCode:
        """Runs the loop on a thread of its own until :meth:`loop_stop`.

        An exception in a callback is reported to ``threading.excepthook``; the thread lives on.

        :returns: ``MQTT_ERR_SUCCESS``, or ``MQTT_ERR_INVAL`` if the thread runs already.
        :raises RuntimeError: the system gives no thread; another call may get one.
        """
        return _loops.loop_start(self)

    @_drops("force", 0)
    def loop_stop(self) -> MQTTErrorCode:
        """Ends the thread of :meth:`loop_start`; the connection stays as it is.

        It returns within 200 ms.  Dialling is given up; the next :meth:`loop_start` dials again.

        :returns: ``MQTT_ERR_SUCCESS``; ``MQTT_ERR_AGAIN`` if a callback still runs: the thread ends
            when it returns, and another call waits for that again; ``MQTT_ERR_INVAL`` if there is
            no thread.
        """
        return _loops.loop_stop(self)

    def message_retry_set(self, retry: float) -> None:
        """Has no effect, as in paho-mqtt 1.6: a message is sent again when the connection is."""
        _warn_of_older_call("message_retry_set() is paho-mqtt 1.x and has no effect; leave it out")

    # What programs override or replace, and oxmqtt calls: the table in docs/compatibility.md says who does.

    _easy_log = _overridable(_log.write)
    _create_socket = _transport.create_socket
    _create_socket_connection = _transport.create_socket_connection
    _create_unix_socket_connection = _transport.create_unix_socket_connection
    _get_proxy = _proxies.get_proxy
    _ssl_wrap_socket = _tls.wrap_socket
    _packet_queue = _packets.queue
    _send_pingreq = _packets.send_pingreq
    _mid_generate = _overridable(_packets.next_mid)
    _handle_connack = _events.handle_connack
    _handle_on_message = _overridable(_events.handle_on_message)
    _do_on_publish = _overridable(_events.do_on_publish)
    _do_on_disconnect = _events.do_on_disconnect
    _loop = _loops.one_round
    _thread_main = _loops.thread_main
    _sock_close = _dialling.close_socket
    _reset_sockets = _dialling.reset_sockets
    _call_socket_register_write = _packets.without_effect
    _call_socket_unregister_write = _packets.without_effect


_private_names.install(Client)
_prepare()


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
