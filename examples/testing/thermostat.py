"""The program that the tests beside this file test: it switches a heating by the temperature that it is told.

    python examples/testing/thermostat.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import os
import queue
import threading
from typing import Any

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion
from oxmqtt.properties import Properties
from oxmqtt.reasoncodes import ReasonCode

READINGS = "examples/thermostat/celsius"
SWITCH = "examples/thermostat/heating"


class Thermostat:
    """`client` publishes "on" or "off" when a reading is below or above `wanted`."""

    def __init__(self, client: mqtt.Client, wanted: float = 20.0) -> None:
        self.wanted = wanted
        self.ready = threading.Event()
        client.on_connect = self.on_connect
        client.on_subscribe = self.on_subscribe
        client.on_message = self.on_message

    def on_connect(
        self,
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        client.subscribe(READINGS, qos=1)

    def on_subscribe(
        self,
        client: mqtt.Client,
        userdata: Any,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        self.ready.set()

    def on_message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        try:
            celsius = float(message.payload)
        except ValueError:
            return  # a broken sensor must not stop the heating
        client.publish(SWITCH, "on" if celsius < self.wanted else "off", qos=1)


def main() -> None:
    switched: queue.Queue[str] = queue.Queue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    thermostat = Thermostat(client)

    @client.topic_callback(SWITCH)
    def on_switch(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        switched.put(message.payload.decode())

    with client:
        host = os.environ.get("MQTT_HOST", "localhost")
        client.connect(host, int(os.environ.get("MQTT_PORT", "1883")))
        client.subscribe(SWITCH, qos=1)
        client.loop_start()
        if not thermostat.ready.wait(10):
            raise SystemExit("no answer to SUBSCRIBE")
        for celsius in ("18.5", "22"):
            client.publish(READINGS, celsius, qos=1)
            print(f"{celsius} degrees, heating {switched.get(timeout=10)}")


if __name__ == "__main__":
    main()
