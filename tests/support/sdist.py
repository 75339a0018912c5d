"""Source distributions, fetched from the package index: their tests, examples and documentation run on oxmqtt.

They are kept in `.cache`, outside git.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "sdists"


class NotAvailable(Exception):
    """The package index could not be asked."""


@dataclass(frozen=True)
class Sdist:
    """One release of one package."""

    package: str
    version: str

    def folder(self) -> Path:
        """Where it is unpacked; fetched if it is not there yet."""
        unpacked = CACHE / f"{self.package.replace('-', '_')}-{self.version}"
        if not unpacked.is_dir():
            CACHE.mkdir(parents=True, exist_ok=True)
            fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            fetch += ["--no-binary", self.package, "--dest", str(CACHE)]
            done = subprocess.run(
                [*fetch, f"{self.package}=={self.version}"], capture_output=True, text=True
            )
            if done.returncode:
                raise NotAvailable(done.stderr.strip().rpartition("\n")[2])
            with tarfile.open(CACHE / f"{unpacked.name}.tar.gz") as archive:
                # Python 3.13 warns without one; the first releases of 3.9 have none.
                archive.extraction_filter = getattr(tarfile, "data_filter", None)
                archive.extractall(CACHE)
        return unpacked


PAHO = Sdist("paho-mqtt", "2.2.0")
AIOMQTT = Sdist("aiomqtt", "2.5.1")
