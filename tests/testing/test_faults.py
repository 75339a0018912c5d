"""Faults on demand, and what the clients make of them."""

from __future__ import annotations

import time

import pytest
from oxmqtt.testing import Broker
from support import packets

from .conftest import MakeClient, start, subscribe


def test_connections_are_dropped_and_come_back(embedded: Broker, client: MakeClient) -> None:
    one = start(client("one"), embedded.port)
    assert embedded.drop_connections() == 1
    one.ended.wait_count(1)
    one.connected.wait_count(2)
    embedded.wait_for_client("one")


def test_a_refusal(embedded: Broker, client: MakeClient, version: int) -> None:
    embedded.refuse(0x88, times=1)
    one = start(client("one"), embedded.port)
    assert one.connected.wait_count(2)[0].value == 0x88
    embedded.refuse(0x87)
    two = start(client("two"), embedded.port)
    assert two.connected.items()[0].value == 0x87
    embedded.refuse(None)
    assert two.connected.wait_for(lambda all: all[-1] == 0)
    with pytest.raises(ValueError):
        embedded.refuse(0)


def test_late_acknowledgements(embedded: Broker, client: MakeClient) -> None:
    one = start(client("one"), embedded.port)
    embedded.delay_acks(0.3)
    started = time.monotonic()
    one.publish("a", "x", 1).wait_for_publish(5)
    assert 0.3 <= time.monotonic() - started < 2
    embedded.delay_acks(0)
    one.publish("a", "x", 1).wait_for_publish(5)
    with pytest.raises(ValueError):
        embedded.delay_acks(-1)


@pytest.mark.parametrize("qos", [1, 2])
def test_a_lost_acknowledgement_is_made_up_for(
    embedded: Broker, client: MakeClient, version: int, qos: int
) -> None:
    # A session that lasts: only then is a message sent again under its identifier.
    one = client("one", clean=False) if version == packets.V311 else client("one")
    start(one, embedded.port)
    embedded.lose_acks(1)
    info = one.publish("a", "x", qos)
    embedded.wait_for("a")
    assert not info.is_published()
    embedded.drop_connections()
    info.wait_for_publish(10)
    assert info.is_published()
    # 3.1.1 kept the session, so QoS 2 knows the repetition; 5.0 began anew.
    again = 1 if version == packets.V311 and qos == 2 else 2
    assert embedded.received == again


def test_a_connection_is_cut_in_the_middle(embedded: Broker, client: MakeClient) -> None:
    one = start(client("one"), embedded.port)
    embedded.cut_after(1_000)
    info = one.publish("a", bytes(5_000), 1)
    one.ended.wait_count(1)
    info.wait_for_publish(10)
    assert [len(message.payload) for message in embedded.messages] == [5_000]


@pytest.mark.parametrize("keep", [True, False])
def test_a_restart(embedded: Broker, client: MakeClient, version: int, keep: bool) -> None:
    if version == packets.V5:
        pytest.skip("a session of MQTT 5.0 needs a property; the rule is the same")
    one = client("one", clean=False)
    one.will_set("will", "gone")
    start(one, embedded.port)
    subscribe(one, embedded, "a", 1)
    embedded.publish("kept", "x", retain=True)
    embedded.restart(keep_sessions=keep)
    one.ended.wait_count(1)
    one.connected.wait_count(2)
    embedded.wait_for_client("one")
    assert embedded.publish("a", "x", 1) == keep
    two = start(client("two"), embedded.port)
    subscribe(two, embedded, "kept")
    embedded.publish("kept", "last")
    got = two.received.wait_for(lambda all: all and all[-1].payload == b"last")
    assert len(got) == (2 if keep else 1)
    assert embedded.messages == []
