"""The numbers of MQTT and of paho's API, as enumerations.

``oxmqtt.client`` re-exports each member under its old module-level name; both names are the same
object.
"""

from __future__ import annotations

import enum


class MQTTErrorCode(enum.IntEnum):
    """What a client method returns; zero is success.  These are paho's numbers, not MQTT's."""

    MQTT_ERR_AGAIN = -1
    MQTT_ERR_SUCCESS = 0
    MQTT_ERR_NOMEM = 1
    MQTT_ERR_PROTOCOL = 2
    MQTT_ERR_INVAL = 3
    MQTT_ERR_NO_CONN = 4
    MQTT_ERR_CONN_REFUSED = 5
    MQTT_ERR_NOT_FOUND = 6
    MQTT_ERR_CONN_LOST = 7
    MQTT_ERR_TLS = 8
    MQTT_ERR_PAYLOAD_SIZE = 9
    MQTT_ERR_NOT_SUPPORTED = 10
    MQTT_ERR_AUTH = 11
    MQTT_ERR_ACL_DENIED = 12
    MQTT_ERR_UNKNOWN = 13
    MQTT_ERR_ERRNO = 14
    MQTT_ERR_QUEUE_SIZE = 15
    MQTT_ERR_KEEPALIVE = 16


class MQTTProtocolVersion(enum.IntEnum):
    """The protocol level byte of CONNECT (OASIS MQTT 5.0 and 3.1.1, clause 3.1.2.2)."""

    MQTTv31 = 3
    MQTTv311 = 4
    MQTTv5 = 5


class CallbackAPIVersion(enum.Enum):
    """Which arguments the callbacks of a client receive.

    ``VERSION1`` is the shape of paho-mqtt 1.x and differs between MQTT 3 and MQTT 5; choosing it
    warns.  ``VERSION2`` is one shape for every protocol version, with ``ReasonCode`` and
    ``Properties`` throughout.
    """

    VERSION1 = 1
    VERSION2 = 2


class MessageType(enum.IntEnum):
    """Packet types as the high half of the fixed header's first byte (OASIS, clause 2.1.2)."""

    CONNECT = 0x10
    CONNACK = 0x20
    PUBLISH = 0x30
    PUBACK = 0x40
    PUBREC = 0x50
    PUBREL = 0x60
    PUBCOMP = 0x70
    SUBSCRIBE = 0x80
    SUBACK = 0x90
    UNSUBSCRIBE = 0xA0
    UNSUBACK = 0xB0
    PINGREQ = 0xC0
    PINGRESP = 0xD0
    DISCONNECT = 0xE0
    AUTH = 0xF0


class LogLevel(enum.IntEnum):
    """Levels handed to ``on_log``; one bit each."""

    MQTT_LOG_INFO = 0x01
    MQTT_LOG_NOTICE = 0x02
    MQTT_LOG_WARNING = 0x04
    MQTT_LOG_ERR = 0x08
    MQTT_LOG_DEBUG = 0x10


class ConnackCode(enum.IntEnum):
    """CONNACK return codes of MQTT 3.1 and 3.1.1 (OASIS MQTT 3.1.1, table 3.1)."""

    CONNACK_ACCEPTED = 0
    CONNACK_REFUSED_PROTOCOL_VERSION = 1
    CONNACK_REFUSED_IDENTIFIER_REJECTED = 2
    CONNACK_REFUSED_SERVER_UNAVAILABLE = 3
    CONNACK_REFUSED_BAD_USERNAME_PASSWORD = 4
    CONNACK_REFUSED_NOT_AUTHORIZED = 5


class _ConnectionState(enum.Enum):
    """Where a client stands between construction and the end of its connection."""

    MQTT_CS_NEW = 1
    MQTT_CS_CONNECT_ASYNC = 2
    MQTT_CS_CONNECTING = 3
    MQTT_CS_CONNECTED = 4
    MQTT_CS_CONNECTION_LOST = 5
    MQTT_CS_DISCONNECTING = 6
    MQTT_CS_DISCONNECTED = 7


class MessageState(enum.IntEnum):
    """How far a message has come in its QoS handshake (OASIS MQTT 5.0, clause 4.3)."""

    MQTT_MS_INVALID = 0
    MQTT_MS_PUBLISH = 1
    MQTT_MS_WAIT_FOR_PUBACK = 2
    MQTT_MS_WAIT_FOR_PUBREC = 3
    MQTT_MS_RESEND_PUBREL = 4
    MQTT_MS_WAIT_FOR_PUBREL = 5
    MQTT_MS_RESEND_PUBCOMP = 6
    MQTT_MS_WAIT_FOR_PUBCOMP = 7
    MQTT_MS_SEND_PUBREC = 8
    MQTT_MS_QUEUED = 9


class PahoClientMode(enum.IntEnum):
    """Whether CONNECT carries the bridge bit that brokers know from Mosquitto."""

    MQTT_CLIENT = 0
    MQTT_BRIDGE = 1
