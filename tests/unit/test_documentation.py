"""The programs in the documentation run as they stand, against a real broker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.mosquitto import Mosquitto
from support.process import Program

DOCS = Path(__file__).resolve().parents[2] / "docs"
#: Pages whose Python blocks are whole programs.
PAGES = ["../README.md", "quickstart.md", "asyncio.md", "threading.md", "migrating.md"]
#: From 3.12 on Python warns of every fork() of a process with threads; the page tells what works.
WITHOUT_ADVICE = """\
import warnings

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
"""
CALLS = re.compile(r"(connect|connect_async|aio.*\bClient)\(")
CALL = re.compile(r'\b(connect|connect_async|Client)\("localhost"')
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def programs() -> list[tuple[str, str]]:
    return [
        (f"{page} {number}", source)
        for page in PAGES
        for number, source in enumerate(BLOCK.findall((DOCS / page).read_text("utf-8")), 1)
    ]


def test_the_pages_have_programs() -> None:
    assert len(programs()) >= 8


@pytest.mark.parametrize("source", [pytest.param(code, id=name) for name, code in programs()])
def test_a_program(broker: Mosquitto, source: str) -> None:
    has_broker = "Broker()" in source
    assert CALL.search(source) or not CALLS.search(source) or has_broker
    source = CALL.sub(rf'\1("{broker.host}", {broker.port}', source)
    with Program(WITHOUT_ADVICE + source, "oxmqtt.client") as program:
        assert program.exit_code(20) == 0, program.error_text()
        assert program.error_text() == ""
