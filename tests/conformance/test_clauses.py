"""clauses.toml is complete and true: every statement that binds a client has tests, and they exist."""

from __future__ import annotations

import csv
import importlib
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from . import clauses
from .clauses import Clause, Proof

CLAUSES = clauses.read()
#: How many of the statements bind a client.
COUNTS = {"5.0": 166, "3.1.1": 86}


def test_every_statement_is_there() -> None:
    assert Counter(clause.version for clause in CLAUSES) == COUNTS
    for clause in CLAUSES:
        assert re.fullmatch(r"MQTT-\d+[.-]\d+\.\d+-\d+", clause.id), clause
        assert clause.binds and set(clause.binds) <= set("SRV"), clause


def test_every_statement_has_a_test() -> None:
    assert not [str(clause) for clause in CLAUSES if not clause.tests]


def test_every_test_exists() -> None:
    """pytest's are looked up in their modules, cargo's in the sources of its test binaries."""
    in_rust = clauses.rust_tests()
    missing = []
    for clause in CLAUSES:
        missing += [f"{clause}: {name}" for name in clause.rust_tests if name not in in_rust]
        for name in clause.python_tests:
            file, _, test = clauses.without_parameters(name).partition("::")
            path = clauses.HERE / file
            module = (
                importlib.import_module(f"{__package__}.{path.stem}") if path.exists() else None
            )
            if not callable(getattr(module, test, None)) or not test.startswith("test_"):
                missing.append(f"{clause}: {name}")
    assert not missing


def test_the_list_agrees_with_the_statements() -> None:
    """The classes were assigned once, outside the project; where that file is, it is compared."""
    beside = clauses.HERE.parents[2] / "shared" / "client-statements.csv"
    path = Path(os.environ.get("OXMQTT_CLIENT_STATEMENTS", beside))
    if not path.exists():
        pytest.skip(f"not at {path}; OXMQTT_CLIENT_STATEMENTS names the file")
    columns = {
        "S": "client_sends",
        "R": "client_receives_or_behaves",
        "V": "server_violation_visible_to_client",
    }
    with path.open(newline="", encoding="utf-8") as file:
        expected = {
            (row["version"], row["id"]): "".join(
                c for c, name in columns.items() if row[name] == "1"
            )
            for row in csv.DictReader(file)
        }
    expected = {key: binds for key, binds in expected.items() if binds}
    assert {(clause.version, clause.id): clause.binds for clause in CLAUSES} == expected


def test_a_statement_is_proved_by_all_of_its_tests() -> None:
    """The record itself: failed, skipped and missing tests prove nothing."""
    one = Clause("5.0", "MQTT-1.1.1-1", "S", ("test_a.py::test_x", "test_a.py::test_y[2]"))
    proof = Proof([one])
    nodes = ["test_a.py::test_x", "test_a.py::test_y[1]", "test_a.py::test_y[2]"]
    assert not proof.is_whole()
    for node in nodes:
        proof.collected(node)
    assert proof.is_whole() and proof.unproved() == [one]
    proof.reported(nodes[0], "setup", "passed")
    proof.reported(nodes[0], "call", "passed")
    proof.reported(nodes[1], "call", "failed")
    assert proof.unproved() == [one]
    proof.reported(nodes[2], "call", "passed")
    assert not proof.unproved() and proof.line() == "v5: 1 of 1"
    proof.reported(nodes[2], "teardown", "failed")
    assert proof.unproved() == [one] and proof.line() == "v5: 0 of 1"
    skipped = Proof([one])
    for node in nodes:
        skipped.collected(node)
        skipped.reported(node, "setup", "skipped")
    assert skipped.unproved() == [one]
