"""oxmqtt in two minutes, on a broker of its own: messages, a will, a restart that loses nothing, speed beside paho-mqtt.

    python examples/demo.py

The broker is mosquitto, or where that is not installed the embedded one, `oxmqtt.testing.Broker`. It listens on loopback only, ends its processes by itself, and exits with 1 if a message was lost. The clients whose speed
is measured run in processes of their own: `demo_race.py`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Callable

from demo_race import HOST, PATIENCE, Screen, Stop, end, race, reports, spawn, worker


def find_mosquitto() -> str | None:
    if os.environ.get("OXMQTT_NO_MOSQUITTO"):
        return None
    return shutil.which("mosquitto") or shutil.which(
        "mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
    )


class Embedded:
    """The broker of oxmqtt, which runs on a thread of its own without the GIL, and keeps sessions over a restart."""

    name = "the embedded broker"

    def __init__(self) -> None:
        try:
            testing = importlib.import_module("oxmqtt.testing")
        except ImportError as error:
            raise Stop(f"no mosquitto, and no oxmqtt with its broker: {error}") from None
        self.broker = testing.Broker(host=HOST)
        self.port = self.broker.port

    def start(self) -> str:
        return f"mosquitto is not installed: {self.name} listens on {HOST}:{self.port}"

    def restart(self, between: Callable[[], None]) -> None:
        self.broker.restart()
        between()

    def stop(self) -> None:
        self.broker.close()


class Mosquitto:
    """A mosquitto on a free port of loopback, which keeps sessions over a restart."""

    name = "mosquitto"

    def __init__(self, program: str, directory: str) -> None:
        self.program = program
        self.directory = directory
        self.process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = probe.getsockname()[1]

    def start(self) -> str:
        """Start and wait until it accepts; what there is to say about it."""
        lines = [
            "allow_anonymous true",
            f"listener {self.port} {HOST}",
            "max_queued_messages 0",
            "max_inflight_messages 100",
            "persistence true",
            f"persistence_location {self.directory}/",
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            lines.append("user root")
        config = os.path.join(self.directory, "mosquitto.conf")
        Path(config).write_text("\n".join(lines) + "\n")
        self.process = spawn(
            [self.program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Stop("mosquitto ended by itself")
            try:
                socket.create_connection((HOST, self.port), 1).close()
                return f"mosquitto (process {self.process.pid}) listens on {HOST}:{self.port}"
            except OSError:
                time.sleep(0.02)
        raise Stop("mosquitto does not answer")

    def restart(self, between: Callable[[], None]) -> None:
        self.stop()
        between()
        self.start()

    def stop(self) -> None:
        if self.process:
            end(self.process)


def wait_until(check: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise Stop(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.01)


# --- the story -----------------------------------------------------------------------------------


def messages(mqtt: Any, port: int, screen: Screen) -> None:
    """Connect, wildcards, every QoS."""
    screen.step("Connect, subscribe with wildcards, publish with QoS 0, 1 and 2")
    received: list[str] = []
    subscribed = threading.Event()

    def on_connect(client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        screen.good(f"on_connect: {reason}")
        client.subscribe([("house/+/temperature", 2), ("house/garden/#", 2)])

    def on_message(client: Any, userdata: Any, message: Any) -> None:
        text = f"{message.topic} = {message.payload.decode()} (QoS {message.qos})"
        screen.line(f"on_message: {text}")
        received.append(text)

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="demo")
    client.on_connect, client.on_message = on_connect, on_message
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect(HOST, port)
    client.loop_start()
    if not subscribed.wait(PATIENCE):
        raise Stop("no SUBACK")
    client.publish("house/kitchen/temperature", "21.5", qos=0)
    client.publish("house/cellar/temperature", "12.0", qos=1)
    client.publish("house/garden/pond/level", "0.8", qos=2)
    client.publish("house/kitchen/humidity", "nobody subscribed to this", qos=1).wait_for_publish(
        PATIENCE
    )
    wait_until(lambda: len(received) >= 3, "three messages")
    client.disconnect()
    client.loop_stop()
    screen.good(f"{len(received)} of 3 messages arrived, the fourth topic matched no filter")


def last_will(mqtt: Any, name: str, port: int, screen: Screen) -> None:
    screen.step("A will: a process is killed, the broker tells the others")
    wills: list[str] = []
    ready = threading.Event()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="watcher")
    client.on_connect = lambda c, *_: c.subscribe("status/#", 1)
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda c, u, message: wills.append(
        f"{message.topic} = {message.payload.decode()}"
    )
    client.connect(HOST, port)
    client.loop_start()
    if not ready.wait(PATIENCE):
        raise Stop("no SUBACK")
    mortal = worker("mortal", name, port, 0, 0)
    try:
        next(reports(mortal))
        screen.line(f"process {mortal.pid} is connected, its will is set; kill -9 {mortal.pid}")
    finally:
        end(mortal, kill=True)
    wait_until(lambda: wills, "the will")
    screen.good(f"on_message: {wills[0]}")
    client.disconnect()
    client.loop_stop()


def restart(mqtt: Any, broker: Mosquitto | Embedded, screen: Screen) -> int:
    """Publish while the broker is restarted twice; the number of messages lost."""
    total = 3000
    screen.step(
        f"The broker is restarted twice while {total:,} messages with QoS 1 and 2 are under way"
    )
    received: dict[int, int] = {}
    acknowledged: list[int] = []
    losses: list[int] = []
    cuts: list[int] = []
    ready = threading.Event()

    def on_message(client: Any, userdata: Any, message: Any) -> None:
        number = int(message.payload)
        received[number] = received.get(number, 0) + 1

    receiver = persistent(mqtt, "receiver")
    receiver.on_message = on_message
    receiver.on_subscribe = lambda *_: ready.set()
    receiver.on_disconnect = lambda *_: cuts.append(1)
    receiver.connect(HOST, broker.port)
    receiver.loop_start()
    receiver_connected(receiver)
    receiver.subscribe("log/#", 2)
    if not ready.wait(PATIENCE):
        raise Stop("no SUBACK")
    sender = persistent(mqtt, "sender")
    sender.on_publish = lambda c, u, mid, *_: acknowledged.append(mid)
    sender.on_disconnect = lambda *_: losses.append(1)
    sender.connect(HOST, broker.port)
    sender.loop_start()
    receiver_connected(sender)
    restarts = 0
    for number in range(total):
        # mosquitto 2.0 itself repeats QoS 2 after a restart where more than its window is waiting: before a restart
        # nothing is, and after it no more than is under way until the receiver is back.
        if number in (total // 3, 2 * total // 3):
            wait_until(lambda n=number: len(received) == n, "the messages so far")
        sender.publish("log/line", str(number), qos=1 + number % 2)
        if number in (total // 3 + 50, 2 * total // 3 + 50):
            broker.restart(
                lambda n=number: screen.line(
                    f"broker restarts: {n + 1:,} published, {len(acknowledged):,} acknowledged, "
                    f"{len(received):,} received"
                )
            )
            restarts += 1
            wait_until(
                lambda n=restarts: len(cuts) == n and receiver.is_connected(), "the receiver"
            )
    wait_until(lambda: len(acknowledged) >= total, "the acknowledgements", 30)
    wait_until(lambda: len(received) >= total, "the messages", 30)
    twice = [number for number, count in received.items() if count > 1]
    wrong = [number for number in twice if number % 2]  # odd numbers are QoS 2: exactly once
    lost = total - len(received)
    screen.line(
        f"connections lost {len(losses)}; published {total:,}, acknowledged {len(acknowledged):,}"
    )
    summary = f"received {len(received):,}, lost {lost}, QoS 2 twice {len(wrong)}, QoS 1 twice {len(twice) - len(wrong)}"
    (screen.bad if lost or wrong else screen.good)(summary)
    for client in (sender, receiver):
        client.disconnect()
        client.loop_stop()
    return lost + len(wrong)


def persistent(mqtt: Any, name: str) -> Any:
    """A client whose session outlives the connection."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
    client.reconnect_delay_set(1, 2)
    return client


