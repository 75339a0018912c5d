"""The two comparisons: which clients, which scenarios, and the page that tells of them."""

from __future__ import annotations

from dataclasses import dataclass

from scenarios import BESIDE_PAHO, ON_A_LOOP, Scenario


@dataclass(frozen=True)
class Set:
    name: str
    title: str
    reference: str  # the client whose numbers are 1
    reference_name: str
    ours: str
    others: tuple[str, ...]
    scenarios: tuple[Scenario, ...]
    page: str
    plot: str
    plot_title: str
    many: int  # clients, where there are many
    note: str
    beside_best: bool = False  # a table of ours and the best of the others

    @property
    def clients(self) -> tuple[str, ...]:
        """In the order of the tables."""
        return (self.reference, self.ours, *self.others)

    def by_name(self) -> dict[str, Scenario]:
        return {scenario.name: scenario for scenario in self.scenarios}


SETS = {
    one.name: one
    for one in (
        Set(
            "paho",
            "Benchmark results",
            reference="paho",
            reference_name="paho-mqtt",
            ours="oxmqtt",
            others=("gmqtt", "mqttium", "aiomqtt", "awscrt", "rumqttc"),
            scenarios=BESIDE_PAHO,
            page="results.md",
            plot="throughput.png",
            plot_title="Throughput, 64-byte messages",
            many=1000,
            note="rumqttc 0.25.1 is a Rust program, without Python.",
        ),
        Set(
            "asyncio",
            "Benchmark of asyncio clients",
            reference="gmqtt",
            reference_name="gmqtt",
            ours="oxmqtt.aio",
            others=("oxmqtt.aio-batches", "mqttium", "zmqtt", "aiomqtt", "aiomqtt3"),
            scenarios=ON_A_LOOP,
            page="asyncio.md",
            plot="asyncio.png",
            plot_title="Throughput on an event loop, 64-byte messages",
            many=5000,
            note="Every client runs on the event loop of asyncio, in the way that its documentation"
            " shows first: oxmqtt.aio, zmqtt and aiomqtt with `async for` and an awaited call for each"
            " message, in 100 tasks at QoS 1; gmqtt and mqttium with a callback. oxmqtt.aio-batches is"
            " `publish_many()` and `batches()`. aiomqtt3 speaks MQTT 5, the others MQTT 3.1.1;"
            " it discards QoS 0 messages that come while nobody waits for one.",
            beside_best=True,
        ),
    )
}
