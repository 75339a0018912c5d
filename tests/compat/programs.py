"""Programs in the style of paho's users, written once and run on both clients.

Each takes a `Stage` and uses nothing but the public API. It waits for the callbacks of one step before it takes the
next, so that the order in the trace is defined by MQTT and not by luck.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Callable

from support import clients
from support.mosquitto import Mosquitto
from support.packets import V5, V31, V311
from support.trace import Trace
from support.waiting import drive

PROGRAMS: dict[str, Program] = {}
VERSIONS = (V31, V311, V5)


@dataclass
class Stage:
    """What a program may use."""

    mqtt: ModuleType
    broker: Mosquitto
    version: int
    api: int
    trace: Trace = field(default_factory=Trace)
    closing: list[Any] = field(default_factory=list)

    def client(self, client_id: str, **options: Any) -> Any:
        client = clients.make(self.mqtt, client_id, self.version, self.api, **options)
        self.closing.append(client)
        return client

    def connect(self, client: Any, **options: Any) -> None:
        result = client.connect(self.broker.host, self.broker.port, 60, **options)
        self.trace.note("connect() ->", result)

    def start(self, client: Any, **options: Any) -> None:
        """connect(), loop_start(), wait for on_connect."""
        before = self.trace.count("on_connect")
        self.connect(client, **options)
        self.trace.note("loop_start() ->", client.loop_start())
        self.trace.wait("on_connect", before + 1)

    def finish(self, client: Any) -> None:
        """disconnect(), wait for on_disconnect, loop_stop()."""
        before = self.trace.count("on_disconnect")
        # No result is compared: paho's depend on whether its thread is already gone.
        client.disconnect()
        self.trace.wait("on_disconnect", before + 1)
        client.loop_stop()
        self.trace.note("loop_stop() ->", client.loop_stop())

    def subscribe(self, client: Any, *arguments: Any, **options: Any) -> None:
        before = self.trace.count("on_subscribe")
        self.trace.note("subscribe() ->", client.subscribe(*arguments, **options))
        self.trace.wait("on_subscribe", before + 1)

    def publish(
        self, client: Any, topic: str, payload: Any, qos: int, messages: int = 0, **options: Any
    ) -> None:
        """publish(), wait for on_publish and for that many messages back."""
        done, seen = self.trace.count("on_publish"), self.received()
        info = client.publish(topic, payload, qos, **options)
        self.trace.calls.wait_for(
            lambda calls: sum(1 for c in calls if c[0] == "on_publish") > done, "on_publish"
        )
        self.trace.calls.wait_for(
            lambda calls: sum(1 for c in calls if is_message(c[0])) >= seen + messages,
            f"{messages} messages",
        )
        info.wait_for_publish(10)  # the callback comes a moment before the flag
        self.trace.note("publish() ->", info, info.is_published())

    def received(self) -> int:
        return sum(1 for call in self.trace.calls if is_message(call[0]))

    def properties(self, kind: str, **values: Any) -> Any:
        return clients.properties(self.mqtt, kind, **values) if self.version == V5 else None


def is_message(name: str) -> bool:
    return name == "on_message" or name.startswith("filter ")


@dataclass
class Program:
    run: Callable[[Stage], None]
    versions: tuple[int, ...]


def program(*versions: int) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """Registers a program, for all versions or for these."""

    def register(run: Callable[[Stage], None]) -> Callable[[Stage], None]:
        PROGRAMS[run.__name__] = Program(run, versions or VERSIONS)
        return run

    return register


@program()
def wildcards_and_filters(stage: Stage) -> None:
    """loop_start, wildcard subscriptions, filters beside on_message, every QoS, unsubscribe."""
    trace, client = stage.trace, stage.client("wild")
    trace.attach(client)
    client.message_callback_add("wild/+/warm", trace.recorder("filter +"))
    client.message_callback_add("wild/kitchen/#", trace.recorder("filter #"))
    client.message_callback_add("wild/gone", trace.recorder("filter gone"))
    client.message_callback_remove("wild/gone")
    stage.start(client)
    stage.subscribe(client, [("wild/+/warm", 1), ("wild/kitchen/#", 2), ("wild/plain", 0)])
    stage.subscribe(client, "wild/gone", 2)
    trace.step("one message, two filters")
    stage.publish(client, "wild/kitchen/warm", "21", 1, messages=2)
    trace.step("every qos through a filter and through on_message")
    for qos in (0, 1, 2):
        stage.publish(client, "wild/cellar/warm", f"cellar {qos}", qos, messages=1)
        stage.publish(client, "wild/plain", b"\x00\xff", qos, messages=1)
        stage.publish(client, "wild/gone", None, qos, messages=1)
    trace.step("unsubscribe")
    trace.note("unsubscribe() ->", client.unsubscribe("wild/plain"))
    trace.wait("on_unsubscribe", 1)
    trace.note("unsubscribe() ->", client.unsubscribe(["wild/+/warm", "wild/gone"]))
    trace.wait("on_unsubscribe", 2)
    stage.publish(client, "wild/plain", "nobody hears", 1)
    stage.publish(client, "wild/kitchen/warm", "still", 2, messages=2)
    stage.finish(client)


@program()
def payloads(stage: Stage) -> None:
    """Every type that publish() takes, and topics beyond ASCII."""
    trace, client = stage.trace, stage.client("payloads")
    trace.attach(client)
    stage.start(client)
    stage.subscribe(client, "payloads/#", 2)
    for value in ("text", "grüße", b"bytes", bytearray(b"array"), 7, -3.25, None, "", True):
        stage.publish(client, "payloads/a", value, 1, messages=1)
    stage.publish(client, "payloads/ünï/☃", b"x" * 70000, 2, messages=1)
    stage.finish(client)


@program()
def loop_forever_from_callbacks(stage: Stage) -> None:
    """Everything happens in callbacks; loop_forever() on the program's thread returns after disconnect()."""
    trace, client = stage.trace, stage.client("forever")

    def on_connect(*_: Any) -> None:
        trace.note("subscribe() ->", client.subscribe([("forever/+", 2)]))

    def on_subscribe(*_: Any) -> None:
        trace.note("publish() ->", client.publish("forever/0", "a", 0))

    def on_message(c: Any, u: Any, message: Any) -> None:
        level = int(message.topic[-1])
        if level < 4:
            qos = (1, 2, 2, 1)[level]
            trace.note(
                "publish() ->", c.publish(f"forever/{level + 1}", message.payload + b"a", qos)
            )
        else:
            trace.note("unsubscribe() ->", c.unsubscribe("forever/+"))

    def on_unsubscribe(*_: Any) -> None:
        trace.note("connected", client.is_connected())
        trace.note("disconnect() ->", client.disconnect())

    trace.attach(
        client,
        on_connect=on_connect,
        on_subscribe=on_subscribe,
        on_message=on_message,
        on_unsubscribe=on_unsubscribe,
    )
    stage.connect(client)
    trace.note("loop_forever() ->", client.loop_forever())
    trace.note("connected", client.is_connected())


