"""The normative statements of clauses.toml, the tests they name, and how many of them a run proved."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
CORE = HERE.parent / "core"


@dataclass(frozen=True)
class Clause:
    """One statement that binds a client."""

    version: str
    id: str
    #: Which of S (sends), R (receives, behaves), V (sees the server violate it).
    binds: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.id} of {self.version}"

    @property
    def python_tests(self) -> list[str]:
        """Node ids, from this folder."""
        return [name for name in self.tests if not name.startswith("core/")]

    @property
    def rust_tests(self) -> list[str]:
        """FILE.rs::NAME, from tests/core."""
        return [name[len("core/") :] for name in self.tests if name.startswith("core/")]


def read() -> list[Clause]:
    table = tomllib.loads((HERE / "clauses.toml").read_text(encoding="utf-8"))
    return [
        Clause(version, name, entry["binds"], tuple(entry["tests"]))
        for version, entries in table.items()
        for name, entry in entries.items()
    ]


def rust_tests() -> set[str]:
    """FILE.rs::NAME of every test that `cargo test` runs: in a file of a test binary, and not ignored."""
    found = set()
    roots = [
        CORE / name
        for crate in (CORE.parent.parent / "src").glob("*/Cargo.toml")
        for name in re.findall(r'"../../tests/core/(\w+\.rs)"', crate.read_text(encoding="utf-8"))
    ]
    modules = [
        CORE / f"{name}.rs"
        for root in roots
        for name in re.findall(r"^mod (\w+);", root.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    for path in [*roots, *modules]:
        source = path.read_text(encoding="utf-8")
        for attributes, name in re.findall(r"((?:#\[[^\n]*\]\s*)+)fn (\w+)\(", source):
            if "#[test]" in attributes and "#[ignore" not in attributes:
                found.add(f"{path.name}::{name}")
    return found


def without_parameters(node: str) -> str:
    return node.partition("[")[0]


class Proof:
    """What became of the tests of one run of pytest."""

    def __init__(self, clauses: Iterable[Clause]) -> None:
        self.clauses = list(clauses)
        #: Node id from this folder, with its parameters -> whether it passed; None: not run yet.
        self.outcomes: dict[str, bool | None] = {}

    def collected(self, node: str) -> None:
        self.outcomes[node] = None

    def reported(self, node: str, phase: str, outcome: str) -> None:
        if phase == "call" and self.outcomes.get(node) is None:
            self.outcomes[node] = outcome == "passed"
        elif outcome != "passed":
            self.outcomes[node] = False

    def runs_of(self, test: str) -> Iterator[tuple[str, bool | None]]:
        """The test, or everything it stands for."""
        for node, passed in self.outcomes.items():
            if test in (node, without_parameters(node)):
                yield node, passed

    def is_whole(self) -> bool:
        """Whether every test of every clause was to run."""
        return all(any(self.runs_of(test)) for c in self.clauses for test in c.python_tests)

    def is_proved(self, clause: Clause) -> bool:
        return all(
            passed for test in clause.python_tests for _, passed in self.runs_of(test)
        ) and bool(clause.tests)

    def unproved(self) -> list[Clause]:
        return [clause for clause in self.clauses if not self.is_proved(clause)]

    def line(self) -> str:
        """v5: 166 of 166, 3.1.1: 86 of 86."""
        parts = []
        for version in dict.fromkeys(clause.version for clause in self.clauses):
            own = [clause for clause in self.clauses if clause.version == version]
            good = sum(self.is_proved(clause) for clause in own)
            parts.append(f"{'v5' if version == '5.0' else version}: {good} of {len(own)}")
        return ", ".join(parts)


def node_of(item: Any) -> str | None:
    """A collected test as clauses.toml names it; None for one of another folder."""
    if item.path.parent != HERE:
        return None
    return f"{item.path.name}::{item.nodeid.split('::', 1)[1]}"
