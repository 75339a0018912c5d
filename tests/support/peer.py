"""A scripted broker on a real socket: the test says what it expects and what it answers, byte by byte.

`ScriptedPeer` listens on loopback (or a unix socket) and accepts in a thread of its own; `accept()` gives the next
connection. A `PeerConnection` is driven by the test's thread, or by `converse()` on a thread of its own when the test's
thread runs the client's loop.
"""

from __future__ import annotations

import os
import queue
import socket
import struct
import threading
from typing import Any, Callable

from . import packets
from .packets import Packet
from .waiting import PATIENCE, Deadline


class PeerConnection:
    """One accepted connection. `received` keeps every packet in the order it came."""

    def __init__(self, sock: socket.socket, version: int) -> None:
        self.sock = sock
        self.version = version
        self.received: list[Packet] = []
        self._buffer = bytearray()

    def send(self, *chunks: bytes) -> None:
        self.sock.sendall(b"".join(chunks))

    def read(self, seconds: float = PATIENCE, pings: bool = False) -> Packet:
        """The next packet; PINGREQ is answered and passed over unless `pings` asks for it."""
        deadline = Deadline(seconds)
        while True:
            packet = self._read_raw(deadline)
            if packet is None:
                raise AssertionError(f"closed by the client after {self.transcript()}")
            self.received.append(packet)
            if packet.kind == packets.CONNECT:
                self.version = packet.connect["level"]
            if packet.kind != packets.PINGREQ or pings:
                return packet
            self.send(packets.pingresp())

    def expect(self, kind: int, seconds: float = PATIENCE, **fields: Any) -> Packet:
        """The next packet, which must be of this kind and have these fields."""
        packet = self.read(seconds, pings=kind == packets.PINGREQ)
        assert packet.kind == kind, f"expected {packets.NAMES[kind]}, got {packet}"
        for name, value in fields.items():
            assert getattr(packet, name) == value, f"{name} of {packet}: not {value!r}"
        return packet

    def expect_bytes(self, raw: bytes) -> None:
        packet = self.read()
        assert packet.raw == raw, f"expected {raw.hex(' ')}, got {packet.raw.hex(' ')}"

    def expect_nothing(self, seconds: float) -> None:
        """No packet within that time (keep it short: it always costs all of it)."""
        try:
            packet = self.read(seconds)
        except (TimeoutError, socket.timeout):
            return
        raise AssertionError(f"expected silence, got {packet}")

    def expect_end(self, seconds: float = PATIENCE) -> None:
        """The client closes the connection and sends nothing more."""
        deadline = Deadline(seconds)
        packet = self._read_raw(deadline)
        assert packet is None, f"expected the end, got {packet}"

    def expect_refusal(self, *reasons: int) -> None:
        """The client ends the connection: in MQTT 5 by a DISCONNECT with one of these reasons."""
        if self.version == packets.V5:
            packet = self.expect(packets.DISCONNECT)
            assert packet.reason in reasons, f"reason 0x{packet.reason:02x} of {packet}"
        self.expect_end()

    def expect_alive(self) -> None:
        """The client is connected and through with all it was sent: it answers a QoS 1 message."""
        self.send(packets.publish(self.version, "alive", b"?", 1, 65535))
        self.expect(packets.PUBACK, mid=65535)

    def read_any(self, seconds: float = PATIENCE) -> Packet | None:
        """The next packet, whatever it is; None when the client closed the connection."""
        packet = self._read_raw(Deadline(seconds))
        if packet is not None:
            self.received.append(packet)
            if packet.kind == packets.CONNECT:
                self.version = packet.connect["level"]
        return packet

    def read_to_end(self, seconds: float = PATIENCE) -> list[Packet]:
        """Everything the client sends until it closes; answers nothing."""
        deadline = Deadline(seconds)
        rest = []
        while True:
            packet = self._read_raw(deadline)
            if packet is None:
                return rest
            self.received.append(packet)
            rest.append(packet)

    def accept_client(self, reason: int = 0, **connack: Any) -> Packet:
        """CONNECT in, CONNACK out."""
        packet = self.expect(packets.CONNECT)
        self.send(packets.connack(self.version, reason, **connack))
        return packet

    def serve(self, seconds: float = PATIENCE, **connack: Any) -> list[Packet]:
        """Answer like an obliging broker until the client has gone; everything it sent."""
        deadline = Deadline(seconds)
        while True:
            packet = self._read_raw(deadline)
            if packet is None:
                return self.received
            self.received.append(packet)
            if packet.kind == packets.CONNECT:
                self.version = packet.connect["level"]
            answer = self.answer(packet, **connack)
            if answer:
                self.send(answer)

    def answer(self, packet: Packet, **connack: Any) -> bytes:
        """What an obliging broker says to this packet."""
        version, kind, mid = self.version, packet.kind, packet.mid
        if kind == packets.CONNECT:
            return packets.connack(version, **connack)
        if kind == packets.PUBLISH and packet.qos:
            ack = packets.PUBACK if packet.qos == 1 else packets.PUBREC
            return packets.acknowledge(version, ack, mid)
        if kind == packets.PUBREC:
            return packets.acknowledge(version, packets.PUBREL, mid)
        if kind == packets.PUBREL:
            return packets.acknowledge(version, packets.PUBCOMP, mid)
        if kind == packets.SUBSCRIBE:
            return packets.suback(version, mid, [options & 3 for _, options in packet.filters])
        if kind == packets.UNSUBSCRIBE:
            return packets.unsuback(version, mid, [0] * len(packet.filters))
        return packets.pingresp() if kind == packets.PINGREQ else b""

    def reset(self) -> None:
        """RST behind what was sent: the client sees ECONNRESET, as after a crash of the broker's machine."""
        if self.sock.family == socket.AF_INET:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # sends what waits
        linger = struct.pack("ii", 1, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    def transcript(self) -> str:
        return "; ".join(str(packet) for packet in self.received) or "nothing"

    def _read_raw(self, deadline: Deadline) -> Packet | None:
        while True:
            raw = packets.split(self._buffer)
            if raw is not None:
                version = self.version
                return packets.parse(raw, version)
            left = deadline.remaining()
            if not left:
                raise TimeoutError(f"no packet in time; before it: {self.transcript()}")
            self.sock.settimeout(left)
            try:
                chunk = self.sock.recv(1 << 16)
            except socket.timeout:
                continue
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                assert not self._buffer, f"closed in mid packet: {bytes(self._buffer[:40])!r}"
                return None
            self._buffer += chunk


class ScriptedPeer:
    """A listening socket and the connections that came."""

    def __init__(self, version: int = packets.V311, unix_path: str | None = None) -> None:
        self.version = version
        self.connections: list[PeerConnection] = []
        self._arrived: queue.Queue[PeerConnection] = queue.Queue()
        self._conversations: list[threading.Thread] = []
        self._failures: list[BaseException] = []
        self._unix_path = unix_path
        if unix_path:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(unix_path)
            self.host, self.port = unix_path, 1883
        else:
            self._listener = socket.socket()
            self._listener.bind(("127.0.0.1", 0))
            self.host, self.port = self._listener.getsockname()
        self._listener.listen(128)
        self._thread = threading.Thread(target=self._accept_all, name="scripted-peer", daemon=True)
        self._thread.start()

    def accept(self, seconds: float = PATIENCE) -> PeerConnection:
        try:
            return self._arrived.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"no connection within {seconds} s") from None

    def expect_no_connection(self, seconds: float) -> None:
        try:
            self._arrived.get(timeout=seconds)
        except queue.Empty:
            return
        raise AssertionError("a connection nobody asked for")

    def converse(self, script: Callable[[ScriptedPeer], Any]) -> threading.Thread:
        """Run `script(peer)` on a thread; its failure is raised by `finish()` and on leaving the context."""

        def run() -> None:
            try:
                script(self)
            except BaseException as error:
                self._failures.append(error)
                self._drop_connections()  # so that the client under test does not wait for ever

        thread = threading.Thread(target=run, name="scripted-peer-script", daemon=True)
        self._conversations.append(thread)
        thread.start()
        return thread

    def finish(self, seconds: float = PATIENCE) -> None:
        """Wait for the scripts; raise the first failure of one."""
        deadline = Deadline(seconds)
        for thread in self._conversations:
            thread.join(deadline.remaining())
            assert not thread.is_alive(), "the script of the peer has not come to its end"
        self._conversations.clear()
        if self._failures:
            raise self._failures.pop(0)

    def close(self) -> None:
        # shutdown() wakes the accepting thread; close() alone would leave it there
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self._thread.join()
        self._drop_connections()
        if self._unix_path and os.path.exists(self._unix_path):
            os.unlink(self._unix_path)

    def __enter__(self) -> ScriptedPeer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.close()

    def _drop_connections(self) -> None:
        for connection in self.connections:
            connection.sock.close()

    def _accept_all(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            connection = PeerConnection(sock, self.version)
            self.connections.append(connection)
            self._arrived.put(connection)
