"""The native module: tables, conversions and the engine.  Private; programs use the modules above."""

from collections.abc import Iterable
from typing import Any, Final

from typing_extensions import Buffer

__version__: Final[str]
#: Whether the module was built without optimisation.
DEBUG_BUILD: Final[bool]

# tables

#: (identifier, name, kind 0-6, packet types, may occur more than once), by identifier.
#: The kinds are those of ``Properties.types``; packet type 99 is the will.
PROPERTIES: Final[tuple[tuple[int, str, int, tuple[int, ...], bool], ...]]
#: (number, name, packet types), by number.
REASON_CODES: Final[tuple[tuple[int, str, tuple[int, ...]], ...]]

def encode_properties(packet_type: int, items: Iterable[tuple[int, Any]], /) -> bytes: ...
def decode_properties(packet_type: int, buffer: Buffer, /) -> tuple[list[tuple[int, Any]], int]: ...
def encode_value(kind: int, value: Any, /) -> bytes: ...
def decode_value(kind: int, buffer: Buffer, limit: int, /) -> tuple[Any, int]: ...
def encode_varint(value: int, /) -> bytes: ...
def decode_varint(buffer: Buffer, /) -> tuple[int, int]: ...
def encode_subscribe_options(
    qos: int, no_local: bool, retain_as_published: bool, retain_handling: int, /
) -> bytes: ...
def decode_subscribe_options(byte: int, /) -> tuple[int, bool, bool, int]: ...
def topic_matches_sub(sub: str, topic: str) -> bool: ...
