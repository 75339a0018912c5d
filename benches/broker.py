"""How many messages the embedded broker carries from one publisher to one subscriber.

    python benches/broker.py [messages]

Publisher and subscriber are processes with `oxmqtt` clients, the broker has a third. What the broker
dropped is said too: a figure with losses is none.
"""

from __future__ import annotations

import subprocess
import sys
import time

from oxmqtt import _native
from oxmqtt.testing import Broker

PUBLISHER = """
import sys, oxmqtt.client as mqtt
port, count = map(int, sys.argv[1:])
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.connect("127.0.0.1", port)
client.loop_start()
payload = bytes(64)
for _ in range(count):
    info = client.publish("bench/topic", payload)
info.wait_for_publish(60)
client.disconnect()
client.loop_stop()
"""
SUBSCRIBER = """
import sys, threading, time, oxmqtt.client as mqtt
port, count = map(int, sys.argv[1:])
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
seen = 0
first = 0.0
done = threading.Event()
def on_message(client, userdata, message):
    global seen, first
    if not seen:
        first = time.perf_counter()
    seen += 1
    if seen == count:
        print(time.perf_counter() - first, flush=True)
        done.set()
client.on_message = on_message
client.connect("127.0.0.1", port)
client.subscribe("bench/#")
client.loop_start()
done.wait(60)
client.disconnect()
client.loop_stop()
"""


def run(count: int) -> tuple[float, int]:
    """Seconds between the first and the last message at the subscriber; what was dropped."""
    with Broker(max_unsent=1 << 30) as broker:
        words = [str(broker.port), str(count)]
        subscriber = subprocess.Popen(
            [sys.executable, "-c", SUBSCRIBER, *words], stdout=subprocess.PIPE, text=True
        )
        broker.wait_for_subscription("bench/#", 20)
        subprocess.run([sys.executable, "-c", PUBLISHER, *words], check=True)
        out, _ = subscriber.communicate(timeout=60)
        return float(out), broker.dropped


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print("debug build" if _native.DEBUG_BUILD else "release build", time.strftime("%Y-%m-%d"))
    for _ in range(5):
        seconds, dropped = run(count)
        print(f"{count / seconds:12,.0f} msg/s, 64 B, QoS 0; {dropped} dropped")


if __name__ == "__main__":
    main()
