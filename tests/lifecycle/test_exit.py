"""How a process ends: Ctrl-C, a plain return from main, live clients, callbacks that still run."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time

import pytest
from support import packets
from support.bounds import within
from support.mosquitto import Mosquitto
from support.packets import PUBLISH
from support.peer import ScriptedPeer
from support.process import Program

#: Processes that test_many_exits starts.
EXITS = int(os.environ.get("EXITS", "20"))

CONNECT = """
    def make(name="", **options):
        return mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, **options)
"""

FOREVER = (
    CONNECT
    + """
    client = make("forever")
    client.on_connect = lambda *_: say("connected")
    client.connect(HOST, PORT)
    try:
        {loop}
    except KeyboardInterrupt:
        say("interrupted", time.monotonic())
"""
)


def interrupt_in_time(program: Program, what: str) -> None:
    """KeyboardInterrupt within 100 ms, and the process ends within a second."""
    started = time.monotonic()
    program.interrupt()
    line = program.wait_line("interrupted", 3)
    within(f"Ctrl-C in {what}", float(line.split()[1]) - started, 0.1)
    assert program.exit_code(3) == 0
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "loop",
    [
        "client.loop_forever()",
        "client.loop_forever(timeout=60)",
        "[client.loop(60) for _ in iter(int, 1)]",
        "client.loop_start(); threading.Event().wait()",
    ],
    ids=["loop_forever", "long timeout", "loop", "thread"],
)
def test_ctrl_c(client_name: str, broker: Mosquitto, loop: str) -> None:
    source = FOREVER.format(loop=loop)
    with Program(source, client_name, HOST=broker.host, PORT=broker.port) as program:
        program.wait_line("connected")
        interrupt_in_time(program, loop)


def test_ctrl_c_while_reconnecting(client_name: str, peer: ScriptedPeer) -> None:
    """In the wait between two tries as well."""
    source = (
        CONNECT
        + """
    client = make("again")
    client.reconnect_delay_set(30, 60)
    client.on_disconnect = lambda *_: say("lost")
    client.connect(HOST, PORT)
    try:
        client.loop_forever()
    except KeyboardInterrupt:
        say("interrupted")
    """
    )
    with Program(source, client_name, HOST=peer.host, PORT=peer.port) as program:
        connection = peer.accept()
        connection.accept_client()
        connection.reset()
        program.wait_line("lost")
        program.interrupt()
        program.wait_line("interrupted", 2)
        assert program.exit_code(3) == 0


@pytest.mark.parametrize("wait", ["info.wait_for_publish()", "info.wait_for_publish(60)"])
def test_ctrl_c_in_wait_for_publish(client_name: str, peer: ScriptedPeer, wait: str) -> None:
    source = (
        CONNECT
        + f"""
    client = make("wait")
    client.connect(HOST, PORT)
    client.loop_start()
    info = client.publish("a", "b", 1)
    try:
        say("waiting")
        {wait}
    except KeyboardInterrupt:
        say("interrupted", time.monotonic())
    os._exit(0)
    """
    )
    with Program(source, client_name, HOST=peer.host, PORT=peer.port) as program:
        connection = peer.accept()
        connection.accept_client()
        connection.expect(PUBLISH)
        program.wait_line("waiting")
        interrupt_in_time(program, wait)


@pytest.mark.better_than_paho("publish() never waits: what is unsent grows without bound")
def test_ctrl_c_in_publish(client_name: str, peer: ScriptedPeer) -> None:
    """In a publish() that waits for room: 50 MB for a broker that reads only the first of them."""
    source = (
        CONNECT
        + """
    client = make("full")
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.connect(HOST, PORT)
    client.loop_start()
    connected.wait(10)
    try:
        client.publish("full", bytes(50_000_000), 0)
        say("returned")
    except KeyboardInterrupt:
        say("interrupted", time.monotonic())
    os._exit(0)
    """
    )
    with Program(source, client_name, HOST=peer.host, PORT=peer.port) as program:
        connection = peer.accept()
        connection.accept_client()
        assert connection.sock.recv(1_000_000, socket.MSG_WAITALL)
        interrupt_in_time(program, "publish()")


def test_signal_handler_runs_in_the_loop(client_name: str, broker: Mosquitto) -> None:
    """A handler that only notes the signal: it runs promptly and the loop goes on."""
    source = (
        CONNECT
        + """
    client = make("signals")
    signal.signal(signal.SIGUSR1, lambda *_: say("handled", time.monotonic()))
    client.on_connect = lambda *_: say("connected")
    client.on_publish = lambda *_: client.disconnect()
    signal.signal(signal.SIGUSR2, lambda *_: client.publish("a", "b", 1))
    client.connect(HOST, PORT)
    client.loop_forever(timeout=30)
    """
    )
    with Program(source, client_name, HOST=broker.host, PORT=broker.port) as program:
        program.wait_line("connected")
        for count in range(1, 6):
            program.process.send_signal(signal.SIGUSR1)
            program.output.wait_for(
                lambda lines, n=count: sum(1 for x in lines if x.startswith("handled")) >= n,
                "the handler",
                2,
            )
        program.process.send_signal(signal.SIGUSR2)
        assert program.exit_code(3) == 0


@pytest.mark.better_than_paho("what the socket did not take at once is lost at exit")
@pytest.mark.parametrize("size", [10, 2000])
def test_flood_and_leave(client_name: str, peer: ScriptedPeer, size: int) -> None:
    """10,000 QoS 0 messages and disconnect() without any loop; the process returns from main: all have been sent."""
    count = 10_000
    source = (
        CONNECT
        + """
    client = make("flood")
    client.connect(HOST, PORT)
    for number in range(COUNT):
        client.publish("flood", number.to_bytes(4, "big") * SIZE)
    client.disconnect()
    """
    )
    values = {"HOST": peer.host, "PORT": peer.port, "COUNT": count, "SIZE": size // 4}
    with Program(source, client_name, **values) as program:
        connection = peer.accept()
        connection.accept_client()
        received = connection.read_to_end(30)
        assert program.exit_code(10) == 0
    assert [packet.kind for packet in received[-1:]] == [packets.DISCONNECT]
    numbers = [int.from_bytes(packet.payload[:4], "big") for packet in received[:-1]]
    assert numbers == list(range(count))


@pytest.mark.better_than_paho(
    "it closes at once: the CONNACK meets a closed socket, and RST eats the messages"
)
def test_leave_before_the_connack(client_name: str, peer: ScriptedPeer) -> None:
    """A slow broker: its CONNACK comes when the client has said all and wants to go. Nothing of it may be lost.

    A socket closed too early answers the CONNACK with RST, and the broker's kernel then throws away what the broker
    has not read yet. So: half-close after DISCONNECT, read until the broker closes, within a bound.
    """
    source = (
        CONNECT
        + """
    client = make("early")
    client.connect(HOST, PORT)
    for number in range(1000):
        client.publish("early", str(number))
    say("left", client.disconnect())
    """
    )
    with Program(source, client_name, HOST=peer.host, PORT=peer.port) as program:
        connection = peer.accept()
        connection.expect(packets.CONNECT)
        select.select([connection.sock], [], [], 5)
        time.sleep(0.3)  # the broker is busy elsewhere
        connection.send(packets.connack(packets.V311))
        time.sleep(0.05)  # time for an RST to arrive
        received = connection.read_to_end(10)
        assert program.exit_code(5) == 0
    assert [packet.kind for packet in received[-1:]] == [packets.DISCONNECT]
    assert [int(packet.payload) for packet in received[:-1]] == list(range(1000))


@pytest.mark.better_than_paho("what the socket did not take at once is lost at exit")
def test_flood_and_leave_to_a_broker(client_name: str, broker: Mosquitto) -> None:
    """The same through mosquitto, counted by a client in this process' child."""
    source = (
        CONNECT
        + """
    count = 10_000
    seen = []
    done = threading.Event()
    counter = make("counter")
    counter.on_connect = lambda *_: counter.subscribe("leave")
    counter.on_subscribe = lambda *_: say("ready")
    def on_message(c, u, message):
        seen.append(int(message.payload))
        if len(seen) == count:
            done.set()
    counter.on_message = on_message
    counter.connect(HOST, PORT)
    counter.loop_start()
    done.wait(30)
    say("counted", len(seen), seen == list(range(count)))
    counter.disconnect()
    """
    )
    flood = (
        CONNECT
        + """
    client = make("leaver")
    client.connect(HOST, PORT)
    for number in range(10_000):
        client.publish("leave", str(number))
    client.disconnect()
    """
    )
    values = {"HOST": broker.host, "PORT": broker.port}
    with Program(source, client_name, **values) as counter:
        counter.wait_line("ready")
        with Program(flood, client_name, **values) as leaver:
            assert leaver.exit_code(20) == 0
        assert counter.wait_line("counted", 30) == "counted 10000 True"
        assert counter.exit_code(5) == 0


