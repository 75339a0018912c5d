"""What a process gets back of QoS 2 that was killed while it dealt with a message."""

from __future__ import annotations

from types import ModuleType

import pytest
from support import packets
from support.clients import Watched
from support.mosquitto import Mosquitto
from support.peer import ScriptedPeer
from support.process import Program

pytestmark = pytest.mark.better_than_paho("it answers by PUBREC at receipt: the message is lost")

CALLBACKS = """
    def on_log(client, userdata, level, text):
        if text.startswith("Received PUBREL"):
            say("released")

    def on_message(client, userdata, message):
        say("got", message.payload.decode())
        if BLOCKS:
            threading.Event().wait()
        if MANUAL:
            if ACKNOWLEDGES:
                client.ack(message.mid, message.qos)

    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, "killed", clean_session=False, manual_ack=MANUAL
    )
    client.on_log = on_log
    client.on_message = on_message
    client.on_connect = lambda *_: client.subscribe("killed", 2)
    client.on_subscribe = lambda *_: say("ready")
    client.connect(HOST, PORT)
    if FOREVER:
        client.loop_forever()
    client.loop_start()
    threading.Event().wait()
"""

ASYNCIO = """
    import asyncio, logging
    from oxmqtt import aio

    class Handler(logging.Handler):
        def emit(self, record):
            if record.getMessage().startswith("Received PUBREL"):
                say("released")

    logger = logging.getLogger("killed")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(Handler())

    async def main():
        options = {"identifier": "killed", "clean_session": False, "manual_ack": MANUAL}
        async with aio.Client(HOST, PORT, logger=logger, **options) as client:
            await client.subscribe("killed", qos=2)
            say("ready")
            async for message in client.messages:
                say("got", message.payload.decode())
                if BLOCKS:
                    await asyncio.Event().wait()
                if MANUAL and ACKNOWLEDGES:
                    await client.ack(message)

    asyncio.run(main())
"""

WAYS = {
    "loop_start": {"source": CALLBACKS, "FOREVER": False, "MANUAL": False},
    "loop_forever": {"source": CALLBACKS, "FOREVER": True, "MANUAL": False},
    "manual_ack": {"source": CALLBACKS, "FOREVER": False, "MANUAL": True},
    "asyncio": {"source": ASYNCIO, "MANUAL": False},
    "asyncio, manual_ack": {"source": ASYNCIO, "MANUAL": True},
}


def program(client_name: str, broker: Mosquitto, way: str, **values: bool) -> Program:
    settings = {"BLOCKS": False, "ACKNOWLEDGES": True, **WAYS[way], **values}
    source = str(settings.pop("source"))
    return Program(source, client_name, HOST=broker.host, PORT=broker.port, **settings)


def kill(running: Program) -> None:
    running.process.kill()
    running.process.wait()


@pytest.mark.parametrize("way", WAYS)
def test_killed_while_it_deals_with_a_message(
    client_name: str, mqtt: ModuleType, own_broker: Mosquitto, way: str
) -> None:
    """It comes again, once; and not again when PUBREL told that the broker had let go of it."""
    with Watched(mqtt, "sender") as sender:
        sender.start(own_broker)
        # With manual_ack the callback returns, and nobody has acknowledged.
        unfinished = {"ACKNOWLEDGES": False} if "manual_ack" in way else {"BLOCKS": True}
        with program(client_name, own_broker, way, **unfinished) as first:
            first.wait_line("ready")
            sender.client.publish("killed", "precious", 2).wait_for_publish(10)
            first.wait_line("got precious")
            kill(first)
        with program(client_name, own_broker, way) as second:
            second.wait_line("got precious")
            second.wait_line("released")
            kill(second)
        with program(client_name, own_broker, way) as third:
            third.wait_line("ready")
            sender.client.publish("killed", "last", 2).wait_for_publish(10)
            third.wait_line("got last")
            got = [line for line in third.output if line.startswith("got")]
            assert got == ["got last"]


INTERRUPTED = """
    entered = threading.Event()

    def on_message(client, userdata, message):
        entered.set()
        while True:
            time.sleep(0.01)

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "interrupted", clean_session=False)
    client.on_message = on_message
    client.connect(HOST, PORT)
    client.loop_start()
    entered.wait()
"""


@pytest.mark.parametrize("qos", [1, 2])
def test_interrupted_at_exit(client_name: str, peer: ScriptedPeer, qos: int) -> None:
    """The exit ends a callback that runs on; its message is not acknowledged."""
    with Program(INTERRUPTED, client_name, HOST=peer.host, PORT=peer.port) as running:
        connection = peer.accept()
        connection.accept_client()
        connection.send(packets.publish(packets.V311, "t", b"m", qos, 7))
        assert connection.read_to_end() == []
        assert running.exit_code() == 0
