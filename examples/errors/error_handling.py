"""What can go wrong, and where it shows: no broker, bad arguments, no connection, no answer in time.

    python examples/errors/error_handling.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import os
import socket

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))


def main() -> None:
    with socket.socket() as unused:  # bound, and nobody listens
        unused.bind(("127.0.0.1", 0))
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        try:
            client.connect("127.0.0.1", unused.getsockname()[1])
        except ConnectionRefusedError:
            print("no broker there")
    with mqtt.Client(CallbackAPIVersion.VERSION2) as client:
        client.connect(HOST, PORT)
        client.loop_start()
        try:
            client.publish("examples/#", "hello")
        except ValueError as error:
            print(f"bad topic: {error}")
        info = client.publish("examples/errors", "hello", qos=1)
        info.wait_for_publish(10)
        if not info.is_published():
            raise SystemExit("not published in time")
        print("published")
    info = client.publish("examples/errors", "too late")
    print(f"after the end: {mqtt.error_string(info.rc)}")


if __name__ == "__main__":
    main()
