"""One client, one scenario, one process: `child.py CLIENT SCENARIO key=value…`.

It tells `run.py` what happened in JSON lines, then waits for a line (or the end) of stdin before it
reports CPU time and memory, because only the other end of the connection knows when all bytes of a
publisher have arrived. Clock: nanoseconds since the epoch, as in the peer.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable

import adapters
from adapters.base import Adapter, Hit
from adapters.iterating import IteratorAdapter

#: Seconds without a message after which a receiver gives up on the rest.
QUIET = 3.0
#: Growth of the resident set that ends the opening of clients.
MOST_KIB = 2 << 20
#: Seconds that a slow consumer needs for a message.
PAUSE = 0.001


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def memory() -> dict[str, int]:
    """Resident KiB and threads of this process (only the peak where there is no /proc)."""
    try:
        status = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"rss_kib": peak, "threads": threading.active_count()}
    fields = dict(line.split(":", 1) for line in status)
    return {"rss_kib": int(fields["VmRSS"].split()[0]), "threads": int(fields["Threads"])}


def counter(n: int, done: Callable[[], None]) -> tuple[Hit, Callable[[], tuple[int, int]]]:
    """A callback's body that counts to n, and how far it got with the time of the nth message."""
    count = 0
    finished = 0

    def hit(topic: str, payload: bytes) -> None:
        nonlocal count, finished
        count += 1
        if count == n:
            finished = time.time_ns()
            done()

    return hit, lambda: (count, finished)


