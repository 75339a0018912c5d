"""paho-mqtt's own suite on oxmqtt: everything passes, but for what `waivers.toml` names with a reason."""

from __future__ import annotations

import pytest

from . import paho_suite


@pytest.mark.timeout(paho_suite.PATIENCE)
def test_paho_suite(paho_suite_run: paho_suite.Run, request: pytest.FixtureRequest) -> None:
    result = paho_suite_run.result()
    waived = paho_suite.waivers()
    request.config.stash[paho_suite.LINE] = result.line(set(waived))
    not_waived = {test: text for test, text in result.failed.items() if test not in waived}
    assert not not_waived
    assert not waived.keys() - result.failed.keys() - result.skipped, (
        "these pass: waive them no more"
    )
    assert len(result.passed) > 165, "most of the suite did not run"
