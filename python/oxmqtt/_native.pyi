"""The native module: tables, conversions and the engine.  Private; programs use the modules above."""

from asyncio import Future
from collections.abc import Callable
from typing import Any, ClassVar, Final, final

from typing_extensions import Buffer, Self, disjoint_base

from ._client.types import PayloadType
from .aio.topic import Topic
from .enums import MessageState, MQTTErrorCode
from .properties import Properties

__all__ = [
    "DEBUG_BUILD",
    "PROPERTIES",
    "REASON_CODES",
    "BrokerServer",
    "Cancellation",
    "ClientBase",
    "Consumer",
    "Engine",
    "HandshakeLayers",
    "MQTTMessage",
    "MQTTMessageInfo",
    "Mailbox",
    "Message",
    "Relay",
    "RustlsConfig",
    "__version__",
    "after_fork_in_child",
    "after_fork_in_parent",
    "before_fork",
    "begin_exit",
    "decode_properties",
    "decode_subscribe_options",
    "decode_value",
    "decode_varint",
    "described",
    "encode_properties",
    "encode_subscribe_options",
    "encode_value",
    "encode_varint",
    "flush_all",
    "handshake",
    "leave_turn",
    "topic_matches_sub",
    "wait_in_turn",
]

__version__: Final[str]
#: Whether the module was built without optimisation.
DEBUG_BUILD: Final[bool]

# tables

#: (identifier, name, kind 0-6, packet types, may occur more than once), by identifier.
#: The kinds are those of ``Properties.types``; packet type 99 is the will.
PROPERTIES: Final[tuple[tuple[int, str, int, tuple[int, ...], bool], ...]]
#: (number, name, packet types), by number.
REASON_CODES: Final[tuple[tuple[int, str, tuple[int, ...]], ...]]

def encode_properties(packet_type: int, attributes: dict[str, Any], /) -> bytes: ...
def decode_properties(packet_type: int, buffer: Buffer, attributes: dict[str, Any], /) -> int: ...
def encode_value(kind: int, value: Any, /) -> bytes: ...
def decode_value(kind: int, buffer: Buffer, limit: int, /) -> tuple[Any, int]: ...
def encode_varint(value: int, /) -> bytes: ...
def decode_varint(buffer: Buffer, /) -> tuple[int, int]: ...
def encode_subscribe_options(
    qos: int, no_local: bool, retain_as_published: bool, retain_handling: int, /
) -> bytes: ...
def decode_subscribe_options(byte: int, /) -> tuple[int, bool, bool, int]: ...
def topic_matches_sub(sub: str, topic: str) -> bool: ...

# messages

@disjoint_base
class MQTTMessage:
    mid: int
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    timestamp: float
    state: MessageState
    properties: Properties | None
    info: MQTTMessageInfo
    _topic: bytes

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...
    def __init__(self, mid: int = 0, topic: bytes = b"") -> None: ...
    @property
    def topic(self) -> str: ...
    @topic.setter
    def topic(self, value: bytes) -> None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __copy__(self) -> MQTTMessage: ...

@disjoint_base
class MQTTMessageInfo:
    mid: int
    _published: bool
    @property
    def rc(self) -> MQTTErrorCode: ...
    @rc.setter
    def rc(self, value: int) -> None: ...
    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...
    def __init__(self, mid: int) -> None: ...
    def _set_as_published(self) -> None: ...
    def wait_for_publish(self, timeout: float | None = None) -> None: ...
    def is_published(self) -> bool: ...
    def next(self) -> MQTTErrorCode | int: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> MQTTErrorCode | int: ...
    def __getitem__(self, index: int, /) -> MQTTErrorCode | int: ...

# the client's native side

def described(method: object, function: object, /) -> Any: ...

