"""aiomqtt's own suite on oxmqtt.aio: everything passes, but for what `aiomqtt_waivers.toml` names with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.sdist import AIOMQTT, NotAvailable

from . import aiomqtt_suite, suite_report


@pytest.mark.timeout(aiomqtt_suite.PATIENCE)
def test_aiomqtt_suite(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    try:
        result = aiomqtt_suite.run(tmp_path)
    except NotAvailable as error:
        pytest.skip(f"no sdist of aiomqtt: {error}")
    waived = set(suite_report.waivers(aiomqtt_suite.WAIVERS))
    line = f"aiomqtt {AIOMQTT.version}'s own tests on oxmqtt.aio: {result.counts(waived)}"
    request.config.stash[suite_report.LINES].append(line)
    result.check(waived)
    assert len(result.passed) == 46
