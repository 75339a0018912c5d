"""Programs that use the helpers of `publish` and `subscribe`, and what few programs do with a client.

They register themselves beside those of `programs`.
"""

from __future__ import annotations

import copy
import gc
import importlib
import pickle
import threading
import weakref
from types import ModuleType
from typing import Any

from support.packets import V5, V311
from support.waiting import eventually

from .programs import Stage, program


def sibling(stage: Stage, name: str) -> ModuleType:
    """`publish` or `subscribe` beside the client module under test."""
    return importlib.import_module(f"{stage.mqtt.__name__.rpartition('.')[0]}.{name}")


def options(stage: Stage, client_id: str) -> dict[str, Any]:
    protocol = stage.mqtt.MQTTProtocolVersion(stage.version)
    return {
        "hostname": stage.broker.host,
        "port": stage.broker.port,
        "client_id": client_id,
        "protocol": protocol,
    }


def outcome(stage: Stage, name: str, call: Any) -> None:
    """Notes the result of a call, or the exception it raised."""
    try:
        result = call()
    except Exception as error:
        result = (type(error).__name__, str(error))
    stage.trace.note(name, result)


@program()
def publish_helpers(stage: Stage) -> None:
    """publish.single and publish.multiple in each QoS, heard by a subscriber."""
    trace, listener = stage.trace, stage.client("listener")
    trace.attach(listener)
    stage.start(listener)
    stage.subscribe(listener, "helper/#", 2)
    publish = sibling(stage, "publish")
    for qos in (0, 1, 2):
        publish.single(f"helper/{qos}", f"single {qos}", qos, **options(stage, f"single{qos}"))
        trace.wait("on_message", qos + 1)
    messages: list[Any] = [
        {"topic": "helper/dict", "payload": "as a dict", "qos": 1},
        ("helper/tuple", b"as a tuple", 1, False),
        ("helper/short", None),
    ]
    publish.multiple(messages, **options(stage, "multiple"))
    trace.wait("on_message", 6)
    stage.finish(listener)


@program(V311, V5)
def publish_helper_with_will_and_auth(stage: Stage) -> None:
    publish = sibling(stage, "publish")
    more: dict[str, Any] = {
        "will": {"topic": "helper/will", "payload": "unused", "qos": 1},
        "auth": {"username": "somebody", "password": "secret"},
    }
    outcome(stage, "single", lambda: publish.single("helper/x", **more, **options(stage, "auth")))
    trace = stage.trace
    trace.step("what the helpers refuse")
    outcome(stage, "no messages", lambda: publish.multiple([], **options(stage, "refused")))
    outcome(stage, "no iterable", lambda: publish.multiple(1, **options(stage, "refused")))
    outcome(stage, "no message", lambda: publish.multiple([1], **options(stage, "refused")))
    outcome(
        stage,
        "auth without a name",
        lambda: publish.single("x", auth={"password": "p"}, **options(stage, "refused")),
    )
    nowhere = {**options(stage, "refused"), "port": 1}
    outcome(stage, "nobody listens", lambda: publish.single("x", **nowhere))


def retain(stage: Stage, topic: str, *names: str) -> None:
    publish = sibling(stage, "publish")
    messages = [(f"{topic}/{name}", name, 1, True) for name in names]
    publish.multiple(messages, **options(stage, "retainer"))


@program()
def subscribe_simple(stage: Stage) -> None:
    """One message, several messages, without retained ones."""
    subscribe, topic = sibling(stage, "subscribe"), f"simple{stage.version}"
    retain(stage, topic, "a", "b", "c")
    outcome(stage, "one", lambda: subscribe.simple(f"{topic}/a", qos=1, **options(stage, "simple")))
    outcome(
        stage,
        "three",
        lambda: [
            (message.topic, message.payload, message.retain)
            for message in sorted(
                subscribe.simple([f"{topic}/#"], 2, 3, **options(stage, "simple")),
                key=lambda message: str(message.topic),
            )
        ],
    )
    outcome(
        stage, "none asked for", lambda: subscribe.simple(topic, msg_count=0, **options(stage, "s"))
    )


