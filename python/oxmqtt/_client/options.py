"""Options of a client: who it is, what it leaves behind, its limits, its log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ..enums import CallbackAPIVersion, MQTTProtocolVersion, PahoClientMode
from ..properties import Properties
from .state import ClientState

if TYPE_CHECKING:
    import logging

    from typing_extensions import Self

    from .types import PayloadType


#: The default, and the largest that MQTT 5.0 properties take.
_MAX_PACKET_SIZE = 16 << 20
_LARGEST_PACKET = 268_435_455


def check_host(value: str, transport: str) -> None:
    """A name ends at a NUL for the system, and would be another; a path may begin with one."""
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


class Options(ClientState):
    """Most properties can only be set while there is no connection.

    :raises RuntimeError: from a setter, while the connection stands.
    """

    def _change(self, name: str, value: Any) -> None:
        if not self._connection_closed():
            raise RuntimeError(f"updating {name} on established connection is not supported")
        setattr(self, "_" + name, value)

    @property
    def callback_api_version(self) -> CallbackAPIVersion:
        """Which arguments callbacks get."""
        return self._callback_api_version

    @property
    def protocol(self) -> MQTTProtocolVersion:
        """The protocol version of CONNECT (OASIS MQTT 5.0, clause 3.1.2.2)."""
        return self._protocol

    @property
    def transport(self) -> Literal["tcp", "websockets", "unix"]:
        """``"tcp"``, ``"unix"`` or ``"websockets"``."""
        return self._transport

    @transport.setter
    def transport(self, value: Literal["tcp", "websockets", "unix"]) -> None:
        self._change("transport", value)

    @property
    def host(self) -> str:
        """Name or address of the broker, or the path of its unix socket; empty before connect().

        :raises ValueError: set to an empty name, or one with a NUL in it.
        """
        return self._host

    @host.setter
    def host(self, value: str) -> None:
        if self._connection_closed():
            check_host(value, self._transport)
        self._change("host", value)

    @property
    def port(self) -> int:
        """TCP port of the broker.

        :raises ValueError: set to less than 1, or more than 65,535.
        """
        return self._port

    @port.setter
    def port(self, value: int) -> None:
        if self._connection_closed():
            check_port(value)
        self._change("port", value)

    @property
    def keepalive(self) -> int:
        """Keep-alive in seconds, 0 for none (clause 3.1.2.10); the broker's, once it named one.

        :raises ValueError: set below zero, or above 65,535.
        """
        return self._keepalive

    @keepalive.setter
    def keepalive(self, value: int) -> None:
        if self._connection_closed():
            check_keepalive(value)
        self._change("keepalive", value)

    @property
    def connect_timeout(self) -> float:
        """Seconds that dialling, and then the answer to CONNECT, may take.

        :raises ValueError: set to zero or less.
        """
        return self._connect_timeout

    @connect_timeout.setter
    def connect_timeout(self, value: float) -> None:
        if self._connection_closed() and value <= 0.0:
            raise ValueError("timeout must be a positive number")
        self._change("connect_timeout", value)

    @property
    def username(self) -> str | None:
        """User name of CONNECT (clause 3.1.3.5), or None."""
        return None if self._username is None else self._username.decode("utf-8")

    @username.setter
    def username(self, value: str | None) -> None:
        self._change("username", None if value is None else value.encode("utf-8"))

    @property
    def password(self) -> str | None:
        """Password of CONNECT (clause 3.1.3.6), or None."""
        return None if self._password is None else self._password.decode("utf-8")

    @password.setter
    def password(self, value: str | None) -> None:
        self._change("password", None if value is None else value.encode("utf-8"))

    @property
    def max_inflight_messages(self) -> int:
        """QoS 1 and 2 messages that may wait for the broker's answer at once; 0 for 65,535.

        The broker's Receive Maximum bounds it too (clause 4.9).

        :raises ValueError: set below zero.
        """
        return self._max_inflight_messages

    @max_inflight_messages.setter
    def max_inflight_messages(self, value: int) -> None:
        if self._connection_closed() and value < 0:
            raise ValueError("Invalid inflight.")
        self._change("max_inflight_messages", value)

    @property
    def max_queued_messages(self) -> int:
        """QoS 1 and 2 messages that may be unfinished, in flight ones included; 0 for no bound.

        :raises ValueError: set below zero.
        """
        return self._max_queued_messages

    @max_queued_messages.setter
    def max_queued_messages(self, value: int) -> None:
        if self._connection_closed() and value < 0:
            raise ValueError("Invalid queue size.")
        self._change("max_queued_messages", value)

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
        return _MAX_PACKET_SIZE if self._max_packet_size is None else self._max_packet_size

    @max_packet_size.setter
    def max_packet_size(self, value: int) -> None:
        if not 0 < value <= _LARGEST_PACKET:
            raise ValueError("Invalid packet size.")
        self._change("max_packet_size", value)

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
        self._manual_ack = on

    def reconnect_delay_set(self, min_delay: float = 1, max_delay: float = 120) -> None:
        """Bounds of the wait before a reconnect, in seconds; it doubles with each failure."""
        self._reconnect_min_delay = min_delay
        self._reconnect_max_delay = max_delay
        self._reconnect_delay = None

    def username_pw_set(self, username: str | None, password: str | bytes | None = None) -> None:
        """Sets the credentials of the next CONNECT; a password needs a user name."""
        self._username = None if username is None else username.encode("utf-8")
        self._password = password.encode("utf-8") if isinstance(password, str) else password

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
        self._will_payload = encode_payload(payload)
        self._will = True
        self._will_topic = encoded_topic
        self._will_qos = qos
        self._will_retain = retain
        self._will_properties = properties

    def will_clear(self) -> None:
        """Sends no will with the next CONNECT."""
        self._will = False
        self._will_topic = b""
        self._will_payload = b""
        self._will_qos = 0
        self._will_retain = False

    @property
    def will_topic(self) -> str | None:
        """The topic of the will; empty for none."""
        return self._will_topic.decode("utf-8")

    @property
    def will_payload(self) -> bytes | bytearray | None:
        """The payload of the will; empty for none."""
        return self._will_payload

    def enable_bridge_mode(self) -> None:
        """Sets the bridge bit in the protocol level of CONNECT (MQTT 3.x, a custom of brokers)."""
        self._client_mode = PahoClientMode.MQTT_BRIDGE

    @property
    def logger(self) -> logging.Logger | None:
        """Where the log goes besides :attr:`on_log`, or None."""
        return self._logger

    @logger.setter
    def logger(self, value: logging.Logger | None) -> None:
        self._logger = value

    def enable_logger(self, logger: logging.Logger | None = None) -> None:
        """Logs to ``logger``, else to the one set before, else to ``oxmqtt.client``."""
        if logger is None and self._logger is None:
            import logging

            logger = logging.getLogger("oxmqtt.client")
        self.logger = logger or self._logger

    def disable_logger(self) -> None:
        """Logs to no logger."""
        self.logger = None
