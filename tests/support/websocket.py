"""The server's side of WebSocket for `peer`: the handshake's parts, frames, and a socket that speaks in frames.

`FramedSocket` takes the place of a `PeerConnection`'s socket, so that scripts stay the same; it insists on what a
client owes: every frame masked, with masks that change, data frames binary.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct
from typing import Any

from .peer import PeerConnection
from .waiting import PATIENCE

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_key(key: str) -> str:
    return base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()


def read_request(sock: socket.socket) -> tuple[str, dict[str, str]]:
    """The request line, and the headers by their names as sent, in order."""
    sock.settimeout(PATIENCE)
    raw = b""
    while not raw.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        assert byte, f"the request ended early: {raw!r}"
        raw += byte
    first, *lines = raw[:-4].decode().split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines)


def answer(key: str, status: str = "101 Switching Protocols", **headers: str | None) -> bytes:
    """A good answer; `headers` replace its own (underscores for dashes), None takes one away."""
    fields: dict[str, str | None] = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept_key(key),
        "Sec-WebSocket-Protocol": "mqtt",
    }
    by_name = {name.lower(): name for name in fields}
    for name, value in headers.items():
        plain = name.replace("_", "-")
        fields[by_name.get(plain.lower(), plain)] = value
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1")


def frame(
    opcode: int, payload: bytes = b"", final: bool = True, reserved: int = 0, mask: bytes = b""
) -> bytes:
    """One frame as a server sends it; `mask` makes it the fault that a masked one is."""
    first = final << 7 | reserved << 4 | opcode
    masked = bool(mask) << 7
    if len(payload) < 126:
        head = struct.pack("!BB", first, masked | len(payload))
    elif len(payload) < 1 << 16:
        head = struct.pack("!BBH", first, masked | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, masked | 127, len(payload))
    return head + mask + xor(payload, mask)


def xor(payload: bytes, mask: bytes) -> bytes:
    if not mask:
        return payload
    wide = (mask * (len(payload) // 4 + 1))[: len(payload)]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(wide, "big")
    return number.to_bytes(len(payload), "big")


class FramedSocket:
    """What `PeerConnection` uses of a socket, in frames. Control frames go to `controls`."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.controls: list[tuple[int, bytes]] = []
        self.masks: list[bytes] = []
        self._buffer = bytearray()

    def settimeout(self, seconds: float | None) -> None:
        self.sock.settimeout(seconds)

    def sendall(self, data: bytes) -> None:
        self.sock.sendall(frame(BINARY, data))

    def recv(self, _: int) -> bytes:
        """The payload of the next binary frame; nothing at the end."""
        while True:
            found = self._take_frame()
            if found is None:
                chunk = self.sock.recv(1 << 20)
                if not chunk:
                    assert not self._buffer, f"closed in mid frame: {bytes(self._buffer[:40])!r}"
                    return b""
                self._buffer += chunk
                continue
            opcode, payload = found
            if opcode == BINARY:
                return payload
            assert opcode in (CLOSE, PING, PONG), f"a client's frame with opcode {opcode}"
            self.controls.append((opcode, payload))

    def _take_frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        assert first & 0x80 and not first & 0x70, f"first byte {first:#x}"
        assert second & 0x80, "the client sent a frame without a mask"
        length, at = second & 0x7F, 2
        if length >= 126:
            at = 4 if length == 126 else 10
            length = int.from_bytes(buffer[2:at], "big")
        if len(buffer) < at + 4 + length:
            return None
        mask = bytes(buffer[at : at + 4])
        payload = xor(bytes(buffer[at + 4 : at + 4 + length]), mask)
        del buffer[: at + 4 + length]
        self.masks.append(mask)
        return first & 0x0F, payload

    def read_to_close(self, seconds: float = PATIENCE) -> list[tuple[int, bytes]]:
        """Control frames until the client ends the connection; its data is passed over."""
        self.sock.settimeout(seconds)
        try:
            while self.recv(0):
                pass
        except ConnectionResetError:
            pass
        return self.controls

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


def upgrade(connection: PeerConnection) -> FramedSocket:
    """Carries the handshake out; from then on the connection speaks in frames."""
    _, headers = read_request(connection.sock)
    connection.sock.sendall(answer(headers["Sec-WebSocket-Key"]))
    framed = FramedSocket(connection.sock)
    connection.sock = framed  # type: ignore[assignment]
    return framed


def random_mask() -> bytes:
    return os.urandom(4)
