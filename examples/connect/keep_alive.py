"""A keep-alive of one second: the client pings while there is nothing else to send.

    python examples/connect/keep_alive.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import os
import threading
from typing import Any

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))


def main() -> None:
    answered = threading.Event()

    def on_log(client: mqtt.Client, userdata: Any, level: int, text: str) -> None:
        if "PINGRESP" in text:
            answered.set()

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_log = on_log
    with client:
        client.connect(HOST, PORT, keepalive=1)
        client.loop_start()
        if not answered.wait(10):
            raise SystemExit("no answer to a ping")
        print("the broker answered a ping")


if __name__ == "__main__":
    main()
