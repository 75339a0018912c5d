"""`oxmqtt.paho`: programs that import `paho.mqtt` run on oxmqtt, in process, as a child and under pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys, unittest.mock
import paho.mqtt, paho.mqtt.client as mqtt, paho.mqtt.publish
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt import MQTTException, client
import oxmqtt.client, oxmqtt.exception
assert mqtt is client is oxmqtt.client and paho.mqtt.client is oxmqtt.client
assert MQTTException is oxmqtt.exception.MQTTException
assert paho.mqtt.__version__ == "2.2.0"
with unittest.mock.patch("paho.mqtt.client.Client") as patched:
    assert oxmqtt.client.Client is patched
print("on oxmqtt", sys.argv[1:])
"""


def run(*arguments: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_script_and_module(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    for how in (["app.py"], ["-m", "app"]):
        assert run("-m", "oxmqtt.paho", *how, "x", "--y", cwd=tmp_path) == (
            "on oxmqtt ['x', '--y']\n"
        )


def test_path_for_subprocesses(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    folder = run("-m", "oxmqtt.paho", "--path", cwd=tmp_path).strip()
    child = "import subprocess, sys; subprocess.run([sys.executable, 'app.py'], check=True)"
    assert run("-c", child, cwd=tmp_path, PYTHONPATH=folder) == "on oxmqtt []\n"


def test_install_wins_over_an_imported_paho(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import paho.mqtt.client\n" + INSTALL + PROGRAM)
    assert run("app.py", cwd=tmp_path) == "on oxmqtt []\n"


INSTALL = "import oxmqtt.paho\noxmqtt.paho.install()\noxmqtt.paho.install()\n"


def test_pytest_plugin(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("import paho.mqtt.client as early\n")
    (tmp_path / "test_it.py").write_text(
        "from conftest import early\nimport oxmqtt.client\n"
        "def test_it():\n    assert early is oxmqtt.client\n"
    )
    out = run("-m", "pytest", "-q", "-p", "oxmqtt.paho", "-p", "no:cacheprovider", cwd=tmp_path)
    assert "1 passed" in out


def test_usage(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "oxmqtt.paho"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stderr.startswith("usage: ")
