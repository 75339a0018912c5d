"""paho's own suite starts when the session does, since it mostly sleeps, and is judged last."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import sdist

from . import paho_suite, suite_report

RUN = pytest.StashKey[paho_suite.Run]()


def is_suite(item: pytest.Item) -> bool:
    return "paho_suite_run" in getattr(item, "fixturenames", ())


def pytest_configure(config: pytest.Config) -> None:
    config.stash[suite_report.LINES] = []


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=is_suite)
    if items and is_suite(items[-1]) and not config.option.collectonly:
        try:
            config.stash[RUN] = paho_suite.Run(sdist.PAHO.folder())
        except sdist.NotAvailable as error:
            items[-1].add_marker(pytest.mark.skip(reason=f"no sdist of paho-mqtt: {error}"))


@pytest.fixture
def paho_suite_run(request: pytest.FixtureRequest) -> Iterator[paho_suite.Run]:
    yield request.config.stash[RUN]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in terminalreporter.config.stash.get(suite_report.LINES, []):
        terminalreporter.write_line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    run = config.stash.get(RUN, None)
    if run is not None:
        run.stop()
