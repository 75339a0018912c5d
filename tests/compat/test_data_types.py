"""The same expressions on paho's data types and on oxmqtt's: values, texts and exceptions.

Each of data_type_expressions.EXPRESSIONS is evaluated with the names of either package; results and errors must be
equal.  Deliberate differences stand in BETTER with both outcomes and the reason.
"""

from __future__ import annotations

import importlib
import itertools
import random
import warnings
from typing import Any

import pytest

from .data_type_expressions import EXPRESSIONS

NAMES = {
    "enums": ["MQTTErrorCode", "MQTTProtocolVersion", "CallbackAPIVersion", "ConnackCode"],
    "matcher": ["MQTTMatcher"],
    "packettypes": ["PacketTypes"],
    "properties": [
        "Properties",
        "VariableByteIntegers",
        "writeInt16",
        "readInt16",
        "writeInt32",
        "readInt32",
        "writeUTF",
        "readUTF",
        "writeBytes",
        "readBytes",
    ],
    "reasoncodes": ["ReasonCode", "ReasonCodes"],
    "subscribeoptions": ["SubscribeOptions"],
}


def filled(Properties: Any, packet: int, /, *values: tuple[str, Any]) -> Any:
    properties = Properties(packet)
    for name, value in values:
        setattr(properties, name, value)
    return properties


