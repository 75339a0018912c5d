"""What the embedded broker does and tells, through paho and oxmqtt."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from oxmqtt.testing import Authentication, Broker, BrokerMessage, Subscription
from support import packets
from support.bounds import within
from support.clients import properties
from support.waiting import finishes

from .conftest import MakeClient, start, subscribe


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_there_and_back(
    mqtt_broker: Broker, client: MakeClient, version: int, qos: int
) -> None:
    one = start(client("one"), mqtt_broker.port)
    subscribe(one, mqtt_broker, "a/+", qos)
    one.publish("a/b", b"x", qos).wait_for_publish(5)
    [message] = one.received.wait_count(1)
    assert (message.topic, message.payload, message.qos) == ("a/b", b"x", qos)
    seen = mqtt_broker.wait_for("a/#")
    assert (seen.topic, seen.payload, seen.qos, seen.retain) == ("a/b", b"x", qos, False)
    assert seen.client_id == "one"
    assert (seen.properties is None) == (version != packets.V5)
    assert mqtt_broker.messages == [seen] or version == packets.V5
    assert (mqtt_broker.received, mqtt_broker.dropped) == (1, 0)


def test_the_broker_publishes(mqtt_broker: Broker, client: MakeClient) -> None:
    one = start(client("one"), mqtt_broker.port)
    assert not mqtt_broker.publish("a", "nobody")
    subscribe(one, mqtt_broker, "a", 2)
    assert mqtt_broker.publish("a", "x", qos=2)
    [message] = one.received.wait_count(1)
    assert (message.payload, message.qos) == (b"x", 2)
    assert mqtt_broker.messages == []
    mqtt_broker.publish("kept", b"y", retain=True)
    subscribe(one, mqtt_broker, "kept")
    assert one.received.wait_count(2)[1].retain
    for topic in ("a/+", "a\0"):
        with pytest.raises(ValueError):
            mqtt_broker.publish(topic)


def test_clients_are_told(mqtt_broker: Broker, client: MakeClient, version: int) -> None:
    one = start(client("one"), mqtt_broker.port, keepalive=77)
    subscribe(one, mqtt_broker, "a/#", 1)
    [told] = mqtt_broker.clients
    assert (told.client_id, told.version, told.keep_alive) == ("one", version, 77)
    assert told.clean_start and told.address.startswith("127.0.0.1:")
    assert told.subscriptions == (Subscription("a/#", 1, False, False, 0),)
    one.disconnect()
    mqtt_broker.wait_for_client("one", connected=False)
    assert mqtt_broker.clients == []


def test_a_will_is_a_message(mqtt_broker: Broker, client: MakeClient) -> None:
    one = client("one")
    one.will_set("will", b"gone", 1)
    start(one, mqtt_broker.port)
    assert mqtt_broker.drop_connections("one") == 1
    seen = mqtt_broker.wait_for("will")
    assert (seen.payload, seen.qos, seen.client_id) == (b"gone", 1, "one")


def test_properties_pass(
    mqtt_broker: Broker, client: MakeClient, library: ModuleType, version: int
) -> None:
    if version != packets.V5:
        pytest.skip("no properties before MQTT 5.0")
    one = start(client("one"), mqtt_broker.port)
    subscribe(one, mqtt_broker, "a")
    given = properties(library, "PUBLISH", UserProperty=("k", "v"), ContentType="text")
    one.publish("a", "x", properties=given)
    for seen in (mqtt_broker.wait_for("a"), one.received.wait_count(1)[0]):
        assert seen.properties is not None
        assert (seen.properties.UserProperty, seen.properties.ContentType) == ([("k", "v")], "text")


def test_messages_are_waited_for_one_by_one(mqtt_broker: Broker, client: MakeClient) -> None:
    one = start(client("one"), mqtt_broker.port)
    for payload in ("1", "2"):
        one.publish("a", payload, 1).wait_for_publish(5)
    assert [mqtt_broker.wait_for("a").payload for _ in range(2)] == [b"1", b"2"]
    with pytest.raises(TimeoutError, match=r"no message for 'a' within 0\.01 s"):
        mqtt_broker.wait_for("a", timeout=0.01)
    threading.Timer(0.05, lambda: one.publish("a", "3")).start()
    assert mqtt_broker.wait_for("a").payload == b"3"
    with pytest.raises(ValueError):
        mqtt_broker.wait_for("a/#/b")
    with pytest.raises(TimeoutError):
        mqtt_broker.wait_for_client("nobody", timeout=0)
    with pytest.raises(TimeoutError):
        mqtt_broker.wait_for_subscription("nothing", timeout=0)
    mqtt_broker.clear()
    assert mqtt_broker.messages == []


def test_the_record_is_bounded(client: MakeClient) -> None:
    with Broker(max_messages=3) as broker:
        one = start(client("one"), broker.port)
        for number in range(5):
            one.publish("a", str(number), 1).wait_for_publish(5)
        assert [message.payload for message in broker.messages] == [b"2", b"3", b"4"]
        assert broker.received == 5


def test_users(client: MakeClient, version: int) -> None:
    with Broker(users={"ann": "secret"}) as broker:
        good, bad = client("good"), client("bad")
        good.username_pw_set("ann", "secret")
        bad.username_pw_set("ann", "guess")
        assert start(good, broker.port).connected.items()[0] == 0
        assert start(bad, broker.port).connected.items()[0].is_failure
        assert [told.client_id for told in broker.clients] == ["good"]


def test_coroutines_wait_without_holding_up_the_loop() -> None:
    async def main() -> BrokerMessage:
        async with Broker() as broker:
            waits = [asyncio.ensure_future(broker.async_wait_for("a")) for _ in range(40)]
            subscribed = asyncio.ensure_future(broker.async_wait_for_subscription("b"))
            await asyncio.sleep(0)
            for wait in waits[1:]:
                wait.cancel()
            from oxmqtt import aio

            async with aio.Client(broker.host, broker.port, identifier="c") as client:
                await broker.async_wait_for_client("c")
                await client.subscribe("b")
                await subscribed
                await client.publish("a", "x")
                message = await waits[0]
            await broker.async_wait_for_client("c", connected=False)
            with pytest.raises(TimeoutError):
                await broker.async_wait_for("a", timeout=0.01)
            return message

    assert asyncio.run(main()).payload == b"x"


def test_enhanced_authentication() -> None:
    from oxmqtt import aio

    dialogue = Authentication("RIDDLE", [(b"hello", b"what is it?"), (b"a broker", b"right")])

    async def main() -> None:
        async with Broker(authentication=dialogue) as broker:

            def client(name: str, answer: bytes) -> aio.Client:
                async def respond(challenge: bytes | None) -> bytes:
                    return b"hello" if challenge is None else answer

                return aio.Client(
                    broker.host,
                    broker.port,
                    identifier=name,
                    protocol=aio.ProtocolVersion.V5,
                    authentication=aio.Authentication("RIDDLE", respond),
                )

            with pytest.raises(aio.MqttError):
                async with client("wrong", b"a client"):
                    pass
            with pytest.raises(aio.MqttError):
                async with aio.Client(broker.host, broker.port, protocol=aio.ProtocolVersion.V5):
                    pass
            async with client("right", b"a broker") as right:
                assert [told.client_id for told in broker.clients] == ["right"]
                await right.reauthenticate()

    asyncio.run(main())


def test_it_starts_and_ends_in_milliseconds() -> None:
    within("start and end of the embedded broker", min(timed() for _ in range(5)), 0.05)


def timed() -> float:
    started = time.perf_counter()
    with Broker():
        pass
    return time.perf_counter() - started


def test_the_end(client: MakeClient) -> None:
    broker = Broker()
    one = start(client("one"), broker.port)
    one.publish("a", "x", 1).wait_for_publish(5)
    threads = native_threads()
    broker.close()
    broker.close()
    one.ended.wait_count(1)
    assert "closed" in repr(broker) and len(broker.messages) == 1
    with pytest.raises(RuntimeError, match="the broker is closed"):
        broker.publish("a")
    assert native_threads() < threads
    Broker(port=broker.port).close()


def native_threads() -> int:
    names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    return sum(name.strip() == "oxmqtt-broker" for name in names)


def test_a_wait_ends_with_the_broker(mqtt_broker: Broker) -> None:
    threading.Timer(0.05, mqtt_broker.close).start()
    with pytest.raises(RuntimeError, match="closed"):
        finishes(lambda: mqtt_broker.wait_for("a", timeout=30), 5, "the wait")


PROGRAMS = {
    "left open": "broker = Broker()",
    "dropped": "Broker(); import gc; gc.collect()",
    "forked": """
import os
broker = Broker()
child = os.fork()
if child == 0:
    try:
        broker.publish("a")
    except RuntimeError:
        broker.close()
        del broker
        os._exit(0)
    os._exit(1)
assert os.waitpid(child, 0)[1] == 0
assert broker.publish("a") is False
broker.close()
""",
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_process_ends_promptly(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "from oxmqtt.testing import Broker\n" + program],
        timeout=10,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "options",
    [
        {"receive_maximum": 0},
        {"maximum_packet_size": 0},
        {"authentication": Authentication("M", [])},
    ],
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Broker(**options)


def test_a_port_in_use(mqtt_broker: Broker) -> None:
    with pytest.raises(OSError):
        Broker(port=mqtt_broker.port)
    for name in ("tls_port", "websocket_port", "secure_websocket_port", "ca_pem"):
        with pytest.raises(RuntimeError):
            getattr(mqtt_broker, name)
