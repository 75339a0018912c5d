"""Fixtures shared by the suites: the client module under test, brokers, peers, free descriptors and threads.

`pytest --client paho.mqtt.client` runs the same tests on paho itself, the oracle. Tests marked
`better_than_paho("why")` assert what paho is known to do wrong; there they may fail.
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

from support.mosquitto import Mosquitto  # noqa: E402
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
    if config.getoption("--client") == ORACLE:
        # paho leaves its socket pairs to the garbage collector
        config.addinivalue_line("filterwarnings", "ignore::ResourceWarning")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    on_paho = config.getoption("--client") == ORACLE
    for item in items:
        mark = item.get_closest_marker("better_than_paho")
        if mark and on_paho:
            item.add_marker(pytest.mark.skip(reason=f"paho: {mark.args[0]}"))


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
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A mosquitto for the tests of one file; do not stop it."""
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
