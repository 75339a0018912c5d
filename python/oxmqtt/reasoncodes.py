"""MQTT 5 reason codes: a number with the name it has in one packet type.

Numbers, names and packet types are the codec's table (``_native.REASON_CODES``); OASIS MQTT 5.0,
clause 2.4.
"""

from __future__ import annotations

import warnings
from typing import Any

from . import _native
from ._tableview import TableView
from .packettypes import PacketTypes

# number -> name -> packet types
_NAMES: dict[int, dict[str, list[int]]] = {}
# (packet type, number) -> name and (packet type, name) -> number
_NAME_OF: dict[tuple[int, int], str] = {}
_NUMBER_OF: dict[tuple[int, str], int] = {}


def _fill_tables() -> None:
    for number, name, packets in _native.REASON_CODES:
        _NAMES.setdefault(number, {})[name] = list(packets)
        for packet in packets:
            _NAME_OF[packet, number] = name
            _NUMBER_OF[packet, name] = number


_fill_tables()


class ReasonCode:
    """The outcome that an MQTT 5 packet reports.

    ``packetType`` is one of :class:`~oxmqtt.packettypes.PacketTypes`.  The code is chosen by
    ``aName`` or, if ``identifier`` is given, by its number; for DISCONNECT the default name means
    "Normal disconnection".  ``KeyError`` for an unknown name or number, ``ValueError`` for a number
    that the packet type does not have.

    A reason code equals its number, its name and any reason code with the same number, and is
    ordered against numbers and reason codes.  It is not hashable.  ``value`` is the number;
    ``names`` maps each number to its names and their packet types.
    """

    names: TableView = TableView(_NAMES)

    def __init__(self, packetType: int, aName: str = "Success", identifier: int = -1) -> None:
        self.packetType = packetType
        self.value: int
        if identifier != -1:
            self.value = identifier
            if (packetType, identifier) not in _NAME_OF:
                self.getName()  # says what is wrong with it
        else:
            if packetType == PacketTypes.DISCONNECT and aName == "Success":
                aName = "Normal disconnection"
            self.set(aName)

    def __getName__(self, packetType: int, identifier: int) -> str:
        """The name of a number in a packet type; ``KeyError`` or ``ValueError`` if it has none."""
        name = _NAME_OF.get((packetType, identifier))
        if name is not None:
            return name
        names = [name for name, packets in self.names[identifier].items() if packetType in packets]
        if len(names) == 1:
            return str(names[0])
        raise ValueError(f"Expected exactly one name, found {names!r}")

    def getId(self, name: str) -> int:
        """The number of a name in this packet type; ``KeyError`` if it has none."""
        number = _NUMBER_OF.get((self.packetType, name))
        if number is not None:
            return number
        for number, names in self.names.items():
            if self.packetType in names.get(name, ()):
                return int(number)
        raise KeyError(f"Reason code name not found: {name}")

    def set(self, name: str) -> None:
        """Become the reason code with this name; ``KeyError`` if the packet type has none."""
        self.value = self.getId(name)

    def unpack(self, buffer: bytes | bytearray) -> int:
        """Become the reason code in the first byte of ``buffer``; returns 1, the bytes used."""
        self.set(self.__getName__(self.packetType, buffer[0]))
        return 1

    def getName(self) -> str:
        """The name, as in OASIS MQTT 5.0, table 2-6."""
        return self.__getName__(self.packetType, self.value)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            return self.value == other
        if isinstance(other, str):
            return self.getName() == other
        if isinstance(other, ReasonCode):
            return self.value == other.value
        return False

    def __lt__(self, other: Any) -> bool:
        if isinstance(other, int):
            return self.value < other
        if isinstance(other, ReasonCode):
            return self.value < other.value
        return NotImplemented

    def __le__(self, other: Any) -> bool:
        if isinstance(other, int):
            return self.value <= other
        if isinstance(other, ReasonCode):
            return self.value <= other.value
        return NotImplemented

    def __gt__(self, other: Any) -> bool:
        if isinstance(other, int):
            return self.value > other
        if isinstance(other, ReasonCode):
            return self.value > other.value
        return NotImplemented

    def __ge__(self, other: Any) -> bool:
        if isinstance(other, int):
            return self.value >= other
        if isinstance(other, ReasonCode):
            return self.value >= other.value
        return NotImplemented

    def __repr__(self) -> str:
        known = self.packetType < len(PacketTypes.Names)
        packet = PacketTypes.Names[self.packetType] if known else "Unknown"
        return f"ReasonCode({packet}, {self.getName()!r})"

    def __str__(self) -> str:
        return self.getName()

    def json(self) -> str:
        """The name, for ``json.dumps``."""
        return self.getName()

    def pack(self) -> bytearray:
        """The number as the one byte it is in a packet."""
        return bytearray((self.value,))

    @property
    def is_failure(self) -> bool:
        """Whether the code reports a failure: 128 and above (clause 2.4)."""
        return self.value >= 0x80


class _CompatibilityIsInstance(type):
    def __instancecheck__(self, other: Any) -> bool:
        return isinstance(other, ReasonCode)


class ReasonCodes(ReasonCode, metaclass=_CompatibilityIsInstance):
    """The name that :class:`ReasonCode` had in paho-mqtt 1.x; creating one warns.

    Every ``ReasonCode`` is an instance of it, for programs that still ask with ``isinstance``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            "ReasonCodes is deprecated, use ReasonCode (singular) instead",
            category=DeprecationWarning,
            stacklevel=2,
        )
        super().__init__(*args, **kwargs)
