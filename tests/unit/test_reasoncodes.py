"""ReasonCode: names and numbers by packet type, comparison, order (OASIS MQTT 5.0, clause 2.4)."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest
from oxmqtt import _native
from oxmqtt.packettypes import PacketTypes
from oxmqtt.reasoncodes import ReasonCode, ReasonCodes


def test_every_code_of_the_table_by_number_and_by_name() -> None:
    for number, name, packets in _native.REASON_CODES:
        for packet in packets:
            by_number = ReasonCode(packet, identifier=number)
            assert by_number.getName() == str(by_number) == by_number.json() == name
            by_name = ReasonCode(packet, name)
            assert by_name.value == number
            assert by_name.is_failure is (number >= 128)
            assert by_name.pack() == bytes([number])
            back = ReasonCode(packet, identifier=number)
            assert back.unpack(bytes([number])) == 1
            assert back == by_name


def test_zero_has_a_name_of_its_own_in_each_packet() -> None:
    assert str(ReasonCode(PacketTypes.CONNACK)) == "Success"
    assert str(ReasonCode(PacketTypes.DISCONNECT)) == "Normal disconnection"
    assert str(ReasonCode(PacketTypes.SUBACK, "Granted QoS 0")) == "Granted QoS 0"


def test_unknown_names_and_numbers() -> None:
    with pytest.raises(KeyError, match="Reason code name not found: Nonsense"):
        ReasonCode(PacketTypes.CONNACK, "Nonsense")
    with pytest.raises(KeyError, match="Reason code name not found: Banned"):
        ReasonCode(PacketTypes.PUBACK, "Banned")
    with pytest.raises(KeyError, match="77"):
        ReasonCode(PacketTypes.CONNACK, identifier=77)
    with pytest.raises(ValueError, match=r"Expected exactly one name, found \[\]"):
        ReasonCode(PacketTypes.PUBACK, identifier=138)


def test_comparison() -> None:
    refused = ReasonCode(PacketTypes.CONNACK, "Not authorized")
    assert refused == 135
    assert refused == "Not authorized"
    assert refused == ReasonCode(PacketTypes.PUBACK, identifier=135)
    assert refused != 0
    assert refused != "Success"
    assert refused != None  # noqa: E711
    with pytest.raises(TypeError, match="unhashable"):
        hash(refused)


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
@pytest.mark.parametrize("number", [0, 134, 135, 136])
def test_order(compare: Callable[[Any, Any], bool], number: int) -> None:
    refused = ReasonCode(PacketTypes.CONNACK, identifier=135)
    assert compare(refused, number) is compare(135, number)
    assert compare(number, refused) is compare(number, 135)
    same = ReasonCode(PacketTypes.PUBACK, identifier=135)
    assert compare(refused, same) is compare(135, 135)
    with pytest.raises(TypeError):
        compare(refused, "Success")


def test_repr() -> None:
    code = ReasonCode(PacketTypes.DISCONNECT)
    assert repr(code) == "ReasonCode(Disconnect, 'Normal disconnection')"


def test_tables_are_read_only_on_the_class_and_private_to_an_instance() -> None:
    names = ReasonCode.names
    assert not isinstance(names, MutableMapping)
    code = ReasonCode(PacketTypes.CONNACK)
    code.names[200] = {"Vendor": [PacketTypes.CONNACK]}
    code.set("Vendor")
    assert (code.value, code.getName()) == (200, "Vendor")
    assert 200 not in ReasonCode.names
    assert 200 not in ReasonCode(PacketTypes.CONNACK).names


def test_copies_and_pickles_are_equal() -> None:
    code = ReasonCode(PacketTypes.CONNACK, "Banned")
    assert copy.deepcopy(code) == pickle.loads(pickle.dumps(code)) == code


def test_the_old_name_warns_and_is_an_instance_check_for_all() -> None:
    with pytest.warns(DeprecationWarning, match="use ReasonCode \\(singular\\)") as caught:
        old = ReasonCodes(PacketTypes.CONNACK, "Banned")
    assert caught[0].filename == __file__
    assert isinstance(old, ReasonCode)
    assert isinstance(ReasonCode(PacketTypes.CONNACK), ReasonCodes)
    assert not isinstance(0, ReasonCodes)
