"""paho-mqtt's own suite on oxmqtt: everything passes, but for what `waivers.toml` names with a reason."""

from __future__ import annotations

import pytest

from . import paho_suite, suite_report


@pytest.mark.timeout(paho_suite.PATIENCE)
def test_paho_suite(paho_suite_run: paho_suite.Run, request: pytest.FixtureRequest) -> None:
    result = paho_suite_run.result()
    waived = set(suite_report.waivers(paho_suite.WAIVERS))
    request.config.stash[suite_report.LINES].append(paho_suite.line(result, waived))
    result.check(waived)
    assert len(result.passed) > 165, "most of the suite did not run"
