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
from ..matcher import MQTTMatcher
from .log import LOGGING_LEVEL

if TYPE_CHECKING:
    import logging
    import ssl
    import threading
    from typing import Literal

    from ..properties import Properties
    from .sockets import ConnectionSocket
    from .types import CleanStartOption

MQTT_CLEAN_START_FIRST_ONLY: Literal[3] = 3


class TopicCallbacks(MQTTMatcher):
    """Callbacks per topic filter; a change reaches the engine's topic cache at once."""

    def __init__(self, client: ClientState) -> None:
        super().__init__()
        self._forget_topics = client._engine.forget_topics

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._forget_topics()

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._forget_topics()


class ClientState(ClientBase):
    """What the constructor sets up. Names with one underscore are paho's; programs reach for them."""

    def _init_state(
        self,
        callback_api_version: CallbackAPIVersion,
        client_id: bytes,
        userdata: Any,
        protocol: MQTTProtocolVersion,
        transport: Literal["tcp", "websockets", "unix"],
        reconnect_on_failure: bool,
        manual_ack: bool,
    ) -> None:
        self._callback_api_version = callback_api_version
        self._client_id = client_id
        self._userdata = userdata
        self._protocol = protocol
        self._transport = transport
        self._reconnect_on_failure = reconnect_on_failure
        self._manual_ack = manual_ack

        self._host = ""
        self._port = 1883
        self._keepalive = 60
        self._bind_address = ""
        self._bind_port = 0
        self._connect_timeout = 5.0
        self._clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY
        self._mqttv5_first_connect = True
        self._connect_properties: Properties | None = None
        self._client_mode = PahoClientMode.MQTT_CLIENT
        self._ssl = False
        self._ssl_context: ssl.SSLContext | None = None

        self._username: bytes | None = None
        self._password: bytes | None = None
        self._will = False
        self._will_topic = b""
        self._will_payload: bytes | bytearray = b""
        self._will_qos = 0
        self._will_retain = False
        self._will_properties: Properties | None = None

        self._max_inflight_messages = 20
        self._max_queued_messages = 0
        self._reconnect_min_delay: float = 1
        self._reconnect_max_delay: float = 120
        self._reconnect_delay: float | None = None

        self._state = _ConnectionState.MQTT_CS_NEW
        #: A thread is in ``reconnect()``.
        self._dialling = False
        #: When CONNACK came, by ``time.monotonic()``; 0 before.
        self._connected_at = 0.0
        self._sock: ConnectionSocket | None = None
        self._thread: threading.Thread | None = None
        self._thread_terminate = False
        #: Callback exceptions are logged and go no further.
        self.suppress_exceptions = False
        self._logger: logging.Logger | None = None
        self._on_message_filtered = TopicCallbacks(self)

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

        def _observe_callbacks(self) -> None: ...

        def _call(self, name: str, *args: Any) -> None: ...

        def _dispatch_without_loop(self) -> None: ...

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