@program(V311, V5)
def subscribe_callback(stage: Stage) -> None:
    """It ends when the callback disconnects, and lets the callback's exception through."""
    subscribe, topic = sibling(stage, "subscribe"), f"callback{stage.version}/+"
    retain(stage, topic[:-2], "first", "second")
    more: dict[str, Any] = {"clean_session": None} if stage.version == V5 else {}
    seen: list[bytes] = []

    def until_two(client: Any, userdata: Any, message: Any) -> None:
        stage.trace.note("message", userdata, message.qos)
        seen.append(message.payload)
        if len(seen) == 2:
            client.disconnect()

    subscribe.callback(until_two, topic, 1, userdata="data", **more, **options(stage, "callback"))
    stage.trace.note("both", sorted(seen))

    def fail(client: Any, userdata: Any, message: Any) -> None:
        client.disconnect()
        raise ValueError("out of the callback")

    outcome(
        stage,
        "raises",
        lambda: subscribe.callback(fail, [topic], **more, **options(stage, "callback")),
    )


@program(V311)
def started_over(stage: Stage) -> None:
    """reinitialise() forgets callbacks, options and what was queued; then the client is used again."""
    trace, client = stage.trace, stage.client("before", userdata="old")
    trace.attach(client)
    client.username_pw_set("name", "password")
    client.will_set("w")
    stage.start(client)
    stage.finish(client)
    client.reinitialise("after", True, "new")
    trace.note(
        "state", client.on_connect, client.user_data_get(), client.username, client.will_topic
    )
    trace.attach(client)
    stage.start(client)
    stage.finish(client)


@program()
def copies_of_a_message(stage: Stage) -> None:
    trace, client = stage.trace, stage.client("copies")
    kept: list[Any] = []
    trace.attach(client, on_message=lambda client, userdata, message: kept.append(message))
    stage.start(client)
    stage.subscribe(client, "copies", 1)
    stage.publish(client, "copies", b"original", 1, messages=1)
    message = kept[0]
    twin = copy.copy(message)
    trace.note("copy", twin, twin == message, twin is message)
    twin.payload = b"changed"
    trace.note("both", message.payload, twin.payload)
    for name, refused in (("pickle", pickle.dumps), ("hash", hash)):
        try:
            refused(message)
            trace.note(name, "works")
        except TypeError:
            trace.note(name, "TypeError")
    stage.finish(client)


@program(V311)
def nobody_holds_the_client(stage: Stage) -> None:
    """A client whose callbacks are bound methods of its owner is collected with it."""

    class Owner:
        def __init__(self) -> None:
            self.client = stage.client("owned")
            stage.closing.remove(self.client)
            self.client.on_message = self.on_message
            self.client.on_connect = self.on_connect
            self.connected = threading.Event()

        def on_connect(self, *_: Any) -> None:
            self.connected.set()

        def on_message(self, *_: Any) -> None: ...

    owner = Owner()
    stage.connect(owner.client)
    owner.client.loop_start()
    assert owner.connected.wait(10)
    owner.client.disconnect()
    owner.client.loop_stop()
    gone = [weakref.ref(owner), weakref.ref(owner.client)]
    del owner

    def collected() -> bool:
        gc.collect()
        return not any(reference() for reference in gone)

    eventually(collected, "the client is collected")
    stage.trace.note("collected", True)


@program()
def limit_of_the_queue(stage: Stage) -> None:
    trace, client = stage.trace, stage.client("limit")
    trace.note("chains", client.max_queued_messages_set(2))
    for number in range(4):
        info = client.publish("limit/x", str(number), 1 + number % 2)
        outcome(stage, f"publish {number}", lambda info=info: (info.rc, info.mid))
    outcome(stage, "waiting for the last", lambda: info.wait_for_publish(1))
    outcome(stage, "asking the last", info.is_published)
    trace.attach(client)
    stage.start(client)
    trace.wait("on_publish", 2)
    stage.finish(client)


