"""One run: starts the processes of a client and a scenario, reads the clocks, makes the numbers."""

from __future__ import annotations

import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from adapters import Client
from processes import ClientProcess, LineProcess, Message, Mosquitto, Peer, RunFailed
from scenarios import Scenario

#: Unacknowledged messages on their way: of a publisher, and towards a receiver.
PUBLISH_WINDOW = 100
RECEIVE_WINDOW = 500
#: Towards a slow consumer, which would never see a flood otherwise.
FLOOD_WINDOW = 60_000
START = 30.0
LONG = 150.0


@dataclass(frozen=True)
class Setting:
    """What holds for all runs."""

    broker: Mosquitto | None
    echo_seconds: float = 1.5
    clients: int = 1000
    imports: int = 5
    slow_seconds: float = 20.0


def run_once(client: Client, scenario: Scenario, n: int, setting: Setting) -> Message:
    """The numbers of one run, or `RunFailed`."""
    if scenario.through_broker and setting.broker is None:
        raise RunFailed("no mosquitto in PATH")
    with ExitStack() as processes:
        return DRIVES[scenario.drive](client, scenario, n, setting, processes)


def start(
    client: Client, scenario: Scenario, port: int, processes: ExitStack, **options: Any
) -> LineProcess:
    options = {
        "port": port,
        "protocol": client.protocol or scenario.protocol,
        "qos": scenario.qos,
        "size": scenario.size,
        "transport": scenario.transport,
        **options,
    }
    return processes.enter_context(ClientProcess(client, scenario.drive, options))


def through(broker: Mosquitto, scenario: Scenario) -> Message:
    """Where a client finds the broker."""
    return {
        "port": broker.ports[scenario.transport],
        "authority": broker.authority,
        "rustls": int(scenario.rustls),
    }


def end(process: LineProcess, n: int) -> Message:
    """Lets the client finish: CPU seconds and memory."""
    process.nudge()
    usage = process.hear_about("end", START)
    return {
        "cpu": usage["cpu"],
        "cpu_per_million": usage["cpu"] / max(n, 1) * 1e6,
        "rss_kib": usage["rss_kib"],
    }


def drive_publish(
    client: Client, scenario: Scenario, n: int, setting: Setting, processes: ExitStack
) -> Message:
    options: Message = {"n": n, "window": PUBLISH_WINDOW}
    if scenario.threads:
        options["threads"] = scenario.threads
    if setting.broker and scenario.through_broker:
        # A broker does not say when it has everything; the client asks it with a SUBSCRIBE.
        options.update(through(setting.broker, scenario), barrier=1)
        process = start(client, scenario, processes=processes, **options)
        done = process.hear_about("published", LONG)
        finished, duplicates = done["t1"], 0
    else:
        sink = processes.enter_context(Peer("sink", count=n))
        process = start(client, scenario, sink.port, processes, **options)
        done = process.hear_about("published", LONG)
        report = sink.hear(LONG)
        finished, duplicates = max(done["t1"], report["last_ns"]), report["duplicates"]
    seconds = (finished - done["t0"]) / 1e9
    return {"rate": n / seconds, "secs": seconds, "duplicates": duplicates, **end(process, n)}


def drive_receive(
    client: Client, scenario: Scenario, n: int, setting: Setting, processes: ExitStack
) -> Message:
    flood = {
        "count": n,
        "size": scenario.size,
        "qos": scenario.qos,
        "rate": scenario.rate,
        "window": RECEIVE_WINDOW,
    }
    options: Message = {"n": n, "window": PUBLISH_WINDOW, "filters": scenario.filters}
    if scenario.drive == "busy":
        options["busy"] = 1
    if setting.broker and scenario.through_broker:
        options.update(through(setting.broker, scenario))
        process = start(client, scenario, processes=processes, **options)
        process.hear_about("subscribed", START)
        address = f"127.0.0.1:{setting.broker.ports['tcp']}"
        peer = processes.enter_context(Peer("load", broker=address, **flood))
    else:
        peer = processes.enter_context(Peer("source", topics=scenario.filters, **flood))
        process = start(client, scenario, peer.port, processes, **options)
        process.hear_about("subscribed", START)
    done = process.hear_about("received", LONG)
    peer.nudge()
    report = peer.hear(START)
    got = done["got"]
    if not got:
        raise RunFailed("no message arrived")
    seconds = (done["t1"] - report["first_ns"]) / 1e9
    result = {"rate": got / seconds, "secs": seconds, "got": got / n, **end(process, got)}
    if "busy" in done:
        result["busy"] = done["busy"]
    return result


