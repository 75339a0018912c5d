"""The name ``paho.mqtt`` for oxmqtt, for programs that cannot change their imports.

==============================================  ===============================================
``import oxmqtt.paho; oxmqtt.paho.install()``    in this process, before the program's own imports
``python -m oxmqtt.paho app.py ARGS``            runs a program on it; also ``-m module ARGS``
``pytest -p oxmqtt.paho``                        runs a test suite on it
``PYTHONPATH=$(python -m oxmqtt.paho --path)``   carries it into subprocesses too
==============================================  ===============================================

The modules are the same objects under both names, so ``mock.patch("paho.mqtt.client.Client")`` reaches
everyone.  The alias wins over an installed paho-mqtt.
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys
from types import ModuleType

#: The release whose interface the alias has.
PAHO_VERSION = "2.2.0"

_MODULES = (
    "client",
    "enums",
    "exception",
    "matcher",
    "packettypes",
    "properties",
    "publish",
    "reasoncodes",
    "subscribe",
    "subscribeoptions",
)


def install() -> None:
    """Makes ``paho.mqtt`` and its modules mean oxmqtt in this process; harmless when repeated."""
    client = importlib.import_module("oxmqtt.client")
    if sys.modules.get("paho.mqtt.client") is client:
        return
    for name in [name for name in sys.modules if name == "paho" or name.startswith("paho.")]:
        del sys.modules[name]
    paho, mqtt = ModuleType("paho"), ModuleType("paho.mqtt")
    for package in (paho, mqtt):
        package.__path__ = []
        sys.modules[package.__name__] = package
    paho.mqtt = mqtt  # type: ignore[attr-defined]
    for name in _MODULES:
        module = importlib.import_module(f"oxmqtt.{name}")
        sys.modules[f"paho.mqtt.{name}"] = module
        setattr(mqtt, name, module)
    mqtt.__version__ = PAHO_VERSION  # type: ignore[attr-defined]
    mqtt.MQTTException = mqtt.exception.MQTTException  # type: ignore[attr-defined]


def path() -> str:
    """A folder for ``PYTHONPATH`` whose ``paho`` package installs the alias."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "_paho_path")


def pytest_load_initial_conftests() -> None:
    """Called by pytest for ``-p oxmqtt.paho``, before any conftest is imported."""
    install()


def main(arguments: list[str]) -> None:
    """``python -m oxmqtt.paho``; raises ``SystemExit`` with a usage line for anything else."""
    if arguments == ["--path"]:
        print(path())
    elif len(arguments) >= 2 and arguments[0] == "-m":
        install()
        sys.argv = arguments[1:]
        sys.path.insert(0, os.getcwd())
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments and not arguments[0].startswith("-"):
        install()
        sys.argv = arguments
        sys.path.insert(0, os.path.dirname(os.path.abspath(arguments[0])))
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        raise SystemExit("usage: python -m oxmqtt.paho (app.py | -m module) [arguments] | --path")


if __name__ == "__main__":
    main(sys.argv[1:])
