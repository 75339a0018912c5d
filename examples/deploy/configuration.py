"""Everything about the connection from environment variables, checked once, with an error that names the variable.

    python examples/deploy/configuration.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
MQTT_USER, MQTT_PASSWORD, MQTT_CA_CERTS and MQTT_KEEPALIVE (60) may be set.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion


@dataclass(frozen=True)
class Configuration:
    host: str
    port: int
    user: str | None
    password: str | None
    ca_certs: str | None
    keepalive: int

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Configuration:
        """:raises ValueError: a variable is no number, or out of range."""

        def number(name: str, default: int, most: int) -> int:
            text = environment.get(name, str(default))
            if not text.isdecimal() or not 0 < int(text) <= most:
                raise ValueError(f"{name} has to be a number from 1 to {most}, not {text!r}")
            return int(text)

        ca_certs = environment.get("MQTT_CA_CERTS")
        return cls(
            host=environment.get("MQTT_HOST", "localhost"),
            port=number("MQTT_PORT", 8883 if ca_certs else 1883, 65_535),
            user=environment.get("MQTT_USER"),
            password=environment.get("MQTT_PASSWORD"),
            ca_certs=ca_certs,
            keepalive=number("MQTT_KEEPALIVE", 60, 65_535),
        )

    def connect(self) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        if self.user is not None:
            client.username_pw_set(self.user, self.password)
        if self.ca_certs is not None:
            client.tls_set(self.ca_certs)
        client.connect(self.host, self.port, self.keepalive)
        return client


def main() -> int:
    try:
        configuration = Configuration.read(os.environ)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    with configuration.connect() as client:
        client.loop_start()
        client.publish("examples/configuration", "hello", qos=1).wait_for_publish(10)
        print(f"published, keep-alive {configuration.keepalive} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
