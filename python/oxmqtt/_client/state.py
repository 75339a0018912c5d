"""The attributes that all parts of a client share, and its log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._native import ClientBase
from ..enums import (
    CallbackAPIVersion,
    LogLevel,
    MQTTProtocolVersion,
    PahoClientMode,
    _ConnectionState,
)
from . import native_methods
from .log import LOGGING_LEVEL
from .running_calls import RunningCalls

if TYPE_CHECKING:
    import logging
    import socket
    import ssl
    import threading
    from collections.abc import Callable
    from typing import Literal

    from .._native import RustlsConfig
    from ..matcher import MQTTMatcher
    from ..properties import Properties
    from ..reasoncodes import ReasonCode
    from ..url import BrokerUrl
    from .needs import Attempt
    from .pre_shared_key import KeySource
    from .sockets import ConnectionSocket
    from .types import CleanStartOption, WebSocketHeaders

MQTT_CLEAN_START_FIRST_ONLY: Literal[3] = 3

#: What belongs to loops and calls that are under way, not to the options.
_OF_A_LOOP = frozenset({"_dialling", "_thread", "_thread_terminate", "_on_event_loop"})


class ClientState(ClientBase):
    """What a client knows, with its defaults. Names with one underscore are paho's; programs reach
    for them.
    """

    if not TYPE_CHECKING:  # type checkers know them by the stubs
        publish, ack = native_methods.publish, native_methods.ack

    _callback_api_version = CallbackAPIVersion.VERSION1
    _client_id = b""
    _protocol = MQTTProtocolVersion.MQTTv311
    _transport: Literal["tcp", "websockets", "unix"] = "tcp"
    _reconnect_on_failure = True
    _manual_ack = False

    _host = ""
    _port = 1883
    _keepalive = 60
    _bind_address = ""
    _bind_port = 0
    _connect_timeout = 5.0
    _clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY
    _mqttv5_first_connect = True
    _connect_properties: Properties | None = None
    _client_mode = PahoClientMode.MQTT_CLIENT
    _ssl = False
    _ssl_context: ssl.SSLContext | None = None
    _rustls: RustlsConfig | None = None
    _tls_insecure = False
    _server_hostname: str | None = None
    _key_source: KeySource | None = None
    _proxy: dict[str, Any] = {}  # noqa: RUF012  never changed, only replaced

    #: The URL that the client follows, if any.
    _broker_url: BrokerUrl | None = None
    #: The TLS that it has set, which may not be what is set now.
    _url_context: ssl.SSLContext | None = None

    _websocket_path = "/mqtt"
    _websocket_extra_headers: WebSocketHeaders | None = None

    _username: bytes | None = None
    _password: bytes | None = None
    _will = False
    _will_topic = b""
    _will_payload: bytes | bytearray = b""
    _will_qos = 0
    _will_retain = False
    _will_properties: Properties | None = None

    _max_inflight_messages = 20
    _max_queued_messages = 0
    #: What the program set; the engine has a bound of its own otherwise.
    _max_packet_size: int | None = None
    _reconnect_min_delay: float = 1
    _reconnect_max_delay: float = 120
    _reconnect_delay: float | None = None

    _state = _ConnectionState.MQTT_CS_NEW
    #: A thread is in ``reconnect()``; which call of it is the latest.
    _dialling = False
    _latest_attempt: Attempt | None = None
    #: The threads that run callbacks other than those for messages.
    _calling: RunningCalls
    #: What CONNACK said, for those who wrap ``_handle_connack``.
    _connack: tuple[Any, ...] = ()
    #: When CONNACK came, by ``time.monotonic()``; 0 before.
    _connack_at = 0.0
    _sock: ConnectionSocket | None = None
    _thread: threading.Thread | None = None
    #: The same, by "loop", for those who want to be it at once: ``dict.setdefault()`` is atomic.
    _seat: dict[str, threading.Thread]
    _thread_terminate = False
    #: When ``close()`` has to be through at the latest, by ``time.monotonic()``.
    _closes_by = float("inf")
    #: An asyncio event loop runs the client.
    _on_event_loop = False
    #: Gets reason code and properties of the broker's AUTH.
    _on_auth: Callable[[ReasonCode, Properties], Any] | None = None
    #: What callbacks returned for it to await, with the acknowledgement that is due then.
    _deferred: list[tuple[list[Any], tuple[int, int, int] | None]]
    #: Callback exceptions are logged and go no further.
    suppress_exceptions = False
    _logger: logging.Logger | None = None

    def _forget_options(self) -> None:
        """Back to the defaults, for ``reinitialise()``, here and in the engine.

        A loop that runs goes on: its thread waits for the next connection, and can be stopped.
        """
        attempt = self._latest_attempt
        for name in vars(self).keys() & vars(ClientState).keys() - _OF_A_LOOP:
            delattr(self, name)
        if attempt is not None:
            attempt.look_again()

    def _connection_closed(self) -> bool:
        """Whether options may change now."""
        return self._state is _ConnectionState.MQTT_CS_NEW or (
            self._state
            in (_ConnectionState.MQTT_CS_DISCONNECTING, _ConnectionState.MQTT_CS_DISCONNECTED)
            and self._sock is None
        )

    @property
    def _v5(self) -> bool:
        return self._protocol == MQTTProtocolVersion.MQTTv5

    def _easy_log(self, level: LogLevel, fmt: str, *args: Any) -> None:
        """Passes a line to ``on_log`` and to the logger."""
        on_log = self.on_log
        if on_log is not None:
            try:
                on_log(self, self._userdata, level, fmt % args)
            except Exception:  # a log callback has nowhere to report to
                pass
        if self._logger is not None:
            self._logger.log(LOGGING_LEVEL[level], fmt, *args)

    if TYPE_CHECKING:
        #: MQTT 3.x only; set by the constructor.
        _clean_session: bool
        _on_message_filtered: MQTTMatcher

        #: The program has its own ``_do_on_publish``.
        _has_own_on_publish: bool

        def _observe_callbacks(self) -> None: ...

        def _is_logged(self) -> bool: ...

        def _is_own(self, method: str) -> bool: ...

        def _sock_close(self) -> None: ...

        def _release_descriptor(self) -> None: ...

        def _mid_generate(self) -> int: ...

        def _take_own_mid(self) -> None: ...

        def _rewritten_connect(self, packet: bytes) -> bytes: ...

        def _call(self, name: str, *args: Any) -> None: ...

        def _dispatch_without_loop(self) -> None: ...

        def _server_name(self) -> str | None: ...

        def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> socket.socket: ...

        on_log: Any
        on_pre_connect: Any
        on_connect: Any
        on_connect_fail: Any
        on_subscribe: Any
        on_message: Any
        on_publish: Any
        on_unsubscribe: Any
        on_disconnect: Any
        on_socket_open: Any
        on_socket_close: Any
        on_socket_register_write: Any
        on_socket_unregister_write: Any
