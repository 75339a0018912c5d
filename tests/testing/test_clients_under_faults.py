"""The callback client under faults that only a broker of the test's own can play, by the fixtures of the plugin."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Callable

import oxmqtt.client as mqtt
import pytest
from oxmqtt.testing import Broker, BrokerMessage
from support.clients import Watched
from support.waiting import Mailbox

Messages = Callable[..., list[BrokerMessage]]

#: Seconds for which an acknowledgement is held back: nobody waits for it.
FOR_EVER = 3_600
QUICK = (0.02, 0.1)


@pytest.fixture
def quick(mqtt_client: mqtt.Client) -> mqtt.Client:
    """`mqtt_client`, which connects again without delay."""
    mqtt_client.reconnect_delay_set(*QUICK)
    return mqtt_client


@pytest.fixture
def keeper(mqtt_broker: Broker) -> Iterator[Watched]:
    """A client whose session lasts."""
    with Watched(mqtt, "keeper", clean=False) as watched:
        watched.client.reconnect_delay_set(*QUICK)
        yield watched.start(mqtt_broker)


def sent(client: mqtt.Client) -> Mailbox[str]:
    """What the client's log says about sent PUBLISH and PUBREL packets from now on."""
    lines: Mailbox[str] = Mailbox()

    def on_log(client: object, userdata: object, level: int, line: str) -> None:
        if line.startswith(("Sending PUBLISH", "Sending PUBREL")):
            lines.put(line)

    client.on_log = on_log
    return lines


@pytest.mark.mqtt_faults(delay_acks=0.2)
@pytest.mark.parametrize(("qos", "acknowledgements"), [(1, 1), (2, 2)])
def test_published_means_acknowledged(
    quick: mqtt.Client, mqtt_messages: Messages, qos: int, acknowledgements: int
) -> None:
    published: Mailbox[int] = Mailbox()
    quick.on_publish = lambda _c, _u, mid, _r, _p: published.put(mid)
    started = time.monotonic()
    info = quick.publish("a", "x", qos)
    assert published.wait_count(1) == [info.mid]
    assert time.monotonic() - started >= 0.2 * acknowledgements
    assert info.is_published()
    assert len(mqtt_messages("a")) == 1


@pytest.mark.mqtt_faults(delay_acks=FOR_EVER)
@pytest.mark.parametrize("qos", [1, 2])
def test_the_window_holds_back_what_is_not_acknowledged(
    mqtt_broker: Broker, quick: mqtt.Client, mqtt_messages: Messages, qos: int
) -> None:
    # 20 unless told otherwise.
    infos = [quick.publish("a", str(number), qos) for number in range(50)]
    # QoS 0 needs no acknowledgement and overtakes what waits.
    quick.publish("sentinel", qos=0)
    mqtt_messages("sentinel")
    assert [message.payload for message in mqtt_messages("a", 20)] == [b"%d" % n for n in range(20)]
    assert mqtt_broker.received == 21
    assert not any(info.is_published() for info in infos)
    mqtt_broker.delay_acks(0)
    mqtt_broker.drop_connections()
    for info in infos:
        info.wait_for_publish(10)
        assert info.is_published()
    again = mqtt_messages("a", 50)
    assert [message.payload for message in again] == [b"%d" % n for n in range(50)]


@pytest.mark.parametrize("qos", [1, 2])
def test_a_lost_acknowledgement_means_dup(
    mqtt_broker: Broker, keeper: Watched, mqtt_messages: Messages, qos: int
) -> None:
    lines = sent(keeper.client)
    mqtt_broker.lose_acks(1)
    info = keeper.client.publish("a", "x", qos)
    mqtt_messages("a")
    assert not info.is_published()
    mqtt_broker.drop_connections()
    info.wait_for_publish(10)
    assert info.is_published()
    first, second = [line for line in lines if "PUBLISH" in line]
    assert f"(d0, q{qos}, r0, m{info.mid})" in first
    assert f"(d1, q{qos}, r0, m{info.mid})" in second
    # The session lasted: the broker knows the QoS 2 message.
    assert mqtt_broker.received == (2 if qos == 1 else 1)


