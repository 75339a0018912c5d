"""The clients of the benchmark: what each one is called, where its adapter lives, what it can do.

A paho-compatible package only needs a line here, with its module's name; any other client needs
an adapter (see `base.py`). Nothing is imported before `load()`, so that a missing package harms
nobody else.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .base import Adapter

#: Holds a folder for each client that cannot be installed beside another version of itself.
FOLDERS = Path(__file__).resolve().parents[3] / ".cache"


@dataclass(frozen=True)
class Client:
    name: str
    adapter: str  # "module:Class" in this package; empty for the native program in rumq/
    module: str  # what a user imports
    distribution: str  # what a user installs
    publishes: tuple[int, ...] = (0, 1, 2)
    filters: bool = True  # dispatches by topic filter itself
    cannot: tuple[str, ...] = ()  # drives (see drive.py) that it is spared
    transports: tuple[str, ...] = ("tcp",)
    protocol: int = 0  # the only version of MQTT that it speaks
    folder: str = ""  # where `bench.py` puts it, in FOLDERS, if not beside the others

    def environment(self) -> dict[str, str]:
        """For a process that imports it."""
        path = {"PYTHONPATH": str(FOLDERS / self.folder)} if self.folder else {}
        return {**os.environ, **path}

    def version(self) -> str:
        if not self.folder:
            return importlib.metadata.version(self.distribution)
        places = [str(FOLDERS / self.folder)]
        found = importlib.metadata.distributions(name=self.distribution, path=places)
        return next(iter(found)).version


ALL_TRANSPORTS = ("tcp", "tls", "websockets")

CLIENTS = {
    client.name: client
    for client in (
        Client(
            "paho", "paho:PahoAdapter", "paho.mqtt.client", "paho-mqtt", transports=ALL_TRANSPORTS
        ),
        Client("oxmqtt", "paho:PahoAdapter", "oxmqtt.client", "oxmqtt", transports=ALL_TRANSPORTS),
        Client(
            "gmqtt",
            "gmqtt:GmqttAdapter",
            "gmqtt",
            "gmqtt",
            filters=False,
            cannot=("slow",),
            transports=("tcp", "tls"),
        ),
        Client(
            "mqttium",
            "mqttium:MqttiumAdapter",
            "mqttium.api",
            "mqttium",
            cannot=("slow",),
            transports=ALL_TRANSPORTS,
        ),
        # aiomqtt counts all its pending publishes at each publish: 100,000 take it hours.
        Client(
            "aiomqtt",
            "aiomqtt:AiomqttAdapter",
            "aiomqtt",
            "aiomqtt",
            filters=False,
            cannot=("unacked",),
        ),
        Client("oxmqtt.aio", "aiomqtt:AiomqttAdapter", "oxmqtt.aio", "oxmqtt", filters=False),
        Client(
            "oxmqtt.aio-batches",
            "aiomqtt:BatchesAdapter",
            "oxmqtt.aio",
            "oxmqtt",
            filters=False,
            cannot=("echo", "loop", "slow"),
        ),
        Client(
            "aiomqtt3",
            "aiomqtt3:Aiomqtt3Adapter",
            "aiomqtt",
            "aiomqtt",
            filters=False,
            cannot=("slow",),
            protocol=5,
            folder="bench-aiomqtt3",
        ),
        # At QoS 1 a million messages take it minutes.
        Client("zmqtt", "zmqtt:ZmqttAdapter", "zmqtt", "zmqtt", filters=False, cannot=("slow",)),
        Client("awscrt", "awscrt:load", "awscrt.mqtt", "awscrt", publishes=(0, 1)),
        Client(
            "rumqttc",
            "",
            "",
            "rumqttc",
            filters=False,
            cannot=("busy", "threads", "unacked", "clients", "import"),
        ),
    )
}


def load(name: str, protocol: int) -> Adapter:
    """A new adapter of that client for MQTT 3.1.1 (4) or 5."""
    client = CLIENTS[name]
    module, _, factory = client.adapter.partition(":")
    make = getattr(importlib.import_module(f"{__name__}.{module}"), factory)
    adapter: Adapter = make(client.module, protocol)
    return adapter
