"""Where there is no memory for a large message, the call or the connection fails, and not the process.

The program sets a limit to its own address space, and lifts it again.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest
from support import packets
from support.packets import V5
from support.peer import ScriptedPeer
from support.process import Program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS holds on Linux only")

MIB = 1 << 20
#: One message: above 32 MiB glibc always maps memory anew, and so meets the limit.
SIZE = 40 * MIB

PROGRAM = """
    import resource

    def leave(spare):
        with open("/proc/self/statm") as statm:
            size = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + spare if spare else -1, -1))

    connected, disconnected, arrived = threading.Event(), threading.Event(), threading.Event()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "poor", protocol=mqtt.MQTTv5)
    client.max_packet_size = 100 << 20
    client.reconnect_delay_set(1, 1)
    client.on_connect = lambda *_: connected.set()
    client.on_disconnect = lambda *_: disconnected.set()
    client.on_message = lambda c, u, message: (say("message", len(message.payload)), arrived.set())
    threading.excepthook = lambda args: say("raised", args.exc_type.__name__)
    client.connect(HOST, PORT)
    client.loop_start()
    connected.wait(30)
"""


def poor(client_name: str, peer: ScriptedPeer, source: str, **values: Any) -> Program:
    values.update(HOST=peer.host, PORT=peer.port, SIZE=SIZE)
    # The arenas of threads reserve 64 MiB each, and give them back when they like.
    prefix = ["env", "MALLOC_ARENA_MAX=1"]
    return Program(PROGRAM + source, client_name, prefix=prefix, **values)


def test_publish_raises_memory_error(client_name: str, peer: ScriptedPeer) -> None:
    source = """
    large = [bytes(SIZE), bytearray(SIZE), "x" * SIZE]
    leave(SIZE // 2)
    for payload in large:
        for qos in (0, 1, 2):
            try:
                client.publish("large", payload, qos)
                say("published")
            except MemoryError:
                say("MemoryError")
    leave(None)
    client.publish("small", b"!", 1).wait_for_publish(30)
    say("small arrived")
    client.disconnect()
    client.loop_stop()
    """
    with poor(client_name, peer, source) as program:
        connection = peer.accept()
        said = [packet.topic for packet in connection.serve() if packet.kind == packets.PUBLISH]
        program.wait_line("small arrived")
        assert program.exit_code() == 0, program.error_text()
        assert program.output.items()[:9] == ["MemoryError"] * 9
        assert said == ["small"]


def test_a_message_without_room_in_the_out_buffer_waits(
    client_name: str, peer: ScriptedPeer
) -> None:
    """It was accepted: it goes out, in its turn, when there is memory again."""
    source = """
    large = bytes(SIZE)
    leave(SIZE * 3 // 2)
    first = client.publish("large", large, 1)
    say("accepted", first.rc)
    try:
        dict(client._out_messages)
    except MemoryError:
        say("no copy")
    leave(None)
    client.publish("small", b"!", 1).wait_for_publish(30)
    first.wait_for_publish(30)
    client.disconnect()
    client.loop_stop()
    """
    with poor(client_name, peer, source) as program:
        connection = peer.accept()
        said = [packet.topic for packet in connection.serve() if packet.kind == packets.PUBLISH]
        assert program.exit_code() == 0, program.error_text()
        assert program.output.items() == ["accepted 0", "no copy"]
        assert said == ["large", "small"]


RECEIVES = """
    leave(SPARE)
    say("poor")
    (arrived if BOTH else disconnected).wait(30)
    connected.clear()
    arrived.clear()
    leave(None)
    say("rich")
    arrived.wait(30)
    client.disconnect()
    client.loop_stop()
"""


def test_a_packet_for_which_there_is_no_memory(client_name: str, peer: ScriptedPeer) -> None:
    """The connection ends with a reason; the client lives, and connects again."""
    with poor(client_name, peer, RECEIVES, SPARE=SIZE // 2, BOTH=False) as program:
        connection = peer.accept()
        connection.accept_client()
        program.wait_line("poor")
        packet = packets.publish(V5, "large", bytes(SIZE))
        try:
            connection.send(packet)
        except (BrokenPipeError, ConnectionResetError):
            pass
        else:
            connection.expect_refusal(0x97)
        program.wait_line("rich")
        connection = peer.accept()
        connection.accept_client()
        connection.send(packet)
        connection.expect(packets.DISCONNECT)
        assert program.exit_code() == 0, program.error_text()
        assert program.output.items() == ["poor", "rich", f"message {SIZE}"]


def test_a_message_for_which_python_has_no_memory(client_name: str, peer: ScriptedPeer) -> None:
    """The packet was received; its payload as an object is too much. The loop goes on."""
    with poor(client_name, peer, RECEIVES, SPARE=SIZE * 3 // 2, BOTH=True) as program:
        connection = peer.accept()
        connection.accept_client()
        program.wait_line("poor")
        connection.send(packets.publish(V5, "large", bytes(SIZE), 1, 7))
        program.wait_line("raised")
        connection.send(packets.publish(V5, "small", b"!", 1, 8))
        connection.expect(packets.PUBACK, mid=8)
        program.wait_line("rich")
        connection.send(packets.publish(V5, "small", b"!", 1, 9))
        connection.expect(packets.PUBACK, mid=9)
        connection.expect(packets.DISCONNECT)
        assert program.exit_code() == 0, program.error_text()
        messages = ["raised MemoryError", "message 1", "rich", "message 1"]
        assert program.output.items() == ["poor", *messages]


def test_many_small_messages(client_name: str, peer: ScriptedPeer) -> None:
    """The table of unfinished messages grows by doubling: where it cannot, the message is refused."""
    source = """
    leave(12 * MIB)
    accepted = 0
    try:
        while True:
            client.publish("small", b"x" * 40, 1)
            accepted += 1
    except MemoryError:
        pass
    leave(None)
    dropped = len(client.drop_out_messages())
    say("all there", dropped - accepted in (0, 1), accepted > 1000)
    client.disconnect()
    client.loop_stop()
    """
    with poor(client_name, peer, source, MIB=MIB) as program:
        connection = peer.accept()
        connection.accept_client(properties={"receive_maximum": 1})
        connection.read_to_end()
        assert program.exit_code() == 0, program.error_text()
        assert program.output.items() == ["all there True True"]


MANY = """
    filters = [f"{number:04}/" + "x" * 60_000 for number in range(1000)]
    pairs = [(f"{number:04}", "x" * 60_000) for number in range(1000)]

    def rich_in(kind):
        properties = mqtt.Properties(kind)
        properties.UserProperty = pairs
        return properties

    def connect(**options):
        other = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "other", protocol=mqtt.MQTTv5)
        if "will" in options:
            other.will_set("will", properties=options.pop("will"))
        other.connect(HOST, PORT, **options)

    kinds = mqtt.PacketTypes
    calls = {
        "subscribe": lambda: client.subscribe([(name, 1) for name in filters]),
        "unsubscribe": lambda: client.unsubscribe(filters),
        "publish": lambda: client.publish("t", b"", 1, properties=rich_in(kinds.PUBLISH)),
        "subscribe with": lambda: client.subscribe("t", properties=rich_in(kinds.SUBSCRIBE)),
        "unsubscribe with": lambda: client.unsubscribe("t", properties=rich_in(kinds.UNSUBSCRIBE)),
        "disconnect with": lambda: client.disconnect(properties=rich_in(kinds.DISCONNECT)),
        "connect with": lambda: connect(properties=rich_in(kinds.CONNECT)),
        "connect with will": lambda: connect(will=rich_in(kinds.WILLMESSAGE)),
    }
    leave(SPARE)
    try:
        calls[CALL]()
        said = "done"
    except MemoryError:
        said = "MemoryError"
    leave(None)
    say(said)
    if client.is_connected():
        client.publish("small", b"!", 1).wait_for_publish(30)
        client.disconnect()
    client.loop_stop()
"""

CALLS = [
    "subscribe",
    "unsubscribe",
    "publish",
    "subscribe with",
    "unsubscribe with",
    "disconnect with",
    "connect with",
    "connect with will",
]


@pytest.mark.parametrize("spare", [2, 70, 140], ids=["nothing", "a copy", "two copies"])
@pytest.mark.parametrize("call", CALLS)
def test_many_filters_and_properties(
    client_name: str, peer: ScriptedPeer, call: str, spare: int
) -> None:
    """60 MB in pieces of 60 kB: where memory ends on the way, nothing was sent, and the client goes on."""
    with poor(client_name, peer, MANY, SPARE=spare * MIB, CALL=call) as program:
        connection = peer.accept()
        rest = connection.serve()
        kinds = [packet.kind for packet in rest if packet.kind != packets.PINGREQ]
        assert program.exit_code() == 0, program.error_text()
        (said,) = program.output.items()
        assert spare > 2 or said == "MemoryError"
        if said == "MemoryError":
            assert kinds == [packets.CONNECT, packets.PUBLISH, packets.DISCONNECT]