@program()
def publish_chain_from_on_publish(stage: Stage) -> None:
    """publish() inside on_publish, QoS 0, 1 and 2 in turn."""
    trace, client = stage.trace, stage.client("chain")
    left = [2, 1, 0, 2, 1, 0]

    def on_publish(*_: Any) -> None:
        if left:
            trace.note("publish() ->", client.publish("chain/x", str(len(left)), left.pop()))

    trace.attach(client, on_publish=on_publish)
    stage.start(client)
    client.publish("chain/x", "first", 1)
    trace.wait("on_publish", 7)
    stage.finish(client)


@program()
def manual_loop(stage: Stage) -> None:
    """loop() on the program's thread."""
    trace, client = stage.trace, stage.client("manual")
    trace.attach(client)
    stage.connect(client)
    trace.note("connected", client.is_connected())
    drive(client, lambda: trace.count("on_connect"), "on_connect")
    trace.note("connected", client.is_connected())
    trace.note("subscribe() ->", client.subscribe("manual/#", 2))
    drive(client, lambda: trace.count("on_subscribe"), "on_subscribe")
    for qos in (0, 1, 2):
        done = trace.count("on_publish")
        trace.note("publish() ->", client.publish(f"manual/{qos}", "m", qos))
        drive(client, trace.reached("on_publish", done + 1), "on_publish")
        drive(client, trace.reached("on_message", qos + 1), "on_message")
    trace.note("disconnect() ->", client.disconnect())
    if not trace.count("on_disconnect"):
        drive(client, lambda: trace.count("on_disconnect"), "on_disconnect")
    trace.note("loop() ->", client.loop(0.01))
    trace.note("connected", client.is_connected())


