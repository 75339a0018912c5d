"""MQTT 5 properties: a bag of named values that belongs to one packet type.

Which properties exist, their types and the packets they may travel in is the codec's table
(``_native.PROPERTIES``); this module gives it paho's attribute API.  Bytes are made and read by the
codec alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _native
from ._tableview import TableView
from .exception import MalformedPacket as MalformedPacket
from .exception import MQTTException as MQTTException
from .packettypes import PacketTypes

# The kinds of OASIS MQTT 5.0, clause 1.5, in the numbering of the codec's table.
_TYPES = [
    "Byte",
    "Two Byte Integer",
    "Four Byte Integer",
    "Variable Byte Integer",
    "Binary Data",
    "UTF-8 Encoded String",
    "UTF-8 String Pair",
]
_TWO_BYTES, _FOUR_BYTES, _BINARY, _UTF8 = 1, 2, 4, 5

_NAMES = {name: ident for ident, name, _kind, _packets, _multiple in _native.PROPERTIES}
_PROPERTIES = {
    ident: (kind, list(packets)) for ident, _name, kind, packets, _multiple in _native.PROPERTIES
}
# attribute name -> (identifier, packet types, may occur more than once), in the table's order
_ATTRIBUTES = {
    name.replace(" ", ""): (ident, packets, multiple)
    for ident, name, _kind, packets, multiple in _native.PROPERTIES
}
# The values that setting an attribute refuses (clauses 3.1.2.11, 3.3.2.3, 3.8.2.1).
_RANGES = {
    "ReceiveMaximum": (1, 65_535),
    "TopicAlias": (1, 65_535),
    "TopicAliasMaximum": (0, 65_535),
    "MaximumPacketSize": (1, 268_435_455),
    "SubscriptionIdentifier": (1, 268_435_455),
}
_BOOLEANS = frozenset(
    ("RequestResponseInformation", "RequestProblemInformation", "PayloadFormatIndicator")
)
_INSTANCE_ATTRIBUTES = frozenset(("packetType", "types", "names", "properties"))
_set = object.__setattr__


def writeInt16(length: int) -> bytearray:
    """Two bytes, the most significant first; ``struct.error`` outside 0-65,535 (clause 1.5.2)."""
    return bytearray(_native.encode_value(_TWO_BYTES, length))


def readInt16(buf: bytes | bytearray) -> int:
    """The number in the first two bytes of ``buf``; ``struct.error`` if there are fewer."""
    value: int = _native.decode_value(_TWO_BYTES, buf, 2)[0]
    return value


def writeInt32(length: int) -> bytearray:
    """Four bytes, the most significant first; ``struct.error`` outside 32 bits (clause 1.5.3)."""
    return bytearray(_native.encode_value(_FOUR_BYTES, length))


def readInt32(buf: bytes | bytearray) -> int:
    """The number in the first four bytes of ``buf``; ``struct.error`` if there are fewer."""
    value: int = _native.decode_value(_FOUR_BYTES, buf, 4)[0]
    return value


def writeUTF(data: str | bytes) -> bytearray:
    """A UTF-8 string behind its two byte length; ``bytes`` pass as they are (clause 1.5.4)."""
    return bytearray(_native.encode_value(_UTF8, data))


def readUTF(buffer: bytes | bytearray, maxlen: int) -> tuple[str, int]:
    """The string that ``buffer`` starts with and the bytes it took, at most ``maxlen``.

    ``MalformedPacket`` if it is longer than that or holds U+0000, U+FEFF or a surrogate.
    """
    value: tuple[str, int] = _native.decode_value(_UTF8, buffer, maxlen)
    return value


def writeBytes(buffer: bytes | bytearray) -> bytearray:
    """Binary data behind its two byte length (clause 1.5.6)."""
    return bytearray(_native.encode_value(_BINARY, buffer))


def readBytes(buffer: bytes | bytearray, maxlen: int) -> tuple[bytes, int]:
    """The binary data that ``buffer`` starts with and the bytes it took, at most ``maxlen``.

    ``MalformedPacket`` if it is longer than that.
    """
    value: tuple[bytes, int] = _native.decode_value(_BINARY, buffer, maxlen)
    return value


class VariableByteIntegers:
    """Numbers in one to four bytes, seven bits each (OASIS MQTT 5.0, clause 1.5.5)."""

    @staticmethod
    def encode(x: int) -> bytes:
        """The shortest encoding of ``x``; ``ValueError`` outside 0-268,435,455."""
        return _native.encode_varint(x)

    @staticmethod
    def decode(buffer: bytes | bytearray) -> tuple[int, int]:
        """The number that ``buffer`` starts with and the bytes it took.

        ``MalformedPacket`` if it does not end within four bytes or within the buffer.
        """
        return _native.decode_varint(buffer)


def _shown(name: str, value: Any) -> Any:
    return "***" if name == "AuthenticationData" else value


class Properties:
    """The properties of one packet (OASIS MQTT 5.0, clause 2.2.2).

    ``packetType`` is one of :class:`~oxmqtt.packettypes.PacketTypes`; ``WILLMESSAGE`` stands for
    the properties of a will.  A property is an attribute named as in the standard without the
    spaces::

        properties = Properties(PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = 60  # seconds
        properties.UserProperty = ("colour", "red")
        properties.UserProperty = ("size", "7")  # appended: UserProperty reads as a list of pairs

    ``UserProperty`` and ``SubscriptionIdentifier`` append on assignment and read as lists.  A
    property that was not set raises ``AttributeError``.  ``MQTTException`` is raised for an unknown
    name, for a property that the packet type cannot carry and for a number out of its range.

    ``names`` (name to identifier), ``types`` (kinds of values) and ``properties`` (identifier to
    index in ``types`` and packet types) describe the table; they are copies, and changing them
    changes nothing else.
    """

    names: TableView = TableView(_NAMES)
    types: TableView = TableView(_TYPES)
    properties: TableView = TableView(_PROPERTIES)

    if TYPE_CHECKING:
        packetType: int
        PayloadFormatIndicator: int
        MessageExpiryInterval: int
        ContentType: str
        ResponseTopic: str
        CorrelationData: bytes
        SessionExpiryInterval: int
        AssignedClientIdentifier: str
        ServerKeepAlive: int
        AuthenticationMethod: str
        AuthenticationData: bytes
        RequestProblemInformation: int
        WillDelayInterval: int
        RequestResponseInformation: int
        ResponseInformation: str
        ServerReference: str
        ReasonString: str
        ReceiveMaximum: int
        TopicAliasMaximum: int
        TopicAlias: int
        MaximumQoS: int
        RetainAvailable: int
        MaximumPacketSize: int
        WildcardSubscriptionAvailable: int
        SubscriptionIdentifierAvailable: int
        SharedSubscriptionAvailable: int
        # Assigned one by one, read as lists: no annotation can say both.
        SubscriptionIdentifier: Any
        UserProperty: Any

    def __init__(self, packetType: int) -> None:
        _set(self, "packetType", packetType)

    def __setattr__(self, name: str, value: Any) -> None:
        entry = _ATTRIBUTES.get(name)
        if entry is None:
            name = name.replace(" ", "")
            if name in _INSTANCE_ATTRIBUTES:
                _set(self, name, value)
                return
            entry = _ATTRIBUTES.get(name)
            if entry is None:
                raise MQTTException(f"Property name must be one of {_NAMES.keys()}")
        _ident, packets, multiple = entry
        if self.packetType not in packets:
            packet = self.packetType
            shown = "Will" if packet == PacketTypes.WILLMESSAGE else PacketTypes.Names[packet]
            raise MQTTException(f"Property {name} does not apply to packet type {shown}")
        if not isinstance(value, list):
            if name in _RANGES:
                low, high = _RANGES[name]
                if value < low or value > high:
                    raise MQTTException(f"{name} property value must be in the range {low}-{high}")
            elif name in _BOOLEANS and value != 0 and value != 1:
                raise MQTTException(f"{name} property value must be 0 or 1")
            if multiple:
                value = [value]
        if multiple and name in self.__dict__:
            value = self.__dict__[name] + value
        _set(self, name, value)

    def allowsMultiple(self, compressedName: str) -> bool:
        """Whether the property with this name, without spaces, may occur more than once."""
        return compressedName in _ATTRIBUTES and _ATTRIBUTES[compressedName][2]

    def getIdentFromName(self, compressedName: str) -> int:
        """The identifier of the property with this name, without spaces; -1 for an unknown one."""
        return _ATTRIBUTES[compressedName][0] if compressedName in _ATTRIBUTES else -1

    def getNameFromIdent(self, identifier: int) -> str | None:
        """The name, with spaces, of the property with this identifier; ``None`` if unknown."""
        for name, ident in _NAMES.items():
            if ident == identifier:
                return name
        return None

    def _present(self) -> list[tuple[str, Any]]:
        """The properties that are set, with their values, in the table's order."""
        present = [item for item in self.__dict__.items() if item[0] in _ATTRIBUTES]
        if len(present) > 1:
            present.sort(key=lambda item: _ATTRIBUTES[item[0]][0])
        return present

    def __str__(self) -> str:
        """Without the value of AuthenticationData: it may be secret, and this is what gets logged."""
        shown = (f"{name} : {_shown(name, value)}" for name, value in self._present())
        return "[" + ", ".join(shown) + "]"

    def json(self) -> dict[str, Any]:
        """A dictionary for ``json.dumps``; correlation data becomes a string of hex digits."""
        data = dict(self._present())
        correlation = data.get("CorrelationData")
        if isinstance(correlation, bytes):
            data["CorrelationData"] = correlation.hex()
        return data

    def isEmpty(self) -> bool:
        """Whether no property is set."""
        return _ATTRIBUTES.keys().isdisjoint(self.__dict__)

    def clear(self) -> None:
        """Remove every property; the packet type stays."""
        for name, _value in self._present():
            delattr(self, name)

    def pack(self) -> bytes:
        """The properties as they stand in a packet: their length in bytes, then each of them.

        Values that do not fit their type raise what the conversion raises: ``struct.error``,
        ``ValueError``, ``TypeError``, ``IndexError``, ``UnicodeEncodeError``.  ``MQTTException``
        for those that fit it and that the server would have to refuse.
        """
        return _native.encode_properties(self.packetType, self.__dict__)

    def unpack(self, buffer: bytes | bytearray) -> tuple[Properties, int]:
        """Replace all properties by those that ``buffer`` starts with.

        Returns this object and the number of bytes used, the length field included.
        ``MalformedPacket`` for bytes that are not properties; ``MQTTException`` for one that the
        packet type cannot carry, that occurs twice or that is out of its range.  After an error
        no property is set.
        """
        self.clear()
        # The codec checks them: no need to go through __setattr__ one by one.
        return self, _native.decode_properties(self.packetType, buffer, self.__dict__)

    def writeProperty(self, identifier: int, type: int, value: Any) -> bytes:
        """One property: its identifier and ``value`` encoded as ``types[type]``."""
        return _native.encode_varint(identifier) + _native.encode_value(type, value)

    def readProperty(self, buffer: bytes | bytearray, type: int, propslen: int) -> tuple[Any, int]:
        """The value of kind ``types[type]`` that ``buffer`` starts with, and the bytes it took.

        ``propslen`` is the number of bytes that the properties still have.
        """
        return _native.decode_value(type, buffer, propslen)
