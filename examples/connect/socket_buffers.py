"""Options of the socket, set before CONNECT is sent: larger kernel buffers, keep-alive probes of TCP.

    python examples/connect/socket_buffers.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import os
import socket
from typing import Any

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))


def main() -> None:
    def on_socket_open(client: mqtt.Client, userdata: Any, sock: Any) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 262_144)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262_144)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_socket_open = on_socket_open
    with client:
        client.connect(HOST, PORT)
        client.loop_start()
        sock: Any = client.socket()
        probes = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
        client.publish("examples/buffers", bytes(100_000), qos=1).wait_for_publish(10)
        print(f"published 100000 bytes, probes of TCP: {probes}")


if __name__ == "__main__":
    main()
