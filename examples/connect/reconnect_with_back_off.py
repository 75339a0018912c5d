"""Come back after a lost connection: waits grow from a tenth of a second to two seconds.

The loss is made here, by shutting the socket down.

    python examples/connect/reconnect_with_back_off.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import os
import queue
import socket
from typing import Any

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion
from oxmqtt.properties import Properties
from oxmqtt.reasoncodes import ReasonCode

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))


def main() -> None:
    connections: queue.Queue[str] = queue.Queue()

    def on_connect(
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        client.subscribe("examples/reconnect")  # here, so that each connection has it
        connections.put("connected")

    def on_disconnect(
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        connections.put("disconnected" if not reason.is_failure else "lost")

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.reconnect_delay_set(min_delay=0.1, max_delay=2)
    client.on_connect = on_connect
    client.on_disconnect = on_disconnect
    with client:
        client.connect(HOST, PORT)
        client.loop_start()
        print(connections.get(timeout=10))
        sock = client.socket()
        if sock is not None:
            sock.shutdown(socket.SHUT_RDWR)  # a cable that is pulled out
        print(connections.get(timeout=10))
        print(connections.get(timeout=10))


if __name__ == "__main__":
    main()