LIVE = {
    "idle": "",
    "queued": "[c.publish('exit/x', 'x' * 1000, n % 3) for c in crowd for n in range(50)]",
    "subscribed to itself": "[(c.subscribe('exit/#'), c.publish('exit/x', 'x', 1)) for c in crowd]",
    "connecting": "crowd.append(make('late')); crowd[-1].connect_async(HOST, PORT); crowd[-1].loop_start()",
    "disconnecting": "[c.disconnect() for c in crowd]",
    "in a thread that publishes": (
        "threading.Thread(target=lambda: [crowd[0].publish('exit/x', 'y', 1) for _ in iter(int, 1)], daemon=True).start()"
    ),
    "in sys.exit": "sys.exit(0)",
}


@pytest.mark.parametrize("state", LIVE)
def test_exit_with_live_clients(client_name: str, broker: Mosquitto, state: str) -> None:
    """Three clients with loop threads, nobody stops them: exit code 0, soon, without a word on stderr."""
    source = (
        CONNECT
        + f"""
    crowd = [make(f"exit{{n}}") for n in range(3)]
    for client in crowd:
        client.on_message = lambda *_: None
        client.connect(HOST, PORT)
        client.loop_start()
    {LIVE[state]}
    """
    )
    for _ in range(3):
        with Program(source, client_name, HOST=broker.host, PORT=broker.port) as program:
            assert program.exit_code(5) == 0
            assert program.error_text() == ""


