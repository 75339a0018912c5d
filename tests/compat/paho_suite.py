"""Runs paho-mqtt's own test suite on oxmqtt, by the alias folder, so that the programs it starts get oxmqtt too."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from oxmqtt.enums import MQTTProtocolVersion
from support import sdist

from . import suite_report

WAIVERS = Path(__file__).with_name("waivers.toml")
ROOT = Path(__file__).resolve().parents[2]
#: In the names of tests, before Python 3.11; from then on they show the number.
MEMBER = re.compile(r"MQTTProtocolVersion\.(\w+)")
#: The suite ends its programs with SIGINT, which a shell's background job ignores and passes on so.
PYTEST = """\
import signal, sys, pytest
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(pytest.main(sys.argv[1:]))
"""
#: Seconds; most of them the suite sleeps.
PATIENCE = 600


def line(result: suite_report.Result, waived: set[str]) -> str:
    return (
        f"paho-mqtt {sdist.PAHO.version}'s own tests on oxmqtt: {result.counts(waived)}, "
        f"{len(result.skipped)} skipped (their broker is not on the package index), "
        f"{len(result.expected_failures)} expected by paho to fail"
    )


def _rename(test: str) -> str:
    return MEMBER.sub(lambda found: str(int(MQTTProtocolVersion[found[1]])), test)


class Run:
    """The suite, running in a process of its own beside the other tests."""

    def __init__(self, folder: Path) -> None:
        self._report = folder / ".oxmqtt-report.xml"
        self._report.unlink(missing_ok=True)
        self._output = folder / ".oxmqtt-output.txt"
        (folder / "localhost").unlink(missing_ok=True)  # a unix socket that a crashed run leaves
        alias = ROOT / "python" / "oxmqtt" / "_paho_path"
        command = [sys.executable, "-c", PYTEST, "-q", "-p", "no:cacheprovider"]
        command += [
            "--continue-on-collection-errors",
            "--timeout",
            "120",
            f"--junit-xml={self._report}",
            "tests",
        ]
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": f"{alias}{os.pathsep}{folder}"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Ends the suite and the programs it started, if it still runs."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def result(self) -> suite_report.Result:
        self._process.wait(PATIENCE)
        assert self._report.exists(), self._output.read_text()[-4000:]
        return suite_report.read(self._report, _rename)
