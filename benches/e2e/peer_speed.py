"""Shows that the peer is not the bottleneck: its loader against its sink, and its source against a
socket that is only read. `python benches/e2e/peer_speed.py`, after a build by `bench.py`.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from processes import Message, Peer

CONNECT = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02ab"
SUBSCRIBE = b"\x82\x08\x00\x01\x00\x03b/#\x00"


def rate(report: Message) -> str:
    seconds = (report["last_ns"] - report["first_ns"]) / 1e9
    return f"{report['done'] / seconds / 1e6:.1f} million msg/s"


def sink(qos: int, n: int) -> str:
    with Peer("sink", count=n) as peer:
        address = f"127.0.0.1:{peer.port}"
        with Peer("load", broker=address, count=n, qos=qos, window=500):
            return rate(peer.hear(60))


def source(n: int) -> str:
    with (
        Peer("source", count=n) as peer,
        socket.create_connection(("127.0.0.1", peer.port)) as connection,
    ):

        def read() -> None:
            buffer = bytearray(1 << 20)
            with suppress(OSError):  # it ends when the connection is closed
                while connection.recv_into(buffer):
                    pass

        connection.sendall(CONNECT + SUBSCRIBE)
        threading.Thread(target=read, daemon=True).start()
        return rate(peer.hear(60))


if __name__ == "__main__":
    print("sink QoS 0:  ", sink(0, 20_000_000))
    print("sink QoS 1:  ", sink(1, 5_000_000))
    print("source QoS 0:", source(20_000_000))
