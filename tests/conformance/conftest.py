"""Fixtures of the conformance tests: clients that end with their test, the versions of the protocol, and the
watch that no exception escapes a loop or a thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Callable

import pytest
from support.clients import Watched
from support.packets import V5, V311

from .clauses import Proof, node_of, read
from .score import SCORE

Watch = Callable[..., Watched]

PROOF = Proof(read())
#: Node ids of this run -> as clauses.toml names them.
NODES: dict[str, str] = {}


@pytest.fixture(autouse=True)
def escaped() -> Iterator[list[str]]:
    """Exceptions that left a thread, a loop or a destructor; the test fails when there is one."""
    found: list[str] = []
    before = threading.excepthook, sys.unraisablehook

    def note(report: Any) -> None:
        found.append(f"{report.exc_type.__name__}: {report.exc_value}")

    threading.excepthook = sys.unraisablehook = note
    try:
        yield found
    finally:
        threading.excepthook, sys.unraisablehook = before
    assert not found, f"escaped: {found}"


@pytest.fixture(params=[V311, V5], ids=["v3.1.1", "v5"])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def watch(mqtt: ModuleType) -> Iterator[Watch]:
    """Makes clients that reconnect at once; a test may make several."""
    if mqtt.__name__.startswith("paho"):
        pytest.skip("the standard is the measure here, not paho")
    made: list[Watched] = []

    def make(version: int, client_id: str = "c", **options: Any) -> Watched:
        watched = Watched(mqtt, client_id, version=version, **options)
        watched.client._reconnect_min_delay = 0.02
        made.append(watched)
        return watched

    yield make
    for watched in made:
        watched.close()


def pytest_collection_finish(session: pytest.Session) -> None:
    for item in session.items:
        node = node_of(item)
        if node:
            PROOF.collected(node)
            NODES[item.nodeid] = node


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.nodeid in NODES:
        PROOF.reported(NODES[report.nodeid], report.when, report.outcome)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run of all these tests fails when one of them was skipped that a clause needs."""
    if NODES and PROOF.is_whole() and PROOF.unproved() and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if NODES and PROOF.is_whole():
        terminalreporter.section("clauses of the standards")
        terminalreporter.write_line(PROOF.line())
        for clause in PROOF.unproved():
            terminalreporter.write_line(f"not proved: {clause}")
    if SCORE.counts:
        terminalreporter.section("wire cases")
        for line in SCORE.lines():
            terminalreporter.write_line(line)