def namespace(package: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module, names in NAMES.items():
        loaded = importlib.import_module(f"{package}.{module}")
        found.update((name, getattr(loaded, name)) for name in names)
    Properties, SubscribeOptions = found["Properties"], found["SubscribeOptions"]

    def props(packet: int, /, *values: tuple[str, Any], **named: Any) -> Any:
        return filled(Properties, packet, *values, *named.items())

    def unpacked(packet: int, data: bytes) -> Any:
        properties = Properties(packet)
        same, used = properties.unpack(data)
        return same is properties, used, properties.json()

    def options(data: bytes) -> Any:
        result = SubscribeOptions()
        return result.unpack(data), result.json()

    def assigned(target: Any, name: str, value: Any) -> Any:
        setattr(target, name, value)
        return target

    def matches(filters: list[str], topic: str) -> list[str]:
        matcher = found["MQTTMatcher"]()
        for topic_filter in filters:
            matcher[topic_filter] = topic_filter
        return list(matcher.iter_match(topic))

    found.update(
        P=found["PacketTypes"], props=props, unpacked=unpacked, options=options, assigned=assigned,
        matches=matches,
    )  # fmt: skip
    return found


PAHO = namespace("paho.mqtt")
OXMQTT = namespace("oxmqtt")


def outcome(expression: str, names: dict[str, Any]) -> Any:
    """The result, or the type and text of the error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = eval(expression, dict(names))
        except Exception as error:
            return type(error).__name__, str(error)
    return type(value).__name__, repr(value)


TEXT = "the codec says what is wrong in its own words, and paho's are kept where programs see them"
BOM = "U+FEFF is a character like any other [MQTT-1.5.4-3]"
SHORTEST = "a number must take the fewest bytes possible [MQTT-1.5.5-1]"
UNKNOWN = "bytes that cannot be parsed raise MalformedPacket, not what the parser stumbled over"
WILL = "a will has properties too, and Names ends before its number"
RULES = "values that the server must refuse never leave the client"
# expression -> (what paho does, what oxmqtt does, why)
BETTER = {
    "unpacked(P.PUBLISH, b'\\5\\x09\\0\\5ab')": (
        ("MalformedPacket", "Length delimited binary data too long"),
        ("MalformedPacket", "packet ends too early"),
        TEXT,
    ),
    "unpacked(P.PUBLISH, b'\\5\\x03\\0\\5ab')": (
        ("MalformedPacket", "Length delimited string too long"),
        ("MalformedPacket", "packet ends too early"),
        TEXT,
    ),
    "unpacked(P.PUBLISH, b'\\2\\x03\\0')": (
        ("MalformedPacket", "Not enough data to read string length"),
        ("MalformedPacket", "packet ends too early"),
        TEXT,
    ),
    "unpacked(P.PUBLISH, b'\\2\\x09\\0')": (
        ("MalformedPacket", "Not enough data to read binary data length"),
        ("MalformedPacket", "packet ends too early"),
        TEXT,
    ),
    "unpacked(P.PUBLISH, b'\\4\\x03\\0\\1\\0')": (
        ("MalformedPacket", "[MQTT-1.5.4-2] Null found in UTF-8 data"),
        ("MalformedPacket", "string contains U+0000"),
        TEXT,
    ),
    "unpacked(P.PUBLISH, b'\\3\\x23\\0\\0')": (
        ("MQTTException", "TopicAlias property value must be in the range 1-65535"),
        ("MQTTException", "topic alias invalid"),
        TEXT,
    ),
    "unpacked(P.PUBLISH, b'\\2\\1\\2')": (
        ("MQTTException", "PayloadFormatIndicator property value must be 0 or 1"),
        ("MQTTException", "protocol error: property is neither 0 nor 1"),
        TEXT,
    ),
    "unpacked(P.CONNACK, b'\\3\\x23\\0\\5')": (
        ("MQTTException", "Property TopicAlias does not apply to packet type Connack"),
        ("MQTTException", "protocol error: property not allowed in this packet"),
        TEXT,
    ),
    "unpacked(P.PUBLISH, b'\\4\\x01\\0\\x01\\0')": (
        ("MQTTException", "Property '<class 'property'>' must not exist more than once"),
        ("MQTTException", "protocol error: property given twice"),
        "paho names the builtin class instead of the property",
    ),
    "unpacked(P.PUBLISH, b'\\6\\x03\\0\\3\\xef\\xbb\\xbf')": (
        ("MalformedPacket", "[MQTT-1.5.4-3] U+FEFF in UTF-8 data"),
        ("tuple", "(True, 7, {'ContentType': '\\ufeff'})"),
        BOM,
    ),
    "readUTF(b'\\0\\3\\xef\\xbb\\xbf', 5)": (
        ("MalformedPacket", "[MQTT-1.5.4-3] U+FEFF in UTF-8 data"),
        ("tuple", "('\\ufeff', 5)"),
        BOM,
    ),
    "VariableByteIntegers.decode(b'\\x80\\0')": (
        ("tuple", "(0, 2)"),
        ("MalformedPacket", "over-long variable byte integer"),
        SHORTEST,
    ),
    "unpacked(P.PUBLISH, b'\\2\\x7f\\0')": (
        ("KeyError", "127"),
        ("MalformedPacket", "unknown property"),
        UNKNOWN,
    ),
    "unpacked(P.PUBLISH, b'\\2\\x23\\0')": (
        ("error", "unpack requires a buffer of 2 bytes"),
        ("MalformedPacket", "packet ends too early"),
        UNKNOWN,
    ),
    "unpacked(P.PUBLISH, b'\\5\\1')": (
        ("IndexError", "index out of range"),
        ("MalformedPacket", "Not enough data to decode the properties"),
        UNKNOWN,
    ),
    "unpacked(P.PUBLISH, b'\\4\\3\\0\\1\\xff')": (
        (
            "UnicodeDecodeError",
            "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
        ("MalformedPacket", "string is not well-formed UTF-8"),
        UNKNOWN,
    ),
    "readBytes(b'\\0\\5a', 9)": (
        ("tuple", "(b'a', 7)"),
        ("MalformedPacket", "Length delimited binary data too long"),
        UNKNOWN,
    ),
    "readBytes(bytearray(b'\\0\\1a'), 3)": (
        ("tuple", "(bytearray(b'a'), 3)"),
        ("tuple", "(b'a', 3)"),
        "binary data is bytes, whatever it was read from",
    ),
    "props(P.WILLMESSAGE, TopicAlias=1)": (
        ("IndexError", "tuple index out of range"),
        ("MQTTException", "Property TopicAlias does not apply to packet type Will"),
        WILL,
    ),
    "props(P.CONNACK, MaximumQoS=2).pack()": (
        ("bytes", "b'\\x02$\\x02'"),
        ("MQTTException", "MaximumQoS property value is out of range"),
        RULES,
    ),
    "props(P.PUBLISH, ContentType='a\\0').pack()": (
        ("bytes", "b'\\x05\\x03\\x00\\x02a\\x00'"),
        ("MQTTException", "Property ContentType contains U+0000"),
        RULES,
    ),
    "props(P.PUBLISH, ResponseTopic='a/#').pack()": (
        ("bytes", "b'\\x06\\x08\\x00\\x03a/#'"),
        ("MQTTException", "ResponseTopic property value is out of range"),
        RULES,
    ),
    "props(P.PUBLISH, ContentType=b'\\xff').pack()": (
        ("bytes", "b'\\x04\\x03\\x00\\x01\\xff'"),
        (
            "UnicodeDecodeError",
            "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
        RULES,
    ),
    "props(P.SUBSCRIBE, SubscriptionIdentifier=[1, 2]).pack()": (
        ("bytes", "b'\\x04\\x0b\\x01\\x0b\\x02'"),
        ("MQTTException", "Property 'SubscriptionIdentifier' must not exist more than once"),
        RULES,
    ),
    "ReasonCode(P.CONNACK, identifier=153)": (
        ("ValueError", "Expected exactly one name, found []"),
        ("ReasonCode", "ReasonCode(Connack, 'Payload format invalid')"),
        "a will can have an invalid payload format (OASIS MQTT 5.0, table 3-1)",
    ),
    "ReasonCode(P.CONNACK).names[153]": (
        ("dict", "{'Payload format invalid': [4, 5, 14]}"),
        ("dict", "{'Payload format invalid': [2, 4, 5, 14]}"),
        "the same",
    ),
    "options(b'\\xc1')": (
        (
            "tuple",
            "(1, {'QoS': 1, 'noLocal': False, 'retainAsPublished': False, 'retainHandling': 0})",
        ),
        ("MalformedPacket", "reserved bits of the subscription options"),
        "reserved bits must be zero [MQTT-3.8.3-5]",
    ),
}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_same_outcome(expression: str) -> None:
    assert outcome(expression, OXMQTT) == outcome(expression, PAHO)


@pytest.mark.parametrize("expression", BETTER)
def test_better_than_paho(expression: str) -> None:
    theirs, ours, reason = BETTER[expression]
    assert outcome(expression, PAHO) == theirs
    assert outcome(expression, OXMQTT) == ours
    assert theirs != ours and reason


TABLE_WITH_CONNACK = 153


def test_reason_code_table_is_pahos_plus_one_packet() -> None:
    theirs, ours = PAHO["ReasonCode"].names, OXMQTT["ReasonCode"].names
    assert list(theirs) == list(ours)
    for number, names in theirs.items():
        if number != TABLE_WITH_CONNACK:
            assert ours[number] == names


LEVELS = ["", "a", "b", "+", "#", "$SYS"]


def test_topics_match_alike_whatever_their_levels() -> None:
    from oxmqtt import _native

    for filter_levels in itertools.product(LEVELS, repeat=3):
        for topic_levels in itertools.product(LEVELS, repeat=2):
            for topic_filter in ("/".join(filter_levels[:n]) for n in (1, 2, 3)):
                topic = "/".join(topic_levels)
                expected = list(PAHO["matches"]([topic_filter], topic))
                assert list(OXMQTT["matches"]([topic_filter], topic)) == expected
                assert _native.topic_matches_sub(topic_filter, topic) == bool(expected)


def test_many_filters_match_in_the_same_order() -> None:
    chance = random.Random(5)
    for _ in range(300):
        depth = chance.randint(1, 4)
        filters = ["/".join(chance.choices(LEVELS, k=chance.randint(1, 4))) for _ in range(12)]
        topic = "/".join(chance.choices(LEVELS, k=depth))
        assert OXMQTT["matches"](filters, topic) == PAHO["matches"](filters, topic)
