"""Every program under examples/ runs in a process of its own, against mosquitto and the embedded broker, and prints what it should."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Callable

import pytest
from support.mosquitto import find_mosquitto, needed
from support.process import Process

from .brokers import BROKERS, Environment
from .expectations import EXPECTED, Expected

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SECONDS = 40.0
#: Variables of the machine must not decide what an example does.
FOREIGN = tuple(name for name in os.environ if name.startswith(("MQTT_", "METRICS_")))

Opened = Callable[[str], Environment]


def programs() -> set[str]:
    return {
        path.relative_to(EXAMPLES).as_posix()
        for path in EXAMPLES.glob("*/*.py")
        if not path.name.startswith("test_") and path.name != "conftest.py"
    }


@pytest.fixture(scope="module", params=sorted(BROKERS))
def broker_for(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opened]:
    """Gives the variables of a broker that is set up in a way; each way is started once."""
    opened: dict[str, Environment] = {}
    with ExitStack() as stack:

        def open_one(kind: str) -> Environment:
            if kind not in opened:
                folder = tmp_path_factory.mktemp(kind)
                opened[kind] = stack.enter_context(BROKERS[request.param](kind, folder))
            return opened[kind]

        yield open_one


def run(arguments: list[str], environment: Environment) -> tuple[int, list[str], str]:
    command = [sys.executable, "-X", "faulthandler", "-W", "error", *arguments]
    with Process(command, cwd=EXAMPLES.parent, **environment) as process:
        code = process.exit_code(SECONDS)
        return code, process.output.items(), process.error_text()


def check(expected: Expected, output: list[str]) -> None:
    if not expected.among:
        assert len(output) == len(expected.lines), output
        for pattern, line in zip(expected.lines, output):
            assert re.fullmatch(pattern, line), f"{line!r} is not {pattern!r}"
        return
    rest = iter(output)
    for pattern in expected.lines:
        assert any(re.fullmatch(pattern, line) for line in rest), f"no {pattern!r} in {output}"


def test_each_program_has_an_expectation_and_a_line_in_the_index() -> None:
    assert programs() == set(EXPECTED)
    index = (EXAMPLES / "README.md").read_text()
    files = {
        path.relative_to(EXAMPLES).as_posix()
        for path in EXAMPLES.glob("*/*")
        if path.is_file() and path.name != "conftest.py"
    }
    assert sorted(re.findall(r"^\| \[[^]]+\]\(([^)]+)\) \|", index, re.MULTILINE)) == sorted(files)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_example(name: str, broker_for: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = EXPECTED[name]
    if sys.version_info < expected.python:
        pytest.skip("needs Python {}.{}".format(*expected.python))
    if expected.package and importlib.util.find_spec(expected.package) is None:
        pytest.skip(f"needs the package {expected.package}")
    for variable in FOREIGN:
        monkeypatch.delenv(variable)
    environment = {**broker_for(expected.broker), "METRICS_PORT": "0"}
    code, output, errors = run([str(EXAMPLES / name)], environment)
    assert code == 0, f"{output}\n{errors}"
    assert errors == ""
    check(expected, output)


@pytest.mark.parametrize("kind", sorted(BROKERS))
def test_demo(kind: str) -> None:
    environment = {"OXMQTT_NO_MOSQUITTO": "1"}
    if kind == "mosquitto":
        needed()
        environment = {}
    code, output, errors = run(["examples/demo.py", "--seconds", "0.2"], environment)
    assert (code, errors) == (0, ""), f"{output}\n{errors}"
    assert (kind in output[0]) and "listens" in output[0]
    assert "nothing lost" in output[-1]


def test_authentication_is_refused(broker_for: Opened) -> None:
    environment = {**broker_for("users"), "MQTT_PASSWORD": "wrong"}
    _, output, _ = run([str(EXAMPLES / "connect/authentication.py")], environment)
    assert len(output) == 1
    assert re.fullmatch("refused: (Not authorized|Bad user name or password)", output[0]), output


def test_health_check_fails_without_a_broker(unused_port: int) -> None:
    code, output, errors = run(
        [str(EXAMPLES / "deploy/health_check.py")],
        {"MQTT_HOST": "127.0.0.1", "MQTT_PORT": str(unused_port)},
    )
    assert (code, errors) == (1, "")
    assert output[0].startswith("unhealthy: ")


def test_configuration_names_the_wrong_variable() -> None:
    code, _, errors = run([str(EXAMPLES / "deploy/configuration.py")], {"MQTT_PORT": "many"})
    assert code == 2
    assert "MQTT_PORT has to be a number" in errors


@pytest.mark.parametrize("name", ["unit", "integration", "flow", "resilience"])
def test_example_of_tests(name: str) -> None:
    if name != "unit":
        pytest.importorskip("oxmqtt.testing", reason="this oxmqtt has no embedded broker")
    file = EXAMPLES / "testing" / f"test_{name}.py"
    code, output, errors = run(["-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)], {})
    assert code == 0, f"{output}\n{errors}"
    assert re.match(r"[1-9]\d* passed in ", output[-1]), output


def test_scaling_over_two_brokers(broker_for: Opened, tmp_path: Path) -> None:
    first = broker_for("plain")
    other = "mosquitto" if find_mosquitto() else "embedded"
    with BROKERS[other]("plain", tmp_path) as second:
        both = ",".join(f"{each['MQTT_HOST']}:{each['MQTT_PORT']}" for each in (first, second))
        code, output, errors = run(
            [str(EXAMPLES / "scaling/shared_subscription.py")], {"MQTT_BROKERS": both}
        )
    assert (code, errors) == (0, "")
    assert output == ["6 processes did 60 jobs, each once: True"]


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that is bound, and where nobody listens."""
    import socket

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
