"""Programs in processes of their own: what exit, Ctrl-C and fork do cannot be seen from inside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from .waiting import PATIENCE, Deadline, Mailbox

Self = TypeVar("Self", bound="Process")
TESTS = Path(__file__).resolve().parent.parent


class Process:
    """A process whose lines arrive in `output` and `errors` as they are printed."""

    def __init__(self, arguments: list[str], cwd: Path | None = None, **environment: str) -> None:
        self.output: Mailbox[str] = Mailbox()
        self.errors: Mailbox[str] = Mailbox()
        self.process = subprocess.Popen(
            arguments,
            cwd=cwd,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._readers = [
            self._read(self.process.stdout, self.output),
            self._read(self.process.stderr, self.errors),
        ]

    def wait_line(self, start: str, seconds: float = PATIENCE) -> str:
        """The first line that starts so."""

        def found(lines: list[str]) -> bool:
            return any(line.startswith(start) for line in lines)

        try:
            lines = self.output.wait_for(found, f"a line {start!r}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\nstderr: {self.error_text()}") from None
        return next(line for line in lines if line.startswith(start))

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def exit_code(self, seconds: float = PATIENCE) -> int:
        """Wait for the end; a program that hangs is killed and fails the test with its stacks."""
        deadline = Deadline(seconds)
        try:
            code = self.process.wait(deadline.remaining())
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # faulthandler prints the stacks
            try:
                self.process.wait(2)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self._join()
            raise AssertionError(
                f"the program had not ended after {seconds} s: {self.output.items()[-10:]}\n"
                f"{self.error_text()}"
            ) from None
        self._join()
        return code

    def error_text(self) -> str:
        return "\n".join(self.errors)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._join()

    def _join(self) -> None:
        for reader in self._readers:
            reader.join(5)

    @staticmethod
    def _read(stream: Any, into: Mailbox[str]) -> threading.Thread:
        def run() -> None:
            with stream:
                for line in stream:
                    into.put(line.rstrip("\n"))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread


class Program(Process):
    """A Python program with `mqtt` imported, after `first`; by another interpreter than that of the tests, with the packages
    in `library`.
    """

    def __init__(
        self,
        source: str,
        client: str,
        *,
        first: str = "",
        prefix: Sequence[str] = (),
        executable: str = sys.executable,
        library: str = "",
        **values: Any,
    ) -> None:
        preamble = [
            first,
            "import os, signal, sys, threading, time",
            # A shell that runs the tests in the background has SIGINT ignored; children inherit that.
            "signal.signal(signal.SIGINT, signal.default_int_handler)",
            f"import {client} as mqtt",
            *(f"{name} = {value!r}" for name, value in values.items()),
            "def say(*words): print(*words, flush=True)",
        ]
        code = "\n".join(preamble) + "\n" + textwrap.dedent(source)
        path = [library, str(TESTS), os.environ.get("PYTHONPATH", "")]
        super().__init__(
            [*prefix, executable, "-X", "faulthandler", "-c", code],
            PYTHONPATH=os.pathsep.join(part for part in path if part),
        )
