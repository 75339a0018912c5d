"""CONNECT (3.1): its bytes for every set-up, its place, what the client does with what it asked for."""

from __future__ import annotations

import struct
from types import ModuleType
from typing import Any, Callable

import pytest
from support import packets
from support.clients import properties
from support.packets import (
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PUBLISH,
    V5,
    V311,
    connack,
    packet,
    publish,
)
from support.peer import ScriptedPeer
from support.properties import text

from .conftest import Watch

Setup = Callable[[Any], Any]

#: name -> (set-up of the client, connect flags besides Clean Session, fields after the client identifier
#: in the order of the standard; None stands for the will properties of MQTT 5)
SETUPS: dict[str, tuple[Setup, int, list[bytes | None]]] = {
    "nothing": (lambda c: None, 0, []),
    "user name": (lambda c: c.username_pw_set("user"), 0x80, [text("user")]),
    "empty user name": (lambda c: c.username_pw_set(""), 0x80, [text("")]),
    "both": (lambda c: c.username_pw_set("ü", "secret"), 0xC0, [text("ü"), text("secret")]),
    "empty password": (lambda c: c.username_pw_set("u", ""), 0xC0, [text("u"), text("")]),
    "password of bytes": (
        lambda c: c.username_pw_set("u", b"\xff\0"),
        0xC0,
        [text("u"), text(b"\xff\0")],
    ),
    "will": (lambda c: c.will_set("w", b"p"), 0x04, [None, text("w"), text("p")]),
    "will QoS 1": (lambda c: c.will_set("w", b"p", 1), 0x0C, [None, text("w"), text("p")]),
    "will QoS 2": (lambda c: c.will_set("w", b"\xff", 2), 0x14, [None, text("w"), text(b"\xff")]),
    "will retained": (lambda c: c.will_set("ü", None, 0, True), 0x24, [None, text("ü"), text("")]),
    "will cleared": (lambda c: (c.will_set("w", b"p", 2, True), c.will_clear()), 0, []),
    "everything": (
        lambda c: (c.will_set("w", b"p", 2, True), c.username_pw_set("u", "s")),
        0xF4,
        [None, text("w"), text("p"), text("u"), text("s")],
    ),
}


@pytest.mark.parametrize("name", SETUPS)
def test_flags_and_payload(watch: Watch, peer: ScriptedPeer, version: int, name: str) -> None:
    """Each flag is set exactly when its field is there, and the fields stand in their order."""
    setup, flags, fields = SETUPS[name]
    watched = watch(version, "client-ü")
    setup(watched.client)
    connection = watched.join(peer, {"keepalive": 300})
    body = text("MQTT") + bytes([version, flags | 2]) + struct.pack(">H", 300)
    body += (b"\0" if version == V5 else b"") + text("client-ü")
    for field in fields:
        body += (b"\0" if version == V5 else b"") if field is None else field
    assert connection.received[0].raw == packet(CONNECT, 0, body)


@pytest.mark.parametrize("qos", [-1, 3])
def test_will_qos_is_0_to_2(watch: Watch, version: int, qos: int) -> None:
    with pytest.raises(ValueError):
        watch(version).client.will_set("w", b"", qos)


def test_a_password_without_user_name_is_not_sent_before_mqtt_5(
    watch: Watch, peer: ScriptedPeer
) -> None:
    watched = watch(V311)
    watched.client.username_pw_set(None, "secret")
    connection = watched.join(peer)
    assert connection.received[0].connect["flags"] == 2
    assert b"secret" not in connection.received[0].raw


