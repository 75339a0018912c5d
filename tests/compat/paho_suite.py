"""Runs paho-mqtt's own test suite on oxmqtt, by the alias folder, so that the programs it starts get oxmqtt too."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from oxmqtt.enums import MQTTProtocolVersion
from support import paho_sdist

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WAIVERS = Path(__file__).with_name("waivers.toml")
ROOT = Path(__file__).resolve().parents[2]
#: In the names of tests, before Python 3.11; from then on they show the number.
MEMBER = re.compile(r"MQTTProtocolVersion\.(\w+)")
#: Where the line for the end of the session is kept.
LINE = pytest.StashKey[str]()
#: The suite ends its programs with SIGINT, which a shell's background job ignores and passes on so.
PYTEST = """\
import signal, sys, pytest
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(pytest.main(sys.argv[1:]))
"""
#: Seconds; most of them the suite sleeps.
PATIENCE = 600


@dataclass
class Result:
    passed: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)
    expected_failures: set[str] = field(default_factory=set)

    def line(self, waived: set[str]) -> str:
        return (
            f"paho-mqtt {paho_sdist.VERSION}'s own tests on oxmqtt: {len(self.passed)} passed, "
            f"{len(waived & self.failed.keys())} waived, {len(self.failed.keys() - waived)} failed, "
            f"{len(self.skipped)} skipped (their broker is not on the package index), "
            f"{len(self.expected_failures)} expected by paho to fail"
        )


def waivers() -> dict[str, str]:
    """Why a test may fail, by its name."""
    table = tomllib.loads(WAIVERS.read_text())
    return {test: entry["reason"] for entry in table["waiver"] for test in entry["tests"]}


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

    def result(self) -> Result:
        self._process.wait(PATIENCE)
        assert self._report.exists(), self._output.read_text()[-4000:]
        result = Result()
        for case in ET.parse(self._report).iter("testcase"):
            name = f"{case.get('classname')}::{case.get('name')}"
            name = MEMBER.sub(lambda found: str(int(MQTTProtocolVersion[found[1]])), name)
            if (failure := case.find("failure")) is not None or (
                failure := case.find("error")
            ) is not None:
                result.failed[name] = (failure.get("message") or "").partition("\n")[0]
            elif (skipped := case.find("skipped")) is None:
                result.passed.add(name)
            elif skipped.get("type") == "pytest.xfail":
                result.expected_failures.add(name)
            else:
                result.skipped.add(name)
        return result
