"""``oxmqtt`` as a process, mosquitto's own tools beside it, and a broker with permissions."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from oxmqtt.testing import Broker
from support.mosquitto import Mosquitto, needed
from support.process import Process
from support.waiting import Deadline, eventually

pytest.importorskip("click", reason="the command line needs click: pip install oxmqtt[cli]")
pytest.importorskip("rich", reason="the command line needs rich: pip install oxmqtt[cli]")

# A shell that runs the tests in the background has SIGINT ignored; children inherit that.
_START = """\
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from oxmqtt._cli import main
main()
"""


def command(*words: object) -> list[str]:
    return [sys.executable, "-X", "faulthandler", "-c", _START, *map(str, words)]


class Done(NamedTuple):
    """A process that has ended."""

    code: int
    output: str
    errors: str
    raw: bytes


def run(*words: object, given: bytes = b"", seconds: float = 30) -> Done:
    """``oxmqtt`` with these arguments and this input."""
    done = subprocess.run(command(*words), input=given, capture_output=True, timeout=seconds)
    texts = [each.decode(errors="replace") for each in (done.stdout, done.stderr)]
    assert "Traceback" not in texts[1], texts[1]
    return Done(done.returncode, *texts, done.stdout)


def start(*words: object, **environment: str) -> Process:
    return Process(command(*words), **environment)


def on_terminal(words: list[str], until: bytes, **environment: str) -> bytes:
    """What the command writes to a terminal until ``until`` is there."""
    own, terminal = pty.openpty()
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, **environment},
    )
    os.close(terminal)
    shown, deadline = b"", Deadline(10)
    try:
        while until not in shown and not deadline.passed():
            if select.select([own], [], [], deadline.remaining())[0]:
                shown += os.read(own, 65_536)
    finally:
        process.kill()
        process.wait()
        os.close(own)
    return shown


def tool(name: str, *words: object) -> list[str]:
    """A program that comes with mosquitto, with these arguments."""
    return [needed(name), *map(str, words)]


def at(broker: Mosquitto | Broker) -> tuple[str, str, str, str]:
    return "-h", broker.host, "-p", str(broker.port)


class Listener(Process):
    """A subscriber in a process of its own that has its subscription already."""

    def __init__(self, broker: Mosquitto, arguments: list[str]) -> None:
        before = broker.log().count("Sending SUBACK")
        super().__init__(arguments)
        eventually(lambda: broker.log().count("Sending SUBACK") > before, "a subscription")


Listen = Callable[..., Listener]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MQTT_URL", "MQTT_USERNAME", "MQTT_PASSWORD", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A mosquitto whose log says when a subscription is there."""
    with Mosquitto(tmp_path_factory.mktemp("talkative"), extra=("log_type all",)) as running:
        yield running


@pytest.fixture
def hear(talkative: Mosquitto) -> Iterator[Listen]:
    """Starts ``oxmqtt sub`` or mosquitto_sub, and returns when it has subscribed."""
    started: list[Listener] = []

    def hear(*words: object, by: str = "oxmqtt") -> Listener:
        words = (*at(talkative), *words)
        arguments = command("sub", *words) if by == "oxmqtt" else tool("mosquitto_sub", *words)
        started.append(Listener(talkative, arguments))
        return started[-1]

    yield hear
    for each in started:
        each.__exit__()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """Wants user and password; ``user`` may use ``open/#`` only."""
    folder = tmp_path_factory.mktemp("strict")
    (folder / "passwords").touch()
    words = tool("mosquitto_passwd", "-b", folder / "passwords", "user", "s3cret")
    subprocess.run(words, check=True)
    (folder / "acl").write_text("user user\ntopic readwrite open/#\n")
    for name in ("passwords", "acl"):
        os.chmod(folder / name, 0o600)
    extra: tuple[Any, ...] = (
        "allow_anonymous false",
        f"password_file {folder / 'passwords'}",
        f"acl_file {folder / 'acl'}",
    )
    with Mosquitto(Path(folder), extra=extra) as running:
        yield running
