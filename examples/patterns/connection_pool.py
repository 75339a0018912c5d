"""A pool of connections that threads borrow from.

    python examples/patterns/connection_pool.py

The broker is MQTT_HOST (localhost) at MQTT_PORT (1883).
"""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import oxmqtt.client as mqtt
from oxmqtt.enums import CallbackAPIVersion

HOST = os.environ.get("MQTT_HOST", "localhost")
PORT = int(os.environ.get("MQTT_PORT", "1883"))


class Pool:
    """Connected clients; `borrow()` waits for a free one."""

    def __init__(self, size: int) -> None:
        self._free: queue.Queue[mqtt.Client] = queue.Queue()
        with ExitStack() as opening:
            for _ in range(size):
                client = opening.enter_context(mqtt.Client(CallbackAPIVersion.VERSION2))
                client.connect(HOST, PORT)
                client.loop_start()
                self._free.put(client)
            self._open = opening.pop_all()

    @contextmanager
    def borrow(self) -> Iterator[mqtt.Client]:
        client = self._free.get(timeout=10)
        try:
            yield client
        finally:
            self._free.put(client)

    def close(self) -> None:
        self._open.close()


def main() -> None:
    pool = Pool(3)

    def send(number: int) -> bool:
        with pool.borrow() as client:
            info = client.publish("examples/pool", str(number), qos=1)
            info.wait_for_publish(10)
            return info.is_published()

    try:
        with ThreadPoolExecutor(8) as threads:
            print(f"{sum(threads.map(send, range(50)))} messages over 3 connections")
    finally:
        pool.close()


if __name__ == "__main__":
    main()
