"""A client that a scripted peer attacks, in a process of its own: by how much its memory grew at the most."""

from __future__ import annotations

import contextlib
from typing import Callable

from . import packets
from .peer import PeerConnection, ScriptedPeer
from .process import Program

PEAK = """
    def peak():
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))
"""

VICTIM = (
    PEAK
    + """
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "victim", protocol=mqtt.MQTTProtocolVersion(VERSION))
    if LIMIT:
        client.max_packet_size = LIMIT
    over = threading.Event()
    client.on_message = lambda c, u, message: over.set() if message.topic == "over" else LOOK(message)
    client.on_disconnect = lambda *_: over.set()
    client.connect(HOST, PORT)
    before = peak()
    client.loop_start()
    over.wait(50)
    say("grown", peak() - before)
"""
)

#: The same with the asyncio API.
AIO_VICTIM = (
    PEAK
    + """
    import asyncio
    import oxmqtt.aio as aio

    async def main():
        async with aio.Client(HOST, PORT, protocol=aio.ProtocolVersion(VERSION)) as client:
            before = peak()
            async for message in client.messages:
                if message.topic.value == "over":
                    break
                waits = LOOK(message)
                if hasattr(waits, "__await__"):
                    await waits
                    break
            say("grown", peak() - before)

    asyncio.run(main())
"""
)


def grown(
    client_name: str,
    version: int,
    attack: Callable[[PeerConnection], None],
    limit: int = 0,
    connack: bool = True,
    look: str = "lambda message: None",
    victim: str = VICTIM,
) -> tuple[int, list[packets.Packet]]:
    """By how many bytes the victim grew, and what it said to the attack."""
    with ScriptedPeer() as peer:
        source = victim.replace("LOOK", f"({look})")
        values = {"HOST": peer.host, "PORT": peer.port, "VERSION": version, "LIMIT": limit}
        with Program(source, client_name, **values) as program:
            connection = peer.accept()
            if connack:
                connection.accept_client()
            else:
                connection.expect(packets.CONNECT)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                attack(connection)
            growth = int(program.wait_line("grown", 55).split()[1])
            assert program.exit_code() == 0, program.error_text()
            assert program.error_text() == ""
            return growth, connection.received


def over(connection: PeerConnection) -> None:
    """The attack is through: the victim may look at itself."""
    connection.send(packets.publish(connection.version, "over"))
