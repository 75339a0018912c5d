"""TLS: prove who the client is by a certificate.

    python examples/tls/client_certificate.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
MQTT_CA_CERTS, MQTT_CERTFILE and MQTT_KEYFILE are files in PEM.
"""

from __future__ import annotations

import os

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "8883"))
CA_CERTS = os.environ["MQTT_CA_CERTS"]
CERTFILE = os.environ["MQTT_CERTFILE"]
KEYFILE = os.environ["MQTT_KEYFILE"]


def main() -> None:
    with mqtt.Client(CallbackAPIVersion.VERSION2) as client:
        client.tls_set(CA_CERTS, certfile=CERTFILE, keyfile=KEYFILE)
        client.connect(HOST, PORT)
        client.loop_start()
        client.publish("examples/tls", "secret", qos=1).wait_for_publish(10)
        print(f"published over {client.socket().version()}")  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
