"""docs/cli.md: its examples run, and its exit codes are those of the program."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from oxmqtt._cli.exits import MEANINGS
from support.mosquitto import Mosquitto

from .conftest import command

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text("utf-8")
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
EXAMPLES = [found for block in BLOCK.findall(PAGE) for found in EXAMPLE.findall(block)]


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 8


def test_the_examples(broker: Mosquitto) -> None:
    """In their order: some use what one before has published."""
    function = f'oxmqtt() {{ {shlex.join(command())} "$@"; }}\n'
    environment = {**os.environ, "MQTT_URL": f"mqtt://{broker.host}:{broker.port}"}
    for example, expected in EXAMPLES:
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail\n{function}{example}"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, ""), example
        shown = done.stdout.replace(f":{str(broker.port)[:2]}", ":PO", 1)
        assert shown == expected, example


def test_exit_codes() -> None:
    table = PAGE.partition("## Exit codes")[2]
    found = re.findall(r"^\| (\d+) \| (.*) \|$", table, re.MULTILINE)
    assert {int(code): meaning for code, meaning in found} == MEANINGS


@pytest.mark.parametrize("name", ["pub", "sub", "broker", "bench", "doctor"])
def test_each_option_of_the_page_exists(name: str) -> None:
    section = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    done = subprocess.run([*command(), name, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    prose = re.sub(r"```.*?```", "", section, flags=re.DOTALL)
    for option in re.findall(r"`(--?[a-zA-Z][\w-]*)", prose):
        assert re.search(rf"(?<![\w-]){option}\b", done.stdout), option
