"""Memory stays within its limits whatever the broker sends: measured in a process of its own.

Each attack is played by a scripted peer; the client says by how much its resident memory had grown at the
most.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
from support import clients, packets
from support.bounds import fits
from support.clients import Watched
from support.packets import V5, V311
from support.peer import PeerConnection, ScriptedPeer
from support.process import Program
from support.properties import text, varint
from support.victim import AIO_VICTIM, PEAK, VICTIM, grown, over

MIB = 1 << 20
STYLES = pytest.mark.parametrize("victim", [VICTIM, AIO_VICTIM], ids=["callbacks", "asyncio"])


def goodbye(connection: PeerConnection, reason: int) -> None:
    """The client closes, under MQTT 5.0 with this reason."""
    try:
        rest = connection.read_to_end()
    except ConnectionResetError:
        return
    kinds = [packet.kind for packet in rest if packet.kind == packets.DISCONNECT]
    assert kinds == ([packets.DISCONNECT] if connection.version == V5 else [])
    if kinds:
        assert rest[-1].reason == reason


@pytest.mark.parametrize("version", [V311, V5])
def test_a_header_that_claims_256_mib(client_name: str, version: int) -> None:
    """Refused by its header: nothing is reserved, nothing of the packet is buffered."""

    def attack(connection: PeerConnection) -> None:
        connection.send(bytes([0x30]) + varint(268_435_455))
        goodbye(connection, 0x95)

    growth, _ = grown(client_name, version, attack)
    fits("a header that claims 256 MiB", growth, 0)


@pytest.mark.parametrize("version", [V311, V5])
@pytest.mark.parametrize("limit", [0, 4 * MIB], ids=["default", "4 MiB"])
def test_the_largest_packet_that_never_ends(client_name: str, version: int, limit: int) -> None:
    allowed = limit or 16 * MIB

    def attack(connection: PeerConnection) -> None:
        connection.send(bytes([0x30]) + varint(allowed - 5))
        body = memoryview(bytes(allowed - 6))
        while body:
            connection.send(body[:65536])
            body = body[65536:]
        connection.reset()

    growth, _ = grown(client_name, version, attack, limit)
    fits("the largest packet, unfinished", growth, allowed)


@pytest.mark.parametrize("version", [V311, V5])
def test_qos_2_messages_that_are_never_released(client_name: str, version: int) -> None:
    """65,535 of 10 kB: 650 MB. The client keeps their identifiers."""
    payload = bytes(10_000)

    def attack(connection: PeerConnection) -> None:
        for mid in range(1, 65_536):
            connection.send(packets.publish(version, "a", payload, 2, mid))
        over(connection)

    growth, _ = grown(client_name, version, attack)
    # As many as wait for the callback count like any other messages.
    fits("65,535 QoS 2 messages of 10 kB", growth, 16 * MIB)


def user_properties(count: int) -> bytes:
    pairs = b"".join(b"\x26" + text(f"k{n:05}") + text(f"v{n:05}") for n in range(count))
    return varint(len(pairs)) + pairs


BOMBS = {
    "PUBLISH": lambda list_: packets.packet(packets.PUBLISH, 0, text("a") + list_),
    "PUBACK": lambda list_: packets.packet(packets.PUBACK, 0, b"\0\1\0" + list_),
    "SUBACK": lambda list_: packets.packet(packets.SUBACK, 0, b"\0\1" + list_ + b"\0"),
    "DISCONNECT": lambda list_: packets.packet(packets.DISCONNECT, 0, b"\0" + list_),
    "CONNACK": lambda list_: packets.packet(packets.CONNACK, 0, b"\0\0" + list_),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_property_bomb(client_name: str, kind: str) -> None:
    """100,000 user properties: as Python objects they take some twenty times their 1.7 MB."""
    bomb = BOMBS[kind](user_properties(100_000))

    def attack(connection: PeerConnection) -> None:
        connection.send(bomb)
        if kind != "DISCONNECT":
            over(connection)

    look = "lambda message: message.properties.UserProperty"
    growth, _ = grown(client_name, V5, attack, connack=kind != "CONNACK", look=look)
    fits(f"100,000 user properties in {kind}", growth, 16 * MIB)
    growth, _ = grown(client_name, V5, attack, MIB, kind != "CONNACK", look)
    fits(f"100,000 user properties in {kind}, max_packet_size 1 MiB", growth, MIB)


def test_endless_reason_strings(client_name: str) -> None:
    """1,000 acknowledgements that nobody asked for, each with a reason string of 65,535 bytes."""
    body = b"\x1f" + text("x" * 65_535)
    list_ = varint(len(body)) + body

    def attack(connection: PeerConnection) -> None:
        for kind in itertools.islice(itertools.cycle([packets.PUBACK, packets.PUBCOMP]), 1000):
            connection.send(packets.packet(kind, 0, b"\0\1\0" + list_))
        over(connection)

    growth, _ = grown(client_name, V5, attack)
    fits("1,000 reason strings of 65,535 bytes", growth, 0)


@pytest.mark.parametrize("version", [V311, V5])
def test_a_broker_that_reads_no_answers(client_name: str, version: int) -> None:
    """The same QoS 2 message over and over: each asks for a PUBREC, and none is read."""
    flood = packets.publish(version, "a", b"x", 2, 1) * 10_000

    def attack(connection: PeerConnection) -> None:
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        while True:  # until the client has enough
            connection.send(flood)

    growth, _ = grown(client_name, version, attack)
    fits("acknowledgements that nobody reads", growth, 4 * MIB)


def flood(size: int) -> Callable[[PeerConnection], None]:
    """200 MB of messages of this size, until the client takes no more."""
    messages = packets.publish(V311, "a", bytes(size)) * (1_000_000 // (5 + size))

    def attack(connection: PeerConnection) -> None:
        connection.sock.settimeout(1.0)
        with contextlib.suppress(TimeoutError, socket.timeout):
            for _ in range(200):
                connection.sock.sendall(messages)
            pytest.fail("200 MB went into a client that takes nothing")
        connection.reset()

    return attack


def test_messages_before_an_answer(client_name: str) -> None:
    """A coroutine waits for SUBACK: eight times as much may come before it."""
    look = "lambda message: asyncio.gather(client.subscribe('b'), return_exceptions=True)"
    growth, _ = grown(client_name, V311, flood(1000), look=look, victim=AIO_VICTIM)
    fits("200 MB of messages before an answer that does not come", growth, 128 * MIB)


@pytest.mark.parametrize("size", [1000, 1])
@STYLES
def test_messages_that_nobody_takes(client_name: str, size: int, victim: str) -> None:
    """The inbox takes 16 MiB, however small the messages; what does not fit stays with the broker."""
    look = "lambda message: over.wait(4) or over.set()"
    if victim == AIO_VICTIM:
        look = "lambda message: asyncio.sleep(4)"
    growth, _ = grown(client_name, V311, flood(size), look=look, victim=victim)
    fits(f"200 MB of messages of {size} bytes that nobody takes", growth, 16 * MIB)


def test_a_callback_that_publishes_to_a_broker_that_does_not_read(client_name: str) -> None:
    """A callback never waits for room: above 256 MiB its messages are refused."""

    def attack(connection: PeerConnection) -> None:
        connection.send(packets.publish(V311, "a"))

    publish = "[client.publish('b', bytes(1 << 20)).rc for _ in range(300)]"
    look = f"lambda message: {publish}[-1] == mqtt.MQTT_ERR_QUEUE_SIZE and over.set()"
    growth, _ = grown(client_name, V311, attack, look=look)
    fits("300 MiB of QoS 0 that a broker does not read", growth, 256 * MIB)


def test_what_an_embedded_broker_keeps(client_name: str) -> None:
    """400 retained messages of 1 MiB: the broker keeps 256 MiB for its clients, records included."""
    pytest.importorskip("oxmqtt.testing", reason="this oxmqtt has no embedded broker")
    source = f"""
    {PEAK}
    from oxmqtt.testing import Broker

    with Broker() as broker:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        client.connect(broker.host, broker.port)
        client.loop_start()
        before = peak()
        for number in range(400):
            client.publish(f"a/{{number}}", bytes(1 << 20), 1, True).wait_for_publish(30)
        say("grown", peak() - before, broker.dropped)
        client.disconnect()
        client.loop_stop()
    """
    with Program(source, client_name) as program:
        _, growth, dropped = program.wait_line("grown", 55).split()
        assert program.exit_code() == 0, program.error_text()
    assert int(dropped) > 100
    fits("400 MiB of retained messages in the embedded broker", int(growth), 256 * MIB)


@STYLES
def test_long_topic_names(client_name: str, victim: str) -> None:
    """4,000 names of 65,000 bytes, never the same twice: 260 MB. Names are remembered up to 2 MiB."""

    def attack(connection: PeerConnection) -> None:
        for number in range(4000):
            connection.send(packets.publish(V311, f"{number:08}" + "a" * 65_000))
        over(connection)

    growth, _ = grown(client_name, V311, attack, victim=victim)
    fits("4,000 topic names of 65,000 bytes", growth, 18 * MIB)


@STYLES
def test_wide_topic_names(client_name: str, victim: str) -> None:
    """One character beyond the others makes Python store four bytes for each."""

    def attack(connection: PeerConnection) -> None:
        for number in range(2000):
            connection.send(packets.publish(V311, f"{number:08}\U0001f40d" + "a" * 65_000))
        over(connection)

    growth, _ = grown(client_name, V311, attack, victim=victim)
    fits("2,000 topic names of 65,000 characters of four bytes", growth, 18 * MIB)


@STYLES
def test_small_messages_that_a_program_keeps(client_name: str, victim: str) -> None:
    """2,000 small messages, each received with 60 kB of others: they hold their own bytes only."""
    pair = packets.publish(V311, "keep", b"x") + packets.publish(V311, "drop", bytes(60_000))

    def attack(connection: PeerConnection) -> None:
        for _ in range(2000):
            connection.send(pair)
        over(connection)

    look = "lambda message, kept=[]: len(message.payload) == 1 and kept.append(message)"
    growth, _ = grown(client_name, V311, attack, look=look, victim=victim)
    fits("2,000 small messages that are kept of 120 MB", growth, 16 * MIB)


@pytest.fixture
def announced(mqtt: ModuleType, peer: ScriptedPeer) -> Iterator[Callable[..., dict[str, object]]]:
    def properties_of_connect(limit: int | None, **given: int) -> dict[str, object]:
        client = clients.make(mqtt, "announces", V5)
        if limit is not None:
            client.max_packet_size = limit
        properties = clients.properties(mqtt, "CONNECT", **given) if given else None
        client.connect(peer.host, peer.port, properties=properties)
        try:
            return peer.accept().expect(packets.CONNECT).connect["properties"]
        finally:
            clients.dispose(client)

    yield properties_of_connect


def test_a_bound_that_was_set_is_announced(
    mqtt: ModuleType, announced: Callable[..., dict[str, object]]
) -> None:
    """The default is not: CONNECT is paho's to the byte."""
    assert not announced(None)
    assert announced(5000) == {"maximum_packet_size": 5000}
    assert announced(5000, ReceiveMaximum=7) == {
        "maximum_packet_size": 5000,
        "receive_maximum": 7,
    }
    assert announced(5000, MaximumPacketSize=600) == {"maximum_packet_size": 600}


@pytest.mark.parametrize("size", [0, -1, 268_435_456])
def test_a_bound_that_is_none(mqtt: ModuleType, size: int) -> None:
    client = clients.make(mqtt, "wrong")
    assert client.max_packet_size == 16 * MIB
    with pytest.raises(ValueError, match=r"^Invalid packet size\.$"):
        client.max_packet_size = size
    assert client.max_packet_size == 16 * MIB


def test_a_raised_bound_takes_large_messages(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """20 MB arrive where 32 MiB are allowed, and end the connection where they are not."""
    payload = bytes(20_000_000)
    for limit in (32 * MIB, None):
        with Watched(mqtt, "large") as watched:
            if limit:
                watched.client.max_packet_size = limit
            watched.client.connect(peer.host, peer.port)
            watched.client.loop_start()
            connection = peer.accept()
            connection.accept_client()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.send(packets.publish(V311, "a", payload))
            if limit:
                (message,) = watched.messages.wait_count(1)
                assert message.payload == payload
            else:
                watched.disconnects.wait_count(1)
                assert not len(watched.messages)
