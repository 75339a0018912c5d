"""The source distribution of paho-mqtt, fetched from the package index: its tests and its examples run on oxmqtt.

It is kept in `.cache`, outside git.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

VERSION = "2.2.0"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "paho"


class NotAvailable(Exception):
    """The package index could not be asked."""


def folder() -> Path:
    """Where it is unpacked; fetched if it is not there yet."""
    unpacked = CACHE / f"paho_mqtt-{VERSION}"
    if not unpacked.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        fetch += ["--no-binary", "paho-mqtt", "--dest", str(CACHE), f"paho-mqtt=={VERSION}"]
        done = subprocess.run(fetch, capture_output=True, text=True)
        if done.returncode:
            raise NotAvailable(done.stderr.strip().rpartition("\n")[2])
        with tarfile.open(CACHE / f"{unpacked.name}.tar.gz") as archive:
            # Python 3.13 warns without one; the first releases of 3.9 have none.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(CACHE)
    return unpacked
