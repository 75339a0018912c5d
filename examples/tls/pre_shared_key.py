"""TLS with a pre-shared key in place of certificates (Python 3.13 and later).

    python examples/tls/pre_shared_key.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
MQTT_PSK_IDENTITY names the key, MQTT_PSK is the key in hexadecimal.
"""

from __future__ import annotations

import os

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "8883"))
IDENTITY = os.environ["MQTT_PSK_IDENTITY"]
KEY = bytes.fromhex(os.environ["MQTT_PSK"])


def main() -> None:
    with mqtt.Client(CallbackAPIVersion.VERSION2) as client:
        client.tls_psk_set(IDENTITY, KEY)
        client.connect(HOST, PORT)
        client.loop_start()
        client.publish("examples/tls", "secret", qos=1).wait_for_publish(10)
        print(f"published over {client.socket().version()}")  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
