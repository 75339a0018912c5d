"""The race of the demonstration: a live table of messages per second, and the clients that run in processes of their own.

`demo.py` calls `race()`; as a program this file is one such client, which reports as JSON, one object per line:

    python demo_race.py publish|receive|echo|source|mortal CLIENT_MODULE PORT QOS SECONDS
"""

from __future__ import annotations

import importlib
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable

try:
    from rich.console import Console
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
except ImportError:
    Console = None  # type: ignore[assignment,misc]

HOST = "127.0.0.1"
PATIENCE = 20.0
SIZE = 64
CHUNK = 1000
#: chunks on their way to a receiver at any time
CREDITS = 8
WINDOW = 100
ROWS = [
    ("publish QoS 0", "publish", 0),
    ("publish QoS 1", "publish", 1),
    ("publish QoS 2", "publish", 2),
    ("receive QoS 0", "receive", 0),
    ("receive QoS 1", "receive", 1),
    ("echo QoS 0", "echo", 0),
    ("echo QoS 1", "echo", 1),
]


class Stop(Exception):
    """The demonstration cannot go on; its text says why."""


class Screen:
    """Numbered steps, in colour where the terminal has it."""

    def __init__(self) -> None:
        self.console = Console(highlight=False) if Console and sys.stdout.isatty() else None
        self._steps = 0

    def step(self, title: str) -> None:
        self._steps += 1
        self._print(f"\n{self._steps}. {title}", "bold cyan")

    def line(self, text: str) -> None:
        self._print(f"   {text}")

    def good(self, text: str) -> None:
        self._print(f"   ✓ {text}", "green")

    def bad(self, text: str) -> None:
        self._print(f"   ✗ {text}", "bold red")

    def _print(self, text: str, style: str = "") -> None:
        if self.console:
            self.console.print(text, style=style or None, markup=False)
        else:
            encoding = sys.stdout.encoding or "ascii"
            print(text.encode(encoding, "replace").decode(encoding), flush=True)


def spawn(command: list[str], **options: Any) -> subprocess.Popen[Any]:
    """A process that Ctrl-C on the terminal does not reach: we end it ourselves."""
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)


def end(process: subprocess.Popen[Any], kill: bool = False) -> None:
    if process.poll() is None:
        if kill:
            process.kill()
        else:
            process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()


def worker(kind: str, client: str, port: int, qos: int, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, kind, client, str(port), str(qos), str(seconds)]
    return spawn(command, stdout=subprocess.PIPE, text=True)


