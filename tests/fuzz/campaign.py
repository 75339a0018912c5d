"""Runs the fuzz targets, one after the other, from the committed corpus.

    python tests/fuzz/campaign.py [--seconds N] [--runs N] [--asan] [--keep] [target ...]

The corpus of a target is `corpus/TARGET.hex`: an input in hexadecimal digits a line, so that the
plain tests of `replay.rs` read it without libFuzzer; first, up to an empty line, those written by hand. Each run starts from it and from what earlier
runs on this machine found. `--keep` writes what is worth keeping back: the smallest inputs that together
reach every edge of the target. A crash prints its input; as a line of the corpus it is a plain test.

It needs `cargo install cargo-fuzz --locked` and a nightly compiler.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TARGETS = ("broker", "decode_v3", "decode_v5", "round_trip", "session", "topic_match")
# No input needs more: longer ones repeat what shorter ones do, and are slower.
LARGEST_CORPUS = 28_000  # hexadecimal digits; the smallest inputs are kept
LONGEST = {"broker": 1500, "session": 1500}


def unpack(target: str, into: Path) -> None:
    for number, line in enumerate((ROOT / "corpus" / f"{target}.hex").read_text().splitlines()):
        if line and not line.startswith("//"):
            (into / f"committed-{number}").write_bytes(bytes.fromhex(line))


def pack(target: str, found: Path) -> None:
    path = ROOT / "corpus" / f"{target}.hex"
    by_hand, gap, _ = path.read_text().rpartition("\n\n")
    inputs = {file.read_bytes() for file in found.iterdir()}
    lines: list[str] = []
    for data in sorted(inputs, key=lambda data: (len(data), data)):
        if sum(map(len, lines)) < LARGEST_CORPUS:
            lines += [data.hex()] if data else []
    path.write_text(by_hand + gap + "\n".join(lines) + "\n")
    print(f"{target}: {len(lines)} inputs kept, {path.stat().st_size} bytes")


def fuzz(verb: str, target: str, folder: Path | None, asan: bool, options: list[str]) -> str:
    """Runs cargo-fuzz and returns what it printed."""
    command = ["cargo", "+nightly", "fuzz", verb, "--fuzz-dir", str(ROOT)]
    command += ["--sanitizer", "address" if asan else "none", target]
    command += [str(folder), "--", *options] if folder else []
    environment = dict(os.environ)
    if asan:
        # The sanitizer's runtime is the compiler's own.
        environment["RUSTFLAGS"] = "-Cunsafe-allow-abi-mismatch=sanitizer"
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if result.returncode:
        print(result.stdout[-6000:])
        sys.exit(f"{target}: cargo fuzz {verb} failed")
    return result.stdout


def figure(pattern: str, text: str) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs the fuzz targets.")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--runs", type=int, default=-1, help="executions of each target at most")
    parser.add_argument("--asan", action="store_true", help="with the address sanitizer, slower")
    parser.add_argument("--keep", action="store_true", help="keep what was found in the corpus")
    parser.add_argument("targets", nargs="*", default=TARGETS, help=" ".join(TARGETS))
    arguments = parser.parse_args()
    mode = "address sanitizer" if arguments.asan else "no sanitizer"
    total = 0
    for target in arguments.targets:
        work = ROOT / "target" / "corpus" / target
        work.mkdir(parents=True, exist_ok=True)
        unpack(target, work)
        fuzz("build", target, None, arguments.asan, [])
        longest = [f"-max_len={LONGEST.get(target, 600)}"]
        limits = [f"-max_total_time={arguments.seconds}", f"-runs={arguments.runs}"]
        statistics = ["-print_final_stats=1"]
        text = fuzz("run", target, work, arguments.asan, limits + longest + statistics)
        runs = figure(r"number_of_executed_units: (\d+)", text)
        speed = figure(r"average_exec_per_sec: +(\d+)", text)
        edges = figure(r"cov: (\d+)", text)
        total += runs
        print(
            f"{target}: {runs:,} executions ({mode}), {speed:,} a second, {edges:,} edges",
            flush=True,
        )
        if arguments.keep:
            with tempfile.TemporaryDirectory() as found:
                # libFuzzer merges into the folder that comes first: cargo-fuzz puts its own behind.
                merge = ["-merge=1", "-use_counters=0", *longest, found]
                fuzz("run", target, work, arguments.asan, merge)
                pack(target, Path(found))
    print(f"{total:,} executions, no crash")


if __name__ == "__main__":
    main()