def receiver_connected(client: Any) -> None:
    wait_until(client.is_connected, "CONNACK")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--client", default="oxmqtt.client", help="module to show")
    parser.add_argument("--seconds", type=float, default=2.5, help="length of one measurement")
    options = parser.parse_args()
    screen = Screen()
    try:
        mqtt = importlib.import_module(options.client)
    except ImportError as error:
        screen.bad(f"cannot import {options.client}: {error}; `make demo` builds it")
        return 2
    names = [options.client]
    if importlib.util.find_spec("paho"):
        names.insert(0, "paho.mqtt.client")
    started = time.monotonic()
    lost = 0
    with tempfile.TemporaryDirectory(prefix="oxmqtt-demo-") as directory:
        broker: Mosquitto | Embedded | None = None
        try:
            program = find_mosquitto()
            broker = Mosquitto(program, directory) if program else Embedded()
            screen.line(broker.start())
            messages(mqtt, broker.port, screen)
            last_will(mqtt, options.client, broker.port, screen)
            lost += restart(mqtt, broker, screen)
            lost += race(names, broker.name, broker.port, screen, options.seconds)
        except Stop as reason:
            screen.bad(str(reason))
            lost += 1
        except KeyboardInterrupt:
            screen.line("interrupted")
            return 130
        finally:
            if broker:
                broker.stop()
    took = f"{time.monotonic() - started:.0f} s"
    if lost:
        screen.bad(f"{lost} messages lost or doubled, {took}")
        return 1
    screen.good(f"nothing lost, {took}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
