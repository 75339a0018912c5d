"""The enumerations: kinds, numbers that programs store, arithmetic, and texts."""

from __future__ import annotations

import enum
import pickle

import pytest
from oxmqtt import enums

INTEGERS = [
    enums.MQTTErrorCode,
    enums.MQTTProtocolVersion,
    enums.MessageType,
    enums.LogLevel,
    enums.ConnackCode,
    enums.MessageState,
    enums.PahoClientMode,
]


@pytest.mark.parametrize("kind", INTEGERS)
def test_members_are_integers(kind: type[enum.IntEnum]) -> None:
    for member in kind:
        assert member == member.value
        assert kind(member.value) is member


@pytest.mark.parametrize("kind", [enums.CallbackAPIVersion, enums._ConnectionState])
def test_members_are_no_integers(kind: type[enum.Enum]) -> None:
    for member in kind:
        assert member != member.value


@pytest.mark.parametrize("kind", [*INTEGERS, enums.CallbackAPIVersion])
def test_members_survive_pickling(kind: type[enum.Enum]) -> None:
    for member in kind:
        assert pickle.loads(pickle.dumps(member)) is member


def test_only_success_is_false() -> None:
    assert [code for code in enums.MQTTErrorCode if not code] == [0]


def test_error_codes_count_from_minus_one_without_a_gap() -> None:
    assert [int(code) for code in enums.MQTTErrorCode] == list(range(-1, 17))


def test_message_types_are_high_nibbles() -> None:
    assert [int(kind) >> 4 for kind in enums.MessageType] == list(range(1, 16))
    assert not any(kind & 0x0F for kind in enums.MessageType)


def test_log_levels_are_single_bits() -> None:
    assert [int(level) for level in enums.LogLevel] == [1, 2, 4, 8, 16]


def test_repr_names_the_enumeration() -> None:
    assert repr(enums.MQTTErrorCode.MQTT_ERR_NO_CONN) == "<MQTTErrorCode.MQTT_ERR_NO_CONN: 4>"
