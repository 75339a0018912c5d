"""What the client does, in the log of the program.

    python examples/errors/logging_of_client.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import logging
import os
import sys

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))


def main() -> None:
    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(levelname)s %(message)s")
    with mqtt.Client(CallbackAPIVersion.VERSION2) as client:
        client.enable_logger(logging.getLogger("mqtt"))
        client.connect(HOST, PORT)
        client.loop_start()
        client.publish("examples/logging", "hello", qos=1).wait_for_publish(10)


if __name__ == "__main__":
    main()
