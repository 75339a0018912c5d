"""Packet types: numbers, names and their order."""

from __future__ import annotations

from oxmqtt import _native
from oxmqtt.enums import MessageType
from oxmqtt.packettypes import PacketTypes


def test_numbers_are_those_of_the_fixed_header() -> None:
    for kind in MessageType:
        assert getattr(PacketTypes, kind.name) == kind >> 4


def test_names_by_number() -> None:
    for kind in MessageType:
        assert PacketTypes.Names[kind >> 4].upper() == kind.name
    assert PacketTypes.Names[0] == "reserved"
    assert list(PacketTypes.indexes) == list(range(1, len(PacketTypes.Names)))


def test_the_native_tables_know_the_same_packet_types() -> None:
    known = {*PacketTypes.indexes, PacketTypes.WILLMESSAGE}
    for _ident, _name, _kind, packets, _multiple in _native.PROPERTIES:
        assert known.issuperset(packets)
    for _number, _name, packets in _native.REASON_CODES:
        assert known.issuperset(packets)
