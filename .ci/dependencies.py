"""Checks the Rust dependencies without a network: licences, sources, bans, written reasons.

The lists are those of deny.toml, so that this script and `cargo deny` say the same. Every direct
dependency must be named in docs/decisions/0007-dependencies.md. What needs a network, the advisory
database, is left to `cargo deny check advisories` in the lint workflow.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
REASONS = ROOT / "docs" / "decisions" / "0007-dependencies.md"


def licensed(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be met with the allowed licences alone."""
    words = re.findall(r"\(|\)|[^\s()/]+|/", expression)
    words = ["OR" if word == "/" else word for word in words]

    def either() -> bool:
        met = both()
        while words and words[0] == "OR":
            words.pop(0)
            met = both() or met
        return met

    def both() -> bool:
        met = one()
        while words and words[0] == "AND":
            words.pop(0)
            met = one() and met
        return met

    def one() -> bool:
        word = words.pop(0)
        if word == "(":
            met = either()
            words.pop(0)
            return met
        if words and words[0] == "WITH":
            word = f"{word} {words.pop(0)} {words.pop(0)}"
        return word in allowed

    return either()


def faults(metadata: dict[str, Any], policy: dict[str, Any], reasons: str) -> list[str]:
    allowed = set(policy["licenses"]["allow"])
    banned = {entry["crate"] for entry in policy["bans"]["deny"]}
    members = set(metadata["workspace_members"])
    found = []
    for package in metadata["packages"]:
        name = f"{package['name']} {package['version']}"
        if package["id"] in members:
            for dependency in package["dependencies"]:
                if "path" in dependency:
                    continue
                if f"`{dependency['name']}`" not in reasons:
                    found.append(f"{dependency['name']}: no reason given in {REASONS.name}")
                if dependency["req"] == "*":
                    found.append(f"{dependency['name']}: needs a version")
            continue
        if not package["license"] or not licensed(package["license"], allowed):
            found.append(f"{name}: licence {package['license']!r} is not in deny.toml")
        if not (package["source"] or "").startswith("registry+"):
            found.append(f"{name}: comes from {package['source']}, not from the crate registry")
        if package["name"] in banned:
            found.append(f"{name}: banned in deny.toml")
    return found


def main() -> int:
    # The lock file covers every feature and platform, and so does this.
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
    metadata = json.loads(
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    )
    policy = tomllib.loads((ROOT / "deny.toml").read_text("utf-8"))
    found = faults(metadata, policy, REASONS.read_text("utf-8"))
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print(f"{len(metadata['packages'])} packages: licences, sources and reasons are in order")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