def drive_echo(
    client: Client, scenario: Scenario, n: int, setting: Setting, processes: ExitStack
) -> Message:
    assert setting.broker
    options: Message = {"window": PUBLISH_WINDOW, "seconds": setting.echo_seconds}
    options.update(through(setting.broker, scenario))
    process = start(client, scenario, processes=processes, **options)
    done = process.hear_about("echoed", LONG)
    return {"p50_us": done["p50_ns"] / 1e3, "p99_us": done["p99_ns"] / 1e3, "samples": done["n"]}


def drive_unacked(
    client: Client, scenario: Scenario, n: int, setting: Setting, processes: ExitStack
) -> Message:
    sink = processes.enter_context(Peer("sink", no_ack=True))
    process = start(client, scenario, sink.port, processes, n=n)
    done = process.hear_about("held", LONG)
    return {"accepted": done["accepted"], "grown_mb": done["grown_kib"] / 1024}


def drive_clients(
    client: Client, scenario: Scenario, n: int, setting: Setting, processes: ExitStack
) -> Message:
    sink = processes.enter_context(Peer("sink"))
    process = start(client, scenario, sink.port, processes, clients=setting.clients)
    done = process.hear_about("opened", LONG + setting.clients / 50)
    if not done["clients"]:
        raise RunFailed(done["error"])
    return {key: done[key] for key in ("clients", "kib_each", "threads", "secs", "error")}


def drive_loop(
    client: Client, scenario: Scenario, n: int, setting: Setting, processes: ExitStack
) -> Message:
    assert setting.broker
    port = setting.broker.ports["tcp"]
    process = start(client, scenario, port, processes, clients=setting.clients)
    done = process.hear_about("opened", LONG + setting.clients / 20)
    connected = done["clients"]
    if not connected:
        raise RunFailed(done["error"])
    flood = {"count": connected, "topics": connected, "size": scenario.size}
    peer = processes.enter_context(Peer("load", broker=f"127.0.0.1:{port}", **flood))
    reached = process.hear_about("reached", LONG)
    peer.nudge()
    first = peer.hear(START)["first_ns"]
    result = {key: done[key] for key in ("clients", "kib_each", "threads", "secs", "error")}
    return {**result, "reached": reached["got"], "all_ms": (reached["t1"] - first) / 1e6}


def drive_slow(
    client: Client, scenario: Scenario, n: int, setting: Setting, processes: ExitStack
) -> Message:
    flood = {"count": n, "size": scenario.size, "qos": scenario.qos, "window": FLOOD_WINDOW}
    peer = processes.enter_context(Peer("source", **flood))
    seconds = setting.slow_seconds
    process = start(client, scenario, peer.port, processes, n=n, seconds=seconds)
    sipped = process.hear_about("sipped", LONG)
    done = process.hear_about("received", LONG)
    return {
        "sipped": sipped["got"],
        "peak_mb": sipped["grown_kib"] / 1024,
        "lost": n - done["got"],
    }


def drive_import(
    client: Client, scenario: Scenario, n: int, setting: Setting, processes: ExitStack
) -> Message:
    code = (
        "import time; start = time.perf_counter()\n"
        f"import {client.module}\n"
        "print(time.perf_counter() - start)"
    )
    command = [sys.executable, "-c", code]
    seconds = []
    for _ in range(setting.imports):
        done = subprocess.run(
            command, env=client.environment(), capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise RunFailed(done.stderr.strip()[-200:])
        seconds.append(float(done.stdout))
    return {"ms": statistics.median(seconds) * 1e3}


DRIVES = {
    "publish": drive_publish,
    "threads": drive_publish,
    "receive": drive_receive,
    "busy": drive_receive,
    "echo": drive_echo,
    "unacked": drive_unacked,
    "clients": drive_clients,
    "loop": drive_loop,
    "slow": drive_slow,
    "import": drive_import,
}
