"""A relay in front of a broker whose answers arrive late: whatever the broker says, CONNACK first, waits for a while.

The client's bytes are passed on at once, and a connection that the client has closed is closed towards the broker.
"""

from __future__ import annotations

import socket
import threading
import time

from .waiting import PATIENCE


class LateAnswers:
    """Listens on loopback, or on a unix socket, for a broker on a port of loopback."""

    host = "127.0.0.1"

    def __init__(self, broker_port: int, seconds: float, unix_path: str | None = None) -> None:
        self._broker_port = broker_port
        self._seconds = seconds
        if unix_path is None:
            self._listener = socket.create_server((self.host, 0), backlog=128)
            self.port = int(self._listener.getsockname()[1])
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(unix_path)
            self._listener.listen(128)
            self.host, self.port = unix_path, 1883
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def __enter__(self) -> LateAnswers:
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

    def _start(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                broker = socket.create_connection(("127.0.0.1", self._broker_port))
            except OSError:
                return
            self._sockets += [client, broker]
            self._start(self._pass_on, client, broker, 0.0)
            self._start(self._pass_on, broker, client, self._seconds)

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket, delay: float) -> None:
        try:
            while True:
                chunk = source.recv(1 << 16)
                if not chunk:
                    sink.shutdown(socket.SHUT_WR)
                    return
                time.sleep(delay)
                sink.sendall(chunk)
        except OSError:  # one of them is gone: the other learns of it
            for sock in (source, sink):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
