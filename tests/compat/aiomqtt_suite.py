"""Runs aiomqtt's own test suite on oxmqtt.aio: a copy in which nothing but the imports was changed.

The public broker that it asks is a mosquitto here, on TCP, TLS and WebSocket.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from support.certificates import Authority
from support.mosquitto import Mosquitto, free_port
from support.renamed_host import resolving
from support.sdist import AIOMQTT

from . import suite_report

WAIVERS = Path(__file__).with_name("aiomqtt_waivers.toml")
ROOT = Path(__file__).resolve().parents[2]
HOST = "test.mosquitto.org"
#: Modules of aiomqtt that oxmqtt.aio has under another name.
MODULES = {"aiomqtt.types": "oxmqtt.aio.types"}
#: Seconds.
PATIENCE = 120


def migrated(source: str) -> str:
    """The same program on oxmqtt: with `oxmqtt.aio` for `aiomqtt`."""
    for module, ours in MODULES.items():
        source = source.replace(f"from {module} import", f"from {ours} import")
    source = re.sub(r"^from aiomqtt\b", "from oxmqtt.aio", source, flags=re.MULTILINE)
    return re.sub(r"^import aiomqtt$", "import oxmqtt.aio as aiomqtt", source, flags=re.MULTILINE)


def copy(suite: Path, folder: Path) -> None:
    """The suite, on oxmqtt. Of the table that one test reads, none is left: its texts are aiomqtt's."""
    shutil.copytree(suite, folder)
    for file in folder.glob("*.py"):
        source = migrated(file.read_text())
        if "_CONNECT_RC_STRINGS, " in source:
            source = source.replace("_CONNECT_RC_STRINGS, ", "")
            source = source.replace("\n\n\n", "\n\n_CONNECT_RC_STRINGS = {}\n\n\n", 1)
        file.write_text(source)


def run(folder: Path) -> suite_report.Result:
    """Copies the suite into the folder and runs it there, with a broker of its own.

    :raises NotAvailable: there is no source distribution.
    """
    sources = AIOMQTT.folder()
    copy(sources / "tests", folder / "tests")
    authority = Authority(folder / "authority")
    server = authority.issue(HOST, (f"subjectAltName=DNS:{HOST}",))
    shutil.copy(authority.certificate, folder / "tests" / "mosquitto.org.crt")
    tls, websocket = free_port(), free_port()
    users = folder / "users"
    users.write_text("")
    listeners = (
        f"password_file {users}",
        *(f"listener {tls} 127.0.0.1", f"certfile {server.chain}", f"keyfile {server.key}"),
        *(f"listener {websocket} 127.0.0.1", "protocol websockets"),
    )
    report = folder / "report.xml"
    with Mosquitto(folder / "mosquitto", extra=listeners) as broker:
        ports = {1883: broker.port, 8883: tls, 8080: websocket}
        (folder / "sitecustomize.py").write_text(resolving(HOST, ports))
        alias = ROOT / "python" / "oxmqtt" / "_paho_path"
        path = os.pathsep.join(map(str, (folder, alias, ROOT / "python")))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += ["-c", str(sources / "pyproject.toml"), f"--rootdir={folder}", "--timeout=30"]
        done = subprocess.run(
            [*command, f"--junit-xml={report}", "tests"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
    assert report.exists(), done.stdout[-4000:]
    (folder / "output.txt").write_text(done.stdout)
    return suite_report.read(report)
