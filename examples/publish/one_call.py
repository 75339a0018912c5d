"""Publish one message, or several, in one call that connects and disconnects.

    python examples/publish/one_call.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import os

import oxmqtt.publish as publish

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))


def main() -> None:
    publish.single("examples/single", "hello", qos=1, hostname=HOST, port=PORT)
    publish.multiple(
        [
            {"topic": "examples/several", "payload": "first", "qos": 1},
            ("examples/several", "second", 1, False),
        ],
        hostname=HOST,
        port=PORT,
    )
    print("published 1 and 2 messages")


if __name__ == "__main__":
    main()
