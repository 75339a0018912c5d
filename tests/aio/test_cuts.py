"""A connection that is cut after each byte of the broker's answers, and what calls without one leave behind."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from oxmqtt import aio
from oxmqtt.packettypes import PacketTypes
from oxmqtt.properties import Properties
from support.mosquitto import Mosquitto

from .conftest import Run
from .link import Link

QUICKLY = aio.Reconnect(0.01, 0.02)


class ShortLink(Link):
    """Resets its first connection after so many bytes of the broker's; the others pass everything.

    :ivar left: bytes until then; None when it has happened.
    """

    def __init__(self, broker: Mosquitto, left: int) -> None:
        super().__init__(broker)
        self.left: int | None = left

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, is_answer: bool
    ) -> None:
        while is_answer and self.left is not None:
            chunk = await source.read(self.left) if self.left else b""
            target.write(chunk)
            await target.drain()
            self.left -= len(chunk)
            if not chunk:
                self.left = None
                target.close()  # with FIN, so that what was written arrives
                return
        await super()._pump(source, target, is_answer)


@pytest.mark.parametrize("qos", [1, 2])
def test_cut_after_each_byte(run: Run, broker: Mosquitto, name: str, qos: int) -> None:
    """Requests are asked again, publishes complete, and nothing is lost; QoS 2 comes once."""

    async def attempt(cut: int) -> bool:
        """Whether the connection was cut."""
        topic = f"{name}/{cut}"
        payloads = [b"%d" % number for number in range(3)]
        async with ShortLink(broker, cut) as link:
            options = {"identifier": topic, "clean_session": False, "reconnect": QUICKLY}
            async with aio.Client(link.host, link.port, **options) as client:
                await client.subscribe(topic, qos=qos)
                await asyncio.gather(*(client.publish(topic, p, qos=qos) for p in payloads))
                received: list[bytes] = []
                while set(received) != set(payloads):
                    received.append((await client.messages.__anext__()).payload)
                assert qos == 1 or received == payloads
                await client.unsubscribe(topic)
                assert len(client._mailbox) == 0 or qos == 1
                assert not client._requests
                assert client._mailbox.pending == 0
            was_cut = link.left is None
        async with aio.Client(broker.host, broker.port, identifier=topic, clean_session=True):
            pass
        return was_cut

    async def program() -> None:
        cut = 4  # CONNACK; before it, connecting fails
        were_cut = [True]
        while all(were_cut):
            were_cut = await asyncio.gather(*map(attempt, range(cut, cut + 10)))
            cut += 10
            assert cut < 500
        assert cut > 30

    run(program)


@pytest.mark.parametrize("cut", range(4))
def test_cut_within_connack(run: Run, broker: Mosquitto, cut: int) -> None:
    async def program() -> None:
        async with ShortLink(broker, cut) as link:
            client = aio.Client(link.host, link.port, reconnect=QUICKLY)
            with pytest.raises(aio.MqttError):
                await client.__aenter__()
            assert client._client.socket() is None
            async with client:
                await client.publish("t", "m", qos=1)

    run(program)


def test_calls_that_end_offline_leave_nothing(run: Run, broker: Mosquitto, name: str) -> None:
    async def program() -> None:
        link = Link(broker)
        await link.open()
        async with aio.Client(link.host, link.port, reconnect=QUICKLY) as client:
            await link.close()
            while client._is_online:
                await asyncio.sleep(0.001)
            for _ in range(20):
                with contextlib.suppress(aio.MqttError):
                    await client.subscribe(name, timeout=0.001)
            assert not client._offline
            await link.open()
            await client.subscribe(name)
        await link.close()

    run(program)


def test_renewed_subscriptions_keep_their_identifier(
    run: Run, broker: Mosquitto, name: str
) -> None:
    """OASIS MQTT 5.0, clause 3.8.2.1.2."""

    async def program() -> None:
        async with Link(broker) as link:
            v5 = aio.ProtocolVersion.V5
            async with aio.Client(link.host, link.port, protocol=v5, reconnect=QUICKLY) as client:
                for number in (1, 2):
                    properties = Properties(PacketTypes.SUBSCRIBE)
                    properties.SubscriptionIdentifier = number
                    await client.subscribe(f"{name}/{number}", 1, properties=properties)
                await client.subscribe(f"{name}/3", 1)
                link.cut()
                await link.wait_for_connections(2)
                await client.subscribe(f"{name}/last")  # behind those that are renewed
                for number in (1, 2, 3):
                    await client.publish(f"{name}/{number}", qos=1)
                    message = await client.messages.__anext__()
                    found = getattr(message.properties, "SubscriptionIdentifier", [])
                    assert found == ([number] if number < 3 else [])

    run(program)
