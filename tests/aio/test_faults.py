"""What asyncio clients make of faults that only a broker of the test's own can play, by the fixtures of the plugin."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
from oxmqtt import aio
from oxmqtt.testing import Broker

from .conftest import Run

#: Seconds for which an acknowledgement is held back: nobody waits for it.
FOR_EVER = 3_600
QUICK = aio.Reconnect(0.02, 0.1)


def client(broker: Broker, **options: object) -> aio.Client:
    return aio.Client(broker.host, broker.port, reconnect=QUICK, **options)  # type: ignore[arg-type]


def keeper(broker: Broker, **options: object) -> aio.Client:
    """A client whose session lasts."""
    return client(broker, identifier="keeper", clean_session=False, **options)


@pytest.mark.mqtt_faults(delay_acks=0.2)
@pytest.mark.parametrize("qos", [1, 2])
def test_published_means_acknowledged(
    run: Run, mqtt_broker: Broker, aio_mqtt_client: aio.Client, qos: int
) -> None:
    async def program() -> None:
        async with aio_mqtt_client as connected:
            started = time.monotonic()
            await connected.publish("a", "x", qos=qos)
            assert time.monotonic() - started >= 0.2 * qos  # QoS 2 has two acknowledgements
        assert mqtt_broker.received == 1

    run(program)


@pytest.mark.mqtt_faults(delay_acks=FOR_EVER)
@pytest.mark.parametrize("qos", [1, 2])
def test_a_publish_that_is_not_acknowledged_in_time(
    run: Run, mqtt_broker: Broker, aio_mqtt_client: aio.Client, qos: int
) -> None:
    async def program() -> None:
        async with aio_mqtt_client as connected:
            with pytest.raises(aio.MqttError, match="timed out"):
                await connected.publish("a", "x", qos=qos, timeout=0.05)
            # It went out all the same, and the client goes on.
            await mqtt_broker.async_wait_for("a")
            await connected.publish("a", "y")
            assert (await mqtt_broker.async_wait_for("a")).payload == b"y"

    run(program)


def test_without_reconnecting_a_lost_acknowledgement_is_an_error(
    run: Run, mqtt_broker: Broker, aio_mqtt_client: aio.Client
) -> None:
    async def program() -> None:
        with pytest.raises(aio.MqttError):
            async with aio_mqtt_client as connected:
                mqtt_broker.lose_acks(1)
                publish = asyncio.ensure_future(connected.publish("a", "x", qos=1))
                await mqtt_broker.async_wait_for("a")
                assert not publish.done()
                mqtt_broker.drop_connections()
                await publish

    run(program)


@pytest.mark.parametrize("qos", [1, 2])
def test_lost_acknowledgements_mean_dup(
    run: Run, mqtt_broker: Broker, caplog: pytest.LogCaptureFixture, qos: int
) -> None:
    count = 10

    async def program() -> None:
        async with keeper(mqtt_broker, logger=logging.getLogger("faults")) as connected:
            mqtt_broker.lose_acks(count)
            publishes = [
                asyncio.ensure_future(connected.publish("a", str(number), qos=qos))
                for number in range(count)
            ]
            first = [await mqtt_broker.async_wait_for("a") for _ in range(count)]
            assert not any(publish.done() for publish in publishes)
            mqtt_broker.drop_connections()
            await asyncio.gather(*publishes)
            if qos == 1:
                again = [await mqtt_broker.async_wait_for("a") for _ in range(count)]
                assert [each.payload for each in again] == [each.payload for each in first]
            # The session lasted: the broker knows the QoS 2 messages.
            assert mqtt_broker.received == (count * 2 if qos == 1 else count)

    with caplog.at_level(logging.DEBUG, "faults"):
        run(program)
    sent = [line for line in caplog.messages if line.startswith("Sending PUBLISH")]
    assert [f"(d1, q{qos}" in line for line in sent] == [False] * count + [True] * count


def test_qos_2_comes_once_wherever_it_is_cut(run: Run, mqtt_broker: Broker) -> None:
    # PUBLISH is 8 bytes, PUBREC, PUBREL and PUBCOMP are 4 each.
    async def program() -> None:
        async with keeper(mqtt_broker) as connected:
            for cut in range(20):
                mqtt_broker.cut_after(cut)
                await connected.publish("a", chr(65 + cut), qos=2)
            got = [await mqtt_broker.async_wait_for("a") for _ in range(20)]
            assert [message.payload for message in got] == [chr(65 + n).encode() for n in range(20)]
            assert mqtt_broker.received == 20

    run(program)


@pytest.mark.parametrize("cut", [0, 1, 500, 1_007, 1_008, 1_010])
@pytest.mark.parametrize("qos", [1, 2])
def test_a_message_to_the_client_is_cut(
    run: Run, mqtt_broker: Broker, caplog: pytest.LogCaptureFixture, qos: int, cut: int
) -> None:
    async def program() -> None:
        async with keeper(mqtt_broker) as connected:
            await connected.subscribe("a", qos=qos)
            # PUBLISH is 1,008 bytes.
            mqtt_broker.cut_after(cut)
            mqtt_broker.publish("a", bytes(1_000), qos)
            mqtt_broker.publish("a", "last", qos)
            got = []
            async for message in connected.messages:
                if message.payload == b"last":
                    break
                got.append(message.payload)
            # QoS 1: twice if the cut came between the message and its acknowledgement.
            assert got in ([bytes(1_000)], [bytes(1_000)] * (2 if qos == 1 else 1))

    run(program)
    assert "Connection lost" in caplog.text


@pytest.mark.mqtt_faults(refuse=0x87)
def test_a_refused_client_can_be_entered_again(
    run: Run, mqtt_broker: Broker, aio_mqtt_client: aio.Client
) -> None:
    async def program() -> None:
        for _ in range(2):
            with pytest.raises(aio.MqttConnectError, match="Not authorized"):
                async with aio_mqtt_client:
                    pass
        mqtt_broker.refuse(None)
        async with aio_mqtt_client as connected:
            await connected.publish("a", "x", qos=1)

    run(program)


@pytest.mark.mqtt_faults(cut_after=15)
def test_a_connection_that_is_cut_while_it_is_made(
    run: Run, mqtt_broker: Broker, aio_mqtt_client: aio.Client
) -> None:
    async def program() -> None:
        with pytest.raises(aio.MqttError):
            async with aio_mqtt_client:
                pass
        async with aio_mqtt_client as connected:
            await connected.publish("a", "x", qos=1)

    run(program)


def test_a_refusing_broker_is_asked_until_it_accepts(
    run: Run, mqtt_broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async def program() -> None:
        async with client(mqtt_broker) as connected:
            await connected.subscribe("a", qos=1)
            mqtt_broker.refuse(0x88, times=3)
            mqtt_broker.drop_connections()
            await connected.publish("b", "kept", qos=1)
            assert (await mqtt_broker.async_wait_for("b")).payload == b"kept"
            await mqtt_broker.async_wait_for_subscription("a")
            mqtt_broker.publish("a", "x", 1)
            assert (await connected.messages.__anext__()).payload == b"x"

    run(program)
    assert caplog.text.count("Connection refused: Server unavailable") == 3


@pytest.mark.parametrize("keep", [True, False])
def test_a_restart(run: Run, mqtt_broker: Broker, keep: bool) -> None:
    """The client has its subscriptions afterwards, whether the broker knew them or not."""

    async def program() -> None:
        async with keeper(mqtt_broker) as connected:
            await connected.subscribe("a", qos=1)
            mqtt_broker.restart(keep_sessions=keep)
            await mqtt_broker.async_wait_for_subscription("a", client_id="keeper")
            assert mqtt_broker.publish("a", "x", 1)
            assert (await connected.messages.__anext__()).payload == b"x"

    run(program)
