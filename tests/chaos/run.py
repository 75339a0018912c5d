"""One run: a sender and a receiver, each behind its own proxy, a broker between them, and the count at the end.

The program is an ordinary one: `loop_start()`, `publish()`, `on_publish`, `on_message`; the client reconnects by itself. New
messages are published as resets are counted, so that both spread over the whole run; then the proxies let
everything through, and what has not arrived by then is lost.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from support.clients import dispose, make, properties
from support.mosquitto import Mosquitto
from support.packets import V5, V311

from . import plan
from .plan import RECEIVER, SENDER, Message
from .proxy import Proxy, ProxyThread
from .rules import ReceiverRules, Rules, SenderRules

VERSIONS = {V311: "3.1.1", V5: "5.0"}

#: The client's limit, and the server's. MQTT 5.0 tells the client, so there the server's is the lower one; under
#: MQTT 3.1.1 mosquitto loses messages of a client that exceeds it.
MAX_INFLIGHT = 10
SERVER_MAXIMUM = {V311: 100, V5: 7}

#: Seconds between two connections of a client, at the most.
RECONNECT_DELAY = 0.001

#: Seconds without any message on its way before a run gives up: something hangs, or is lost.
PATIENCE = 20.0

#: How many examples of each kind of fault a report shows.
SHOWN = 5


@dataclass
class Result:
    """What came of a run."""

    seed: int
    version: int
    client: str
    messages: int
    wanted_resets: int
    seconds: float = 0.0
    published: int = 0
    #: Of each client, by where its connection was cut.
    resets: dict[str, Counter[str]] = field(default_factory=dict)
    lost: Counter[int] = field(default_factory=Counter)
    duplicated: Counter[int] = field(default_factory=Counter)
    #: Messages that the server sent in the wrong order.
    misordered: int = 0
    resent: int = 0
    most_in_flight: int = 0
    quota_violations: int = 0
    #: What is wrong, in words; empty when every promise was kept.
    faults: list[str] = field(default_factory=list)

    @property
    def reset_count(self) -> int:
        return sum(sum(count.values()) for count in self.resets.values())

    def __str__(self) -> str:
        sender, receiver = (sum(self.resets[part].values()) for part in (SENDER, RECEIVER))
        return (
            f"seed {self.seed:2}  MQTT {VERSIONS[self.version]:5}  {self.published:,} of "
            f"{self.messages:,} published, {sender:,} + {receiver:,} resets, "
            f"lost {self.lost[1]} + {self.lost[2]}, QoS 2 duplicated {self.duplicated[2]}, "
            f"quota exceeded {self.quota_violations}, {self.seconds:.0f} s"
        )

    def report(self) -> str:
        """The faults, and how to see them again."""
        replay = (
            f"PYTHONPATH=tests python -m chaos --first {self.seed} --versions {self.version} "
            f"--messages {self.messages} --resets {self.wanted_resets} --client {self.client}"
        )
        return "\n".join([str(self), *self.faults, f"replay: {replay}"])


def is_published(info: Any) -> bool:
    try:
        return bool(info.is_published())
    except RuntimeError:  # paho's answer for all that was published while there was no connection
        return False


class Sender:
    """Publishes, and asks the judge whether the server owns what `on_publish` and `is_published()` call published."""

    def __init__(self, client: Any, rules: SenderRules) -> None:
        self.client = client
        self.rules = rules
        self.published = 0
        self.reported = 0
        self._numbers: defaultdict[int, deque[int]] = defaultdict(deque)
        self._reports: deque[tuple[int, bool, int]] = deque()
        self._reports_of_id: Counter[int] = Counter()
        self._infos: deque[tuple[int, Any]] = deque()
        client.on_publish = self._on_publish

    def publish_up_to(self, count: int) -> None:
        while self.published < count:
            message = self.rules.messages[self.published]
            info = self.client.publish(message.topic, message.payload, message.qos)
            self._numbers[info.mid].append(self.published)
            self._infos.append((self.published, info))
            self.published += 1

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: Any, props: Any) -> None:
        self._reports.append((mid, reason.is_failure, self.rules.owned_of_id[mid]))

    def settle(self) -> None:
        """Looks through what `on_publish` reported; here, because it may come before `publish()` returned."""
        while self._reports:
            mid, is_failure, owned = self._reports.popleft()
            self._reports_of_id[mid] += 1
            if not self._numbers[mid]:
                self.rules.violation(f"on_publish of identifier {mid} once more")
                continue
            number = self._numbers[mid].popleft()
            if is_failure:
                self.rules.violation(f"message {number} is said to have failed")
            if owned < self._reports_of_id[mid]:
                self.rules.violation(f"on_publish of message {number}, which the server lacks")
            self.rules.reported.add(number)
            self.reported += 1
        for number, info in islice(self._infos, 2 * MAX_INFLIGHT):
            if is_published(info) and number not in self.rules.owned:
                self.rules.violation(f"is_published() of message {number}, which the server lacks")
        while self._infos and self._infos[0][0] in self.rules.reported:
            number, info = self._infos.popleft()
            if not is_published(info):
                self.rules.violation(f"no is_published() after on_publish of message {number}")


class Receiver:
    """Subscribes; counts what `on_message` brings, and looks at the order in each topic."""

    def __init__(self, client: Any, rules: ReceiverRules) -> None:
        self.client = client
        self.rules = rules
        self.copies: Counter[int] = Counter()
        self.faults: list[str] = []
        self._last: dict[str, int] = {}
        self._subscribed = threading.Event()
        client.on_message = self._on_message
        client.on_subscribe = lambda *_: self._subscribed.set()

    def subscribe(self) -> None:
        self.client.subscribe("chaos/#", 2)
        assert self._subscribed.wait(PATIENCE), "no SUBACK"

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        number = plan.number_of(message.payload)
        self.copies[number] += 1
        if self.copies[number] == 1:
            self._check_order(message.topic, number)
        self.rules.taken.add(number)

    def _check_order(self, topic: str, number: int) -> None:
        before = self._last.get(topic, -1)
        if number < before and number not in self.rules.misordered:
            self.faults.append(f"{topic}: message {number} came after {before}")
        self._last[topic] = max(number, before)


class Run:
    """The whole arrangement; `run()` gives the result."""

    def __init__(
        self, mqtt: ModuleType, directory: Path, seed: int, version: int, messages: int, resets: int
    ) -> None:
        self.mqtt = mqtt
        self.version = version
        self.result = Result(seed, version, mqtt.__name__, messages, resets)
        last = Message(2, "chaos/end", b"%d:" % messages)
        self.messages = [*plan.messages(seed, messages), last]
        self.broker = Mosquitto(
            directory,
            extra=(f"max_inflight_messages {SERVER_MAXIMUM[version]}", "set_tcp_nodelay true"),
        )
        self.sender_rules = SenderRules(version, self.messages, MAX_INFLIGHT)
        self.receiver_rules = ReceiverRules(version, self.messages)

    def run(self) -> Result:
        started = time.monotonic()
        with self.broker:
            self.proxies = {
                SENDER: self._proxy(SENDER, self.sender_rules),
                RECEIVER: self._proxy(RECEIVER, self.receiver_rules),
            }
            clients = {part: self._client(part) for part in self.proxies}
            self.sender = Sender(clients[SENDER], self.sender_rules)
            self.receiver = Receiver(clients[RECEIVER], self.receiver_rules)
            with ProxyThread(*self.proxies.values()) as thread:
                try:
                    for part, client in clients.items():
                        self._connect(client, self.proxies[part])
                    self.receiver.subscribe()
                    self._storm(thread)
                    self._calm(thread)
                finally:
                    for client in clients.values():
                        dispose(client)
            self._judge(thread.failures)
        self.result.seconds = time.monotonic() - started
        return self.result

    def _proxy(self, part: str, rules: Rules) -> Proxy:
        seed = self.result.seed
        server = (self.broker.host, self.broker.port)
        return Proxy(server, self.version, rules, lambda number: plan.cut(seed, part, number))

    def _client(self, part: str) -> Any:
        client = make(self.mqtt, f"chaos-{part}", version=self.version, clean=False)
        client.max_inflight_messages_set(MAX_INFLIGHT)
        client.max_queued_messages_set(0)
        client.reconnect_delay_set(RECONNECT_DELAY, RECONNECT_DELAY)
        return client

    def _connect(self, client: Any, proxy: Proxy) -> None:
        connected = threading.Event()
        client.on_connect = lambda *_: connected.set()
        options: dict[str, Any] = {}
        if self.version == V5:
            options["clean_start"] = False
            options["properties"] = properties(self.mqtt, "CONNECT", SessionExpiryInterval=3600)
        client.connect(proxy.host, proxy.port, **options)
        client.loop_start()
        assert connected.wait(PATIENCE), "no CONNACK"

    def _reset_count(self) -> int:
        return sum(proxy.reset_count for proxy in self.proxies.values())

    def _storm(self, thread: ProxyThread) -> None:
        """Publishes and resets, until every message is published and the resets are enough."""
        for proxy in self.proxies.values():
            thread.call_soon(proxy.start_cutting)
        total, wanted = self.result.messages, self.result.wanted_resets

        def step() -> bool:
            resets = self._reset_count()
            share = min(1.0, resets / wanted)
            self.sender.publish_up_to(min(total, int(total * share) + 2 * MAX_INFLIGHT))
            return self.sender.published == total and resets >= wanted

        self._until(step, "resets or messages")

    def _calm(self, thread: ProxyThread) -> None:
        """Lets everything through; a last message shows that nothing comes behind it."""
        for proxy in self.proxies.values():
            thread.call_soon(proxy.stop_cutting)
        total = self.result.messages
        self._until(lambda: self.sender.reported >= total, "on_publish")
        self.sender.publish_up_to(total + 1)
        self._until(lambda: len(self.receiver.copies) > total, "the last message, or those before")

    def _until(self, done: Callable[[], Any], what: str) -> None:
        """Comes back when it is done, or, with a fault, when nothing has moved for a while."""
        last, since = (0, 0, 0), time.monotonic()
        while not done():
            self.sender.settle()
            now = (self._reset_count(), self.sender.reported, len(self.receiver.copies))
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > PATIENCE:
                self.result.faults.append(f"nothing moves; waiting for {what}")
                return
            time.sleep(0.002)

    def _judge(self, failures: list[str]) -> None:
        result, receiver = self.result, self.receiver
        result.published = len(self.sender_rules.reported - {result.messages})
        result.resets = {part: proxy.resets for part, proxy in self.proxies.items()}
        result.misordered = len(self.receiver_rules.misordered)
        result.resent = self.sender_rules.resent
        result.most_in_flight = self.sender_rules.most_in_flight
        result.quota_violations = self.sender_rules.quota_violations
        for number in range(result.messages):
            copies, qos = receiver.copies[number], self.messages[number].qos
            result.lost[qos] += copies == 0
            result.duplicated[qos] += copies > 1
            if copies == 0 or (qos == 2 and copies > 1):
                said = "published" if number in self.sender_rules.reported else "unpublished"
                result.faults.append(f"message {number}, QoS {qos}, {said}: {copies} copies")
        found = {
            "sender": self.sender_rules.violations,
            "receiver": self.receiver_rules.violations,
            "order": receiver.faults,
            "server to sender": self.sender_rules.server_faults,
            "server to receiver": self.receiver_rules.server_faults,
            "sender's connection": self.proxies[SENDER].other_ends,
            "receiver's connection": self.proxies[RECEIVER].other_ends,
            "proxy": failures,
        }
        for where, faults in found.items():
            result.faults += [f"{where}: {fault}" for fault in faults[:SHOWN]]
            if len(faults) > SHOWN:
                result.faults.append(f"{where}: {len(faults)} in all")
