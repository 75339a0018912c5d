"""paho and oxmqtt say the same bytes: what a scripted peer receives from each is compared packet by packet."""

from __future__ import annotations

import warnings
from types import ModuleType

import pytest
from support.clients import dispose
from support.packets import NAMES, Packet
from support.peer import ScriptedPeer

from . import wire_message_cases  # noqa: F401  (registers its cases)
from .wire_cases import CASES, Wire

VERSION_NAMES = {3: "mqtt31", 4: "mqtt311", 5: "mqtt5"}

_QOS_2 = "paho sends PUBREC before the callback: a process that dies in it has lost the message"

#: (case, version or 0 for all) -> {index of the packet: (bytes oxmqtt sends instead, reason)}
DELIBERATE: dict[tuple[str, int], dict[int, tuple[str, str]]] = {
    ("connect_bridge", 5): {
        0: (
            "0: CONNECT 10 11 00 04 4d 51 54 54 05 02 00 3c 00 00 04 77 69 72 65",
            "MQTT 5 has no bridge bit; mosquitto does not answer paho's level 0x85",
        )
    },
    **{
        ("answers_of_callbacks", version): {
            3: (f"0: PUBLISH {answer} 71 32", _QOS_2),
            4: ("0: PUBREC 50 02 00 06", _QOS_2),
        }
        for version, answer in (
            (3, "30 0a 00 06 61 6e 73 77 65 72"),
            (4, "30 0a 00 06 61 6e 73 77 65 72"),
            (5, "30 0b 00 06 61 6e 73 77 65 72 00"),
        )
    },
}


def transcript(mqtt: ModuleType, name: str, version: int) -> list[str]:
    """Every packet of every connection as hex, with its name for the reader."""
    with ScriptedPeer(version) as peer:
        wire = Wire(mqtt, version, peer)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                CASES[name].run(wire)
            peer.finish()
        finally:
            for client in wire.closing:
                dispose(client)
        return [
            f"{number}: {line(packet)}"
            for number, connection in enumerate(peer.connections)
            for packet in connection.received
        ]


def line(packet: Packet) -> str:
    raw = packet.raw.hex(" ")
    return f"{NAMES[packet.kind]} {raw if len(raw) < 400 else raw[:200] + f' ... {hash(raw)}'}"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    "name, version",
    [
        pytest.param(name, version, id=f"{name}-{VERSION_NAMES[version]}")
        for name, case in CASES.items()
        for version in case.versions
    ],
)
def test_same_wire(mqtt: ModuleType, paho: ModuleType, name: str, version: int) -> None:
    expected = transcript(paho, name, version)
    actual = transcript(mqtt, name, version)
    if mqtt is not paho:
        for key in ((name, 0), (name, version)):
            for index, (other, _reason) in DELIBERATE.get(key, {}).items():
                expected[index] = other
    assert actual == expected
    assert len(expected) > 1
