"""The name ``paho.mqtt`` for oxmqtt, for programs that cannot change their imports.

==============================================  ===============================================
``import oxmqtt.paho; oxmqtt.paho.install()``    in this process, before the program's own imports
``python -m oxmqtt.paho app.py ARGS``            runs a program on it; also ``-m module ARGS``
``pytest -p oxmqtt.paho``                        runs a test suite on it
``PYTHONPATH=$(python -m oxmqtt.paho --path)``   carries it into subprocesses too
==============================================  ===============================================

Python finds the packages ``paho`` and ``paho.mqtt`` in a folder of oxmqtt, so they can be looked for, listed,
imported again and asked for their version, like installed ones.  The modules within are the same objects
under both names, so ``mock.patch("paho.mqtt.client.Client")`` reaches everyone.  The alias wins over an
installed paho-mqtt.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.machinery import ModuleSpec
    from importlib.metadata import Distribution
    from types import ModuleType


class _Finder:
    """Finds the package ``paho`` in the folder of the alias; what is inside it, Python finds there."""

    @staticmethod
    def find_spec(
        name: str, search: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "paho":
            return None
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(name, [path()])

    @staticmethod
    def find_distributions(context: Any = None) -> Iterable[Distribution]:
        """For ``importlib.metadata.version("paho-mqtt")``."""
        from importlib.metadata import DistributionFinder, MetadataPathFinder

        here = DistributionFinder.Context(name=getattr(context, "name", None), path=[path()])
        return MetadataPathFinder.find_distributions(here)


def install() -> None:
    """Makes ``paho.mqtt`` and its modules mean oxmqtt in this process; harmless when repeated."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
    for name, module in list(sys.modules.items()):
        if (name == "paho" or name.startswith("paho.")) and not _is_alias(module):
            del sys.modules[name]


def _is_alias(module: ModuleType) -> bool:
    is_oxmqtt = getattr(module, "__name__", "").startswith("oxmqtt.")
    return is_oxmqtt or (getattr(module, "__file__", None) or "").startswith(path())


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
        try:
            is_there = importlib.util.find_spec(arguments[1]) is not None
        except ImportError:  # not even its package
            is_there = False
        if not is_there:
            raise SystemExit(f"{sys.executable}: No module named {arguments[1]}")
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments and not arguments[0].startswith("-"):
        try:
            os.stat(arguments[0])
        except OSError as error:  # in Python's words
            path_given = os.path.abspath(arguments[0])
            why = f"[Errno {error.errno}] {error.strerror}"
            print(f"{sys.executable}: can't open file {path_given!r}: {why}", file=sys.stderr)
            raise SystemExit(2) from None
        install()
        sys.argv = arguments
        sys.path.insert(0, os.path.dirname(os.path.abspath(arguments[0])))
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        raise SystemExit("usage: python -m oxmqtt.paho (app.py | -m module) [arguments] | --path")


if __name__ == "__main__":
    from oxmqtt import paho  # this file is two modules now; only one may install anything

    paho.main(sys.argv[1:])
