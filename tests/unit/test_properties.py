"""Properties: attributes, checks, bytes both ways (OASIS MQTT 5.0, clauses 1.5 and 2.2.2)."""

from __future__ import annotations

import copy
import json
import pickle
import struct
from typing import Any

import pytest
from oxmqtt import _native
from oxmqtt.exception import MalformedPacket, MQTTException
from oxmqtt.packettypes import PacketTypes
from oxmqtt.properties import Properties, VariableByteIntegers

SAMPLES: list[Any] = [1, 300, 70_000, 200, b"\x00\xff", "caf\u00e9", ("name", "value")]


def every_property() -> list[tuple[int, str, Any, int]]:
    """(packet type, attribute, sample value, identifier) for each entry of the table."""
    return [
        (packet, name.replace(" ", ""), SAMPLES[kind], ident)
        for ident, name, kind, packets, _multiple in _native.PROPERTIES
        for packet in packets
    ]


@pytest.mark.parametrize(("packet", "name", "value", "ident"), every_property())
def test_each_property_of_each_packet_survives_the_wire(
    packet: int, name: str, value: Any, ident: int
) -> None:
    properties = Properties(packet)
    setattr(properties, name, value)
    packed = properties.pack()
    assert packed[0] == len(packed) - 1
    assert packed[1] == ident
    if name == "AuthenticationData":  # of no use without a method (clause 3.1.2.11.10)
        properties.AuthenticationMethod = "method"
        packed = properties.pack()
    back = Properties(packet)
    assert back.unpack(packed + b"rest") == (back, len(packed))
    assert getattr(back, name) == getattr(properties, name)
    assert back.pack() == packed


def test_each_property_is_refused_by_every_other_packet() -> None:
    for _ident, name, kind, packets, _multiple in _native.PROPERTIES:
        for packet in {*PacketTypes.indexes, PacketTypes.WILLMESSAGE}.difference(packets):
            with pytest.raises(MQTTException, match="does not apply to packet type"):
                setattr(Properties(packet), name, SAMPLES[kind])


def test_names_with_and_without_spaces() -> None:
    properties = Properties(PacketTypes.CONNACK)
    setattr(properties, "Maximum QoS", 1)
    assert properties.MaximumQoS == 1
    assert properties.getIdentFromName("MaximumQoS") == 36
    assert properties.getNameFromIdent(36) == "Maximum QoS"
    assert properties.getIdentFromName("Colour") == -1
    assert properties.getNameFromIdent(200) is None


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(MQTTException, match=r"must be one of dict_keys\(\['Payload Format"):
        Properties(PacketTypes.PUBLISH).Colour = "red"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("packet", "name", "low", "high"),
    [
        (PacketTypes.CONNECT, "ReceiveMaximum", 1, 65_535),
        (PacketTypes.CONNECT, "TopicAliasMaximum", 0, 65_535),
        (PacketTypes.CONNECT, "MaximumPacketSize", 1, 268_435_455),
        (PacketTypes.CONNECT, "RequestProblemInformation", 0, 1),
        (PacketTypes.CONNECT, "RequestResponseInformation", 0, 1),
        (PacketTypes.PUBLISH, "TopicAlias", 1, 65_535),
        (PacketTypes.PUBLISH, "PayloadFormatIndicator", 0, 1),
        (PacketTypes.SUBSCRIBE, "SubscriptionIdentifier", 1, 268_435_455),
    ],
)
def test_ranges(packet: int, name: str, low: int, high: int) -> None:
    for value in (low, high):
        properties = Properties(packet)
        setattr(properties, name, value)
        assert properties.pack()
    for value in (low - 1, high + 1):
        with pytest.raises(MQTTException, match=f"{name} property value must be"):
            setattr(Properties(packet), name, value)


def test_some_properties_append() -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = ("a", "1")
    properties.UserProperty = [("b", "2"), ("a", "3")]
    assert properties.UserProperty == [("a", "1"), ("b", "2"), ("a", "3")]
    back = Properties(PacketTypes.PUBLISH)
    back.unpack(properties.pack())
    assert back.UserProperty == properties.UserProperty
    assert properties.allowsMultiple("UserProperty")
    assert not properties.allowsMultiple("TopicAlias")


def test_unset_properties_do_not_exist() -> None:
    properties = Properties(PacketTypes.PUBLISH)
    assert not hasattr(properties, "TopicAlias")
    with pytest.raises(AttributeError, match="'Properties' object has no attribute 'TopicAlias'"):
        properties.TopicAlias  # noqa: B018


def test_clear_and_is_empty() -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.names  # noqa: B018  reading a table is not setting a property
    assert properties.isEmpty()
    properties.TopicAlias = 3
    assert not properties.isEmpty()
    properties.clear()
    assert properties.isEmpty()
    assert properties.pack() == b"\x00"


