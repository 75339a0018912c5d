"""The one command: `python benches/e2e/bench.py [options of run.py]`.

It makes a virtual environment, builds the peer and the release wheel of oxmqtt (or takes the wheel
in `dist/` if that is newer than the sources), runs the benchmark and writes the report. The report
of a whole run goes to `docs/benchmarks/`; with `--quick`, `--only` or `--scenarios` it stays in
`results/`.

`--no-oxmqtt` measures the others only; `--wheel FILE` measures that wheel.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from adapters import CLIENTS, FOLDERS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
VENV = FOLDERS / "bench-venv"
AIOMQTT3 = FOLDERS / CLIENTS["aiomqtt3"].folder
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or FOLDERS / "bench-target")
SOURCES = ("Cargo.toml", "Cargo.lock", "pyproject.toml", "src", "python")


def call(*command: str | Path, cwd: Path = ROOT) -> None:
    words = [str(word) for word in command]
    print("$", " ".join(Path(words[0]).name if i == 0 else w for i, w in enumerate(words)))
    subprocess.run(words, cwd=cwd, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(TARGET)})


def make_environment() -> None:
    """The virtual environment, and beside it what cannot share it; again when they change."""
    for name, folder in (("requirements.txt", VENV), ("requirements-aiomqtt3.txt", AIOMQTT3)):
        requirements = (HERE / name).read_text()
        stamp = folder / name
        if stamp.exists() and stamp.read_text() == requirements:
            continue
        if folder == VENV:
            call(sys.executable, "-m", "venv", VENV)
            where: tuple[str | Path, ...] = ()
        else:
            where = ("--upgrade", "--target", folder)
        call(PYTHON, "-m", "pip", "install", "--quiet", *where, "-r", HERE / name)
        stamp.write_text(requirements)


def build_programs() -> None:
    for crate in ("peer", "rumq"):
        call("cargo", "build", "--release", "--quiet", "--locked", cwd=HERE / crate)


def newest_source() -> float:
    files = [ROOT / name for name in SOURCES if (ROOT / name).is_file()]
    for name in SOURCES:
        files += [path for path in (ROOT / name).rglob("*") if path.suffix in (".rs", ".py")]
    return max(path.stat().st_mtime for path in files)


def find_wheel() -> Path:
    """A release wheel no older than the sources: the one in `dist/`, or a new one."""
    dist = ROOT / "dist"
    wheels = sorted(dist.glob("oxmqtt-*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels or wheels[-1].stat().st_mtime < newest_source():
        print("dist/ has no wheel of these sources: building one")
        call(PYTHON, "-m", "maturin", "build", "--release", "--out", dist, "-i", PYTHON)
        wheels = sorted(dist.glob("oxmqtt-*.whl"), key=lambda path: path.stat().st_mtime)
    return wheels[-1]


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Builds, runs and reports.",
        epilog="Any other option is run.py's: --set, --only, --scenarios, --reps, --clients, --quick.",
    )
    parser.add_argument("--wheel", type=Path, help="the oxmqtt wheel to measure")
    parser.add_argument("--no-oxmqtt", action="store_true", help="only the other clients")
    parser.add_argument("--out", type=Path, help="where the JSON lines go")
    options, passed_on = parser.parse_known_args()
    make_environment()
    build_programs()
    if not options.no_oxmqtt:
        wheel = options.wheel or find_wheel()
        call(PYTHON, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", wheel)
    results = options.out or HERE / "results" / f"{datetime.now():%Y%m%d-%H%M%S}.jsonl"
    results = results.resolve()
    call(PYTHON, HERE / "run.py", "--out", results, *passed_on)
    whole = not any(
        word.split("=")[0] in ("--quick", "--only", "--scenarios") for word in passed_on
    )
    destination = ROOT / "docs" / "benchmarks" if whole else results.with_suffix("")
    call(PYTHON, HERE / "report.py", results, "--to", destination)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as failure:
        sys.exit(failure.returncode)
