"""TLS 1.3 or nothing.

    python examples/tls/minimum_version.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
MQTT_CA_CERTS is the file of the authority's certificate.
"""

from __future__ import annotations

import os
import ssl

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "8883"))
CA_CERTS = os.environ["MQTT_CA_CERTS"]


def main() -> None:
    with mqtt.Client(CallbackAPIVersion.VERSION2) as client:
        context = ssl.create_default_context(cafile=CA_CERTS)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        client.tls_set_context(context)
        client.connect(HOST, PORT)
        client.loop_start()
        client.publish("examples/tls", "secret", qos=1).wait_for_publish(10)
        print(f"published over {client.socket().version()}")  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