def test_qos_2_comes_once_wherever_it_is_cut(
    mqtt_broker: Broker, keeper: Watched, mqtt_messages: Messages
) -> None:
    # PUBLISH is 8 bytes, PUBREC, PUBREL and PUBCOMP are 4 each.
    lines = sent(keeper.client)
    for cut in range(20):
        mqtt_broker.cut_after(cut)
        info = keeper.client.publish("a", chr(65 + cut), 2)
        info.wait_for_publish(10)
        assert info.is_published(), f"cut after {cut} bytes"
        keeper.disconnects.wait_count(cut + 1)
        keeper.connects.wait_count(cut + 2)
    expected = [chr(65 + cut).encode() for cut in range(20)]
    assert [message.payload for message in mqtt_messages("a", 20)] == expected
    assert mqtt_broker.received == 20
    assert any("(d1, q2" in line for line in lines)
    assert sum("PUBREL" in line for line in lines) > 20


@pytest.mark.parametrize("cut", [0, 1, 500, 1_007, 1_008, 1_010])
@pytest.mark.parametrize("qos", [1, 2])
def test_a_message_to_the_client_is_cut(
    mqtt_broker: Broker, keeper: Watched, qos: int, cut: int
) -> None:
    keeper.subscribe("a", qos)
    # PUBLISH is 1,008 bytes.
    mqtt_broker.cut_after(cut)
    mqtt_broker.publish("a", bytes(1_000), qos)
    keeper.disconnects.wait_count(1)
    mqtt_broker.wait_for_client("keeper")
    mqtt_broker.publish("a", "last", qos)
    got = keeper.messages.wait_for(lambda all: all and all[-1].payload == b"last")
    whole = [message for message in got[:-1] if message.payload == bytes(1_000)]
    assert whole == got[:-1]
    # QoS 1: twice if the cut came between the message and its acknowledgement.
    assert len(whole) == 1 or (qos == 1 and len(whole) == 2 and whole[1].dup)


def test_a_refusing_broker_is_asked_until_it_accepts(
    mqtt_broker: Broker, quick: mqtt.Client, mqtt_messages: Messages
) -> None:
    reasons: Mailbox[str] = Mailbox()
    quick.on_connect = lambda _c, _u, _f, reason, _p: reasons.put(str(reason))
    mqtt_broker.refuse(0x88, times=3)
    mqtt_broker.drop_connections()
    quick.publish("a", "kept", 1)
    assert mqtt_messages("a")[0].payload == b"kept"
    assert reasons.wait_count(4) == ["Server unavailable"] * 3 + ["Success"]


@pytest.mark.mqtt_faults(refuse=0x87)
def test_a_refused_client_connects_when_it_may(
    mqtt_broker: Broker, quick: mqtt.Client, mqtt_messages: Messages
) -> None:
    info = quick.publish("a", "early", 1)
    assert not info.is_published() and mqtt_broker.clients == []
    mqtt_broker.refuse(None)
    mqtt_messages("a")


@pytest.mark.parametrize("cut", [1, 13, 14, 15, 17])
def test_a_connection_that_is_cut_while_it_is_made(
    mqtt_broker: Broker, quick: mqtt.Client, mqtt_messages: Messages, cut: int
) -> None:
    # CONNECT is 14 bytes without an identifier, CONNACK 4.
    mqtt_broker.drop_connections()
    mqtt_broker.cut_after(cut, times=5)
    info = quick.publish("a", "kept", 1)
    info.wait_for_publish(10)
    assert info.is_published()
    assert len(mqtt_messages("a")) == 1


def test_a_restart_without_sessions(mqtt_broker: Broker, keeper: Watched) -> None:
    keeper.subscribe("a", 1)
    mqtt_broker.restart(keep_sessions=False)
    keeper.connects.wait_count(2)
    assert [present for present, _, _ in keeper.connects] == [False, False]
    keeper.subscribe("a", 1)
    assert mqtt_broker.publish("a", "x", 1)
    keeper.messages.wait_count(1)


def test_all_acknowledgements_of_a_batch_are_lost(
    mqtt_broker: Broker, keeper: Watched, mqtt_messages: Messages
) -> None:
    mqtt_broker.lose_acks(20)
    infos = [keeper.client.publish("a", str(number), 1) for number in range(20)]
    first = mqtt_messages("a", 20)
    assert not any(info.is_published() for info in infos)
    mqtt_broker.drop_connections()
    for info in infos:
        info.wait_for_publish(10)
        assert info.is_published()
    second = mqtt_messages("a", 20)
    assert [message.payload for message in first] == [message.payload for message in second]
