"""PINGREQ, PINGRESP, DISCONNECT and AUTH (3.12 to 3.15), and the authentication that is not offered (4.12)."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from support import packets
from support.clients import properties
from support.packets import AUTH, CONNECT, DISCONNECT, V5, connack, disconnect, packet, publish
from support.peer import ScriptedPeer
from support.properties import encode

from .conftest import Watch

DISCONNECT_REASONS = [
    0x00,
    0x04,
    0x80,
    0x81,
    0x82,
    0x83,
    0x90,
    0x93,
    0x94,
    0x95,
    0x96,
    0x97,
    0x98,
    0x99,
]
#: Those of a server, besides the ones both sides may send.
OF_SERVERS = [
    0x87,
    0x89,
    0x8B,
    0x8D,
    0x8E,
    0x8F,
    0x9A,
    0x9B,
    0x9C,
    0x9D,
    0x9E,
    0x9F,
    0xA0,
    0xA1,
    0xA2,
]


def test_without_pingresp_the_connection_is_given_up(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    """After one and a half keep-alives of silence."""
    watched = watch(version)
    connection = watched.join(peer, {"keepalive": 1})
    kinds = {p.kind for p in connection.read_to_end(3)}
    assert kinds <= {packets.PINGREQ, DISCONNECT}
    assert packets.PINGREQ in kinds
    watched.disconnects.wait_count(1)


def test_nothing_follows_disconnect(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    """Whatever was asked for before and after it; then the connection is closed."""
    watched = watch(version)
    client = watched.client
    client.max_inflight_messages_set(1)
    connection = watched.join(peer)
    for number in range(5):
        client.publish("t", f"{number}", 1)
    client.disconnect()
    client.publish("t", b"late", 0)
    client.publish("t", b"late", 1)
    client.subscribe("late")
    connection.send(publish(version, "t", b"", 1, 1), publish(version, "t", b"", 2, 2))
    rest = connection.read_to_end()
    assert [p.kind for p in rest].index(DISCONNECT) == len(rest) - 1
    assert not any(p.payload == b"late" for p in rest)
    watched.disconnects.wait_count(1)


def test_disconnect_bytes(mqtt: ModuleType, watch: Watch, peer: ScriptedPeer) -> None:
    for reason in DISCONNECT_REASONS:
        watched = watch(V5)
        connection = watched.join(peer)
        made = mqtt.ReasonCode(mqtt.PacketTypes.DISCONNECT, identifier=reason)
        watched.client.disconnect(reasoncode=made)
        connection.expect_bytes(b"\xe0\0" if reason == 0 else bytes([0xE0, 1, reason]))
        connection.expect_end()
        watched.close()


@pytest.mark.parametrize("reason", [0x02, 0x18, 0xFF])
def test_only_reasons_of_the_table_are_sent(mqtt: ModuleType, reason: int) -> None:
    with pytest.raises((KeyError, ValueError, AssertionError, mqtt.MQTTException)):
        mqtt.ReasonCode(mqtt.PacketTypes.DISCONNECT, identifier=reason)


def test_properties_of_disconnect(mqtt: ModuleType, watch: Watch, peer: ScriptedPeer) -> None:
    watched = watch(V5)
    connection = watched.join(peer)
    made = properties(
        mqtt, "DISCONNECT", ReasonString="why", UserProperty=("k", "v"), SessionExpiryInterval=9
    )
    watched.client.disconnect(properties=made)
    assert connection.expect(DISCONNECT).properties == {
        "reason_string": "why",
        "user_property": ("k", "v"),
        "session_expiry_interval": 9,
    }


@pytest.mark.parametrize("name", ["ReasonString", "UserProperty"])
def test_properties_of_disconnect_that_are_too_large_are_left_out(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer, name: str
) -> None:
    watched = watch(V5)
    connection = watched.join(peer, properties={"maximum_packet_size": 20})
    made = properties(mqtt, "DISCONNECT")
    setattr(made, name, "x" * 30 if name == "ReasonString" else ("x" * 15, "y" * 15))
    reason = mqtt.ReasonCode(mqtt.PacketTypes.DISCONNECT, identifier=4)
    watched.client.disconnect(reasoncode=reason, properties=made)
    packet_sent = connection.expect(DISCONNECT)
    assert (packet_sent.reason, packet_sent.properties) == (4, {})


@pytest.mark.parametrize("reason", sorted({*DISCONNECT_REASONS, *OF_SERVERS} - {0x04}))
def test_disconnect_of_the_server(watch: Watch, peer: ScriptedPeer, reason: int) -> None:
    """The reason reaches the application, nothing is answered, and the connection is closed."""
    watched = watch(V5)
    connection = watched.join(peer)
    connection.send(disconnect(V5, reason))
    connection.expect_end()
    assert watched.disconnects.wait_count(1)[0][:2] == (True, reason)


REFUSED: dict[str, bytes] = {
    "flags": b"\xe1\0",
    "all flags": b"\xef\0",
    "unknown reason": b"\xe0\x01\x01",
    "reason of CONNACK": b"\xe0\x01\x86",
    "session expiry": packet(DISCONNECT, 0, b"\0" + encode({"session_expiry_interval": 1})),
    "rest": b"\xe0\x03\0\0\0",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_disconnect_of_the_server(watch: Watch, peer: ScriptedPeer, name: str) -> None:
    connection = watch(V5).join(peer)
    connection.send(REFUSED[name])
    connection.expect_refusal(0x81, 0x82)


def test_mqtt_3_has_no_disconnect_of_the_server(watch: Watch, peer: ScriptedPeer) -> None:
    watched = watch(packets.V311)
    connection = watched.join(peer)
    connection.send(b"\xe0\0")
    connection.expect_end()
    watched.disconnects.wait_count(1)


# --- AUTH -------------------------------------------------------------------------------------------------------------


def auth(reason: int, flags: int = 0, **given: Any) -> bytes:
    return packet(AUTH, flags, bytes([reason]) + encode(given))


METHOD = {"authentication_method": "m"}
AUTHS: dict[str, bytes] = {
    "continue": auth(0x18, **METHOD),
    "success": auth(0x00, **METHOD),
    "again": auth(0x19, **METHOD),
    "short": b"\xf0\0",
    "unknown reason": auth(0x01, **METHOD),
    "flags": auth(0x18, 1, **METHOD),
    "all flags": auth(0x18, 15, **METHOD),
    "no method": auth(0x18),
}


@pytest.mark.parametrize("name", AUTHS)
@pytest.mark.parametrize("early", [True, False], ids=["before CONNACK", "later"])
@pytest.mark.parametrize("asked", [False, True], ids=["no method", "method"])
def test_auth_is_refused(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer, name: str, early: bool, asked: bool
) -> None:
    """Enhanced authentication is not offered: no AUTH is ever sent, one that comes is a protocol error."""
    watched = watch(V5)
    made = properties(mqtt, "CONNECT", **({"AuthenticationMethod": "m"} if asked else {}))
    watched.client.connect(peer.host, peer.port, properties=made)
    watched.client.loop_start()
    connection = peer.accept()
    connection.expect(CONNECT)
    if not early:
        connection.send(connack(V5, properties=METHOD if asked else None))
        watched.connects.wait_count(1)
    connection.send(AUTHS[name])
    connection.expect_refusal(0x81, 0x82)
    watched.disconnects.wait_count(1)


@pytest.mark.parametrize(
    ("asked", "answered", "good"),
    [
        (None, None, True),
        (None, "m", False),
        ("m", "m", True),
        ("m", "other", False),
        ("m", None, False),
    ],
)
def test_connack_repeats_the_authentication_method(
    mqtt: ModuleType,
    watch: Watch,
    peer: ScriptedPeer,
    asked: str | None,
    answered: str | None,
    good: bool,
) -> None:
    watched = watch(V5)
    made = properties(mqtt, "CONNECT", **({"AuthenticationMethod": asked} if asked else {}))
    watched.client.connect(peer.host, peer.port, properties=made)
    watched.client.loop_start()
    connection = peer.accept()
    connection.expect(CONNECT)
    answer = {"authentication_method": answered} if answered else None
    connection.send(connack(V5, properties=answer))
    if good:
        connection.expect_alive()
    else:
        connection.expect_refusal(0x82)
        assert not watched.connects.items()