def test_without_client_identifier_the_session_is_clean(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    if version != V5:
        with pytest.raises(ValueError):
            watch(version, "", clean=False)
    connection = watch(version, "").join(peer)
    fields = connection.received[0].connect
    assert fields["client_id"] or fields["clean"]


def test_clean_flag_says_what_was_asked(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    for clean in (True, False):
        if version == V5:
            watched = watch(version)
            connection = watched.join(peer, {"clean_start": clean})
        else:
            watched = watch(version, clean=clean)
            connection = watched.join(peer)
        assert connection.received[0].connect["clean"] == clean
        watched.close()


def test_connect_goes_first_and_once(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    """What is asked for before CONNACK follows it; a reconnect begins with CONNECT as well."""
    watched = watch(version)
    client = watched.client
    client.publish("t", b"early", 1)
    client.connect(peer.host, peer.port)
    client.publish("t", b"0", 0)
    client.subscribe("t")
    client.loop_start()
    for _ in range(2):
        connection = peer.accept()
        connection.accept_client()
        while connection.read().payload != b"early":
            pass
        assert [p.kind for p in connection.received].count(CONNECT) == 1
        assert connection.received[0].kind == CONNECT
        connection.reset()


def test_the_client_identifier_names_the_session_again(
    watch: Watch, peer: ScriptedPeer, version: int
) -> None:
    watched = watch(version, "the-name", **({} if version == V5 else {"clean": False}))
    connection = watched.join(peer, {"clean_start": False} if version == V5 else {})
    for _ in range(2):
        assert connection.received[0].connect["client_id"] == "the-name"
        connection.reset()
        connection = watched.rejoin(peer, session_present=True)


def test_idle_connections_ping(watch: Watch, peer: ScriptedPeer, version: int) -> None:
    """Keep Alive 1: a PINGREQ within the second after CONNECT, and again."""
    connection = watch(version).join(peer, {"keepalive": 1})
    for _ in range(2):
        assert connection.expect(PINGREQ, seconds=1.4).raw == b"\xc0\0"
        connection.send(packets.pingresp())


@pytest.mark.parametrize("name", ["reason_string", "user_property"])
@pytest.mark.parametrize("kind", ["PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBACK", "UNSUBACK"])
def test_problem_information_that_was_declined(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer, kind: str, name: str
) -> None:
    """Request Problem Information 0: allowed on PUBLISH, CONNACK and DISCONNECT only [MQTT-3.1.2-29]."""
    unwanted = {name: ("a", "b") if name == "user_property" else "why"}
    watched = watch(V5)
    asked = properties(mqtt, "CONNECT", RequestProblemInformation=0)
    connection = watched.join(peer, {"properties": asked}, properties=unwanted)
    connection.send(publish(V5, "t", b"", 1, 9, properties={"user_property": ("a", "b")}))
    connection.expect(packets.PUBACK)
    number = getattr(packets, kind)
    if kind == "SUBACK":
        mid = watched.client.subscribe("t")[1]
        answer = packets.suback(V5, mid, [0], unwanted)
    elif kind == "UNSUBACK":
        mid = watched.client.unsubscribe("t")[1]
        answer = packets.unsuback(V5, mid, [0], unwanted)
    elif kind == "PUBREL":
        connection.send(publish(V5, "t", b"", 2, 9))
        answer = packets.acknowledge(V5, number, 9, 0, unwanted)
    else:
        mid = watched.client.publish("t", b"", 1 if kind == "PUBACK" else 2).mid
        if kind == "PUBCOMP":
            connection.expect(PUBLISH)
            connection.send(packets.acknowledge(V5, packets.PUBREC, mid))
        answer = packets.acknowledge(V5, number, mid, 0, unwanted)
    connection.read()
    connection.send(answer)
    connection.expect_refusal(0x82)


def test_problem_information_that_was_not_declined(watch: Watch, peer: ScriptedPeer) -> None:
    watched = watch(V5)
    connection = watched.join(peer)
    info = watched.client.publish("t", b"", 1)
    mid = connection.expect(PUBLISH).mid
    connection.send(packets.acknowledge(V5, packets.PUBACK, mid, 0, {"reason_string": "why"}))
    info.wait_for_publish(5)


def test_response_information_that_was_not_asked_for_is_harmless(
    watch: Watch, peer: ScriptedPeer
) -> None:
    """The server must not send it then [MQTT-3.1.2-28]; the standard names no error for it."""
    watched = watch(V5)
    connection = watched.join(peer, properties={"response_information": "reply/to"})
    assert connection.received[0].properties == {}
    connection.expect_alive()


def test_with_an_authentication_method_nothing_precedes_connack(
    mqtt: ModuleType, watch: Watch, peer: ScriptedPeer
) -> None:
    """Only AUTH and DISCONNECT may [MQTT-3.1.2-30]."""
    watched = watch(V5)
    client = watched.client
    asked = properties(mqtt, "CONNECT", AuthenticationMethod="method", AuthenticationData=b"data")
    client.connect(peer.host, peer.port, properties=asked)
    client.loop_start()
    client.publish("t", b"0", 0)
    client.publish("t", b"1", 1)
    client.subscribe("t")
    client.unsubscribe("t")
    connection = peer.accept()
    fields = connection.expect(CONNECT).properties
    assert fields == {"authentication_method": "method", "authentication_data": b"data"}
    connection.expect_nothing(0.1)
    connection.send(connack(V5, properties={"authentication_method": "method"}))
    assert connection.expect(PUBLISH).payload == b"1"


def test_disconnect_may_precede_connack(mqtt: ModuleType, watch: Watch, peer: ScriptedPeer) -> None:
    watched = watch(V5)
    asked = properties(mqtt, "CONNECT", AuthenticationMethod="method")
    watched.client.connect(peer.host, peer.port, properties=asked)
    watched.client.loop_start()
    connection = peer.accept()
    connection.expect(CONNECT)
    watched.client.disconnect()
    connection.expect(DISCONNECT)
    connection.expect_end()