def reports(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """What a worker says, one JSON object per line."""
    assert process.stdout is not None
    # a worker that hangs is ended, so that reading comes to its end
    watchdog = threading.Timer(PATIENCE, lambda: end_quietly(process))
    watchdog.start()
    try:
        for line in process.stdout:
            yield json.loads(line)
    finally:
        watchdog.cancel()


def end_quietly(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.kill()


class Results:
    """The table: rates by row and client, drawn anew whenever one changes."""

    def __init__(self, screen: Screen, names: list[str], broker: str) -> None:
        self.screen = screen
        self.broker = broker
        self.names = names
        self.rates: dict[tuple[str, str], float] = {}
        self.running: tuple[str, str] | None = None
        self.done = 0

    def table(self) -> Any:
        table = Table(title=f"messages per second through {self.broker}, 64 bytes")
        table.add_column("")
        for name in self.names:
            table.add_column(short(name), justify="right", min_width=14)
        table.add_column("ratio", justify="right", min_width=8)
        for label, _, _ in ROWS:
            cells = [self.cell(label, name) for name in self.names]
            table.add_row(label, *cells, self.ratio(label))
        grid = Table.grid()
        grid.add_row(table)
        grid.add_row(ProgressBar(total=len(ROWS) * len(self.names), completed=self.done, width=60))
        return grid

    def cell(self, label: str, name: str) -> str:
        rate = self.rates.get((label, name))
        if (label, name) == self.running:
            return f"[yellow]{rate or 0:,.0f} …[/yellow]"
        return f"{rate:,.0f}" if rate is not None else "-"

    def ratio(self, label: str) -> str:
        rates = [self.rates.get((label, name)) for name in self.names]
        if len(rates) < 2 or None in rates or not rates[0] or (self.running or ("",))[0] == label:
            return ""
        return f"{rates[1] / rates[0]:.1f}x"  # type: ignore[operator]


def short(client: str) -> str:
    return "paho-mqtt" if client.startswith("paho") else client.split(".")[0]


def race(names: list[str], broker: str, port: int, screen: Screen, seconds: float) -> int:
    """Every row with every client; the number of messages lost."""
    screen.step("Speed, each client in a process of its own on this broker")
    results = Results(screen, names, broker)
    if screen.console:
        with Live(results.table(), console=screen.console, refresh_per_second=8) as live:
            return run_rows(results, port, seconds, lambda: live.update(results.table()))
    return run_rows(results, port, seconds, lambda: None)


def run_rows(results: Results, port: int, seconds: float, draw: Callable[[], None]) -> int:
    lost = 0
    for label, kind, qos in ROWS:
        for name in results.names:
            results.running = (label, name)
            final: dict[str, Any] = {}
            source = worker("source", name, port, qos, 0) if kind == "receive" else None
            if source:
                next(reports(source))  # it listens for credits
            process = worker(kind, name, port, qos, seconds)
            try:
                for report in reports(process):
                    results.rates[label, name] = report["rate"]
                    final = report
                    draw()
            finally:
                end(process)
                if source:
                    end(source)
            if not final.get("final"):
                raise Stop(f"{short(name)} did not finish {label}")
            lost += final["lost"]
            results.done += 1
            results.running = None
            draw()
            if not results.screen.console:
                results.screen.line(
                    f"{label:<14} {short(name):<10} {final['rate']:>12,.0f}/s   {results.ratio(label)}"
                )
    return lost


# --- the clients -------------------------------------------------------------


def say(**report: Any) -> None:
    print(json.dumps(report), flush=True)


class Meter:
    """Counts, and reports the rate five times a second."""

    def __init__(self, seconds: float) -> None:
        self.count = 0
        self.lost = 0
        self.started = time.perf_counter()
        self.end = self.started + seconds
        self._next = self.started + 0.2

    def running(self) -> bool:
        now = time.perf_counter()
        if now > self._next:
            self._next = now + 0.2
            say(rate=self.rate(now))
        return now < self.end

    def rate(self, now: float) -> float:
        return self.count / max(now - self.started, 1e-9)

    def finish(self) -> None:
        say(rate=self.rate(time.perf_counter()), lost=self.lost, final=True)


def connect(mqtt: Any, name: str, port: int) -> Any:
    """A connected client with its loop in a thread."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name)
    client.max_inflight_messages_set(WINDOW)
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.connect(HOST, port)
    client.loop_start()
    if not connected.wait(10):
        raise SystemExit("no CONNACK")
    return client


def subscribe(client: Any, topic: str, qos: int) -> None:
    subscribed = threading.Event()
    client.on_subscribe = lambda *_: subscribed.set()
    client.subscribe(topic, qos)
    if not subscribed.wait(10):
        raise SystemExit("no SUBACK")


def publish(mqtt: Any, port: int, qos: int, seconds: float) -> None:
    """As fast as it goes, at most two batches ahead of what is acknowledged (QoS 0: of what is sent)."""
    client = connect(mqtt, "publisher", port)
    payload = b"x" * SIZE
    batch = 500 if qos == 0 else 200
    before = None
    meter = Meter(seconds)
    while meter.running():
        for _ in range(batch):
            info = client.publish("race/publish", payload, qos)
        if before is not None:
            before.wait_for_publish(10)
            meter.count += batch
        before = info
    # The broker has taken everything before it when it acknowledges this one.
    last = client.publish("race/publish", payload, 1)
    last.wait_for_publish(10)
    meter.count += batch + 1
    meter.lost = 0 if last.is_published() else 1
    meter.finish()
    client.disconnect()


def receive(mqtt: Any, port: int, qos: int, seconds: float) -> None:
    """Counts what the source sends, checks that nothing is missing, asks for more."""
    client = connect(mqtt, "receiver-of-the-race", port)
    done = threading.Event()
    meter = Meter(seconds)

    def on_message(c: Any, u: Any, message: Any) -> None:
        if int(message.payload[:4]) != meter.count % CHUNK:
            meter.lost += 1
        meter.count += 1
        if meter.count % CHUNK == 0:
            if meter.running():
                c.publish("race/credit", b"1", 0)
            else:
                done.set()

    client.on_message = on_message
    subscribe(client, "race/receive", qos)
    meter.__init__(seconds)  # type: ignore[misc]
    for _ in range(CREDITS):
        client.publish("race/credit", b"1", 0)
    if not done.wait(seconds + 10):
        meter.lost += 1
    meter.finish()
    client.disconnect()


def echo(mqtt: Any, port: int, qos: int, seconds: float) -> None:
    """One message at a time to the broker and back."""
    client = connect(mqtt, "echo", port)
    done = threading.Event()
    meter = Meter(seconds)
    payload = b"x" * SIZE

    def on_message(c: Any, u: Any, message: Any) -> None:
        meter.count += 1
        if meter.running():
            c.publish("race/echo", payload, qos)
        else:
            done.set()

    client.on_message = on_message
    subscribe(client, "race/echo", qos)
    meter.__init__(seconds)  # type: ignore[misc]
    client.publish("race/echo", payload, qos)
    if not done.wait(seconds + 10):
        meter.lost = 1
    meter.finish()
    client.disconnect()


def source(port: int, qos: int) -> None:
    """Sends a chunk of numbered messages for each credit; a bare socket, so that no client is measured by another."""
    topic = b"race/receive"
    body = struct.pack(">H", len(topic)) + topic
    chunk = b""
    for number in range(CHUNK):
        identifier = struct.pack(">H", number + 1) if qos else b""
        rest = body + identifier + f"{number:04d}".encode().ljust(SIZE, b".")
        chunk += bytes([0x30 | qos << 1, len(rest)]) + rest
    sender, credits = raw_client(port, b"source"), raw_client(port, b"credits")
    credits.sendall(b"\x82\x10\x00\x01\x00\x0brace/credit\x00")
    if credits.recv(5, socket.MSG_WAITALL) != b"\x90\x03\x00\x01\x00":
        raise SystemExit("the broker refused the subscription")
    say(ready=True)
    threading.Thread(target=drain, args=(sender,), daemon=True).start()
    credit = b"\x30\x0e\x00\x0brace/credit1"
    pending = b""
    while True:
        data = credits.recv(4096)
        if not data:
            return
        pending += data
        while credit in pending:
            pending = pending.replace(credit, b"", 1)
            sender.sendall(chunk)


def raw_client(port: int, name: bytes) -> socket.socket:
    sock = socket.create_connection((HOST, port))
    rest = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack(">H", len(name)) + name
    sock.sendall(bytes([0x10, len(rest)]) + rest)
    if sock.recv(4, socket.MSG_WAITALL) != b"\x20\x02\x00\x00":
        raise SystemExit("the broker refused the source")
    return sock


def drain(sock: socket.socket) -> None:
    while sock.recv(1 << 16):
        pass


def mortal(mqtt: Any, port: int) -> None:
    """Connects with a will and waits to be killed."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="mortal")
    client.will_set("status/mortal", "gone without a word", qos=1)
    client.on_connect = lambda *_: say(connected=True)
    client.connect(HOST, port)
    client.loop_forever()


def main() -> None:
    kind, client, port, qos, seconds = sys.argv[1:]
    if kind == "source":
        source(int(port), int(qos))
        return
    mqtt = importlib.import_module(client)
    if kind == "mortal":
        mortal(mqtt, int(port))
        return
    run = {"publish": publish, "receive": receive, "echo": echo}[kind]
    run(mqtt, int(port), int(qos), float(seconds))


if __name__ == "__main__":
    main()
