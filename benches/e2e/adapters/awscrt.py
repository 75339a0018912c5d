"""awscrt (AWS Common Runtime): native threads, a future per publish, one API for each protocol
version. It publishes no QoS 2."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import Any

from awscrt import mqtt, mqtt5

from .base import HOST, KEEPALIVE, LONG, PATIENCE, Hit, ThreadAdapter


def load(module: str, protocol: int) -> ThreadAdapter:
    adapter = Awscrt5Adapter if protocol == 5 else Awscrt311Adapter
    return adapter(module, protocol)


class AwscrtAdapter(ThreadAdapter):
    """What both versions share: futures."""

    async def publish_many(self, topic: str, payload: bytes, qos: int, n: int, window: int) -> None:
        pending: deque[Future[Any]] = deque()
        for _ in range(n):
            pending.append(self.publish(topic, payload, qos))
            if len(pending) >= window:
                pending.popleft().result(LONG)
        for future in pending:
            future.result(LONG)

    async def publish_unacked(self, topic: str, payload: bytes, qos: int, n: int) -> int:
        self.pending = [self.publish(topic, payload, qos) for _ in range(n)]
        return sum(not future.done() for future in self.pending)

    def wait_published(self, receipt: Future[Any]) -> None:
        receipt.result(LONG)


class Awscrt311Adapter(AwscrtAdapter):
    async def open(self, port: int, client_id: str = "bench", window: int | None = None) -> None:
        self.client = mqtt.Connection(
            mqtt.Client(),
            HOST,
            port,
            client_id,
            clean_session=True,
            keep_alive_secs=KEEPALIVE,
            disable_metrics=True,
        )
        self.client.connect().result(PATIENCE)

    async def subscribe(self, filters: list[str], qos: int, hit: Hit) -> None:
        def on_message(topic: str, payload: bytes, **kwargs: Any) -> None:
            hit(topic, payload)

        subscribed = [
            self.client.subscribe(topic_filter, mqtt.QoS(qos), on_message)[0]
            for topic_filter in filters
        ]
        for future in subscribed:
            future.result(LONG)

    def publish(self, topic: str, payload: bytes, qos: int) -> Future[Any]:
        future: Future[Any] = self.client.publish(topic, payload, mqtt.QoS(qos))[0]
        return future


class Awscrt5Adapter(AwscrtAdapter):
    async def open(self, port: int, client_id: str = "bench", window: int | None = None) -> None:
        connected = threading.Event()
        self.hit: Hit = lambda topic, payload: None

        def on_publish(data: mqtt5.PublishReceivedData) -> None:
            packet = data.publish_packet
            self.hit(packet.topic, packet.payload)

        self.client = mqtt5.Client(
            mqtt5.ClientOptions(
                host_name=HOST,
                port=port,
                connect_options=mqtt5.ConnectPacket(
                    client_id=client_id, keep_alive_interval_sec=KEEPALIVE
                ),
                on_publish_callback_fn=on_publish,
                on_lifecycle_event_connection_success_fn=lambda data: connected.set(),
                disable_metrics=True,
            )
        )
        self.client.start()
        if not connected.wait(PATIENCE):
            raise TimeoutError("no CONNACK")

    async def subscribe(self, filters: list[str], qos: int, hit: Hit) -> None:
        self.hit = hit
        subscriptions = [
            mqtt5.Subscription(topic_filter, mqtt5.QoS(qos)) for topic_filter in filters
        ]
        self.client.subscribe(mqtt5.SubscribePacket(subscriptions)).result(LONG)

    def publish(self, topic: str, payload: bytes, qos: int) -> Future[Any]:
        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS(qos))
        future: Future[Any] = self.client.publish(packet)
        return future
