"""What a suite of another project did on oxmqtt, from its JUnit report, beside what it may fail."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: What is printed at the end of the session.
LINES = pytest.StashKey[list[str]]()


@dataclass
class Result:
    passed: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)
    expected_failures: set[str] = field(default_factory=set)

    def counts(self, waived: set[str]) -> str:
        return (
            f"{len(self.passed)} passed, {len(waived & self.failed.keys())} waived, "
            f"{len(self.failed.keys() - waived)} failed"
        )

    def check(self, waived: set[str]) -> None:
        """Everything passes but what is waived, and nothing is waived that passes."""
        unexpected = {test: text for test, text in self.failed.items() if test not in waived}
        assert not unexpected, unexpected
        assert not waived - self.failed.keys() - self.skipped, "these pass: waive them no more"


def waivers(file: Path) -> dict[str, str]:
    """Why a test may fail, by its name."""
    table = tomllib.loads(file.read_text())
    return {test: entry["reason"] for entry in table["waiver"] for test in entry["tests"]}


def read(report: Path, rename: Callable[[str], str] = str) -> Result:
    result = Result()
    for case in ET.parse(report).iter("testcase"):
        name = rename(f"{case.get('classname')}::{case.get('name')}")
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
