"""Under gevent's monkey-patching every thread is a greenlet: a client works, and waits without blocking the others."""

from __future__ import annotations

import pytest
from support.mosquitto import Mosquitto
from support.process import Program

pytest.importorskip("gevent")

PATCH = "from gevent import monkey; monkey.patch_all()"

TICKER = """
import gevent
from gevent.event import Event

ticks = 0

def tick():
    global ticks
    while True:
        gevent.sleep(0.005)
        ticks += 1

gevent.spawn(tick)
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "greenlets")
"""


def run(source: str, client_name: str, broker: Mosquitto) -> None:
    with Program(TICKER + source, client_name, first=PATCH, port=broker.port) as program:
        program.wait_line("done")


def test_traffic(client_name: str, broker: Mosquitto) -> None:
    """Greenlets publish and wait, a callback sleeps, and the ticker never stands still."""
    run(
        """
subscribed, received = Event(), []
client.on_connect = lambda client, *_: client.subscribe("greenlets/#", 1)
client.on_subscribe = lambda *_: subscribed.set()

def on_message(client, userdata, message):
    gevent.sleep(0.02)
    received.append(message.payload)

client.on_message = on_message
client.connect("127.0.0.1", port)
client.loop_start()
assert subscribed.wait(10)

def publish(number):
    info = client.publish("greenlets/x", str(number), number % 3)
    info.wait_for_publish(10)
    assert info.is_published()

before = ticks
gevent.joinall([gevent.spawn(publish, number) for number in range(12)], raise_error=True)
while len(received) < 12:
    gevent.sleep(0.001)
assert sorted(map(int, received)) == list(range(12))
assert ticks - before > 10
client.disconnect()
client.loop_stop()
say("done")
""",
        client_name,
        broker,
    )


@pytest.mark.better_than_paho("it raises for a message that is queued offline")
def test_waiting_in_vain(client_name: str, broker: Mosquitto) -> None:
    run(
        """
info = client.publish("greenlets/x", b"", 1)
before = ticks
info.wait_for_publish(0.3)
assert not info.is_published()
assert ticks - before > 10
say("done")
""",
        client_name,
        broker,
    )


def test_idle_loop(client_name: str, broker: Mosquitto) -> None:
    """loop_forever() in a greenlet: others run, and one of them ends it."""
    run(
        """
connected = Event()
client.on_connect = lambda *_: connected.set()
client.connect("127.0.0.1", port)
loop = gevent.spawn(client.loop_forever)
assert connected.wait(10)
before = ticks
gevent.sleep(0.3)
assert ticks - before > 10
client.disconnect()
loop.join(10)
assert loop.dead
say("done")
""",
        client_name,
        broker,
    )