def test_order_on_the_wire_and_in_texts_is_the_table_s() -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = ("k", "v")
    properties.TopicAlias = 3
    properties.CorrelationData = b"\x01"
    assert properties.pack() == b"\x0e\x09\x00\x01\x01\x23\x00\x03\x26\x00\x01k\x00\x01v"
    expected = "[CorrelationData : b'\\x01', TopicAlias : 3, UserProperty : [('k', 'v')]]"
    assert str(properties) == expected
    data = json.loads(json.dumps(properties.json()))
    assert data == {"CorrelationData": "01", "TopicAlias": 3, "UserProperty": [["k", "v"]]}


def test_lengths_above_127_bytes() -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.CorrelationData = bytes(65_535)
    packed = properties.pack()
    assert packed[:6] == b"\x82\x80\x04\x09\xff\xff"
    assert Properties(PacketTypes.PUBLISH).unpack(packed)[1] == len(packed) == 65_541


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("MessageExpiryInterval", -1, struct.error),
        ("MessageExpiryInterval", 1 << 32, struct.error),
        ("MessageExpiryInterval", 1.5, struct.error),
        ("ContentType", 5, TypeError),
        ("ContentType", "x" * 65_536, struct.error),
        ("ContentType", "\ud800", UnicodeEncodeError),
        ("ContentType", "a\0b", MQTTException),
        ("CorrelationData", "text", TypeError),
        ("CorrelationData", 5, TypeError),
        ("CorrelationData", bytes(65_536), struct.error),
        ("ResponseTopic", "a/+", MQTTException),
        ("UserProperty", ("only",), IndexError),
        ("UserProperty", 5, TypeError),
        ("SubscriptionIdentifier", [1 << 28], ValueError),
    ],
)
def test_values_that_do_not_fit(name: str, value: Any, error: type[Exception]) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    setattr(properties, name, value)
    with pytest.raises(error):
        properties.pack()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_data(kind: Any) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.CorrelationData = kind(b"data")
    assert properties.pack() == b"\x07\x09\x00\x04data"
    back = Properties(PacketTypes.PUBLISH)
    back.unpack(kind(properties.pack()))
    assert back.CorrelationData == b"data"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x80",
        b"\xff\xff\xff\xff\x7f",
        b"\x02\x7f\x00",
        b"\x02\x23\x00",
        b"\x05\x09\x00\x05ab",
        b"\x04\x03\x00\x01\xff",
        b"\x04\x03\x00\x01\x00",
        b"\x06\x03\x00\x03\xed\xa0\x80",
    ],
)
def test_malformed_bytes(data: bytes) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.TopicAlias = 3
    with pytest.raises(MalformedPacket):
        properties.unpack(data)
    assert properties.isEmpty()


@pytest.mark.parametrize(
    "data",
    [b"\x03\x23\x00\x00", b"\x02\x01\x02", b"\x04\x01\x00\x01\x00", b"\x03\x21\x00\x01"],
    ids=["zero alias", "flag of two", "twice", "of another packet"],
)
def test_bytes_against_the_rules(data: bytes) -> None:
    with pytest.raises(MQTTException):
        Properties(PacketTypes.PUBLISH).unpack(data)


def test_tables_can_be_read_and_changing_them_changes_nothing_else() -> None:
    properties = Properties(PacketTypes.PUBLISH)
    assert properties.names["Topic Alias"] == 35
    assert properties.properties[35] == (1, [PacketTypes.PUBLISH])
    assert properties.types[1] == "Two Byte Integer"
    properties.names.clear()
    assert properties.names == {}
    assert len(Properties(PacketTypes.PUBLISH).names) == len(Properties.names) == 27


def test_the_table_names_each_property_once() -> None:
    idents = [row[0] for row in _native.PROPERTIES]
    assert idents == sorted(set(idents))
    assert len({row[1] for row in _native.PROPERTIES}) == 27


def test_copies_and_pickles_are_equal_in_content() -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = ("a", "1")
    for other in (copy.deepcopy(properties), pickle.loads(pickle.dumps(properties))):
        other.UserProperty = ("b", "2")
        assert other.packetType == PacketTypes.PUBLISH
        assert len(other.UserProperty) == 2
    assert properties.UserProperty == [("a", "1")]


def test_an_object_holds_nothing_but_its_values() -> None:
    assert vars(Properties(PacketTypes.PUBLISH)) == {"packetType": PacketTypes.PUBLISH}


@pytest.mark.parametrize("packet", [None, 0, 77, 300, "x"])
def test_an_unknown_packet_type_can_be_empty_only(packet: Any) -> None:
    properties = Properties(packet)
    assert properties.pack() == b"\x00"
    assert properties.unpack(b"\x00") == (properties, 1)
    with pytest.raises(MQTTException, match="no packet type has the number"):
        properties.unpack(b"\x03\x23\x00\x01")


@pytest.mark.parametrize("number", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 268_435_455])
def test_variable_byte_integers(number: int) -> None:
    encoded = VariableByteIntegers.encode(number)
    assert len(encoded) == max(1, -(-number.bit_length() // 7))
    assert VariableByteIntegers.decode(encoded + b"\xff") == (number, len(encoded))
    for end in range(len(encoded)):
        with pytest.raises(MalformedPacket):
            VariableByteIntegers.decode(encoded[:end])
