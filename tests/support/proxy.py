"""A small proxy that speaks SOCKS4(a), SOCKS5 (RFC 1928, RFC 1929) and HTTP CONNECT, told apart by the first byte.

It shares no code with PySocks. `asked` says what clients wanted: (protocol, host, port, user, password).
"""

from __future__ import annotations

import base64
import socket
import threading
from typing import Any, BinaryIO

from .waiting import PATIENCE, Mailbox

Wish = tuple[str, str, int, str, str]


class Proxy:
    """:param credentials: user name and password that SOCKS5 and HTTP clients must have."""

    host = "127.0.0.1"

    def __init__(self, credentials: tuple[str, str] | None = None) -> None:
        self.credentials = credentials
        self.asked: Mailbox[Wish] = Mailbox()
        self._listener = socket.create_server((self.host, 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _start(self, work: Any, *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            with client.makefile("rb", buffering=0) as reader:
                first = reader.read(1)
                answer = {b"\x04": self._socks4, b"\x05": self._socks5, b"C": self._http}
                target = answer[first or b""](reader, client)
            if target is not None:
                server = socket.create_connection(target, PATIENCE)
                self._sockets.append(server)
                self._start(self._copy, server, client)
                self._copy(client, server)
        except (OSError, KeyError, IndexError):
            client.close()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while chunk := source.recv(65536):
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _allows(self, user: str, password: str) -> bool:
        return self.credentials is None or self.credentials == (user, password)

    def _socks4(self, reader: BinaryIO, client: socket.socket) -> tuple[str, int]:
        head = reader.read(7)
        port, address = int.from_bytes(head[1:3], "big"), head[3:7]
        user = text_to_null(reader)
        named = address[:3] == b"\0\0\0" and address[3]
        host = text_to_null(reader) if named else socket.inet_ntoa(address)
        self.asked.put(("SOCKS4", host, port, user, ""))
        client.sendall(b"\0\x5a" + bytes(6))
        return host, port

    def _socks5(self, reader: BinaryIO, client: socket.socket) -> tuple[str, int] | None:
        methods = reader.read(reader.read(1)[0])
        wanted = 2 if self.credentials else 0
        user = password = ""
        if wanted not in methods:
            client.sendall(b"\x05\xff")
            return None
        client.sendall(bytes([5, wanted]))
        if wanted:
            reader.read(1)
            user = reader.read(reader.read(1)[0]).decode()
            password = reader.read(reader.read(1)[0]).decode()
            client.sendall(b"\x01" + bytes([not self._allows(user, password)]))
            if not self._allows(user, password):
                return None
        kind = reader.read(4)[3]
        if kind == 3:
            host = reader.read(reader.read(1)[0]).decode()
        else:
            size = {1: 4, 4: 16}[kind]
            family = {1: socket.AF_INET, 4: socket.AF_INET6}[kind]
            host = socket.inet_ntop(family, reader.read(size))
        port = int.from_bytes(reader.read(2), "big")
        self.asked.put(("SOCKS5", host, port, user, password))
        client.sendall(b"\x05\0\0\x01" + bytes(6))
        return host, port

    def _http(self, reader: BinaryIO, client: socket.socket) -> tuple[str, int] | None:
        text = b"C"
        while not text.endswith(b"\r\n\r\n"):
            text += reader.read(1)
        lines = text.decode().split("\r\n")
        host, _, port = lines[0].split()[1].rpartition(":")
        user = password = ""
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            if name.lower() == "proxy-authorization":
                user, _, password = base64.b64decode(value.split()[1]).decode().partition(":")
        self.asked.put(("HTTP", host, int(port), user, password))
        if not self._allows(user, password):
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return None
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return host.strip("[]"), int(port)


def text_to_null(reader: BinaryIO) -> str:
    text = b""
    while (byte := reader.read(1)) != b"\0":
        text += byte
    return text.decode()
