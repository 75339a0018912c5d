"""`oxmqtt.paho`: programs that import `paho.mqtt` run on oxmqtt, in process, as a child and under pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    ("program", "code"), [(["missing.py"], 2), (["-m", "missing"], 1), (["-m", "os.missing"], 1)]
)
def test_program_that_is_not_there(tmp_path: Path, program: list[str], code: int) -> None:
    """One line, as Python has it."""
    command = [sys.executable, "-m", "oxmqtt.paho", *program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{sys.executable}: ") and "missing" in line
    assert done.returncode == code


# What an installed paho-mqtt answers, and so does the alias; run with the alias, and with paho as the oracle.
QUESTIONS = """
import importlib, importlib.metadata, importlib.util, inspect, pickle, pkgutil, sys, unittest.mock

def say(*words):
    print(*words)

say("found before", *[importlib.util.find_spec(name) is not None for name in ("paho", "paho.mqtt")])
say("found inside", importlib.util.find_spec("paho.mqtt.client") is not None)
say("not found", importlib.util.find_spec("paho.nothing"), importlib.util.find_spec("paho.mqtt.nothing"))
import paho.mqtt
say("loaded with the package", hasattr(paho.mqtt, "subscribe"))
say("version", paho.mqtt.__version__, importlib.metadata.version("paho-mqtt"))
say("distribution", importlib.metadata.distribution("paho_mqtt").metadata["Name"])
public = sorted(m.name for m in pkgutil.iter_modules(paho.mqtt.__path__) if not m.name.startswith("_"))
say("listed", *public)
walked = [m.name for m in pkgutil.walk_packages(paho.__path__, "paho.") if "._" not in m.name]
say("walked", *sorted(walked))
import paho.mqtt.client as mqtt
say("spec after", paho.__spec__.name, paho.mqtt.__spec__.name, importlib.util.find_spec("paho.mqtt.client") is not None)
say("package", paho.mqtt.__package__, paho.mqtt.__name__, inspect.ismodule(mqtt))
say("attribute", paho.mqtt.client is mqtt, sys.modules["paho.mqtt.client"] is mqtt)
say("source", inspect.getsource(mqtt.Client).startswith("class Client"))
for name in ("paho", "paho.mqtt", "paho.mqtt.client"):
    del sys.modules[name]
    again = importlib.import_module(name)
    say("again", name, again.__name__.rpartition(".")[2])
import paho.mqtt, paho.mqtt.client
mqtt = paho.mqtt.client
say("reloaded", importlib.reload(mqtt) is mqtt, importlib.reload(paho.mqtt) is paho.mqtt, importlib.reload(paho) is paho)
say("resolved", pkgutil.resolve_name("paho.mqtt.client:Client") is mqtt.Client)
with unittest.mock.patch("paho.mqtt.client.Client") as patched:
    say("patched", mqtt.Client is patched)
from paho.mqtt import MQTTException, properties, publish, reasoncodes, subscribe, subscribeoptions
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
kept = properties.Properties(PacketTypes.PUBLISH)
kept.ContentType, kept.UserProperty = "text", ("a", "b")
values = [
    kept, MQTTErrorCode.MQTT_ERR_NO_CONN, CallbackAPIVersion.VERSION2,
    reasoncodes.ReasonCode(PacketTypes.PUBACK, identifier=0x80), subscribeoptions.SubscribeOptions(qos=1),
    mqtt.ConnectFlags(True), mqtt.topic_matches_sub, MQTTException("x"),
]
for value in values:
    read = pickle.loads(pickle.dumps(value))
    say("pickled", type(value).__name__, str(read) == str(value), type(read) is type(value))
say("unpickled", pickle.loads(b"cpaho.mqtt.enums\\nMQTTErrorCode\\n.").__name__)
"""


def test_questions_of_programs_have_the_answers_of_an_installed_paho(tmp_path: Path) -> None:
    (tmp_path / "ask.py").write_text(QUESTIONS)
    expected = run("ask.py", cwd=tmp_path).splitlines()
    folder = run("-m", "oxmqtt.paho", "--path", cwd=tmp_path).strip()
    for how in (["-m", "oxmqtt.paho", "ask.py"], ["ask.py"]):
        path = folder if how == ["ask.py"] else ""
        answers = run(*how, cwd=tmp_path, PYTHONPATH=path).splitlines()
        assert answers == expected


def test_wins_after_everything_was_forgotten(tmp_path: Path) -> None:
    """Suites empty `sys.modules` of it to import it anew."""
    (tmp_path / "app.py").write_text(
        INSTALL
        + "import sys\nimport paho.mqtt.client\n"
        + "for name in [n for n in sys.modules if n.split('.')[0] == 'paho']: del sys.modules[name]\n"
        + PROGRAM
    )
    assert run("app.py", cwd=tmp_path) == "on oxmqtt []\n"


def test_module_mocked_before(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import sys, unittest.mock\nsys.modules['paho'] = unittest.mock.MagicMock()\n"
        + INSTALL
        + PROGRAM
    )
    assert run("app.py", cwd=tmp_path) == "on oxmqtt []\n"
