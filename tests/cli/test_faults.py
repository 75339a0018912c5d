"""``oxmqtt pub`` and ``sub`` under faults of a broker in the test's process, by the fixtures of the pytest plugin."""

from __future__ import annotations

import subprocess
import time
from typing import Callable

import pytest
from oxmqtt.testing import Broker, BrokerMessage

from .conftest import at, command, run, start

Messages = Callable[..., list[BrokerMessage]]


@pytest.mark.mqtt_faults(delay_acks=0.3)
@pytest.mark.parametrize("qos", [1, 2])
def test_pub_waits_for_the_acknowledgement(
    mqtt_broker: Broker, mqtt_messages: Messages, qos: int
) -> None:
    started = time.monotonic()
    assert run("pub", *at(mqtt_broker), "-t", "a", "-m", "x", "-q", qos) == (0, "", "", b"")
    assert time.monotonic() - started >= 0.3 * qos  # QoS 2 has two acknowledgements
    (message,) = mqtt_messages("a")
    assert (message.payload, message.qos) == (b"x", qos)


@pytest.mark.mqtt_faults(lose_acks=1)
@pytest.mark.parametrize("qos", [1, 2])
def test_pub_without_an_acknowledgement(
    mqtt_broker: Broker, mqtt_messages: Messages, qos: int
) -> None:
    with start("pub", *at(mqtt_broker), "-t", "a", "-m", "x", "-q", qos) as publisher:
        mqtt_messages("a", timeout=20)
        mqtt_broker.drop_connections()
        assert publisher.exit_code() == 7
        assert publisher.error_text().startswith("oxmqtt: the connection was lost: ")


@pytest.mark.parametrize(
    ("reason", "text"), [(0x88, "Server unavailable"), (0x87, "Not authorized")]
)
@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_a_refusal(mqtt_broker: Broker, reason: int, text: str, version: str) -> None:
    mqtt_broker.refuse(reason)
    for words in (("pub", "-m", "x"), ("sub",)):
        done = run(*words, *at(mqtt_broker), "-t", "a", "-V", version)
        assert done[:3] == (6, "", f"oxmqtt: the broker refused the connection: {text}\n")


@pytest.mark.parametrize("qos", [1, 2])
def test_lines_outlive_cuts(mqtt_broker: Broker, mqtt_messages: Messages, qos: int) -> None:
    words = command("pub", *at(mqtt_broker), "-t", "l", "-q", qos, "-l", "-i", "sender", "-c")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as publisher:
        assert publisher.stdin is not None and publisher.stderr is not None
        mqtt_broker.wait_for_client("sender", 20)
        for cut in (3, 50, 333):
            mqtt_broker.cut_after(cut)
            lines = b"".join(b"%d-%d\n" % (cut, number) for number in range(100))
            publisher.stdin.write(lines)
            publisher.stdin.flush()
            payload = b""
            while payload != b"%d-99" % cut:
                (message,) = mqtt_messages("l", timeout=20)
                payload = message.payload
        publisher.stdin.close()
        errors = publisher.stderr.read().decode()
        assert publisher.wait(30) == 0, errors
    assert errors.count("connection lost") == errors.count("connecting again") == 3
    arrived = [message.payload.decode() for message in mqtt_broker.messages]
    if qos == 1:  # one may come twice
        arrived = list(dict.fromkeys(arrived))
    assert arrived == [f"{cut}-{number}" for cut in (3, 50, 333) for number in range(100)]


def test_sub_subscribes_again(mqtt_broker: Broker) -> None:
    words = ("-t", "a/#", "-q", 1, "-i", "listener", "-C", 2)
    with start("sub", *at(mqtt_broker), *words) as listener:
        mqtt_broker.wait_for_subscription("a/#", 20)
        mqtt_broker.publish("a", "before", 1)
        listener.output.wait_item("before")
        mqtt_broker.restart(keep_sessions=False)
        mqtt_broker.wait_for_subscription("a/#", 20, client_id="listener")
        mqtt_broker.publish("a/b", "after", 1)
        assert listener.exit_code() == 0
        assert listener.output.items() == ["before", "after"]