@disjoint_base
class ClientBase:
    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...
    _userdata: Any
    _on_message: Any
    @property
    def _engine(self) -> Engine: ...
    def publish(
        self,
        topic: str,
        payload: PayloadType = None,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> MQTTMessageInfo: ...
    def ack(self, mid: int, qos: int) -> MQTTErrorCode: ...
    def _new_mailbox(
        self,
        *,
        wake_in: Callable[[float], object],
        send_acks_soon: Callable[[], object],
        reply: Callable[[Message], object],
        most_waiting: int,
    ) -> Mailbox: ...

@final
class Engine:
    def configure(
        self,
        *,
        version: int | None = None,
        max_inflight: int | None = None,
        max_queued: int | None = None,
        max_packet_size: int | None = None,
        manual_ack: bool | None = None,
        report_acked: bool | None = None,
        report_sent: bool | None = None,
        trace: bool | None = None,
        event_driven: bool | None = None,
        looping: bool | None = None,
        survives_exceptions: bool | None = None,
        on_message_is_method: bool | None = None,
        own_mids: bool | None = None,
        cooperative: bool | None = None,
        awaits_callbacks: bool | None = None,
        accepts_auth: bool | None = None,
        dialling: bool | None = None,
        threaded: bool | None = None,
    ) -> None: ...
    def connect(
        self,
        descriptor: int,
        *,
        unix: bool,
        relay: Relay | None,
        below: int | None,
        layers: HandshakeLayers | None,
        client_id: bytes,
        clean_start: bool,
        keep_alive: int,
        username: bytes | None,
        password: bytes | None,
        will: tuple[str, bytes, int, bool, Properties | None] | None,
        properties: Properties | None,
        bridge: bool,
        connack_timeout: float,
        rewrite: Callable[[bytes], bytes] | None = None,
    ) -> None: ...
    def send_own_packet(self, packet: bytes) -> bool: ...
    def abandon(self) -> None: ...
    def leave(self) -> None: ...
    def abort(self) -> None: ...
    def duplicate_socket(self) -> int | None: ...
    def disconnect(self, reason: int, properties: Properties | None) -> bool: ...
    def authenticate(self, reason: int, data: bytes | None) -> bool: ...
    def subscribe(
        self, filters: list[tuple[str, int]], properties: Properties | None
    ) -> tuple[int, int | None]: ...
    def unsubscribe(
        self, filters: list[str], properties: Properties | None
    ) -> tuple[int, int | None]: ...
    #: ``client`` has the methods of ``oxmqtt._client.events.Events``.
    def drain(self, client: object, mailbox: Mailbox | None = None) -> int: ...
    def pause(self) -> None: ...
    def acknowledge(self, due: tuple[int, int, int]) -> None: ...
    def descriptor(self) -> int: ...
    def release_descriptor(self) -> None: ...
    def interrupt(self) -> None: ...
    def forget_topics(self) -> None: ...
    def flush(self, timeout: float) -> bool: ...
    @property
    def not_handed_over(self) -> int: ...
    @property
    def progress(self) -> tuple[int, int, bool]: ...
    def drop_unfinished(self) -> list[MQTTMessage]: ...
    def unfinished_messages(self) -> list[MQTTMessage]: ...
    def unreleased(self) -> list[tuple[int, bool]]: ...
    def next_packet_id(self) -> int: ...
    def continue_after(self, last: int) -> None: ...
    def reset(self) -> None: ...
    @property
    def online(self) -> bool: ...
    @property
    def idle(self) -> tuple[float, float] | None: ...
    @property
    def unfinished(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def unsent(self) -> int: ...
    @property
    def unsent_packets(self) -> int: ...
    @property
    def last_packet_id(self) -> int: ...
    @property
    def waiting_events(self) -> int: ...
    @property
    def looping(self) -> bool: ...
    @property
    def in_callback(self) -> bool: ...
    @property
    def callback_runs(self) -> bool: ...

# what an event loop has of it

@final
class Message:
    def __new__(
        cls,
        topic: str | Topic,
        payload: Any,
        qos: int,
        retain: bool,
        mid: int,
        properties: Properties | None,
    ) -> Self: ...
    @property
    def topic(self) -> Topic: ...
    # bytes of a message that arrived; whatever one made by hand was given
    @property
    def payload(self) -> Any: ...
    @property
    def qos(self) -> int: ...
    @property
    def retain(self) -> bool: ...
    @property
    def mid(self) -> int: ...
    @property
    def properties(self) -> Properties | None: ...
    def __lt__(self, other: Message, /) -> bool: ...
    def __gt__(self, other: Message, /) -> bool: ...

@final
class Mailbox:
    def publish(
        self,
        topic: str,
        payload: PayloadType,
        qos: int,
        retain: bool,
        properties: Properties | None,
        timeout: float | None,
    ) -> Future[int] | None: ...
    def publish_many(
        self,
        messages: list[tuple[str, PayloadType]],
        qos: int,
        retain: bool,
        properties: Properties | None,
        timeout: float | None,
    ) -> Future[int] | None: ...
    def acknowledge(self, message: Message) -> None: ...
    def settle_left_over(self) -> None: ...
    def send_acks(self) -> None: ...
    def expire(self) -> list[Future[int]]: ...
    def take_pending(self) -> list[Future[int]]: ...
    def await_answers(self, change: int) -> None: ...
    create_future: Any
    keeps_offline: bool
    reply_topic: str
    @property
    def pending(self) -> int: ...
    def __len__(self) -> int: ...

@disjoint_base
class Consumer:
    def __new__(cls, mailbox: Mailbox) -> Self: ...
    def take(self) -> Message | None: ...
    def take_batch(self, most: int) -> list[Message]: ...
    def __len__(self) -> int: ...

# the process

def flush_all(timeout: float) -> int: ...
def begin_exit() -> None: ...
def before_fork() -> None: ...
def after_fork_in_parent() -> None: ...
def after_fork_in_child() -> None: ...

# loop threads; not on Windows

def wait_in_turn(reading: list[int], writing: list[int], timeout: float) -> list[int]: ...
def leave_turn() -> None: ...

# handshakes

@final
class HandshakeLayers: ...

@final
class Relay:
    def __new__(cls) -> Self: ...
    def passed_on(self, count: int) -> None: ...

@final
class RustlsConfig:
    def __new__(
        cls,
        *,
        ca_certs: bytes | None,
        certificate: bytes | None,
        key: bytes | None,
        alpn: list[bytes],
        tls13_only: bool,
    ) -> Self: ...

def handshake(
    descriptor: int,
    *,
    unix: bool,
    timeout: float,
    tls: RustlsConfig | None = None,
    server_name: str = "",
    any_name: bool = False,
    request: bytes | None = None,
    key: str = "",
) -> HandshakeLayers: ...

# the embedded broker

_MessageFields = tuple[str, bytes, int, bool, Properties | None, str]
_SubscriptionFields = tuple[str, int, bool, bool, int]
_ClientFields = tuple[str, int, str, bool, int, list[_SubscriptionFields]]

@final
class Cancellation:
    """Ends a wait from another thread."""

    def __new__(cls) -> Self: ...
    def cancel(self) -> None: ...

@final
class BrokerServer:
    """A running broker; a forked child has none."""

    def __new__(
        cls,
        *,
        address: str,
        port: int,
        users: dict[bytes, bytes] | None,
        authentication: tuple[str, list[tuple[bytes | None, bytes]]] | None,
        maximum_packet_size: int,
        receive_maximum: int,
        record: int,
        max_unsent: int,
        tls: tuple[bytes, bytes] | None,
        tls_names: list[str] | None,
        clients_need_certificates: bool,
        client_authorities: bytes | None,
        plain: bool,
        websockets: bool,
    ) -> Self: ...
    @property
    def ports(self) -> tuple[int | None, int | None, int | None, int | None]: ...
    @property
    def ca_pem(self) -> str | None: ...
    def issue(self, name: str) -> tuple[str, str] | None: ...
    @property
    def is_running(self) -> bool: ...
    def close(self) -> None: ...
    def messages(self) -> list[_MessageFields]: ...
    def clear(self) -> None: ...
    def clients(self) -> list[_ClientFields]: ...
    def counters(self) -> tuple[int, int]: ...
    def publish(
        self,
        topic: str,
        payload: PayloadType,
        qos: int,
        retain: bool,
        properties: Properties | None,
    ) -> bool: ...
    def wait_for_message(
        self, filter: str, timeout: float | None, cancellation: Cancellation
    ) -> _MessageFields | None: ...
    def wait_for_client(
        self, client_id: str, connected: bool, timeout: float | None, cancellation: Cancellation
    ) -> bool: ...
    def wait_for_subscription(
        self, filter: str, client_id: str | None, timeout: float | None, cancellation: Cancellation
    ) -> bool: ...
    def drop_connections(self, client_id: str | None) -> int: ...
    def refuse(self, reason: int, times: int) -> None: ...
    def delay_acks(self, seconds: float) -> None: ...
    def lose_acks(self, count: int) -> None: ...
    def cut_after(self, bytes: int, times: int) -> None: ...
    def restart(self, keep_sessions: bool) -> None: ...
