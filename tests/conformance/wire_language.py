"""The wire cases as data: where they are, what a case says, and its payload language as bytes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.packets import V311
from support.properties import varint

PROJECT = Path(__file__).resolve().parents[2]
#: The set is not part of the project; its README has the terms.
FOLDER = Path(os.environ.get("OXMQTT_WIRE_CASES") or PROJECT.parent / "shared" / "wire-cases")

_TOKEN = re.compile(r"'([^']*)'|(\S+)")
_LENGTHS = {"H": 2, "s": 2, "m": 2, "k": 2, "L": 4, "i": 1}


def encode(payload: str) -> bytes:
    """``30 r14 s5 'topic' 'payload'`` as bytes; a variable byte integer may be an illegal one."""
    out = bytearray()
    for quoted, word in _TOKEN.findall(payload):
        if not word:
            out += quoted.encode()
        elif word[0] in "rv":
            out += varint(int(word[1:]))
        elif word[0] in _LENGTHS:
            out += int(word[1:]).to_bytes(_LENGTHS[word[0]], "big")
        else:
            out += bytes.fromhex(word)
    return bytes(out)


@dataclass(frozen=True)
class WireCase:
    """One sequence; `steps` are (sent by the client?, bytes)."""

    file: str
    group: str
    name: str
    version: int
    connack: bool
    must_close: bool
    command: str
    steps: tuple[tuple[bool, bytes], ...]

    @property
    def label(self) -> str:
        return f"{self.file}/{' '.join(self.group.split())}/{self.name}"


def _case(file: str, group: dict[str, Any], test: dict[str, Any]) -> WireCase:
    def value(key: str, default: Any) -> Any:
        return test.get(key, group.get(key, default))

    steps = [*group.get("group_msgs", []), *test["msgs"]]
    return WireCase(
        file=file,
        group=group["group"],
        name=test["name"],
        version=value("ver", V311),
        connack=value("connack", True) and value("connect", True),
        must_close=value("expect_disconnect", True),
        command=value("command", ""),
        steps=tuple((step["type"] == "recv", encode(step["payload"])) for step in steps),
    )


def load(folder: Path = FOLDER) -> Iterator[WireCase]:
    """All cases of a folder, in the order of the files; none when it is not there."""
    for path in sorted(folder.glob("*.json")):
        for group in json.loads(path.read_text()):
            for test in group["tests"]:
                yield _case(path.stem, group, test)
