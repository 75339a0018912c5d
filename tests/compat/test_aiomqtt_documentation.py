"""The programs of aiomqtt's documentation with the changed import, each in a process of its own.

They connect to a public broker by name; a `sitecustomize` has that name mean a mosquitto here. What they
listen for is kept by that broker, so that each gets it as soon as it has subscribed.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from support.clients import Watched
from support.mosquitto import Mosquitto, free_port
from support.process import Process
from support.renamed_host import resolving
from support.scratch import ScratchEnvironment
from support.sdist import AIOMQTT, NotAvailable

from .aiomqtt_suite import HOST, ROOT, migrated

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Programs by page. The third of the migration guide shows what no longer works.
PROGRAMS = {
    "alongside-fastapi-and-co": 1,
    "connecting-to-the-broker": 2,
    "migration-guide-v2": 6,
    "publishing-a-message": 1,
    "reconnection": 1,
    "subscribing-to-a-topic": 8,
}

TEMPERATURE, HUMIDITY = ("temperature/outside", b"28.4"), ("humidity/inside", b"0.38")
KEPT = [TEMPERATURE, HUMIDITY]

#: What they publish; then they end.
PUBLISHING = {
    ("connecting-to-the-broker", 0): [TEMPERATURE],
    ("connecting-to-the-broker", 1): [TEMPERATURE, HUMIDITY],
    ("migration-guide-v2", 0): [TEMPERATURE],
    ("migration-guide-v2", 1): [TEMPERATURE],
    ("publishing-a-message", 0): [TEMPERATURE],
}

#: What they print, until they are interrupted.
LISTENING = {
    ("migration-guide-v2", 3): ["b'28.4'"],
    ("migration-guide-v2", 4): [
        *("[humidity/inside] b'0.38'", "[+/outside] b'28.4'", "[temperature/#] b'28.4'"),
    ],
    ("migration-guide-v2", 5): ["[temperature/#] b'28.4'", "[humidity/#] b'0.38'"],
    ("subscribing-to-a-topic", 0): ["b'28.4'"],
    ("subscribing-to-a-topic", 1): ["A: b'0.38'", "B: b'28.4'", "C: b'28.4'"],
    ("subscribing-to-a-topic", 2): ["b'28.4'", "b'0.38'"],
    ("subscribing-to-a-topic", 3): ["b'28.4'"],
    ("subscribing-to-a-topic", 4): ["b'28.4'", *(f"Slept for {n} seconds!" for n in (1, 2, 3))],
    ("subscribing-to-a-topic", 5): ["b'28.4'"],
}
#: What they print before they end by themselves, after five seconds.
ENDING = {
    ("subscribing-to-a-topic", 6): ["b'28.4'"],
    ("subscribing-to-a-topic", 7): ["b'28.4'"],
}
#: They use asyncio.TaskGroup or asyncio.timeout(), which came with Python 3.11.
NEW = {
    ("migration-guide-v2", 5),
    ("subscribing-to-a-topic", 3),
    ("subscribing-to-a-topic", 4),
    ("subscribing-to-a-topic", 7),
}

INTERRUPTIBLE = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"

Name = tuple[str, int]


@pytest.fixture(scope="module")
def programs() -> dict[Name, str]:
    """The programs of all pages, on oxmqtt."""
    try:
        pages = AIOMQTT.folder() / "docs"
    except NotAvailable as error:
        pytest.skip(f"no sdist of aiomqtt: {error}")
    found = {
        (page.stem, number): block
        for page in pages.glob("*.md")
        for number, block in enumerate(BLOCK.findall(page.read_text()))
    }
    counts = {page: sum(name[0] == page for name in found) for page in {n[0] for n in found}}
    assert counts == PROGRAMS
    changed = {name: migrated(block) for name, block in found.items()}
    assert all("import oxmqtt.aio as aiomqtt\n" in program for program in changed.values())
    return changed


def keep(mqtt: ModuleType, broker: Mosquitto) -> None:
    with Watched(mqtt, "keeper") as keeper:
        keeper.start(broker)
        for topic, payload in KEPT:
            keeper.client.publish(topic, payload, 1, retain=True).wait_for_publish(10)


class Folder:
    """Where programs run, with a broker under the name that they connect to."""

    def __init__(self, path: Path, broker: Mosquitto) -> None:
        self.path = path
        customize = resolving(HOST, {1883: broker.port}) + INTERRUPTIBLE
        (path / "sitecustomize.py").write_text(customize)

    def run(self, program: str) -> Process:
        path = os.pathsep.join([str(self.path), str(ROOT / "python")])
        return Process([sys.executable, "-u", "-X", "dev", "-c", program], PYTHONPATH=path)


@pytest.fixture
def folder(tmp_path: Path, broker: Mosquitto) -> Folder:
    return Folder(tmp_path, broker)


def interrupt(program: Process) -> None:
    """It ends as a program of asyncio does, and complains of nothing else."""
    program.interrupt()
    program.exit_code()
    errors = program.error_text()
    assert errors.endswith("KeyboardInterrupt"), errors
    for complaint in ("never retrieved", "Warning", "Exception ignored", "was destroyed"):
        assert complaint not in errors, errors


@pytest.mark.parametrize("name", PUBLISHING, ids=lambda name: f"{name[0]}-{name[1]}")
def test_publishing(
    mqtt: ModuleType, broker: Mosquitto, folder: Folder, programs: dict[Name, str], name: Name
) -> None:
    with Watched(mqtt, "watcher") as watcher:
        watcher.start(broker)
        watcher.subscribe("temperature/#", 0)
        watcher.subscribe("humidity/#", 0)
        with folder.run(programs[name]) as program:
            assert program.exit_code() == 0
            assert program.error_text() == ""
        expected = PUBLISHING[name]
        seen = watcher.messages.wait_count(len(expected))
        assert [(message.topic, message.payload) for message in seen] == expected


@pytest.fixture(scope="module")
def keeping_broker(
    mqtt: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
        keep(mqtt, running)
        yield running


def test_listening(tmp_path: Path, keeping_broker: Mosquitto, programs: dict[Name, str]) -> None:
    """All at once, because they sleep."""
    folder = Folder(tmp_path, keeping_broker)
    runs_here = {
        name for name in [*LISTENING, *ENDING] if name not in NEW or sys.version_info >= (3, 11)
    }
    with contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(folder.run(programs[name])) for name in runs_here}
        for name, program in running.items():
            for line in {**LISTENING, **ENDING}[name]:
                program.wait_line(line, 20)
            if name in ENDING:
                assert program.exit_code(20) == 0, program.error_text()
                assert program.error_text() == ""
            else:
                interrupt(program)


def test_reconnection(
    mqtt: ModuleType, tmp_path: Path, own_broker: Mosquitto, programs: dict[Name, str]
) -> None:
    keep(mqtt, own_broker)
    with Folder(tmp_path, own_broker).run(programs["reconnection", 0]) as program:
        program.wait_line("b'0.38'")
        own_broker.restart()
        program.wait_line("Connection lost; Reconnecting in 5 seconds ...")
        program.output.wait_for(lambda lines: lines.count("b'0.38'") == 2, "the message again", 20)
        interrupt(program)


@pytest.mark.timeout(180)
def test_alongside_fastapi(tmp_path: Path, broker: Mosquitto, programs: dict[Name, str]) -> None:
    """Under a real server, asked by HTTP."""
    customize = resolving(HOST, {1883: broker.port}) + INTERRUPTIBLE
    packages = {"fastapi>=0.115,<1": True, "uvicorn>=0.30,<1": True}
    environment = ScratchEnvironment(tmp_path / "scratch", packages, customize)
    (tmp_path / "program.py").write_text(programs["alongside-fastapi-and-co", 0])
    port = free_port()
    arguments = ("-m", "uvicorn", "--app-dir", str(tmp_path), "--port", str(port), "program:app")
    with environment.run(*arguments) as program:
        program.errors.wait_for(
            lambda lines: any("Uvicorn running on" in line for line in lines), "the server", 60
        )
        for n in range(1, 4):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                assert answer.status == 200
            program.output.wait_for(lambda lines, n=n: lines.count("b'0.38'") == n, "the message")
        program.interrupt()
        program.exit_code()
        assert "Application shutdown complete." in program.error_text()
        assert "Traceback" not in program.error_text()
