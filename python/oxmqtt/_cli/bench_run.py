"""One measurement of ``oxmqtt bench``, in a process of its own, with oxmqtt or with paho-mqtt.

``python -m oxmqtt._cli.bench_run`` reads a job as one line of JSON and prints lines of JSON: ``progress`` from 0
to 1, then ``result`` or ``error`` with ``code``.  Both clients run the same code: the names of paho's.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ..enums import MQTTErrorCode
from ..url import BrokerUrl, parse
from .exits import DENIED, LOST, NO_ECHO, USAGE, Failure, connecting_failed

#: The results of a message that went down with its connection: of both clients.
_LOST_CODES = (MQTTErrorCode.MQTT_ERR_NO_CONN, MQTTErrorCode.MQTT_ERR_CONN_LOST)
#: Seconds that an answer may take.
_PATIENCE = 10.0
#: Seconds between two looks whether the connection still stands.
_LOOK = 0.25
#: Unfinished messages that a publisher may be ahead, and those of QoS 1 and 2 that may be at the broker.
_AHEAD, _IN_FLIGHT = 10_000, 100
#: Messages between two looks at the clock; on the way to a subscriber there are at most eight times as
#: many, because brokers drop messages of QoS 0 beyond some bound, mosquitto beyond 1,000.
_PORTION, _PORTIONS = 100, 8
#: Round trips before those that count.
_WARM_UP = 50


class _Peer:
    """A connected client with its loop on a thread."""

    def __init__(self, module: Any, url: BrokerUrl) -> None:
        self._answered = threading.Event()
        self._failure: Failure | None = None
        self._closes = False
        protocol = module.MQTTProtocolVersion(int(url.version or module.MQTTv311))
        v2 = module.CallbackAPIVersion.VERSION2
        self.client = client = module.Client(v2, protocol=protocol, transport=url.transport)
        if url.username is not None:
            client.username_pw_set(url.username, url.password)
        if url.tls:
            named = {} if url.server_hostname is None else {"server_hostname": url.server_hostname}
            client.tls_set(url.ca_certs, url.certfile, url.keyfile, **named)
            if url.insecure:
                client.tls_insecure_set(True)
        if url.transport == "websockets":
            client.ws_set_options(path=url.path)
        client.max_inflight_messages_set(_IN_FLIGHT)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        try:
            client.connect(
                url.host, url.port or 1883, 60 if url.keepalive is None else url.keepalive
            )
        except (OSError, ValueError) as error:
            raise connecting_failed(error, url) from None
        client.loop_start()
        self.wait("connection")

    def wait(self, what: str) -> None:
        if not self._answered.wait(_PATIENCE):
            raise Failure(NO_ECHO, f"the broker does not answer: {what}")
        self._answered.clear()
        self.check()

    def check(self) -> None:
        """:raises Failure: there is no connection any more."""
        if self._failure is not None:
            raise self._failure

    def subscribe(self, topic: str, qos: int, on_message: Callable[..., None]) -> None:
        self.client.on_message = on_message
        self.client.subscribe(topic, qos)
        self.wait("subscription")

    def barrier(self, topic: str) -> None:
        """Returns when the broker has taken everything that was published before."""
        self.finish(self.client.publish(f"{topic}/end", b"", 1))

    def finish(self, info: Any) -> None:
        """Waits until a message is through.

        :raises Failure: it is not.
        """
        until = time.monotonic() + _PATIENCE
        try:
            info.wait_for_publish(_LOOK)
            while not info.is_published():
                self.check()
                if time.monotonic() > until:
                    raise Failure(NO_ECHO, "the broker does not acknowledge a message")
                info.wait_for_publish(_LOOK)
        except (RuntimeError, ValueError) as error:
            if info.rc in _LOST_CODES:  # of QoS 0; on_disconnect may be yet to come
                raise self._failure or Failure(LOST, "the connection was lost") from None
            raise Failure(DENIED, f"not published: {error}") from None

    def close(self) -> None:
        self._closes = True
        self.client.disconnect()
        self.client.loop_stop()

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _props: Any) -> None:
        if reason.is_failure:
            from .connection import refused

            self._failure = refused(reason)
        self._answered.set()

    def _on_disconnect(
        self, _client: Any, _data: Any, _flags: Any, reason: Any, _props: Any
    ) -> None:
        if self._failure is None and not self._closes:
            self._failure = Failure(LOST, f"the connection was lost: {reason}")

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, reasons: Any, _props: Any) -> None:
        if reasons[0].is_failure:
            self._failure = Failure(DENIED, f"the broker refused the subscription: {reasons[0]}")
        self._answered.set()


class _Limit:
    """How long a measurement goes on: so many messages, or so many seconds."""

    def __init__(self, count: int | None, seconds: float) -> None:
        self._count = count
        self._seconds = seconds
        self._start = self._said = time.perf_counter()

    def left(self, done: int) -> int:
        """Messages until the next call; 0 at the end. Now and then it prints how far it is."""
        now = time.perf_counter()
        if self._count is None:
            part, left = (now - self._start) / self._seconds, _PORTION
        else:
            part, left = done / self._count, min(_PORTION, self._count - done)
        if now - self._said > 0.1:
            self._said = now
            say(progress=min(part, 1.0))
        return left if part < 1 else 0


def say(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def measure_publish(job: dict[str, Any], module: Any, url: BrokerUrl) -> dict[str, Any]:
    """Messages per second until the broker has all of them."""
    peer = _Peer(module, url)
    publish, topic, payload, qos = peer.client.publish, job["topic"], bytes(job["size"]), job["qos"]
    limit = _Limit(job["count"], job["seconds"])
    unfinished: deque[Any] = deque()
    done = 0
    began, cpu = time.perf_counter(), time.process_time()
    while portion := limit.left(done):
        for _ in range(portion):
            unfinished.append(publish(topic, payload, qos))
        done += portion
        while len(unfinished) > _AHEAD:
            peer.finish(unfinished.popleft())
    for info in unfinished:
        peer.finish(info)
    peer.barrier(topic)
    took = _took(began, cpu, done)
    peer.close()
    return took


def measure_receive(job: dict[str, Any], module: Any, url: BrokerUrl) -> dict[str, Any]:
    """Messages per second from a publisher through the broker to a subscriber, both in this process."""
    subscriber, publisher = _Peer(module, url), _Peer(module, url)
    on_their_way = threading.Semaphore(_PORTIONS)
    received = 0

    def on_message(_client: Any, _data: Any, _message: Any) -> None:
        nonlocal received
        received += 1
        if received % _PORTION == 0:
            on_their_way.release()

    topic, payload, qos = job["topic"], bytes(job["size"]), job["qos"]
    subscriber.subscribe(topic, qos, on_message)
    publish = publisher.client.publish
    limit = _Limit(job["count"], job["seconds"])
    done = 0
    began, cpu = time.perf_counter(), time.process_time()
    last, before = time.perf_counter(), 0

    def stalls() -> bool:
        """Whether nothing has arrived for too long.

        :raises Failure: nothing can.
        """
        nonlocal last, before
        subscriber.check()
        publisher.check()
        if received > before:
            last, before = time.perf_counter(), received
        return time.perf_counter() - last > _PATIENCE

    while portion := limit.left(done):
        while not (arrives := on_their_way.acquire(timeout=_LOOK)) and not stalls():
            pass
        if not arrives:
            break
        for _ in range(portion):
            publish(topic, payload, qos)
        done += portion
    last = time.perf_counter()
    while received < done and not stalls():
        time.sleep(0.0005)
    took = _took(began, cpu, received)
    publisher.close()
    subscriber.close()
    if not received:
        raise Failure(NO_ECHO, "no message came back")
    return {**took, "lost": done - received}


def measure_echo(job: dict[str, Any], module: Any, url: BrokerUrl) -> dict[str, Any]:
    """Microseconds from publish() to the callback, one message at a time."""
    peer = _Peer(module, url)
    topic, payload, qos = job["topic"], bytes(job["size"]), job["qos"]
    ended = threading.Event()
    limit = _Limit(job["count"], job["seconds"])
    times: list[int] = []
    clock = time.perf_counter_ns
    left, sent = _PORTION, 0

    def on_message(client: Any, _data: Any, _message: Any) -> None:
        nonlocal left, sent
        times.append(clock() - sent)
        left -= 1
        if left <= 0:
            left = limit.left(len(times) - _WARM_UP)
            if not left:
                ended.set()
                return
        sent = clock()
        client.publish(topic, payload, qos)

    peer.subscribe(topic, qos, on_message)
    sent = clock()
    peer.client.publish(topic, payload, qos)
    before, looks = -1, 0.0
    while not ended.wait(_LOOK):
        peer.check()
        looks = looks + _LOOK if len(times) == before else 0.0
        before = len(times)
        if looks > _PATIENCE:
            raise Failure(NO_ECHO, "a message did not come back")
    peer.close()
    counted = sorted(times[_WARM_UP:])
    if job["count"] is not None:
        counted = sorted(times[_WARM_UP : _WARM_UP + job["count"]])

    def percentile(part: float) -> float:
        return counted[min(len(counted) - 1, int(len(counted) * part))] / 1000

    parts = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
    return {"messages": len(counted), **{name: percentile(each) for name, each in parts.items()}}


def _took(began: float, cpu: float, messages: int) -> dict[str, Any]:
    seconds = time.perf_counter() - began
    used = time.process_time() - cpu
    return {
        "messages": messages,
        "per_second": messages / seconds,
        "cpu_seconds_per_million": used / messages * 1e6 if messages else 0.0,
    }


MEASURES = {"publish": measure_publish, "receive": measure_receive, "echo": measure_echo}


def main() -> int:
    line = sys.stdin.readline()
    if not line:
        return 0  # the command ended before it had said what to do
    job = json.loads(line)
    try:
        module = importlib.import_module(job["module"])
        url = parse(job["url"])
        if url.server_hostname is not None and not job["module"].startswith("oxmqtt"):
            raise Failure(USAGE, "paho-mqtt has no server_hostname: leave it out of the URL")
        say(result=MEASURES[job["measure"]](job, module, url))
    except Failure as failure:
        say(error=str(failure), code=failure.code)
    except BrokenPipeError:
        pass  # the command has ended
    return 0


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # threads of either client may still wait for something