@program()
def window_of_one(stage: Stage) -> None:
    """max_inflight 1: the messages go one after the other, and arrive in order."""
    trace, client = stage.trace, stage.client("window")
    trace.attach(client)
    client.max_inflight_messages_set(1)
    stage.start(client)
    stage.subscribe(client, "window", 0)
    trace.step("five at once")
    for number in range(5):
        client.publish("window", str(number), 1 + number % 2)
    trace.calls.wait_for(
        lambda calls: sum(1 for call in calls if call[0] == "on_publish") == 5, "five on_publish"
    )
    trace.note("order", [c[1][-1][2] for c in trace.calls if c[0] == "on_message"])
    stage.finish(client)


@program(V311)
def messages_taken_back(stage: Stage) -> None:
    trace, client = stage.trace, stage.client("taken")
    for qos in (1, 2):
        client.publish("taken", str(qos), qos)
    taken = client.drop_out_messages()
    trace.note("taken", [(m.topic, m.payload, m.qos, m.mid) for m in taken])
    trace.note("again", client.drop_out_messages())


@program()
def callbacks_by_decorator(stage: Stage) -> None:
    trace, client = stage.trace, stage.client("decorated")

    @client.connect_callback()
    def on_connect(client: Any, *rest: Any) -> None:
        trace.add("on_connect", rest)
        client.subscribe("decorated/#")

    @client.subscribe_callback()
    def on_subscribe(client: Any, *rest: Any) -> None:
        trace.add("on_subscribe", rest)
        client.publish("decorated/x", "to the filter")
        client.publish("decorated/y", "to on_message")

    @client.topic_callback("decorated/x")
    def on_x(client: Any, *rest: Any) -> None:
        trace.add("on_x", rest)

    @client.message_callback()
    def on_message(client: Any, *rest: Any) -> None:
        trace.add("on_message", rest)

    @client.disconnect_callback()
    def on_disconnect(client: Any, *rest: Any) -> None:
        trace.add("on_disconnect", rest)

    stage.start(client)
    trace.wait("on_message", 1)
    stage.finish(client)


@program()
def callback_replaced_while_it_runs(stage: Stage) -> None:
    trace, client = stage.trace, stage.client("replaced")
    trace.attach(client)

    def second(*arguments: Any) -> None:
        trace.add("second", arguments)
        client.on_message = None

    def first(*arguments: Any) -> None:
        trace.add("first", arguments)
        client.on_message = second

    client.on_message = first
    stage.start(client)
    stage.subscribe(client, "replaced", 1)
    for number in range(4):
        stage.publish(client, "replaced", str(number), 1)
    stage.finish(client)


@program()
def exceptions_suppressed(stage: Stage) -> None:
    """suppress_exceptions: they are logged, the loop and the other callbacks go on."""
    trace, client = stage.trace, stage.client("suppressed")
    client.suppress_exceptions = True

    def fail(*_: Any) -> None:
        raise ValueError("in a callback")

    trace.attach(client, on_message=fail, on_connect=fail)
    client.message_callback_add("suppressed/x", trace.recorder("filter", fail))
    stage.start(client)
    stage.subscribe(client, "suppressed/#", 1)
    stage.publish(client, "suppressed/x", "1", 1, messages=0)
    trace.wait("filter", 1)
    stage.publish(client, "suppressed/y", "2", 1)
    trace.wait("on_message", 1)
    stage.finish(client)


@program()
def loop_stopped_in_a_callback(stage: Stage) -> None:
    trace, client = stage.trace, stage.client("stopped")
    trace.attach(client)
    stopped = threading.Event()

    def stop(client: Any, *_: Any) -> None:
        trace.note("loop_stop() ->", client.loop_stop())
        stopped.set()

    client.on_subscribe = stop
    stage.start(client)
    client.subscribe("stopped")
    assert stopped.wait(10)
    eventually(lambda: client._thread is None, "the thread has ended")
    trace.note("again ->", client.loop_stop())
    trace.note("start ->", client.loop_start())
    stage.finish(client)
