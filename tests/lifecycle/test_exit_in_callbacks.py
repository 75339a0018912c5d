"""The end of a process whose callbacks sit in a blocking call that returns early, late (while the interpreter goes down) or
never: no abort, no word on stderr, and it takes a second at the most.

Before CPython 3.14 a daemon thread that comes back then is ended by `pthread_exit()`, in the middle of our native code.

Each program has many clients, every one with its own transport, place of the call, kind of call, and time. `EXITS` in the
environment says how many programs there are; `EXITS_LIBRARIES` names a folder with one sub-folder per interpreter: the package
built for it, and a file `python` that says where it is. `make exits` makes both.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from oxmqtt.testing import Broker
from support.process import Program
from support.waiting import PATIENCE

pytestmark = pytest.mark.better_than_paho("it does not look after its threads")

EXITS = int(os.environ.get("EXITS", "6"))
#: Seconds for which the interpreter goes down after our part of it is over.
FINALISATION = 0.6
#: Seconds on top of the second that is promised, for a machine that has no time.
PATIENCE_AT_EXIT = 9.0
NEVER = 30.0

BLOCKS = (
    "sleep",
    "recv",
    "process",
    "lock",
    "queue",
    "event",
    "select",
    "ctypes",
    "bytecode",
    "garbage",
)
PLACES = (
    "on_publish",
    "on_message",
    "on_connect",
    "on_log",
    "on_pre_connect",
    "on_socket_open",
    "a publish without a loop",
    "a thread that publishes",
    "a thread that reads messages",
    "a subclass",
    "an event loop",
)
TRANSPORTS = ("tcp", "tls", "rustls", "websockets", "wss")

PROGRAM = """
    import copy, ctypes, queue, select, socket, subprocess, warnings
    warnings.simplefilter("ignore")
    libc = ctypes.CDLL(None)
    held = threading.Lock(); held.acquire()
    never = threading.Event()
    leaving = threading.Event()  # those who never rest begin when all others are inside
    ends = []

    class Finalised:
        def __init__(self): self.cycle = self
        def __del__(self): sum(range(200))

    def bytecode(seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until: sum(range(20_000)); time.sleep(0.005)

    def garbage(seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until: [Finalised() for _ in range(1000)]; time.sleep(0.005)

    def recv(seconds):
        ends.append(socket.socketpair())
        ends[-1][0].settimeout(seconds)
        try: ends[-1][0].recv(1)
        except OSError: pass

    def get(seconds):
        try: queue.Queue().get(timeout=seconds)
        except queue.Empty: pass

    BLOCKS = {
        "sleep": time.sleep,
        "recv": recv,
        "process": lambda s: subprocess.run(["sleep", str(s)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
        "lock": lambda s: held.acquire(timeout=s),
        "queue": get,
        "event": lambda s: never.wait(s),
        "select": lambda s: select.select([], [], [], s),
        "ctypes": lambda s: libc.usleep(int(s * 1e6)),
        "bytecode": bytecode,
        "garbage": garbage,
    }

    def make(transport, base=mqtt.Client):
        secure = "websockets" if transport == "wss" else transport
        client = base(
            mqtt.CallbackAPIVersion.VERSION2,
            protocol=mqtt.MQTTv5,
            transport="websockets" if secure == "websockets" else "tcp",
        )
        if transport in ("tls", "wss"):
            client.tls_set(CA)
        elif transport == "rustls":
            client.tls_set(CA, backend="rustls")
        client.connect_async("127.0.0.1", PORTS[transport])
        return client

    entered = []

    def start(transport, place, block, seconds):
        inside = threading.Event()
        entered.append((inside, transport, place, block))
        def stop_here(*args):
            inside.set()
            BLOCKS[block](seconds)
        if place == "a subclass":
            class Own(mqtt.Client):
                def on_publish(self, *args): stop_here()
            client = make(transport, Own)
            client.on_connect = lambda c, *_: c.publish("exit", "x", 1)
        else:
            client = make(transport)
        if place in ("on_message", "on_connect", "on_pre_connect", "on_socket_open"):
            setattr(client, place, stop_here)
        if place == "on_message":
            client.on_connect = lambda c, *_: c.subscribe("exit")
            client.on_subscribe = lambda c, *_: c.publish("exit", "x", 1)
        elif place == "on_publish":
            client.on_publish = stop_here
            client.on_connect = lambda c, *_: c.publish("exit", "x", 1)
        elif place == "on_log":
            client.on_log = lambda c, u, level, line: "PUBLISH" in line and stop_here()
            client.on_connect = lambda c, *_: c.publish("exit", "x", 0)
        elif place == "a publish without a loop":
            client.on_publish = stop_here
            def work():
                client.reconnect()
                while not inside.is_set(): client.publish("exit", "x", 0)
            return threading.Thread(target=work, daemon=True).start()
        elif place == "a thread that publishes":
            client.on_log = lambda *_: None
            def work():
                client.reconnect()
                inside.set()
                leaving.wait()
                properties = mqtt.Properties(mqtt.PacketTypes.PUBLISH)
                properties.UserProperty = [("a", "b")]
                while True: client.publish("exit", 1, 0, properties=properties).rc
            return threading.Thread(target=work, daemon=True).start()
        elif place == "a thread that reads messages":
            messages = queue.Queue()
            client.on_message = lambda c, u, message: messages.put(message)
            client.on_connect = lambda c, *_: c.subscribe("exit")
            client.on_subscribe = lambda c, *_: c.publish("exit", "x", 1)
            def work():
                message = messages.get()
                inside.set()
                leaving.wait()
                while True:
                    str(copy.copy(message).properties), message.info.rc
            threading.Thread(target=work, daemon=True).start()
        elif place == "an event loop":
            import asyncio
            from oxmqtt import aio
            async def talk():
                async with aio.Client("127.0.0.1", PORTS["tcp"]) as client:
                    await client.subscribe("exit/loop")
                    await client.publish("exit/loop", "x", qos=1)
                    async for message in client.messages:
                        inside.set()
                        await client.publish("exit/loop", "x", qos=1)
            return threading.Thread(target=lambda: asyncio.run(talk()), daemon=True).start()
        client.loop_start()

    for cell in CELLS:
        start(*cell)
    for inside, *cell in entered:
        assert inside.wait(90), cell

    class Slow:
        def __del__(self, sleep=time.sleep): sleep(FINALISATION)

    sys._slow = Slow()
    leaving.set()
    say("leaving", time.monotonic())
"""


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, Any]]:
    with Broker(tls=True, websockets=True) as broker:
        ports = {
            "tcp": broker.port,
            "tls": broker.tls_port,
            "rustls": broker.tls_port,
            "websockets": broker.websocket_port,
            "wss": broker.secure_websocket_port,
        }
        yield {"PORTS": ports, "CA": broker.ca_file}


def interpreters() -> list[tuple[str, str]]:
    """Each with the folder of the package built for it; of the tests' own that is where it lies anyway."""
    folder = os.environ.get("EXITS_LIBRARIES")
    if not folder:
        return [(sys.executable, "")]
    return [((each / "python").read_text().strip(), str(each)) for each in Path(folder).iterdir()]


def cells(rng: random.Random) -> list[tuple[str, str, str, float]]:
    """Twice each place, and each kind of call and transport at least once."""
    chosen = []
    for number, place in enumerate(2 * PLACES):
        seconds = rng.choice(
            [rng.uniform(0.05, 0.3), rng.uniform(0.4, 1 + FINALISATION), NEVER],
        )
        block = BLOCKS[(number + rng.randrange(2)) % len(BLOCKS)]
        chosen.append((TRANSPORTS[number % len(TRANSPORTS)], place, block, seconds))
    return chosen


@pytest.mark.timeout(EXITS * 60 + 120)
def test_exits_with_callbacks_in_blocking_calls(client_name: str, server: dict[str, Any]) -> None:
    pythons = interpreters()
    took = []
    for number in range(EXITS):
        executable, library = pythons[number % len(pythons)]
        values = {**server, "FINALISATION": FINALISATION, "CELLS": cells(random.Random(number))}
        with Program(
            PROGRAM, client_name, executable=executable, library=library, **values
        ) as program:
            started = float(program.wait_line("leaving", 120).split()[1])
            code = program.exit_code(PATIENCE)
            took.append(time.monotonic() - started - FINALISATION)
            assert (code, program.error_text()) == (0, ""), f"program {number}, {executable}"
    took.sort()
    print(f"bound: {EXITS} exits: 0 aborts, half within {took[EXITS // 2]:.2f} s")
    print(f"bound: the slowest of them: {took[-1]:.3f} s, at most 1 s")
    assert took[-1] < 1 + PATIENCE_AT_EXIT