class BusyThread(threading.Thread):
    """Pure Python work; its speed beside the client, as a share of its speed alone."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.rounds = 0
        self.start()
        time.sleep(0.2)
        self.alone = self.measure(1.0)
        self.since = self.rounds, time.perf_counter()

    def run(self) -> None:
        while True:
            total = 0
            for i in range(1000):
                total += i
            self.rounds += 1

    def measure(self, seconds: float) -> float:
        self.since = self.rounds, time.perf_counter()
        time.sleep(seconds)
        return self.speed()

    def speed(self) -> float:
        rounds, then = self.since
        return (self.rounds - rounds) / (time.perf_counter() - then)

    def share(self) -> float:
        return self.speed() / self.alone


async def finish(client: Adapter, cpu_before: float) -> None:
    await client.read_line()
    say(at="end", cpu=cpu_seconds() - cpu_before, **memory())


async def publish(client: Adapter, options: dict[str, Any]) -> None:
    qos, n, window = options["qos"], options["n"], options["window"]
    payload = b"x" * options["size"]
    await client.open(options["port"], window=window)
    await client.sleep(0.1)
    cpu_before, start = cpu_seconds(), time.time_ns()
    if options.get("threads"):
        await client.publish_from_threads("bench/t", payload, qos, n, options["threads"])
    else:
        await client.publish_many("bench/t", payload, qos, n, window)
    if options.get("barrier"):
        await client.barrier()
    say(at="published", t0=start, t1=time.time_ns())
    await finish(client, cpu_before)


async def receive(client: Adapter, options: dict[str, Any]) -> None:
    number = options.get("filters", 1)
    filters = ["bench/#"] if number == 1 else [f"bench/{i}/+" for i in range(number)]
    everything = client.event()
    hit, progress = counter(options["n"], everything.set)
    await client.open(options["port"], window=options["window"])
    busy = BusyThread() if options.get("busy") else None
    cpu_before = cpu_seconds()
    await client.subscribe(filters, options["qos"], hit)
    say(at="subscribed")
    seen, changed = 0, time.time_ns()
    while not await client.wait(everything, 0.5):
        count = progress()[0]
        if count != seen:
            seen, changed = count, time.time_ns()
        elif seen and time.time_ns() - changed > QUIET * 1e9:
            break
    share = {"busy": busy.share()} if busy else {}
    got, finished = progress()
    say(at="received", t1=finished or changed, got=got, **share)
    await finish(client, cpu_before)


async def echo(client: Adapter, options: dict[str, Any]) -> None:
    payload = b"x" * options["size"]
    await client.open(options["port"], window=options["window"])
    samples = await client.echo("bench/t", payload, options["qos"], options["seconds"])
    samples = sorted(samples[len(samples) // 20 :])

    def at(share: float) -> int:
        return samples[int((len(samples) - 1) * share)]

    say(at="echoed", n=len(samples), p50_ns=at(0.5), p99_ns=at(0.99))
    await finish(client, cpu_seconds())


async def unacked(client: Adapter, options: dict[str, Any]) -> None:
    payload = b"x" * options["size"]
    await client.open(options["port"])
    await client.sleep(0.2)
    before = memory()["rss_kib"]
    accepted = await client.publish_unacked("bench/t", payload, 1, options["n"])
    await client.sleep(1.0)
    say(at="held", accepted=accepted, grown_kib=memory()["rss_kib"] - before)


async def open_many(options: dict[str, Any], hit: Hit) -> list[Adapter]:
    """As many clients as are wanted and possible, each with a topic of its own."""
    opened: list[Adapter] = []
    error = ""
    before, start = memory()["rss_kib"], time.perf_counter()
    try:
        for i in range(options["clients"]):
            one = adapters.load(options["client"], options["protocol"])
            await one.open(options["port"], client_id=f"bench-{i}")
            await one.subscribe([f"bench/{i}/t"], 0, hit)
            opened.append(one)
            if memory()["rss_kib"] - before > MOST_KIB:
                raise MemoryError(f"more than {MOST_KIB >> 20} GiB")
    except Exception as failure:  # where a client stops is the result
        error = repr(failure)[:200]
    seconds = time.perf_counter() - start
    now = memory()
    grown = (now["rss_kib"] - before) / max(len(opened), 1)
    say(
        at="opened", clients=len(opened), kib_each=grown, threads=now["threads"],
        secs=seconds, error=error,
    )  # fmt: skip
    return opened


async def many_clients(client: Adapter, options: dict[str, Any]) -> None:
    await open_many(options, lambda topic, payload: None)


async def clients_on_a_loop(client: Adapter, options: dict[str, Any]) -> None:
    """Many clients, then a message to each."""
    everything = client.event()
    last = 0
    count = 0

    def hit(topic: str, payload: bytes) -> None:
        nonlocal count, last
        count += 1
        last = time.time_ns()
        if count == len(opened):
            everything.set()

    opened = await open_many(options, hit)
    seen = -1
    while not await client.wait(everything, QUIET) and count > seen:
        seen = count
    say(at="reached", got=count, t1=last)


async def slow(client: Adapter, options: dict[str, Any]) -> None:
    """A consumer that is slower than the flood, and at last takes what is left."""
    assert isinstance(client, IteratorAdapter)
    hit, progress = counter(options["n"], lambda: None)
    await client.open(options["port"])
    before = memory()["rss_kib"]
    await client.ask(["bench/#"], options["qos"])
    await client.sip(hit, PAUSE, options["seconds"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    say(at="sipped", got=progress()[0], grown_kib=peak - before)
    client.start_reading(hit)
    seen = -1
    while (count := progress()[0]) < options["n"] and count > seen:
        seen = count
        await client.sleep(QUIET)
    say(at="received", got=progress()[0])


SCENARIOS = {
    "publish": publish,
    "threads": publish,
    "receive": receive,
    "busy": receive,
    "echo": echo,
    "unacked": unacked,
    "clients": many_clients,
    "loop": clients_on_a_loop,
    "slow": slow,
}


def value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def main() -> None:
    name, scenario = sys.argv[1:3]
    options = {key: value(text) for key, text in (arg.split("=", 1) for arg in sys.argv[3:])}
    options["client"] = name
    client = adapters.load(name, options["protocol"])
    client.transport = options.get("transport", "tcp")
    client.authority = options.get("authority", "")
    client.rustls = bool(options.get("rustls"))
    client.run(SCENARIOS[scenario](client, options))


if __name__ == "__main__":
    try:
        main()
    except Exception as failure:
        print(f"{type(failure).__name__}: {failure}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)  # what a client does at exit is not measured here
