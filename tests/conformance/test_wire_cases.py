"""The wire cases: what a client must accept and must refuse, each through the public API.

The set is not part of the project: `OXMQTT_WIRE_CASES` names its folder, the default is
`../shared/wire-cases` beside the project. Without it the tests are skipped. The summary of the run
counts the must-stay and the must-close cases apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
from support.peer import ScriptedPeer

from . import reasons, wire_runner
from .deviations import DEVIATIONS
from .score import SCORE
from .wire_language import FOLDER, PROJECT, WireCase, encode, load

CASES = list(load())

needs_cases = pytest.mark.skipif(
    not CASES, reason=f"the wire cases are not at {FOLDER}; OXMQTT_WIRE_CASES names their folder"
)


@pytest.fixture(scope="module")
def wire_peer() -> Iterator[ScriptedPeer]:
    """One listener for all cases."""
    with ScriptedPeer() as running:
        yield running


def complaint(case: WireCase, outcome: wire_runner.Outcome) -> str | None:
    """What is wrong with the outcome, if anything is."""
    if outcome.closed != case.must_close:
        return "closed, and must stay" if outcome.closed else "stayed, and must close"
    for expected, came in outcome.missed:
        return f"expected {expected.hex(' ')}, got {came.hex(' ') if came else 'nothing'}"
    if case.version == 5 and case.must_close:
        due = reasons.due(case)
        if outcome.reason != due:
            return f"DISCONNECT with {outcome.reason}, due is {due}"
    return None


@needs_cases
@pytest.mark.better_than_paho("the set is where it fails")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_wire_case(case: WireCase, wire_peer: ScriptedPeer, mqtt: ModuleType) -> None:
    try:
        wrong = complaint(case, wire_runner.play(case, wire_peer, mqtt))
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    if case.label in DEVIATIONS:
        SCORE.count(case.must_close, "deviate")
        assert wrong, "passes: take it out of the table of deviations"
    else:
        SCORE.count(case.must_close, "fail" if wrong else "pass")
        assert not wrong, wrong


@needs_cases
def test_every_deviation_is_a_case() -> None:
    labels = [case.label for case in CASES]
    for label in DEVIATIONS:
        assert label in labels


def test_every_deviation_is_documented() -> None:
    page = (PROJECT / "docs" / "reliability.md").read_text()
    table = page.partition("## Known deviations")[2]
    for label in DEVIATIONS:
        assert f'"{label.rpartition("/")[2]}"' in table, label


def test_the_language() -> None:
    raw = encode("32 r268435456 i1 H2 s2 'ab' L3 v128 746F v0 'c d'")
    assert raw.hex() == "32808080800101000200026162000000038001746f00632064"
