"""Under eventlet's monkey-patching, as Flask-MQTT's recipe for SocketIO has it: a client works, and lets others run."""

from __future__ import annotations

import pytest
from support.mosquitto import Mosquitto
from support.process import Program

pytest.importorskip("eventlet")

PATCH = """
import warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()
"""

TICKER = """
ticks = 0

def tick():
    global ticks
    while True:
        eventlet.sleep(0.005)
        ticks += 1

eventlet.spawn(tick)
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "greenlets")
"""


def test_traffic(client_name: str, broker: Mosquitto) -> None:
    """By address and by name: greenlets publish and wait, and the ticker never stands still."""
    source = """
received = []
client.on_connect = lambda client, *_: client.subscribe("eventlet/#", 1)
subscribed = threading.Event()
client.on_subscribe = lambda *_: subscribed.set()
client.on_message = lambda client, userdata, message: received.append(message.payload)
for host in ("127.0.0.1", "localhost"):
    subscribed.clear()
    client.connect(host, port)
    client.loop_start()
    assert subscribed.wait(20)

    def publish(number):
        info = client.publish("eventlet/x", str(number), number % 3)
        info.wait_for_publish(20)
        assert info.is_published()

    del received[:]
    before = ticks
    for each in [eventlet.spawn(publish, number) for number in range(12)]:
        each.wait()
    while len(received) < 12:
        eventlet.sleep(0.001)
    assert sorted(map(int, received)) == list(range(12))
    while ticks - before < 5:
        eventlet.sleep(0.001)
    assert client.socket().getpeername()[1] == port
    client.disconnect()
    client.loop_stop()
say("done")
"""
    with Program(TICKER + source, client_name, first=PATCH, port=broker.port) as program:
        program.wait_line("done")
