"""SubscribeOptions: the byte on the wire and the checks (OASIS MQTT 5.0, clause 3.8.3.1)."""

from __future__ import annotations

import copy
import itertools
import pickle

import oxmqtt
import pytest
from oxmqtt.exception import MalformedPacket
from oxmqtt.subscribeoptions import MQTTException, SubscribeOptions


def test_every_combination_is_one_byte_and_comes_back() -> None:
    for qos, local, published, handling in itertools.product(
        range(3), (False, True), (False, True), range(3)
    ):
        options = SubscribeOptions(qos, local, published, handling)
        assert options.pack() == bytes([qos | local << 2 | published << 3 | handling << 4])
        back = SubscribeOptions()
        assert back.unpack(options.pack() + b"rest") == 1
        assert back.json() == options.json()


def test_constants() -> None:
    assert SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE == 0
    assert SubscribeOptions.RETAIN_SEND_IF_NEW_SUB == 1
    assert SubscribeOptions.RETAIN_DO_NOT_SEND == 2


@pytest.mark.parametrize("name", ["QoS", "retainHandling"])
@pytest.mark.parametrize("value", [-1, 3, "1", None])
def test_numbers_out_of_range(name: str, value: object) -> None:
    options = SubscribeOptions()
    setattr(options, name, value)
    with pytest.raises(AssertionError, match=f"should be 0, 1 or 2, not {value}"):
        options.pack()


@pytest.mark.parametrize(("byte", "text"), [(0x03, "QoS"), (0x30, "Retain handling")])
def test_bytes_out_of_range(byte: int, text: str) -> None:
    with pytest.raises(AssertionError, match=f"{text} should be 0, 1 or 2, not 3"):
        SubscribeOptions().unpack(bytes([byte]))


def test_reserved_bits_are_malformed() -> None:
    with pytest.raises(MalformedPacket):
        SubscribeOptions().unpack(b"\x40")


def test_an_unknown_attribute_is_refused_with_the_known_ones() -> None:
    with pytest.raises(MQTTException, match=r"colour Attribute name must be one of \['QoS'"):
        SubscribeOptions().colour = "red"  # type: ignore[attr-defined]
    assert issubclass(MQTTException, oxmqtt.MQTTException)


def test_text() -> None:
    text = "{QoS=1, noLocal=True, retainAsPublished=False, retainHandling=2}"
    options = SubscribeOptions(1, noLocal=True, retainHandling=2)
    assert str(options) == repr(options) == text


def test_copies_and_pickles_are_equal_in_content() -> None:
    options = SubscribeOptions(2, True, True, 2)
    for other in (copy.deepcopy(options), pickle.loads(pickle.dumps(options))):
        assert other.pack() == options.pack()