@pytest.mark.timeout(EXITS * 3 + 60)
def test_many_exits(client_name: str, broker: Mosquitto) -> None:
    """Callbacks run while the interpreter goes down: no hang, no abort, each within a second.

    `EXITS` in the environment says how many; `make exits` runs a thousand.
    """
    source = (
        CONNECT
        + """
    clients = [make(f"down{n}-{os.getpid()}") for n in range(2)]
    ready = threading.Event()
    def on_message(c, u, message):
        ready.set()
        c.publish(message.topic, message.payload, 0)
        sum(range(2000))
    for client in clients:
        client.on_message = on_message
        client.on_connect = lambda c, *_: c.subscribe(f"down/{os.getpid()}")
        client.on_subscribe = lambda c, *_: c.publish(f"down/{os.getpid()}", "x", 1)
        client.connect(HOST, PORT)
        client.loop_start()
    ready.wait(10)
    say("leaving", time.monotonic())
    """
    )
    values = {"HOST": broker.host, "PORT": broker.port}
    took = []
    for number in range(EXITS):
        with Program(source, client_name, **values) as program:
            started = float(program.wait_line("leaving", 15).split()[1])
            assert program.exit_code(15) == 0, f"{program.error_text()} (process {number})"
            took.append(time.monotonic() - started)
            assert program.error_text() == ""
    took.sort()
    print(f"bound: {EXITS} exits: 0 aborts, half within {took[EXITS // 2]:.2f} s")
    within("the slowest exit", took[-1], 1)


STUCK = {
    "a callback that blocks": """
    client.on_publish = lambda *_: (reached.set(), threading.Event().wait())
    client.publish("a", "b", 1)
    """,
    "a callback that never ends": """
    client.on_publish = lambda *_: (reached.set(), [0 for _ in iter(int, 1)])
    client.publish("a", "b", 1)
    """,
    "a full socket": """
    client.publish("full", bytes(50_000_000), 0)
    reached.set()
    """,
    "waiting to dial again": """
    client.reconnect_delay_set(30, 60)
    client.on_disconnect = lambda *_: reached.set()
    client.publish("reset", "b", 0)
    """,
}


