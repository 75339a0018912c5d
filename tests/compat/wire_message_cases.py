"""More cases of what a client says: PUBLISH, the acknowledgements, and what it repeats after a reconnect."""

from __future__ import annotations

import threading
from typing import Any, Callable

from support import packets
from support.packets import V5
from support.peer import PeerConnection, ScriptedPeer
from support.waiting import drive

from .wire_cases import Wire, case

# --- PUBLISH, acknowledgements ---------------------------------------------------------------------------------------


@case()
def publish_all(wire: Wire) -> None:
    """Every QoS, retain, payload types, lengths around the borders of the remaining length; ids run on."""

    def act(client: Any) -> None:
        payloads = [
            "",
            "ü",
            b"\x00",
            bytearray(b"xy"),
            5,
            2.5,
            None,
            b"x" * 115,
            b"x" * 130,
            b"y" * 16390,
        ]
        for payload in payloads:
            for qos in (0, 1, 2):
                done = wire.published
                client.publish("publish/topic", payload, qos, qos == 1)
                wire.until(client, "published", done + 1)
        client.subscribe("a")

    wire.session(act)


@case(V5)
def publish_properties(wire: Wire) -> None:
    def act(client: Any) -> None:
        properties = wire.properties(
            "PUBLISH",
            PayloadFormatIndicator=1,
            MessageExpiryInterval=1,
            TopicAlias=1,
            ResponseTopic="r",
            CorrelationData=b"\x01",
            UserProperty=[("a", "b"), ("a", "b")],
            ContentType="c",
        )
        for qos in (0, 1, 2):
            client.publish("publish/topic", "x", qos, properties=properties)
            wire.until(client, "published", qos + 1)

    wire.peer.converse(lambda peer: peer.accept().serve(properties={"topic_alias_maximum": 5}))
    client = wire.client()
    wire.connect(client)
    act(client)
    wire.disconnect(client)


@case()
def acknowledge_messages(wire: Wire) -> None:
    """QoS 1 and 2 to the client: PUBACK, PUBREC, PUBCOMP; DUP, and the same id twice."""

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        version = connection.version
        for mid, dup in ((1, False), (65535, False), (65535, True)):
            connection.send(packets.publish(version, "t", b"1", 1, mid, dup=dup))
            connection.expect(packets.PUBACK)
        for mid in (1, 300):
            connection.send(packets.publish(version, "t", b"2", 2, mid))
            connection.expect(packets.PUBREC)
            connection.send(packets.publish(version, "t", b"2", 2, mid, dup=True))
            connection.expect(packets.PUBREC)
            connection.send(packets.acknowledge(version, packets.PUBREL, mid))
            connection.expect(packets.PUBCOMP)
        through.set()
        connection.serve()

    through = threading.Event()
    wire.peer.converse(script)
    client = wire.client()
    wire.connect(client)
    drive(client, through.is_set, "the last PUBCOMP")
    wire.disconnect(client)


@case()
def answers_of_callbacks(wire: Wire) -> None:
    """What a callback publishes leaves before the acknowledgement of the message that called it.

    With QoS 2 that holds for paho's PUBCOMP, but not for its PUBREC.
    """

    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        version = connection.version
        connection.send(packets.publish(version, "t", b"q1", 1, 5))
        connection.read()
        connection.read()
        connection.send(packets.publish(version, "t", b"q2", 2, 6))
        while connection.read().kind != packets.PUBREC:
            pass
        connection.send(packets.acknowledge(version, packets.PUBREL, 6))
        while connection.read().kind != packets.PUBCOMP:
            pass
        through.set()
        connection.serve()

    through = threading.Event()
    wire.peer.converse(script)
    client = wire.client()

    def on_message(c: Any, u: Any, message: Any) -> None:
        c.publish("answer", message.payload, 0)
        wire.messages += 1

    client.on_message = on_message
    wire.connect(client)
    drive(client, through.is_set, "the last PUBCOMP")
    wire.disconnect(client)


# --- after a reconnect -----------------------------------------------------------------------------------------------


def resend(wire: Wire, known: Callable[[PeerConnection], None], expected: int, clean: bool) -> None:
    """Publish 1, 2, 1 unacknowledged; the peer resets; what comes after reconnect() is the case."""
    present = not clean

    def script(peer: ScriptedPeer) -> None:
        first = peer.accept()
        first.accept_client()
        for _ in range(3):
            first.expect(packets.PUBLISH)
        known(first)
        first.reset()
        second = peer.accept()
        second.accept_client(session_present=present)
        for _ in range(expected):
            second.read()
        second.reset()

    wire.peer.converse(script)
    options = {} if wire.version == V5 else {"clean": clean}
    client = wire.client(**options)
    if wire.version == V5:
        expiry = wire.properties("CONNECT", SessionExpiryInterval=100)
        wire.connect(client, clean_start=clean, properties=expiry)
    else:
        wire.connect(client)
    for qos in (1, 2, 1):
        client.publish(f"resend/{qos}", "x", qos)
    wire.until(client, "lost", 1)
    client.reconnect()
    wire.until(client, "lost", 2)


@case()
def resend_publishes(wire: Wire) -> None:
    resend(wire, lambda first: None, 3, clean=False)


@case()
def resend_publishes_after_clean_start(wire: Wire) -> None:
    resend(wire, lambda first: None, 3, clean=True)


@case()
def resend_pubrel(wire: Wire) -> None:
    def known(first: PeerConnection) -> None:
        first.send(packets.acknowledge(first.version, packets.PUBREC, 2))
        first.expect(packets.PUBREL)

    resend(wire, known, 3, clean=False)


@case()
def send_what_was_queued_offline(wire: Wire) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        for _ in range(4):
            connection.read()
        connection.reset()

    wire.peer.converse(script)
    client = wire.client()
    for n in range(4):
        client.publish("queued", str(n), 1 + n % 2)
    wire.connect(client)
    wire.until(client, "lost", 1)
