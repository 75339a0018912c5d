"""Faults on demand, and what the clients make of them."""

from __future__ import annotations

import time

import pytest
from oxmqtt.testing import Broker
from support import packets

from .conftest import MakeClient, start, subscribe


def test_connections_are_dropped_and_come_back(mqtt_broker: Broker, client: MakeClient) -> None:
    one = start(client("one"), mqtt_broker.port)
    assert mqtt_broker.drop_connections() == 1
    one.ended.wait_count(1)
    one.connected.wait_count(2)
    mqtt_broker.wait_for_client("one")


def test_a_refusal(mqtt_broker: Broker, client: MakeClient, version: int) -> None:
    mqtt_broker.refuse(0x88, times=1)
    one = start(client("one"), mqtt_broker.port)
    assert one.connected.wait_count(2)[0].value == 0x88
    mqtt_broker.refuse(0x87)
    two = start(client("two"), mqtt_broker.port)
    assert two.connected.items()[0].value == 0x87
    mqtt_broker.refuse(None)
    assert two.connected.wait_for(lambda all: all[-1] == 0)
    with pytest.raises(ValueError):
        mqtt_broker.refuse(0)


def test_late_acknowledgements(mqtt_broker: Broker, client: MakeClient) -> None:
    one = start(client("one"), mqtt_broker.port)
    mqtt_broker.delay_acks(0.3)
    started = time.monotonic()
    late = one.publish("a", "x", 1)
    late.wait_for_publish(10)
    assert late.is_published() and time.monotonic() - started >= 0.3
    mqtt_broker.delay_acks(0)
    soon = one.publish("a", "x", 1)
    soon.wait_for_publish(10)
    assert soon.is_published()
    with pytest.raises(ValueError):
        mqtt_broker.delay_acks(-1)


@pytest.mark.parametrize("qos", [1, 2])
def test_a_lost_acknowledgement_is_made_up_for(
    mqtt_broker: Broker, client: MakeClient, version: int, qos: int
) -> None:
    # A session that lasts: only then is a message sent again under its identifier.
    one = client("one", clean=False) if version == packets.V311 else client("one")
    start(one, mqtt_broker.port)
    mqtt_broker.lose_acks(1)
    info = one.publish("a", "x", qos)
    mqtt_broker.wait_for("a")
    assert not info.is_published()
    mqtt_broker.drop_connections()
    info.wait_for_publish(10)
    assert info.is_published()
    # 3.1.1 kept the session, so QoS 2 knows the repetition; 5.0 began anew.
    again = 1 if version == packets.V311 and qos == 2 else 2
    assert mqtt_broker.received == again


def test_a_connection_is_cut_in_the_middle(mqtt_broker: Broker, client: MakeClient) -> None:
    one = start(client("one"), mqtt_broker.port)
    mqtt_broker.cut_after(1_000)
    info = one.publish("a", bytes(5_000), 1)
    one.ended.wait_count(1)
    info.wait_for_publish(10)
    assert [len(message.payload) for message in mqtt_broker.messages] == [5_000]


@pytest.mark.parametrize("keep", [True, False])
def test_a_restart(mqtt_broker: Broker, client: MakeClient, version: int, keep: bool) -> None:
    if version == packets.V5:
        pytest.skip("a session of MQTT 5.0 needs a property; the rule is the same")
    one = client("one", clean=False)
    one.will_set("will", "gone")
    start(one, mqtt_broker.port)
    subscribe(one, mqtt_broker, "a", 1)
    mqtt_broker.publish("kept", "x", retain=True)
    mqtt_broker.restart(keep_sessions=keep)
    one.ended.wait_count(1)
    one.connected.wait_count(2)
    mqtt_broker.wait_for_client("one")
    assert mqtt_broker.publish("a", "x", 1) == keep
    two = start(client("two"), mqtt_broker.port)
    subscribe(two, mqtt_broker, "kept")
    mqtt_broker.publish("kept", "last")
    got = two.received.wait_for(lambda all: all and all[-1].payload == b"last")
    assert len(got) == (2 if keep else 1)
    assert mqtt_broker.messages == []
