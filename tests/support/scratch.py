"""A virtual environment with oxmqtt under paho's name, some packages from the index, and nothing of paho-mqtt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .process import Process

ROOT = Path(__file__).resolve().parents[2]


class ScratchEnvironment:
    """`packages` maps a package to whether its own requirements come along."""

    def __init__(self, folder: Path, packages: dict[str, bool], customize: str = "") -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "sitecustomize.py").write_text(customize)
        for package, with_requirements in packages.items():
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(site)]
            install += [package] if with_requirements else ["--no-deps", package]
            done = subprocess.run(install, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"{package} cannot be installed: {done.stderr.strip()[-200:]}")
        self._python = str(folder / "bin" / "python")
        alias = ROOT / "python" / "oxmqtt" / "_paho_path"
        self._path = os.pathsep.join([str(alias), str(ROOT / "python")])

    def run(self, *arguments: str) -> Process:
        return Process([self._python, "-u", *arguments], PYTHONPATH=self._path)
