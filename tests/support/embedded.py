"""The embedded broker in a process of its own, as a mosquitto would be: for tests that any broker serves, where mosquitto is not installed."""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType

# It ends with its input, so also when the tests are killed.
_PROGRAM = """\
import sys
from oxmqtt.testing import Broker
with Broker(receive_maximum=100) as broker:
    print(broker.port, flush=True)
    sys.stdin.read()
"""


class Embedded:
    """Runs from `with` on, on a free port of loopback."""

    host = "127.0.0.1"
    port = 0

    def __enter__(self) -> Embedded:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the tests
        )
        assert self._process.stdout is not None
        told = self._process.stdout.readline()
        if not told:
            self.__exit__(None, None, None)
            raise RuntimeError("the embedded broker does not start; its own words are above")
        self.port = int(told)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._process:  # closes its pipes, waits
            self._process.terminate()
