"""Runs the benchmark: `run.py [--set asyncio] [--only a,b] [--scenarios x,y] [--reps 5] [--quick] [--out FILE]`.

Per scenario it first finds out how many messages keep each client busy for a little more than a
second, then runs the clients in turn, in another order each repetition, every run in processes of
its own. Each run appends one JSON line to the output; `report.py` makes the tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TextIO

from adapters import CLIENTS, Client
from drive import Setting, run_once
from processes import HERE, Message, Mosquitto, RunFailed, program
from scenarios import Scenario
from sets import SETS

#: A run should last this long at least.
WANTED_SECONDS = 1.0
FIRST_N = 2_000
QUICK_N = 8_000
#: Drives whose number of messages is calibrated.
CALIBRATED = ("publish", "threads", "receive")
FAILURES_ALLOWED = 2


class Bench:
    def __init__(self, setting: Setting, reps: int, quick: bool, out: TextIO) -> None:
        self.setting = setting
        self.reps = reps
        self.quick = quick
        self.out = out

    def run(self, scenarios: list[Scenario], clients: list[Client]) -> None:
        for number, scenario in enumerate(scenarios, 1):
            taking_part = [client for client in clients if scenario.runs_with(client)]
            print(f"\n[{number}/{len(scenarios)}] {scenario.name}", flush=True)
            self.run_scenario(scenario, taking_part)

    def run_scenario(self, scenario: Scenario, clients: list[Client]) -> None:
        failures: dict[str, int] = {}
        amounts: dict[str, int] = {}
        for client in clients:
            try:
                amounts[client.name] = self.calibrate(client, scenario)
            except RunFailed as failure:
                failures[client.name] = FAILURES_ALLOWED
                self.record(client, scenario, 0, {"error": str(failure)})
        for rep in range(self.reps):
            shift = rep % max(len(clients), 1)
            for client in clients[shift:] + clients[:shift]:
                name = client.name
                if failures.get(name, 0) >= FAILURES_ALLOWED:
                    continue
                n = amounts[name]
                try:
                    result = run_once(client, scenario, n, self.setting)
                except RunFailed as failure:
                    failures[name] = failures.get(name, 0) + 1
                    result = {"error": str(failure)}
                self.record(client, scenario, rep, {"n": n, **result})
                seconds = result.get("secs", WANTED_SECONDS)
                if scenario.drive in CALIBRATED and seconds < WANTED_SECONDS:
                    amounts[name] = rounded(n * 1.2 * WANTED_SECONDS / seconds)

    def calibrate(self, client: Client, scenario: Scenario) -> int:
        """Messages for a run of the wanted length. Tries grow until one is long enough to tell."""
        if scenario.drive not in CALIBRATED or self.quick:
            return scenario.n or QUICK_N
        n = FIRST_N
        enough = WANTED_SECONDS / 4
        while True:
            result = run_once(client, scenario, n, self.setting)
            if result.get("got", 1) < 1:
                return n  # it loses messages: more of them teach nothing
            seconds: float = result["secs"]
            if seconds >= enough:
                return rounded(float(result["rate"]) * WANTED_SECONDS * 1.2)
            n = rounded(n * min(30.0, 1.3 * enough / seconds))

    def record(self, client: Client, scenario: Scenario, rep: int, result: Message) -> None:
        line = {"scenario": scenario.name, "client": client.name, "rep": rep, **result}
        self.out.write(json.dumps(line) + "\n")
        self.out.flush()
        numbers = ", ".join(
            f"{key} {short(result[key])}" for key in SHOWN if result.get(key) and key != "got"
        )
        if result.get("got", 1) < 1:
            numbers += f", LOST {1 - result['got']:.1%}"
        print(f"  {client.name:18} {rep + 1}/{self.reps}  {numbers}", flush=True)


SHOWN = (
    "rate", "secs", "cpu_per_million", "duplicates", "p50_us", "p99_us", "busy",
    "accepted", "grown_mb", "clients", "kib_each", "reached", "all_ms", "sipped", "peak_mb", "lost", "threads", "ms", "error",
)  # fmt: skip


def short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def rounded(n: float) -> int:
    """Two or three significant digits, and a multiple of eight for the eight threads."""
    unit: int = 10 ** max(len(str(int(n))) - 2, 0)
    return max(1000, round(n / unit) * unit) // 8 * 8


def describe(clients: list[Client], options: argparse.Namespace) -> Message:
    """What a reader must know about the machine and the programs. No names of hosts or paths."""
    versions = {client.name: client.version() for client in clients if client.module}
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "mosquitto": Mosquitto.version(),
        "versions": versions,
        "set": options.set.name,
        "clients": options.clients,
        "reps": options.reps,
        "quick": options.quick,
    }


def cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def choose(names: str | None, known: dict[str, Any], what: str) -> list[Any]:
    if not names:
        return list(known.values())
    wanted = names.split(",")
    unknown = [name for name in wanted if name not in known]
    if unknown:
        sys.exit(f"no such {what}: {', '.join(unknown)}. There are: {', '.join(known)}")
    return [known[name] for name in wanted]


def installed(client: Client) -> bool:
    """Can it run here? A debug build of oxmqtt is no build to measure."""
    if not client.module:
        return os.access(program("bench-rumqttc"), os.X_OK)
    command = [sys.executable, str(HERE / "release_build.py"), client.module]
    check = subprocess.run(command, env=client.environment(), capture_output=True, text=True)
    if check.returncode == 3:
        sys.exit(check.stderr.strip())
    if check.returncode:
        print(f"without {client.name}: it cannot be imported", flush=True)
    return check.returncode == 0


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--set", choices=SETS, default="paho", help="what is compared")
    parser.add_argument("--only", metavar="A,B", help=f"clients: {', '.join(CLIENTS)}")
    parser.add_argument("--scenarios", metavar="X,Y", help="as scenarios.py names them")
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--clients", type=int, help="for the scenarios of many clients")
    parser.add_argument("--quick", action="store_true", help="one short repetition: a smoke test")
    parser.add_argument("--out", type=Path, help="JSON lines, default results/<time>.jsonl")
    options = parser.parse_args(arguments)
    options.set = SETS[options.set]
    options.clients = options.clients or options.set.many
    if options.quick:
        options.reps, options.clients = 1, min(options.clients, 100)
    if options.out is None:
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        options.out = HERE / "results" / f"{stamp}.jsonl"
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    scenarios = choose(options.scenarios, options.set.by_name(), "scenario")
    known = {name: CLIENTS[name] for name in options.set.clients}
    clients = [client for client in choose(options.only, known, "client") if installed(client)]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    # Thousands of clients and the peer's ends of their connections need descriptors.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # An exception unwinds, so that no peer and no broker stays behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("ended by SIGTERM"))
    begin = time.monotonic()
    with ExitStack() as stack:
        broker = None
        if any(scenario.through_broker for scenario in scenarios):
            broker = stack.enter_context(Mosquitto()) if Mosquitto.version() else None
        setting = Setting(broker, clients=options.clients)
        if options.quick:
            setting = Setting(
                broker, echo_seconds=0.3, clients=options.clients, imports=1, slow_seconds=2.0
            )
        out = stack.enter_context(options.out.open("w"))
        out.write(json.dumps({"about": describe(clients, options)}) + "\n")
        Bench(setting, options.reps, options.quick, out).run(scenarios, clients)
    print(f"\n{options.out} after {(time.monotonic() - begin) / 60:.1f} min")
    return 0


if __name__ == "__main__":
    sys.exit(main())