@program()
def will_of_a_lost_client(stage: Stage) -> None:
    """The second client vanishes without DISCONNECT; the first one receives its will."""
    trace, watcher = stage.trace, stage.client("watcher")
    trace.attach(watcher)
    stage.start(watcher)
    stage.subscribe(watcher, "will/#", 2)
    mortal = stage.client("mortal")
    options = stage.properties("WILLMESSAGE", UserProperty=("why", "gone"), ContentType="text")
    mortal.will_set("will/mortal", "I was here", 2, False, options)
    trace.note("will", mortal.will_topic, mortal.will_payload)
    connected: list[int] = []
    mortal.on_connect = lambda *_: connected.append(1)
    stage.connect(mortal)
    drive(mortal, lambda: connected, "the mortal's on_connect")
    mortal.socket().close()
    trace.wait("on_message")
    stage.finish(watcher)


@program()
def retained(stage: Stage) -> None:
    """A retained message comes with the subscription, and not after it was cleared."""
    trace, client = stage.trace, stage.client("retained")
    trace.attach(client)
    stage.start(client)
    stage.publish(client, "retained/x", "kept", 1, retain=True)
    stage.subscribe(client, "retained/#", 1)
    trace.wait("on_message", 1)
    stage.publish(client, "retained/x", "live", 1, messages=1, retain=True)
    stage.publish(client, "retained/x", None, 1, messages=1, retain=True)
    trace.note("unsubscribe() ->", client.unsubscribe("retained/#"))
    trace.wait("on_unsubscribe", 1)
    stage.subscribe(client, "retained/#", 1)
    stage.publish(client, "retained/y", "after", 0, messages=1)
    stage.finish(client)


@program()
def user_data(stage: Stage) -> None:
    """What user_data_set() gave is what the next callback gets."""
    trace, client = stage.trace, stage.client("userdata", userdata={"n": 1})
    trace.attach(client, on_connect=lambda c, u, *_: c.user_data_set([u, "connected"]))
    trace.note("user_data_get() ->", client.user_data_get())
    stage.start(client)
    stage.subscribe(client, "userdata/#", 0)
    client.user_data_set("text")
    stage.publish(client, "userdata/x", "1", 0, messages=1)
    client.user_data_set(None)
    stage.publish(client, "userdata/x", "2", 1, messages=1)
    stage.finish(client)


@program()
def methods_of_a_subclass(stage: Stage) -> None:
    """Callbacks as methods of a subclass with an __init__ of its own; decorators beside them."""
    trace, mqtt = stage.trace, stage.mqtt

    class TracedClient(mqtt.Client):  # type: ignore[name-defined,misc]
        def __init__(self, tiers: int, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.tiers = tiers

        def on_connect(self, *arguments: Any) -> None:
            trace.add("on_connect", arguments)
            self.subscribe(f"subclass/{self.tiers}")

        def on_subscribe(self, *arguments: Any) -> None:
            trace.add("on_subscribe", arguments)

        def on_disconnect(self, *arguments: Any) -> None:
            trace.add("on_disconnect", arguments)

    def factory(*arguments: Any, **options: Any) -> Any:
        return TracedClient(3, *arguments, **options)

    client = stage.client("subclass", factory=factory)
    client.message_callback()(trace.recorder("on_message"))
    client.publish_callback()(trace.recorder("on_publish"))
    client.topic_callback("subclass/+")(trace.recorder("filter +"))
    stage.start(client)
    trace.wait("on_subscribe")
    stage.publish(client, "subclass/3", "x", 1, messages=1)
    client.message_callback_remove("subclass/+")
    stage.publish(client, "subclass/3", "y", 0, messages=1)
    stage.finish(client)
