"""The processes of one run: the peer, a real broker, the client under test.

Each is a context manager that ends its own process, by its own handle. They talk in lines of JSON
on stdin and stdout; what a process says on stderr is kept for the error message.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from adapters import Client

HERE = Path(__file__).resolve().parent
#: Where `bench.py` puts the Rust programs.
PROGRAMS = Path(
    os.environ.get("CARGO_TARGET_DIR") or HERE.parent.parent / ".cache" / "bench-target"
)
Message = dict[str, Any]
Self = TypeVar("Self", bound="LineProcess")


class RunFailed(Exception):
    """This run gives no number; the text says why."""


def program(name: str) -> str:
    return str(PROGRAMS / "release" / name)


class LineProcess:
    """A process that prints a JSON object per line."""

    def __init__(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=HERE,
        )
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.complaints: deque[str] = deque(maxlen=20)
        self.readers = [
            threading.Thread(target=self._read_stdout, daemon=True),
            threading.Thread(target=self._read_stderr, daemon=True),
        ]
        for reader in self.readers:
            reader.start()

    def _read_stdout(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def _read_stderr(self) -> None:
        assert self.process.stderr
        self.complaints.extend(self.process.stderr)

    def hear(self, seconds: float) -> Message:
        """The next message; other output is skipped."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise RunFailed(f"nothing for {seconds:.0f} s") from None
            if line is None:
                self.readers[1].join(1)
                last = self.complaints[-1].strip() if self.complaints else "it said nothing"
                raise RunFailed(f"the process ended: {last}"[:300])
            if line.startswith("{"):
                message: Message = json.loads(line)
                return message

    def hear_about(self, at: str, seconds: float) -> Message:
        """The client's next message, which must be this one."""
        message = self.hear(seconds)
        if message.get("at") != at:
            raise RunFailed(f"expected {at!r}, got {message}")
        return message

    def nudge(self) -> None:
        """An empty line: a client then finishes, a peer reports."""
        assert self.process.stdin
        with suppress(OSError):  # if it is gone, hear() will say so
            self.process.stdin.write("\n")
            self.process.stdin.flush()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join(2)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                with suppress(OSError):
                    pipe.close()


class Peer(LineProcess):
    """`peer/`: a sink, a source or a loader. Its port is known as soon as it exists."""

    def __init__(self, role: str, **options: Any) -> None:
        command = [program("bench-peer"), role]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            if value is True:
                command.append(flag)
            elif value is not None and value is not False:
                command += [flag, str(value)]
        super().__init__(command)
        try:
            self.port: int = self.hear(10)["port"]
        except RunFailed:
            self.__exit__(None, None, None)
            raise


class ClientProcess(LineProcess):
    def __init__(self, client: Client, scenario: str, options: dict[str, Any]) -> None:
        if client.module:
            command = [sys.executable, str(HERE / "child.py"), client.name, scenario]
        else:
            command = [program("bench-rumqttc"), scenario]
        words = [f"{key}={value}" for key, value in options.items()]
        super().__init__(command + words, client.environment())


class Mosquitto:
    """A broker of our own on loopback, with a listener for each transport and no messages on disk."""

    CONFIG = """\
listener {tcp} 127.0.0.1
listener {tls} 127.0.0.1
certfile {folder}/server.crt
keyfile {folder}/server.key
listener {websockets} 127.0.0.1
protocol websockets
allow_anonymous true
persistence false
max_queued_messages 0
max_inflight_messages 1000
set_tcp_nodelay true
log_type error
"""

    @staticmethod
    def program() -> str | None:
        # Debian puts it into /usr/sbin, which is not on every user's PATH.
        path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
        return shutil.which("mosquitto", path=path)

    @classmethod
    def version(cls) -> str | None:
        """Such as "2.0.11"; `None` where it is not installed."""
        program = cls.program()
        if program is None:
            return None
        out = subprocess.run([program, "-h"], capture_output=True, text=True).stdout
        words = out.split()
        return words[2] if len(words) > 2 else "unknown"

    def __enter__(self) -> Mosquitto:
        self.folder = Path(tempfile.mkdtemp(prefix="oxmqtt-bench-"))
        self.authority = self.make_certificates()
        self.ports = {transport: free_port() for transport in ("tcp", "tls", "websockets")}
        config = self.folder / "mosquitto.conf"
        lines = self.CONFIG.format(folder=self.folder, **self.ports)
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            lines += "user root\n"  # else it changes user and cannot read its key
        config.write_text(lines)
        self.process = subprocess.Popen(
            [self.program() or "mosquitto", "-c", config],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.ports["tcp"]), 1).close()
                return self
            except OSError:
                time.sleep(0.05)
        self.__exit__()
        raise RunFailed("mosquitto did not start")

    def make_certificates(self) -> Path:
        """An authority and a server's certificate for the loopback address; the authority's file."""
        key = ("-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2")
        make = ("openssl", "req", "-x509", *key)
        for command in (
            (*make, "-subj", "/CN=bench", "-keyout", "authority.key", "-out", "authority.crt"),
            (
                *(*make, "-subj", "/CN=broker", "-keyout", "server.key", "-out", "server.crt"),
                *("-CA", "authority.crt", "-CAkey", "authority.key"),
                *("-addext", "subjectAltName=IP:127.0.0.1"),
                *("-addext", "basicConstraints=critical,CA:FALSE"),
            ),
        ):
            subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        return self.folder / "authority.crt"

    def __exit__(self, *exception: object) -> None:
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
