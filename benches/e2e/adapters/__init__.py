"""The clients of the benchmark: what each one is called, where its adapter lives, what it can do.

A paho-compatible package only needs a line here, with its module's name; any other client needs
an adapter (see `base.py`). Nothing is imported before `load()`, so that a missing package harms
nobody else.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .base import Adapter


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
            transports=("tcp", "tls"),
        ),
        Client(
            "mqttium", "mqttium:MqttiumAdapter", "mqttium.api", "mqttium", transports=ALL_TRANSPORTS
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
