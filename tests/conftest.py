"""Fixtures shared by the suites: the client module under test, brokers, peers, free descriptors and threads.

`pytest --client paho.mqtt.client` runs the same tests on paho itself, the oracle. Tests marked
`better_than_paho("why")` assert what paho is known to do wrong; there they may fail. Without mosquitto the embedded broker
serves; tests that start a mosquitto of their own or are marked `needs_mosquitto("why")` skip.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

TESTS = Path(__file__).resolve().parent
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from support.embedded import Embedded  # noqa: E402
from support.mosquitto import Mosquitto, find_mosquitto  # noqa: E402
from support.peer import ScriptedPeer  # noqa: E402

ORACLE = "paho.mqtt.client"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--client",
        default="oxmqtt.client",
        help="module under test: oxmqtt.client (default) or paho.mqtt.client",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "chaos: a run of a minute under resets")
    config.addinivalue_line("markers", "better_than_paho(reason): paho 2.2.0 is known to fail this")
    config.addinivalue_line("markers", "needs_mosquitto(reason): the embedded broker cannot serve")
    if config.getoption("--client") == ORACLE:
        # paho leaves its socket pairs to the garbage collector
        config.addinivalue_line("filterwarnings", "ignore::ResourceWarning")


def pytest_report_header() -> str:
    if find_mosquitto() is None:
        return "broker: the embedded one; mosquitto is not installed, and tests that need it skip"
    return "broker: mosquitto"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    on_paho = config.getoption("--client") == ORACLE
    for item in items:
        mark = item.get_closest_marker("better_than_paho")
        if mark and on_paho:
            item.add_marker(pytest.mark.skip(reason=f"paho: {mark.args[0]}"))
        mark = item.get_closest_marker("needs_mosquitto")
        if mark and find_mosquitto() is None:
            item.add_marker(pytest.mark.skip(reason=f"needs mosquitto: {mark.args[0]}"))


def load(name: str) -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module(name)


@pytest.fixture(scope="session")
def client_name(pytestconfig: pytest.Config) -> str:
    """Dotted name of the module under test, for programs in other processes."""
    return str(pytestconfig.getoption("--client"))


@pytest.fixture(scope="session")
def mqtt(client_name: str) -> ModuleType:
    """The module under test."""
    return load(client_name)


@pytest.fixture(scope="session")
def paho() -> ModuleType:
    """The oracle."""
    return load(ORACLE)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto | Embedded]:
    """A mosquitto for the tests of one file, or where there is none the embedded broker: tests use `host` and `port`."""
    if find_mosquitto() is None:
        with Embedded() as embedded:
            yield embedded
        return
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A mosquitto for one test that restarts it; keeps its sessions."""
    with Mosquitto(tmp_path / "mosquitto", persistence=True) as running:
        yield running


@pytest.fixture
def peer() -> Iterator[ScriptedPeer]:
    """A scripted broker; it reads the protocol version from the CONNECT."""
    with ScriptedPeer() as running:
        yield running
