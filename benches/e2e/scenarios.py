"""What is measured: one entry per run, and the rows that the report makes of it.

A number is compared with the reference's (`sets.py`) in the same repetition, so drift of the machine
cancels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from adapters import Client


@dataclass(frozen=True)
class Row:
    """A line of the report: one number of a scenario's result."""

    key: str
    title: str
    unit: str
    higher_is_better: bool = True
    absolute: bool = False  # ratios would say nothing here


@dataclass(frozen=True)
class Scenario:
    name: str
    drive: str  # which function of drive.py
    rows: tuple[Row, ...]
    qos: int = 0
    protocol: int = 4
    size: int = 64
    n: int = 0  # fixed number of messages; 0: calibrated
    filters: int = 1
    rate: int = 0
    threads: int = 0
    through_broker: bool = False
    transport: str = "tcp"  # or "tls", "websockets": which listener of the broker
    rustls: bool = False  # TLS by rustls where the client has the choice
    plot: str = field(default="", compare=False)  # its name in the plot, if it is there

    def runs_with(self, client: Client) -> bool:
        publishes = self.drive in ("publish", "threads", "echo", "unacked")
        return (
            self.drive not in client.cannot
            and (not publishes or self.qos in client.publishes)
            and (self.filters == 1 or client.filters)
            and self.transport in client.transports
        )


def throughput(title: str, cpu: bool = False) -> tuple[Row, ...]:
    rate = Row("rate", title, "msg/s")
    if not cpu:
        return (rate,)
    return (rate, Row("cpu_per_million", f"{title}: CPU per million", "s", False))


def publish(name: str, title: str, cpu: bool = False, **options: Any) -> Scenario:
    return Scenario(name, "publish", throughput(title, cpu), plot=title, **options)


def receive(name: str, title: str, cpu: bool = False, **options: Any) -> Scenario:
    return Scenario(name, "receive", throughput(title, cpu), plot=title, **options)


def echo(name: str, title: str, **options: Any) -> Scenario:
    row = Row("p50_us", title, "µs", False)
    return Scenario(name, "echo", (row,), through_broker=True, **options)


def slow(name: str, title: str, **options: Any) -> Scenario:
    rows = (
        Row("peak_mb", f"{title}: memory after 20 s", "MB", False, absolute=True),
        Row("lost", "… lost", "", False, absolute=True),
    )
    return Scenario(name, "slow", rows, n=1_000_000, **options)


BESIDE_PAHO = (
    publish("pub_q0", "publish QoS 0", cpu=True),
    publish("pub_q1", "publish QoS 1", qos=1),
    publish("pub_q2", "publish QoS 2", qos=2),
    receive("recv_q0", "receive QoS 0", cpu=True),
    receive("recv_q1", "receive QoS 1", qos=1),
    receive("recv_q0_f100", "receive through 100 filters", filters=100),
    publish("pub_q0_v5", "MQTT 5: publish QoS 0", protocol=5),
    publish("pub_q1_v5", "MQTT 5: publish QoS 1", protocol=5, qos=1),
    receive("recv_q0_v5", "MQTT 5: receive QoS 0", protocol=5),
    receive("recv_q1_v5", "MQTT 5: receive QoS 1", protocol=5, qos=1),
    publish("broker_pub_q0", "mosquitto: publish QoS 0", cpu=True, through_broker=True),
    publish("broker_pub_q1", "mosquitto: publish QoS 1", cpu=True, through_broker=True, qos=1),
    receive("broker_recv_q0", "mosquitto: receive QoS 0", cpu=True, through_broker=True),
    receive("broker_recv_q1", "mosquitto: receive QoS 1", cpu=True, through_broker=True, qos=1),
    publish(
        "tls_pub_q0",
        "mosquitto, TLS: publish QoS 0",
        cpu=True,
        through_broker=True,
        transport="tls",
    ),
    receive(
        "tls_recv_q0",
        "mosquitto, TLS: receive QoS 0",
        cpu=True,
        through_broker=True,
        transport="tls",
    ),
    publish(
        "rustls_pub_q0",
        "mosquitto, TLS by rustls: publish QoS 0",
        cpu=True,
        through_broker=True,
        transport="tls",
        rustls=True,
    ),
    receive(
        "rustls_recv_q0",
        "mosquitto, TLS by rustls: receive QoS 0",
        cpu=True,
        through_broker=True,
        transport="tls",
        rustls=True,
    ),
    publish(
        "ws_pub_q0",
        "mosquitto, WebSocket: publish QoS 0",
        cpu=True,
        through_broker=True,
        transport="websockets",
    ),
    receive(
        "ws_recv_q0",
        "mosquitto, WebSocket: receive QoS 0",
        cpu=True,
        through_broker=True,
        transport="websockets",
    ),
    echo("echo_q0", "mosquitto: echo QoS 0, median"),
    echo("echo_q1", "mosquitto: echo QoS 1, median", qos=1),
    Scenario(
        "busy_20k",
        "busy",
        (
            Row("rate", "20,000 msg/s beside a busy thread: arrive", "msg/s", absolute=True),
            Row("busy", "… the busy thread's speed, of its speed alone", "", absolute=True),
        ),
        n=60_000,
        rate=20_000,
    ),
    Scenario(
        "threads_q0",
        "threads",
        throughput("8 threads publish QoS 0"),
        threads=8,
        plot="8 threads publish QoS 0",
    ),
    Scenario(
        "threads_q1",
        "threads",
        throughput("8 threads publish QoS 1"),
        threads=8,
        qos=1,
        plot="8 threads publish QoS 1",
    ),
    Scenario(
        "unacked_100k",
        "unacked",
        (
            Row("accepted", "100,000 unacknowledged publishes: accepted", "", absolute=True),
            Row("grown_mb", "… memory", "MB", False),
        ),
        qos=1,
        n=100_000,
    ),
    Scenario(
        "clients",
        "clients",
        (
            Row("clients", "clients in one process: connected of {clients}", "", absolute=True),
            Row("kib_each", "… memory of each", "KiB", False, absolute=True),
        ),
    ),
    Scenario("import", "import", (Row("ms", "import", "ms", False),)),
)

ON_A_LOOP = (
    publish("pub_q0", "publish QoS 0", cpu=True),
    publish("pub_q1", "publish QoS 1", cpu=True, qos=1),
    receive("recv_q0", "receive QoS 0", cpu=True),
    receive("recv_q1", "receive QoS 1", cpu=True, qos=1),
    publish("broker_pub_q0", "mosquitto: publish QoS 0", cpu=True, through_broker=True),
    publish("broker_pub_q1", "mosquitto: publish QoS 1", cpu=True, through_broker=True, qos=1),
    receive("broker_recv_q0", "mosquitto: receive QoS 0", cpu=True, through_broker=True),
    receive("broker_recv_q1", "mosquitto: receive QoS 1", cpu=True, through_broker=True, qos=1),
    echo("echo_q0", "mosquitto: echo QoS 0, median"),
    echo("echo_q1", "mosquitto: echo QoS 1, median", qos=1),
    Scenario(
        "loop",
        "loop",
        (
            Row("clients", "clients on one loop: connected of {clients}", "", absolute=True),
            Row("kib_each", "… memory of each", "KiB", False, absolute=True),
            Row("reached", "… a message to each: arrived", "", absolute=True),
            Row("all_ms", "… within", "ms", False, absolute=True),
        ),
        through_broker=True,
    ),
    slow("slow_q0", "a million QoS 0, 1 ms for each"),
    slow("slow_q1", "a million QoS 1, 1 ms for each", qos=1),
)
