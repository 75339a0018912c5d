"""A real mosquitto for one test or many: own port on loopback, own directory, ended by its process id."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

import pytest

START_SECONDS = 10.0


def find_mosquitto(name: str = "mosquitto") -> str | None:
    """The broker, or a program that comes with it, on PATH or where Debian keeps it.

    None with `OXMQTT_NO_MOSQUITTO`, as on a machine without it.
    """
    if os.environ.get("OXMQTT_NO_MOSQUITTO"):
        return None
    found = shutil.which(name)
    if found:
        return found
    for folder in ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"):
        candidate = os.path.join(folder, name)
        if os.access(candidate, os.X_OK):
            return candidate
    return None


def needed(name: str = "mosquitto") -> str:
    """As `find_mosquitto`; where it is missing, the test skips."""
    program = find_mosquitto(name)
    if program is None:
        pytest.skip(f"needs {name}, which is not installed")
    return program


def free_port(family: int = socket.AF_INET) -> int:
    with socket.socket(family) as probe:
        probe.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """Start, stop, kill and restart one broker; `restart()` keeps the port and, with `persistence`, the sessions."""

    host = "127.0.0.1"

    def __init__(
        self,
        directory: Path | str,
        persistence: bool = False,
        unix_path: str | None = None,
        extra: tuple[str, ...] = (),
        listener: tuple[str, ...] = (),
    ) -> None:
        self.directory = Path(directory)
        self.persistence = persistence
        self.unix_path = unix_path
        self.extra = extra
        #: Options of the TCP listener: certificates, protocol.
        self.listener = listener
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Mosquitto:
        """Start and wait until it accepts; another port when somebody was faster."""
        fixed_port = self.port
        for _ in range(5):
            port = fixed_port or free_port()
            if self._launch(port):
                self.port = port
                return self
            if fixed_port:
                time.sleep(0.2)
        raise RuntimeError(f"mosquitto does not start; see {self.directory / 'log'}")

    def stop(self) -> None:
        """SIGTERM: it writes its persistence file and goes."""
        self._end(kill=False)

    def kill(self) -> None:
        """SIGKILL: nothing is written."""
        self._end(kill=True)

    def restart(self) -> None:
        self.stop()
        self.start()

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def __enter__(self) -> Mosquitto:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _launch(self, port: int) -> bool:
        program = needed()
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "mosquitto.conf"
        config.write_text(self._config(port))
        if self.unix_path and os.path.exists(self.unix_path):
            os.unlink(self.unix_path)
        with open(self.directory / "log", "ab") as log:
            self._process = subprocess.Popen(
                [program, "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self._process.poll() is not None:
                return False
            try:
                socket.create_connection((self.host, port), timeout=1).close()
                return True
            except OSError:
                time.sleep(0.01)
        self.kill()
        return False

    def _config(self, port: int) -> str:
        lines = [
            "allow_anonymous true",
            # Without this the default queue of 1,000 drops silently and spoils every count.
            "max_queued_messages 0",
            "max_inflight_messages 100",
            "log_dest stderr",
            "sys_interval 0",
            f"persistence {'true' if self.persistence else 'false'}",
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            lines.append("user root")  # else it changes user and cannot write here
        if self.persistence:
            lines.append(f"persistence_location {self.directory}/")
        lines += [*self.extra, f"listener {port} {self.host}", *self.listener]
        if self.unix_path:
            lines.append(f"listener 0 {self.unix_path}")
        return "\n".join(lines) + "\n"

    def _end(self, kill: bool) -> None:
        process = self._process
        if process is None:
            return
        self._process = None
        if process.poll() is None:
            process.kill() if kill else process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