@pytest.mark.better_than_paho("it does not look after its threads")
@pytest.mark.parametrize("state", STUCK)
def test_an_exit_takes_a_second_at_the_most(
    client_name: str, peer: ScriptedPeer, state: str
) -> None:
    source = (
        CONNECT
        + f"""
    client = make("stuck")
    reached = threading.Event()
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.connect(HOST, PORT)
    client.loop_start()
    connected.wait(10)
    {STUCK[state]}
    reached.wait(10)
    say("leaving", time.monotonic())
    """
    )
    with Program(source, client_name, HOST=peer.host, PORT=peer.port) as program:
        connection = peer.accept()
        connection.accept_client()
        if state != "a full socket":
            packet = connection.expect(PUBLISH)
            if packet.topic == "reset":
                connection.reset()
            else:
                connection.send(packets.acknowledge(packets.V311, packets.PUBACK, packet.mid))
        started = float(program.wait_line("leaving").split()[1])
        assert program.exit_code(10) == 0
        within(f"exit with {state}", time.monotonic() - started, 1)
        assert program.error_text() == ""


def test_exit_sends_no_disconnect(client_name: str, peer: ScriptedPeer) -> None:
    """Nobody asked for a DISCONNECT: the connection just ends, so that the will fires; what was published goes first."""
    source = (
        CONNECT
        + """
    client = make("rude")
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.connect(HOST, PORT)
    client.loop_start()
    connected.wait(10)
    for number in range(100):
        client.publish("last", str(number))
    """
    )
    with Program(source, client_name, HOST=peer.host, PORT=peer.port) as program:
        connection = peer.accept()
        connection.accept_client()
        received = connection.read_to_end()
        assert program.exit_code(5) == 0
    assert packets.DISCONNECT not in [packet.kind for packet in received]
    if not client_name.startswith("paho"):
        assert len(received) == 100


def test_import_starts_nothing(client_name: str) -> None:
    """The runtime is built at the first connect: importing and making clients starts no thread."""
    source = (
        CONNECT
        + """
    crowd = [make() for _ in range(10)]
    say("threads", len(os.listdir("/proc/self/task")))
    """
    )
    with Program(source, client_name) as program:
        assert program.wait_line("threads") == "threads 1"
        assert program.exit_code() == 0


@pytest.mark.parametrize("loop", ["client.loop_start()", "client.loop(0.01)", ""])
def test_a_finaliser_says_goodbye_at_exit(client_name: str, peer: ScriptedPeer, loop: str) -> None:
    """The last reference goes with the interpreter, when nothing can be imported any more: DISCONNECT is sent, in silence."""
    source = (
        CONNECT
        + f"""
    class Device:
        def __init__(self):
            self.client = client = make("device", protocol=mqtt.MQTTv5)
            client.connect(HOST, PORT)
            {loop}
        def __del__(self):
            self.client.disconnect()
    device = Device()
    """
    )
    with Program(source, client_name, HOST=peer.host, PORT=peer.port) as program:
        connection = peer.accept()
        connection.accept_client()
        assert connection.read_to_end()[-1].kind == packets.DISCONNECT
        assert (program.exit_code(), program.error_text()) == (0, "")


@pytest.mark.parametrize(
    "call",
    [
        'publish("t", b"", 1).rc',
        'publish("t", b"", 1).is_published()',
        'subscribe("t")',
        'unsubscribe("t")',
        "ack(1, 1)",
        "drop_out_messages()",
        "loop_stop()",
        "close(0)",
    ],
)
def test_a_finaliser_uses_its_client_at_exit(
    client_name: str, peer: ScriptedPeer, call: str
) -> None:
    """Nothing of it was called before, and nothing can be imported any more."""
    source = (
        CONNECT
        + f"""
    class Device:
        def __init__(self):
            self.client = client = make("device")
            client.connect(HOST, PORT)
        def __del__(self):
            self.client.{call}
            os.write(1, b"called\\n")
    import os
    device = Device()
    """
    )
    with Program(source, client_name, HOST=peer.host, PORT=peer.port) as program:
        peer.accept().accept_client()
        program.wait_line("called")
        assert (program.exit_code(), program.error_text()) == (0, "")


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the module has another name there")
def test_a_subinterpreter_that_nobody_ended(client_name: str) -> None:
    """Its exit hooks come when the main interpreter is past waiting."""
    program = f"""
import _xxsubinterpreters
made = "import {client_name} as mqtt; mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)"
_xxsubinterpreters.run_string(_xxsubinterpreters.create(), made)
print("imported")
"""
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "imported\n", "")
