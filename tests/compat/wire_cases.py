"""What a client is made to say: each case drives one client against a peer that keeps every byte.

The client runs on the test's thread with loop(), so that the order of its packets is defined.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Callable

from support import clients
from support.packets import V5, V31, V311
from support.peer import ScriptedPeer
from support.waiting import drive

CASES: dict[str, Case] = {}
ALL = (V31, V311, V5)
V3 = (V31, V311)


@dataclass
class Case:
    run: Callable[[Wire], None]
    versions: tuple[int, ...]


@dataclass
class Wire:
    """One client and the peer it talks to."""

    mqtt: ModuleType
    version: int
    peer: ScriptedPeer
    closing: list[Any] = field(default_factory=list)
    connected: int = 0
    published: int = 0
    messages: int = 0
    lost: int = 0

    def client(self, client_id: str = "wire", **options: Any) -> Any:
        client = clients.make(self.mqtt, client_id, self.version, **options)
        client.on_connect = lambda *_: self._count("connected")
        client.on_publish = lambda *_: self._count("published")
        client.on_message = lambda *_: self._count("messages")
        client.on_disconnect = lambda *_: self._count("lost")
        self.closing.append(client)
        return client

    def _count(self, what: str) -> None:
        setattr(self, what, getattr(self, what) + 1)

    def reached(self, what: str, count: int) -> Callable[[], bool]:
        return lambda: getattr(self, what) >= count

    def connect(self, client: Any, keepalive: int = 60, **options: Any) -> None:
        """And wait for the CONNACK, which `serve()` or a script sends."""
        before = self.connected
        client.connect(self.peer.host, self.peer.port, keepalive, **options)
        drive(client, self.reached("connected", before + 1), "on_connect")

    def until(self, client: Any, what: str, count: int) -> None:
        drive(client, self.reached(what, count), f"{count} x {what}")

    def disconnect(self, client: Any, *arguments: Any) -> None:
        before = self.lost
        client.disconnect(*arguments)
        drive(client, self.reached("lost", before + 1), "on_disconnect")

    def serve(self, count: int = 1) -> None:
        """Let the peer answer like an obliging broker, for that many connections."""
        self.peer.converse(lambda peer: [peer.accept().serve() for _ in range(count)])

    def session(self, act: Callable[[Any], None] | None = None, **options: Any) -> None:
        """connect, act, disconnect."""
        self.serve()
        client = self.client(**options)
        self.connect(client)
        if act:
            act(client)
            # The peer answers in order: after this acknowledgement nothing is under way, and the end is clean.
            done = self.published
            client.publish("end", "", 1)
            self.until(client, "published", done + 1)
        self.disconnect(client)

    def properties(self, kind: str, **values: Any) -> Any:
        return clients.properties(self.mqtt, kind, **values) if self.version == V5 else None


def case(*versions: int) -> Callable[[Callable[[Wire], None]], Callable[[Wire], None]]:
    def register(run: Callable[[Wire], None]) -> Callable[[Wire], None]:
        CASES[run.__name__] = Case(run, versions or ALL)
        return run

    return register


def prepared(name: str, versions: tuple[int, ...], prepare: Callable[[Wire, Any], None]) -> None:
    """A case that only sets options before it connects: the CONNECT is what counts."""

    def run(wire: Wire) -> None:
        wire.serve()
        client = wire.client()
        prepare(wire, client)
        wire.connect(client)
        wire.disconnect(client)

    CASES[f"connect_{name}"] = Case(run, versions)


def acted(name: str, versions: tuple[int, ...], act: Callable[[Wire, Any], None]) -> None:
    """A case that connects plainly, does something, disconnects."""

    def run(wire: Wire) -> None:
        wire.session(lambda client: act(wire, client))

    CASES[name] = Case(run, versions)


# --- CONNECT ---------------------------------------------------------------------------------------------------------

prepared("plain", ALL, lambda w, c: None)
prepared("username", ALL, lambda w, c: c.username_pw_set("user"))
prepared("password", ALL, lambda w, c: c.username_pw_set("üser", "pässword"))
prepared("password_bytes", ALL, lambda w, c: c.username_pw_set("user", b"\x00\xff"))
prepared("password_empty", ALL, lambda w, c: c.username_pw_set("", ""))
prepared("password_alone", ALL, lambda w, c: c.username_pw_set(None, "password"))
prepared(
    "password_taken_back", ALL, lambda w, c: (c.username_pw_set("u", "p"), c.username_pw_set(None))
)
prepared("will", ALL, lambda w, c: c.will_set("will/topic", "payload"))
prepared("will_qos1", ALL, lambda w, c: c.will_set("will/topic", b"\x00", 1, True))
prepared("will_qos2", ALL, lambda w, c: c.will_set("will/topic", 12.5, 2, False))
prepared("will_empty", ALL, lambda w, c: c.will_set("will/topic", None, 0, True))
prepared("will_cleared", ALL, lambda w, c: (c.will_set("will/topic", "x", 1), c.will_clear()))
prepared(
    "will_and_password",
    ALL,
    lambda w, c: (c.will_set("w", "x", 2, True), c.username_pw_set("u", "p")),
)
prepared("bridge", ALL, lambda w, c: c.enable_bridge_mode())
prepared("bytes_id", ALL, lambda w, c: setattr(c, "_client_id", b"other"))
prepared(
    "will_properties",
    (V5,),
    lambda w, c: c.will_set(
        "will/topic",
        "x",
        1,
        properties=w.properties(
            "WILLMESSAGE",
            WillDelayInterval=5,
            PayloadFormatIndicator=1,
            MessageExpiryInterval=9,
            ContentType="t",
            ResponseTopic="r",
            CorrelationData=b"c",
            UserProperty=[("a", "1"), ("a", "2")],
        ),
    ),
)


@case(V311, V5)
def connect_empty_id(wire: Wire) -> None:
    wire.serve()
    client = wire.client("")
    wire.connect(client)
    wire.disconnect(client)


@case(*V3)
def connect_persistent(wire: Wire) -> None:
    wire.session(clean=False)


@case()
def connect_keepalive(wire: Wire) -> None:
    wire.serve(2)
    client = wire.client()
    for keepalive in (0, 65535):
        wire.connect(client, keepalive)
        wire.disconnect(client)


@case(V5)
def connect_clean_start(wire: Wire) -> None:
    """True, False, and "first only", which is about reconnect()."""
    wire.serve(4)
    client = wire.client()
    for clean_start in (True, False):
        wire.connect(client, clean_start=clean_start)
        wire.disconnect(client)
    wire.connect(client)
    wire.disconnect(client)
    client.reconnect()
    wire.until(client, "connected", 4)
    wire.disconnect(client)


@case(V5)
def connect_properties(wire: Wire) -> None:
    wire.serve()
    client = wire.client()
    properties = wire.properties(
        "CONNECT",
        SessionExpiryInterval=1,
        ReceiveMaximum=10,
        MaximumPacketSize=1 << 20,
        TopicAliasMaximum=3,
        RequestResponseInformation=1,
        RequestProblemInformation=0,
        UserProperty=("k", "v"),
    )
    wire.connect(client, properties=properties)
    wire.disconnect(client)


# --- SUBSCRIBE, UNSUBSCRIBE, DISCONNECT ------------------------------------------------------------------------------

acted(
    "subscribe_string",
    ALL,
    lambda w, c: (c.subscribe("a/b"), c.subscribe("a/+", 1), c.subscribe("#", qos=2)),
)
acted("subscribe_list", ALL, lambda w, c: c.subscribe([("a", 0), ("b/+/c", 1), ("ü/#", 2)]))
acted("subscribe_tuple", V3, lambda w, c: c.subscribe(("a", 2)))
acted("subscribe_shared", ALL, lambda w, c: c.subscribe("$share/group/a/#", 1))
acted(
    "subscribe_options",
    (V5,),
    lambda w, c: (
        c.subscribe("a", options=w.mqtt.SubscribeOptions(1, True, True, 2)),
        c.subscribe(("b", w.mqtt.SubscribeOptions(2, retainHandling=1))),
        c.subscribe(
            [("c", w.mqtt.SubscribeOptions(0, noLocal=True)), ("d", w.mqtt.SubscribeOptions())]
        ),
        c.subscribe(
            "e",
            1,
            properties=w.properties(
                "SUBSCRIBE", SubscriptionIdentifier=300, UserProperty=("u", "v")
            ),
        ),
    ),
)
acted("unsubscribe", ALL, lambda w, c: (c.unsubscribe("a/b"), c.unsubscribe(["a", "b/#", "ü"])))
acted(
    "unsubscribe_properties",
    (V5,),
    lambda w, c: c.unsubscribe(
        "a", properties=w.properties("UNSUBSCRIBE", UserProperty=("u", "v"))
    ),
)


@case(V5)
def disconnect_reason(wire: Wire) -> None:
    wire.serve(3)
    client, mqtt = wire.client(), wire.mqtt
    reason = mqtt.ReasonCode(mqtt.PacketTypes.DISCONNECT, "Disconnect with will message")
    properties = wire.properties("DISCONNECT", SessionExpiryInterval=7, ReasonString="bye")
    for arguments in ((reason,), (None, properties), (reason, properties)):
        wire.connect(client)
        wire.disconnect(client, *arguments)
