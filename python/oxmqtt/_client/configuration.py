"""What a program sets on a client: its options, its will, how it connects, its callbacks, its log."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from .._native import ClientBase
from ..enums import (
    CallbackAPIVersion,
    MQTTProtocolVersion,
    PahoClientMode,
    _ConnectionState,
)
from ..properties import Properties
from . import listening, native_methods, proxies, tls, websocket
from .callbacks import TopicCallbacks
from .made_when_asked import MadeWhenAsked
from .pre_shared_key import KeySource, context_for
from .running_calls import RunningCalls
from .settings import (
    LARGEST_PACKET,
    LIVE,
    Settings,
    check_host,
    check_keepalive,
    check_port,
    encode_payload,
)
from .tls_context import load
from .tls_options import Options

if TYPE_CHECKING:
    import logging
    import ssl
    import threading
    from typing import Generic, TypeVar

    from typing_extensions import Self

    from ..matcher import MQTTMatcher
    from ..reasoncodes import ReasonCode
    from .needs import Attempt
    from .pre_shared_key import PreSharedKey
    from .sockets import ConnectionSocket
    from .types import (
        CallbackOnConnect,
        CallbackOnConnectFail,
        CallbackOnDisconnect,
        CallbackOnLog,
        CallbackOnMessage,
        CallbackOnPreConnect,
        CallbackOnPublish,
        CallbackOnSocket,
        CallbackOnSubscribe,
        CallbackOnUnsubscribe,
        PayloadType,
        WebSocketHeaders,
    )

    F = TypeVar("F", bound=Callable[..., Any])
    Log = TypeVar("Log", bound=CallbackOnLog)
    PreConnect = TypeVar("PreConnect", bound=CallbackOnPreConnect)
    Connect = TypeVar("Connect", bound=CallbackOnConnect)
    ConnectFail = TypeVar("ConnectFail", bound=CallbackOnConnectFail)
    Subscribe = TypeVar("Subscribe", bound=CallbackOnSubscribe)
    Message = TypeVar("Message", bound=CallbackOnMessage)
    Publish = TypeVar("Publish", bound=CallbackOnPublish)
    Unsubscribe = TypeVar("Unsubscribe", bound=CallbackOnUnsubscribe)
    Disconnect = TypeVar("Disconnect", bound=CallbackOnDisconnect)
    Socket = TypeVar("Socket", bound=CallbackOnSocket)

    class Slot(Generic[F]):
        """The property that :func:`_slot` makes, as type checkers see it."""

        def __get__(self, client: object, owner: type | None = None) -> F | None: ...

        def __set__(self, client: object, func: F | None) -> None: ...


#: The callback of the native base, which gives each message to it.
ON_MESSAGE: Any = vars(ClientBase)["_on_message"]
#: The others by paho's private names.
SLOTS: dict[str, property] = {}


def _slot(name: str, doc: str) -> Any:
    """A property that keeps its callback under the private name, where programs look for it."""
    private = "_" + name

    def assign(client: Configuration, callback: Callable[..., Any] | None) -> None:
        vars(client)[private] = callback
        client._ox_observe()

    slot = property(lambda client: vars(client).get(private), assign, doc=doc)
    SLOTS[private] = slot
    return slot


#: What does not outlive ``reinitialise()``, beside settings and callbacks.
_OF_A_CONNECTION = {
    "_state",
    "_ox_latest_attempt",
    "_ox_connack",
    "_ox_connack_at",
    "_reconnect_delay",
    "_sock",
    "_ox_closes_by",
    "_ox_on_auth",
    "_easy_log",
    "suppress_exceptions",
}


class Configuration(ClientBase):
    """Most properties can only be set while there is no connection.

    Callbacks run on the thread that runs the loop, one at a time, with no lock held.  They are looked up
    when they are called, so a subclass may define them as methods.  ``userdata`` is what the constructor
    or :meth:`user_data_set` got.

    :raises RuntimeError: from a setter, while the connection stands.
    """

    if not TYPE_CHECKING:  # type checkers know them by the stubs
        publish, ack = native_methods.publish, native_methods.ack

    _ox_settings: MadeWhenAsked[Settings] = MadeWhenAsked(lambda client: Settings())
    _state = _ConnectionState.MQTT_CS_NEW
    #: A thread is in ``reconnect()``; which call of it is the latest.
    _ox_dialling = False
    _ox_latest_attempt: Attempt | None = None
    #: The threads that run callbacks other than those for messages.
    _ox_calling: MadeWhenAsked[RunningCalls] = MadeWhenAsked(lambda client: RunningCalls())
    #: What CONNACK said, for those who wrap ``_handle_connack``.
    _ox_connack: tuple[Any, ...] = ()
    #: When CONNACK came, by ``time.monotonic()``; 0 before.
    _ox_connack_at = 0.0
    _reconnect_delay: float | None = None
    _sock: ConnectionSocket | None = None
    _thread: threading.Thread | None = None
    #: The same, by "loop", for those who want to be it at once: ``dict.setdefault()`` is atomic.
    _ox_seat: MadeWhenAsked[dict[str, threading.Thread]] = MadeWhenAsked(lambda client: {})
    _thread_terminate = False
    #: When ``close()`` has to be through at the latest, by ``time.monotonic()``.
    _ox_closes_by = float("inf")
    #: An asyncio event loop runs the client.
    _ox_on_event_loop = False
    #: Gets reason code and properties of the broker's AUTH.
    _ox_on_auth: Callable[[ReasonCode, Properties], Any] | None = None
    #: What callbacks returned for it to await, with the acknowledgement that is due then.
    _ox_deferred: MadeWhenAsked[list[tuple[list[Any], tuple[int, int, int] | None]]] = (
        MadeWhenAsked(lambda client: [])
    )
    _on_message_filtered: MadeWhenAsked[MQTTMatcher] = MadeWhenAsked(
        lambda client: TopicCallbacks(client._ox_engine)
    )
    #: The program has its own ``_do_on_publish``.
    _ox_has_own_on_publish = False
    #: Callback exceptions are logged and go no further.
    suppress_exceptions = False

    def _ox_begin(self, settings: Settings) -> None:
        """With these settings, and as if nothing had been before.

        A loop that runs goes on: its thread waits for the next connection, and can be stopped.
        """
        own, attempt = vars(self), self._ox_latest_attempt
        for name in own.keys() & _OF_A_CONNECTION:
            del own[name]
        own.update(dict.fromkeys(SLOTS))
        own["_ox_settings"] = settings
        self._on_message = None
        own["_on_message_filtered"] = TopicCallbacks(self._ox_engine)
        self._ox_engine.configure(settings)
        self._ox_observe()
        if attempt is not None:
            attempt.look_again()

    def _ox_observe(self) -> None:
        """Tells the engine which events have a listener."""
        is_method = type(self).on_message is not Configuration.on_message
        self._ox_engine.listen(listening.listeners(self, is_method))

    def _connection_closed(self) -> bool:
        """Whether options may change now."""
        return self._state is _ConnectionState.MQTT_CS_NEW or (
            self._state
            in (_ConnectionState.MQTT_CS_DISCONNECTING, _ConnectionState.MQTT_CS_DISCONNECTED)
            and self._sock is None
        )

    def _ox_set(self, name: str, value: Any) -> None:
        """What the engine has to know at once is told to it; the rest it gets with the next connection."""
        setattr(self._ox_settings, name, value)
        if name in LIVE:
            self._ox_engine.configure(self._ox_settings)
        elif name == "logger":
            self._ox_observe()

    def _ox_change(self, name: str, value: Any) -> None:
        if not self._connection_closed():
            raise RuntimeError(f"updating {name} on established connection is not supported")
        self._ox_set(name, value)

    @property
    def callback_api_version(self) -> CallbackAPIVersion:
        """Which arguments callbacks get."""
        return self._ox_settings.callback_api_version

    @property
    def protocol(self) -> MQTTProtocolVersion:
        """The protocol version of CONNECT (OASIS MQTT 5.0, clause 3.1.2.2)."""
        return self._ox_settings.protocol

    @property
    def transport(self) -> Literal["tcp", "websockets", "unix"]:
        """``"tcp"``, ``"unix"`` or ``"websockets"``."""
        return self._ox_settings.transport

    @transport.setter
    def transport(self, value: Literal["tcp", "websockets", "unix"]) -> None:
        self._ox_change("transport", value)

    @property
    def host(self) -> str:
        """Name or address of the broker, or the path of its unix socket; empty before connect().

        :raises ValueError: set to an empty name, or one with a NUL in it.
        """
        return self._ox_settings.host

    @host.setter
    def host(self, value: str) -> None:
        if self._connection_closed():
            check_host(value, self._ox_settings.transport)
        self._ox_change("host", value)

    @property
    def port(self) -> int:
        """TCP port of the broker.

        :raises ValueError: set to less than 1, or more than 65,535.
        """
        return self._ox_settings.port

    @port.setter
    def port(self, value: int) -> None:
        if self._connection_closed():
            check_port(value)
        self._ox_change("port", value)

    @property
    def keepalive(self) -> int:
        """Keep-alive in seconds, 0 for none (clause 3.1.2.10); the broker's, once it named one.

        :raises ValueError: set below zero, or above 65,535.
        """
        return self._ox_settings.keepalive

    @keepalive.setter
    def keepalive(self, value: int) -> None:
        if self._connection_closed():
            check_keepalive(value)
        self._ox_change("keepalive", value)

    @property
    def connect_timeout(self) -> float:
        """Seconds that dialling, and then the answer to CONNECT, may take.

        :raises ValueError: set to zero or less.
        """
        return self._ox_settings.connect_timeout

    @connect_timeout.setter
    def connect_timeout(self, value: float) -> None:
        if self._connection_closed() and value <= 0.0:
            raise ValueError("timeout must be a positive number")
        self._ox_change("connect_timeout", value)

    @property
    def username(self) -> str | None:
        """User name of CONNECT (clause 3.1.3.5), or None."""
        return (
            None
            if self._ox_settings.username is None
            else self._ox_settings.username.decode("utf-8")
        )

    @username.setter
    def username(self, value: str | None) -> None:
        self._ox_change("username", None if value is None else value.encode("utf-8"))

    @property
    def password(self) -> str | None:
        """Password of CONNECT (clause 3.1.3.6), or None."""
        return (
            None
            if self._ox_settings.password is None
            else self._ox_settings.password.decode("utf-8")
        )

    @password.setter
    def password(self, value: str | None) -> None:
        self._ox_change("password", None if value is None else value.encode("utf-8"))

    @property
    def max_inflight_messages(self) -> int:
        """QoS 1 and 2 messages that may wait for the broker's answer at once; 0 for 65,535.

        The broker's Receive Maximum bounds it too (clause 4.9).

        :raises ValueError: set below zero.
        """
        return self._ox_settings.max_inflight_messages

    @max_inflight_messages.setter
    def max_inflight_messages(self, value: int) -> None:
        if self._connection_closed() and value < 0:
            raise ValueError("Invalid inflight.")
        self._ox_change("max_inflight_messages", value)

    @property
    def max_queued_messages(self) -> int:
        """QoS 1 and 2 messages that may be unfinished, in flight ones included; 0 for no bound.

        :raises ValueError: set below zero.
        """
        return self._ox_settings.max_queued_messages

    @max_queued_messages.setter
    def max_queued_messages(self, value: int) -> None:
        if self._connection_closed() and value < 0:
            raise ValueError("Invalid queue size.")
        self._ox_change("max_queued_messages", value)

    @property
    def max_packet_size(self) -> int:
        """Bytes of the largest packet taken from the broker; 16 MiB unless set.

        A larger one ends the connection before it is buffered, under MQTT 5.0 with the reason "Packet
        too large".  Setting it announces it to the broker under MQTT 5.0 (clause 3.1.2.11.4), which
        then leaves larger messages out; a ``MaximumPacketSize`` among the properties of
        :meth:`connect` takes its place.  Messages of QoS 2 that the broker has not released take
        four times as much, or 16 MiB if that is more; the properties of one packet a sixteenth of it,
        or 128 KiB.

        :raises ValueError: set to zero or less, or above 268,435,455.
        """
        return self._ox_settings.packet_limit

    @max_packet_size.setter
    def max_packet_size(self, value: int) -> None:
        if not 0 < value <= LARGEST_PACKET:
            raise ValueError("Invalid packet size.")
        self._ox_change("max_packet_size", value)

    def max_inflight_messages_set(self, inflight: int) -> None:
        """Sets :attr:`max_inflight_messages`."""
        self.max_inflight_messages = inflight

    def max_queued_messages_set(self, queue_size: int) -> Self:
        """Sets :attr:`max_queued_messages`; returns the client.

        :raises TypeError: not an int.
        """
        if not isinstance(queue_size, int):
            raise TypeError("queue_size should be an int")
        self.max_queued_messages = queue_size
        return self

    def manual_ack_set(self, on: bool) -> None:
        """Leaves the acknowledgement of QoS 1 and 2 messages to :meth:`ack`, or not."""
        self._ox_set("manual_ack", on)

    def reconnect_delay_set(self, min_delay: float = 1, max_delay: float = 120) -> None:
        """Bounds of the wait before a reconnect, in seconds; it doubles with each failure."""
        self._ox_settings.reconnect_min_delay = min_delay
        self._ox_settings.reconnect_max_delay = max_delay
        self._reconnect_delay = None

    def username_pw_set(self, username: str | None, password: str | bytes | None = None) -> None:
        """Sets the credentials of the next CONNECT; a password needs a user name."""
        self._ox_settings.username = None if username is None else username.encode("utf-8")
        self._ox_settings.password = (
            password.encode("utf-8") if isinstance(password, str) else password
        )

    def will_set(
        self,
        topic: str,
        payload: PayloadType = None,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> None:
        """Sets the will of the next CONNECT: what the broker publishes when it loses the client.

        (OASIS MQTT 5.0, clause 3.1.2.5; the payload has at most 65,535 bytes.)

        :raises ValueError: the topic is empty or has a wildcard, the QoS is not 0, 1 or 2, or the
            properties are no Properties.
        :raises TypeError: the payload is of another type than :meth:`publish` takes.
        """
        if topic is None or len(topic) == 0:
            raise ValueError("Invalid topic.")
        if qos < 0 or qos > 2:
            raise ValueError("Invalid QoS level.")
        if properties and not isinstance(properties, Properties):
            raise ValueError("The properties argument must be an instance of the Properties class.")
        encoded_topic = topic.encode("utf-8")
        if b"+" in encoded_topic or b"#" in encoded_topic:
            raise ValueError("Will topic cannot contain wildcards.")
        self._ox_settings.will_payload = encode_payload(payload)
        self._ox_settings.will = True
        self._ox_settings.will_topic = encoded_topic
        self._ox_settings.will_qos = qos
        self._ox_settings.will_retain = retain
        self._ox_settings.will_properties = properties

    def will_clear(self) -> None:
        """Sends no will with the next CONNECT."""
        self._ox_settings.will = False
        self._ox_settings.will_topic = b""
        self._ox_settings.will_payload = b""
        self._ox_settings.will_qos = 0
        self._ox_settings.will_retain = False

    @property
    def will_topic(self) -> str | None:
        """The topic of the will; empty for none."""
        return self._ox_settings.will_topic.decode("utf-8")

    @property
    def will_payload(self) -> bytes | bytearray | None:
        """The payload of the will; empty for none."""
        return self._ox_settings.will_payload

    def enable_bridge_mode(self) -> None:
        """Sets the bridge bit in the protocol level of CONNECT (MQTT 3.x, a custom of brokers)."""
        self._ox_settings.client_mode = PahoClientMode.MQTT_BRIDGE

    @property
    def logger(self) -> logging.Logger | None:
        """Where the log goes besides :attr:`on_log`, or None."""
        return self._ox_settings.logger

    @logger.setter
    def logger(self, value: logging.Logger | None) -> None:
        self._ox_set("logger", value)

    def enable_logger(self, logger: logging.Logger | None = None) -> None:
        """Logs to ``logger``, else to the one set before, else to ``oxmqtt.client``."""
        if logger is None and self._ox_settings.logger is None:
            import logging

            logger = logging.getLogger("oxmqtt.client")
        self.logger = logger or self._ox_settings.logger

    def disable_logger(self) -> None:
        """Logs to no logger."""
        self.logger = None

    def tls_set(
        self,
        ca_certs: str | bytes | None = None,
        certfile: str | bytes | None = None,
        keyfile: str | bytes | None = None,
        cert_reqs: ssl.VerifyMode | None = None,
        tls_version: int | None = None,
        ciphers: str | None = None,
        keyfile_password: str | None = None,
        alpn_protocols: list[str] | None = None,
        *,
        server_hostname: str | None = None,
        backend: Literal["ssl", "rustls"] = "ssl",
    ) -> None:
        """Encrypts the connection by TLS 1.2 or later, and verifies the broker's certificate.

        Certificates and keys are paths of PEM files, or PEM text itself.

        :param ca_certs: the authorities to trust; the system's when left out. Python's ``ssl`` takes a
            folder too, in which they are named as ``openssl rehash`` does.
        :param certfile: the client's certificate, with ``keyfile`` unless it holds the key too.
        :param cert_reqs: ``ssl.CERT_REQUIRED`` when left out; ``ssl.CERT_NONE`` verifies nothing.
        :param tls_version: a protocol of the ``ssl`` module; negotiated when left out.
        :param ciphers: cipher suites of TLS 1.2, as OpenSSL writes them.
        :param alpn_protocols: protocols to offer (RFC 7301).
        :param server_hostname: the name to ask for (SNI, RFC 6066) and to verify; the host's when
            left out.
        :param backend: ``"ssl"``, Python's, or ``"rustls"``, which is faster and takes fewer kinds of
            certificates.
        :raises ValueError: TLS is set already, or an argument is not valid or not for this backend.
        :raises OSError: a file cannot be read; ``ssl.SSLError`` if it holds something else.
        """
        tls.require_none(self._ox_settings)
        options = Options(
            ca_certs,
            certfile,
            keyfile,
            cert_reqs,
            tls_version,
            ciphers,
            keyfile_password,
            alpn_protocols,
            backend,
        )
        tls.secure(self, load(options), server_hostname)

    def tls_set_context(
        self, context: ssl.SSLContext | None = None, *, server_hostname: str | None = None
    ) -> None:
        """Encrypts the connection by TLS as an ``ssl.SSLContext`` says.

        :param context: ``ssl.create_default_context()`` when left out.
        :param server_hostname: as for :meth:`tls_set`.
        :raises ValueError: TLS is set already.
        """
        tls.require_none(self._ox_settings)
        if context is None:
            import ssl

            context = ssl.create_default_context()
        self._ox_settings.ssl = True
        self._ox_settings.ssl_context = context
        self._ox_settings.tls_insecure = not context.check_hostname
        self._ox_settings.server_hostname = server_hostname

    def tls_psk_set(
        self, identity: str | Callable[..., PreSharedKey], key: bytes | None = None
    ) -> None:
        """Encrypts the connection by TLS 1.2 with a key that client and broker share (RFC 4279).

        :param identity: the name of the key; or a function that returns name and key and is called at
            every handshake, on the thread that dials, with the broker's hint (str or None) if it takes
            an argument.
        :param key: the key itself, not its hexadecimal form.
        :raises NotImplementedError: Python is older than 3.13.
        :raises ValueError: TLS is set already.
        :raises TypeError: the arguments are neither a function nor a name and a key.
        """
        if callable(identity) and key is None:
            source = KeySource(identity)
        elif isinstance(identity, str) and isinstance(key, bytes):
            pair = identity, key
            source = KeySource(lambda: pair)
        else:
            raise TypeError(
                "tls_psk_set() takes a function, or an identity (str) and a key (bytes)"
            )
        tls.require_none(self._ox_settings)
        self.tls_set_context(context_for(source))
        self._ox_settings.key_source = source

    def tls_insecure_set(self, value: bool) -> None:
        """Accepts a certificate that names another host, or not.

        Anyone with any certificate of a trusted authority can then pose as the broker.

        :raises ValueError: TLS is not set yet.
        """
        if self._ox_settings.ssl_context is None and self._ox_settings.rustls is None:
            raise ValueError("Must configure SSL context before using tls_insecure_set.")
        self._ox_settings.tls_insecure = value
        if self._ox_settings.ssl_context is not None:
            self._ox_settings.ssl_context.check_hostname = not value

    def ws_set_options(self, path: str = "/mqtt", headers: WebSocketHeaders | None = None) -> None:
        """Sets path and headers of the WebSocket handshake.

        :param path: of the resource on the server; None for ``/mqtt``.
        :param headers: a dict of headers to add to the usual ones or to replace them with, or a
            function that gets the usual ones and returns those to send; it is called at every
            connect, so it can sign them.
        :raises ValueError: ``headers`` is neither, or there are control characters in what is sent.
        """
        path = "/mqtt" if path is None else path
        websocket.check_path(path)
        if isinstance(headers, dict):
            websocket.check_headers(headers)
        elif headers is not None and not callable(headers):
            raise ValueError(
                "'headers' option to ws_set_options has to be either a dictionary or callable"
            )
        self._ox_settings.websocket_path = path
        if headers is not None:
            self._ox_settings.websocket_extra_headers = headers

    def proxy_set(self, **proxy_args: Any) -> None:
        """Connects through a SOCKS or HTTP proxy.

        :param proxy_args: ``proxy_type``: ``socks.HTTP``, ``socks.SOCKS4`` or ``socks.SOCKS5`` of PySocks;
            ``proxy_addr``: its name or address; ``proxy_port``: 8080 for HTTP and 1080 for SOCKS when
            left out; ``proxy_rdns``: whether the proxy resolves the broker's name, True when left out;
            ``proxy_username``: for SOCKS5 and HTTP, the user identifier of SOCKS4; ``proxy_password``:
            for SOCKS5 and HTTP.
        :raises ValueError: PySocks is missing, or an argument is not valid.
        """
        proxies.check(proxy_args)
        self._ox_settings.proxy = proxy_args

    on_log: Slot[CallbackOnLog] = _slot(
        "on_log",
        """``on_log(client, userdata, level, buf)``: a line of the client's log.

        ``level`` is one of ``MQTT_LOG_*``, ``buf`` the text. Its exceptions are swallowed.""",
    )
    on_pre_connect: Slot[CallbackOnPreConnect] = _slot(
        "on_pre_connect",
        """``on_pre_connect(client, userdata)``: before each dialling, so credentials can change.""",
    )
    on_connect: Slot[CallbackOnConnect] = _slot(
        "on_connect",
        """CONNACK came (OASIS MQTT 5.0, clause 3.2).

        Version 2: ``on_connect(client, userdata, connect_flags, reason_code, properties)`` with a
        :class:`ConnectFlags`, a :class:`ReasonCode` (failure if the broker refused) and properties.
        Version 1: ``on_connect(client, userdata, flags, rc)`` with a dict and the return code for
        MQTT 3.x, and ``(client, userdata, flags, reason_code, properties)`` for MQTT 5.0.""",
    )
    on_connect_fail: Slot[CallbackOnConnectFail] = _slot(
        "on_connect_fail",
        """``on_connect_fail(client, userdata)``: the loop could not reach the broker.""",
    )
    on_subscribe: Slot[CallbackOnSubscribe] = _slot(
        "on_subscribe",
        """SUBACK came (clause 3.9).

        Version 2: ``on_subscribe(client, userdata, mid, reason_code_list, properties)``, one reason
        code per filter. Version 1 with MQTT 3.x: ``(client, userdata, mid, granted_qos)``, a tuple
        of the granted QoS, 128 for a failure.""",
    )
    on_message: Slot[CallbackOnMessage] = property(  # type: ignore[assignment]
        ON_MESSAGE.__get__,
        ON_MESSAGE.__set__,
        doc="""``on_message(client, userdata, message)``: a message that no filter callback took.""",
    )
    on_publish: Slot[CallbackOnPublish] = _slot(
        "on_publish",
        """A publish is through (clauses 4.3.1 to 4.3.3).

        Version 2: ``on_publish(client, userdata, mid, reason_code, properties)``; a failure code
        means that the broker refused the message. Version 1: ``(client, userdata, mid)``.""",
    )
    on_unsubscribe: Slot[CallbackOnUnsubscribe] = _slot(
        "on_unsubscribe",
        """UNSUBACK came (clause 3.11).

        Version 2: ``on_unsubscribe(client, userdata, mid, reason_code_list, properties)``; the list
        is empty for MQTT 3.x. Version 1: ``(client, userdata, mid)``, and for MQTT 5.0
        ``(client, userdata, mid, properties, reason_codes)`` with a bare code for a single filter.""",
    )
    on_disconnect: Slot[CallbackOnDisconnect] = _slot(
        "on_disconnect",
        """The connection ended, by either side.

        Version 2: ``on_disconnect(client, userdata, disconnect_flags, reason_code, properties)``.
        Version 1: ``(client, userdata, rc)``, and for MQTT 5.0
        ``(client, userdata, reason_code, properties)``.""",
    )
    on_socket_open: Slot[CallbackOnSocket] = _slot(
        "on_socket_open",
        """``on_socket_open(client, userdata, sock)``: watch ``sock`` for reading in an external loop.""",
    )
    on_socket_close: Slot[CallbackOnSocket] = _slot(
        "on_socket_close",
        """``on_socket_close(client, userdata, sock)``: stop watching ``sock``; it is about to close.""",
    )
    on_socket_register_write: Slot[CallbackOnSocket] = _slot(
        "on_socket_register_write",
        """``on_socket_register_write(client, userdata, sock)``: paho waits for writing here.

        The engine writes by itself, so this is never called. A client that has it is driven by an
        event loop: its :meth:`publish` never waits for the connection.""",
    )
    on_socket_unregister_write: Slot[CallbackOnSocket] = _slot(
        "on_socket_unregister_write",
        """``on_socket_unregister_write(client, userdata, sock)``: the counterpart, never called.""",
    )

    def _ox_decorator(self, name: str) -> Callable[[F], F]:
        def decorate(func: F) -> F:
            setattr(self, name, func)
            return func

        return decorate

    def log_callback(self) -> Callable[[Log], Log]:
        """Decorator that sets :attr:`on_log`."""
        return self._ox_decorator("on_log")

    def pre_connect_callback(self) -> Callable[[PreConnect], PreConnect]:
        """Decorator that sets :attr:`on_pre_connect`."""
        return self._ox_decorator("on_pre_connect")

    def connect_callback(self) -> Callable[[Connect], Connect]:
        """Decorator that sets :attr:`on_connect`."""
        return self._ox_decorator("on_connect")

    def connect_fail_callback(self) -> Callable[[ConnectFail], ConnectFail]:
        """Decorator that sets :attr:`on_connect_fail`."""
        return self._ox_decorator("on_connect_fail")

    def subscribe_callback(self) -> Callable[[Subscribe], Subscribe]:
        """Decorator that sets :attr:`on_subscribe`."""
        return self._ox_decorator("on_subscribe")

    def message_callback(self) -> Callable[[Message], Message]:
        """Decorator that sets :attr:`on_message`."""
        return self._ox_decorator("on_message")

    def publish_callback(self) -> Callable[[Publish], Publish]:
        """Decorator that sets :attr:`on_publish`."""
        return self._ox_decorator("on_publish")

    def unsubscribe_callback(self) -> Callable[[Unsubscribe], Unsubscribe]:
        """Decorator that sets :attr:`on_unsubscribe`."""
        return self._ox_decorator("on_unsubscribe")

    def disconnect_callback(self) -> Callable[[Disconnect], Disconnect]:
        """Decorator that sets :attr:`on_disconnect`."""
        return self._ox_decorator("on_disconnect")

    def socket_open_callback(self) -> Callable[[Socket], Socket]:
        """Decorator that sets :attr:`on_socket_open`."""
        return self._ox_decorator("on_socket_open")

    def socket_close_callback(self) -> Callable[[Socket], Socket]:
        """Decorator that sets :attr:`on_socket_close`."""
        return self._ox_decorator("on_socket_close")

    def socket_register_write_callback(self) -> Callable[[Socket], Socket]:
        """Decorator that sets :attr:`on_socket_register_write`."""
        return self._ox_decorator("on_socket_register_write")

    def socket_unregister_write_callback(self) -> Callable[[Socket], Socket]:
        """Decorator that sets :attr:`on_socket_unregister_write`."""
        return self._ox_decorator("on_socket_unregister_write")

    def message_callback_add(self, sub: str, callback: CallbackOnMessage) -> None:
        """Registers a callback for the messages that match a topic filter.

        All callbacks whose filters match are called; :attr:`on_message` gets what matches none.
        A filter has one callback: a second one replaces it.

        :raises ValueError: ``sub`` or ``callback`` is None.
        """
        if callback is None or sub is None:
            raise ValueError("sub and callback must both be defined.")
        self._on_message_filtered[sub] = callback

    def message_callback_remove(self, sub: str) -> None:
        """Removes the callback of a topic filter, if there is one.

        :raises ValueError: ``sub`` is None.
        """
        if sub is None:
            raise ValueError("sub must defined.")
        try:
            del self._on_message_filtered[sub]
        except KeyError:
            pass

    def topic_callback(self, sub: str) -> Callable[[Message], Message]:
        """Decorator form of :meth:`message_callback_add`."""

        def decorate(func: Message) -> Message:
            self.message_callback_add(sub, func)
            return func

        return decorate

    def user_data_set(self, userdata: Any) -> None:
        """Sets the ``userdata`` that callbacks get."""
        self._userdata = userdata

    def user_data_get(self) -> Any:
        """The ``userdata`` that callbacks get."""
        return self._userdata
