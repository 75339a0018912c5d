"""Connect with a user name and a password, and say what the broker answered.

    python examples/connect/authentication.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
MQTT_USER and MQTT_PASSWORD are the account.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion
from oxmqtt.properties import Properties
from oxmqtt.reasoncodes import ReasonCode

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))
USER = os.environ.get("MQTT_USER", "user")
PASSWORD = os.environ.get("MQTT_PASSWORD", "password")


def main() -> None:
    answered = threading.Event()

    def on_connect(
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            print(f"refused: {reason}")
        else:
            print(f"connected as {USER}: {reason}")
        client.disconnect()
        answered.set()

    client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    client.username_pw_set(USER, PASSWORD)
    client.on_connect = on_connect
    with client:
        client.connect(HOST, PORT)
        client.loop_start()
        if not answered.wait(10):
            raise SystemExit("the broker did not answer")


if __name__ == "__main__":
    main()
