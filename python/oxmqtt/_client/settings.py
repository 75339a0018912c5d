"""What a program sets on a client, and what may stand there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..enums import CallbackAPIVersion, MQTTProtocolVersion, PahoClientMode

if TYPE_CHECKING:
    import logging
    from ssl import SSLContext

    from .._native import RustlsConfig
    from ..properties import Properties
    from ..url import BrokerUrl
    from .pre_shared_key import KeySource
    from .types import CleanStartOption, PayloadType, WebSocketHeaders

MQTT_CLEAN_START_FIRST_ONLY: Literal[3] = 3

#: Bytes of the largest packet: the default, and what MQTT 5.0 properties take.
_PACKET_LIMIT = 16 << 20
LARGEST_PACKET = 268_435_455


#: Settings that the engine has to know at once.
LIVE = frozenset(
    {"protocol", "manual_ack", "max_inflight_messages", "max_queued_messages", "max_packet_size"}
)


class Target(NamedTuple):
    """Where to connect, and how: the arguments of ``connect()``."""

    host: str
    port: int
    keepalive: int
    bind_address: str
    bind_port: int
    clean_start: CleanStartOption
    connect_properties: Properties | None

    def checked(self, transport: str) -> Target:
        """:raises ValueError, TypeError: part of it is not valid."""
        if self.bind_port < 0:
            raise ValueError("Invalid bind port number.")
        # Python's sockets take bytes too.
        host = self.host.decode() if isinstance(self.host, (bytes, bytearray)) else self.host
        check_host(host, transport)
        check_port(self.port)
        check_keepalive(self.keepalive)
        return self._replace(host=host)


class Settings:
    """The values and their defaults. The engine reads its part by ``Engine.configure()``."""

    callback_api_version = CallbackAPIVersion.VERSION1
    client_id = b""
    protocol = MQTTProtocolVersion.MQTTv311
    transport: Literal["tcp", "websockets", "unix"] = "tcp"
    reconnect_on_failure = True
    manual_ack = False
    #: MQTT 3.x only.
    clean_session = True

    host = ""
    port = 1883
    keepalive = 60
    bind_address = ""
    bind_port = 0
    connect_timeout: float = 5.0
    clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY
    #: No connection has been accepted since ``connect()``.
    mqttv5_first_connect = True
    connect_properties: Properties | None = None
    client_mode = PahoClientMode.MQTT_CLIENT

    ssl = False
    ssl_context: SSLContext | None = None
    rustls: RustlsConfig | None = None
    tls_insecure = False
    server_hostname: str | None = None
    key_source: KeySource | None = None
    proxy: dict[str, Any] = {}  # noqa: RUF012  never changed, only replaced
    websocket_path = "/mqtt"
    websocket_extra_headers: WebSocketHeaders | None = None
    #: The URL that the client follows, if any.
    broker_url: BrokerUrl | None = None
    #: The TLS that the URL set, which may not be what is set now.
    url_context: SSLContext | None = None

    username: bytes | None = None
    password: bytes | None = None
    will = False
    will_topic = b""
    will_payload: bytes | bytearray = b""
    will_qos = 0
    will_retain = False
    will_properties: Properties | None = None

    max_inflight_messages = 20
    max_queued_messages = 0
    #: What the program set; see :attr:`packet_limit`.
    max_packet_size: int | None = None
    reconnect_min_delay: float = 1
    reconnect_max_delay: float = 120
    logger: logging.Logger | None = None

    @property
    def is_v5(self) -> bool:
        return self.protocol == MQTTProtocolVersion.MQTTv5

    @property
    def protocol_level(self) -> int:
        """The number in CONNECT; programs set text too."""
        return int(self.protocol)

    @property
    def packet_limit(self) -> int:
        """Bytes of the largest packet that is taken from the broker."""
        return _PACKET_LIMIT if self.max_packet_size is None else self.max_packet_size

    @property
    def uses_python_ssl(self) -> bool:
        """TLS is set, and Python's ``ssl`` does it."""
        return self.ssl and self.rustls is None

    @property
    def server_name(self) -> str | None:
        """The name that TLS asks for and verifies."""
        return self.server_hostname or (None if self.transport == "unix" else self.host)


def check_host(value: str, transport: str) -> None:
    """A name ends at a NUL for the system, and would be another; a path may begin with one."""
    if value and not isinstance(value, str):
        raise TypeError(f"host must be a str, not {type(value).__name__}")
    if not value or ("\0" in value and transport != "unix"):
        raise ValueError("Invalid host.")


def check_port(value: int) -> None:
    if value <= 0 or value > 65_535:
        raise ValueError("Invalid port number.")


def check_keepalive(value: int) -> None:
    """Keep Alive of CONNECT has two bytes (OASIS MQTT 5.0, clause 3.1.2.10)."""
    if value < 0:
        raise ValueError("Keepalive must be >=0.")
    if value > 65_535:
        raise ValueError("Keepalive must be <=65535.")


def encode_payload(payload: PayloadType) -> bytes | bytearray:
    """A payload as bytes: text in UTF-8, numbers in decimal, None as empty."""
    if isinstance(payload, str):
        return payload.encode("utf-8")
    if isinstance(payload, (int, float)):
        return str(payload).encode("ascii")
    if payload is None:
        return b""
    if not isinstance(payload, (bytes, bytearray)):
        raise TypeError("payload must be a string, bytearray, int, float or None.")
    return payload
