"""The layers of docs/architecture.md, as far as the compiler does not keep them.

The crates under `src/` are the layers: what one does not name in its Cargo.toml it cannot use. Here
stands which of them may name which, that no modules of a crate use each other in a circle, and that
files stay short; import-linter looks after the Python modules (`pyproject.toml`). The second half of
the file plants violations in a small tree and expects each to be found, so that a check which has gone
blind fails here and not in a review.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 600

# What each crate may name of the others, and of those that make a layer what it is.
CRATES: dict[str, set[str]] = {
    "protocol": set(),
    "engine": {"oxmqtt-protocol", "tokio"},
    "broker": {"oxmqtt-protocol", "tokio"},
    "bindings": {"oxmqtt-protocol", "oxmqtt-engine", "oxmqtt-broker", "pyo3"},
}
LAYERING = {"oxmqtt-protocol", "oxmqtt-engine", "oxmqtt-broker", "oxmqtt-bindings", "tokio", "pyo3"}

Module = tuple[str, ...]


def crate_violations(root: Path) -> Iterator[str]:
    for manifest in sorted(root.glob("src/*/Cargo.toml")):
        crate = manifest.parent.name
        if crate not in CRATES:
            yield f"src/{crate}: has no place among the layers"
            continue
        tables = tomllib.loads(manifest.read_text("utf-8"))
        for table in (tables, *tables.get("target", {}).values()):
            for name in table.get("dependencies", {}):
                if name in LAYERING - CRATES[crate]:
                    yield f"src/{crate}: uses {name}"


# `use` of the module itself: rustfmt indents those of functions and of inline modules.
USE = re.compile(r"^(pub(?:\([^)]*\))? )?use ([^;]+);", re.MULTILINE)
# A path that is written out where it is needed.
INLINE = re.compile(r"\b(?:super|crate)(?:::\w+)+")


def without_tests(text: str) -> str:
    """The text up to the module's tests, without its comments."""
    text = re.split(r"^#\[cfg\(test\)\]\nmod ", text, maxsplit=1, flags=re.MULTILINE)[0]
    return re.sub(r"//[^\n]*", "", text)


def paths_of(tree: str) -> Iterator[str]:
    """The paths of a use tree: `a::{b, c::d}` has `a::b` and `a::c::d`."""
    head, brace, rest = tree.partition("{")
    if not brace:
        yield tree.split(" as ")[0].strip()
        return
    depth, start, rest = 0, 0, rest[: rest.rindex("}")] + ","
    for at, sign in enumerate(rest):
        depth += (sign == "{") - (sign == "}")
        if sign == "," and not depth:
            if branch := rest[start:at].strip():
                yield from (head.strip() + path for path in paths_of(branch))
            start = at + 1


class Crate:
    """The modules of a crate, and which of them uses which."""

    def __init__(self, folder: Path) -> None:
        self.texts: dict[Module, str] = {}
        for path in sorted(folder.rglob("*.rs")):
            parts = path.relative_to(folder).with_suffix("").parts
            module = parts[:-1] if parts[-1] in ("lib", "mod") else parts
            self.texts[module] = without_tests(path.read_text("utf-8"))
        self.named = {module: list(self.names(module)) for module in self.texts}
        self.exports = {
            (module, path[-1]): path
            for module, named in self.named.items()
            for path, public in named
            if public
        }
        self.uses = {module: set(self.used_by(module)) for module in self.texts}

    def names(self, module: Module) -> Iterator[tuple[Module, bool]]:
        """(path from the crate's root, public) of everything in the crate that it names."""
        text = self.texts[module]
        for found in USE.finditer(text):
            for path in paths_of(found.group(2)):
                if (named := self.named_from(module, path)) is not None:
                    yield named, bool(found.group(1))
        for found in INLINE.finditer(USE.sub("", text)):
            if (named := self.named_from(module, found.group())) is not None:
                yield named, False

    def named_from(self, module: Module, path: str) -> Module | None:
        """A path as the module writes it, from the crate's root; None if it leads to another crate."""
        first, *rest = path.split("::")
        if first == "crate":
            return tuple(rest)
        if first == "super":
            module = module[:-1]
            while rest and rest[0] == "super":
                module, rest = module[:-1], rest[1:]
            return (*module, *rest)
        if first == "self":
            return (*module, *rest)
        return (*module, first, *rest) if (*module, first) in self.texts else None

    def home(self, path: Module) -> Module:
        """The module in which a path ends, through re-exports."""
        depth = len(path)
        while path[:depth] not in self.texts:
            depth -= 1
        exported = self.exports.get((path[:depth], path[depth])) if depth < len(path) else None
        return self.home(exported) if exported else path[:depth]

    def used_by(self, module: Module) -> Iterator[Module]:
        body = USE.sub("", self.texts[module])
        for path, public in self.named[module]:
            # What is only passed on is not used.
            passed_on = public and not re.search(rf"\b{re.escape(path[-1])}\b", body)
            if not passed_on and (home := self.home(path)) != module:
                yield home

    def circles(self) -> Iterator[list[Module]]:
        """A shortest circle through each module that is in one, each circle once."""
        seen: set[frozenset[Module]] = set()
        for start in self.texts:
            ways = [[start]]
            reached: set[Module] = set()
            while ways:
                way = ways.pop(0)
                if start in self.uses[way[-1]]:
                    if frozenset(way) not in seen:
                        seen.add(frozenset(way))
                        yield [*way, start]
                    break
                for following in sorted(self.uses[way[-1]] - reached):
                    reached.add(following)
                    ways.append([*way, following])


def circles(root: Path) -> Iterator[str]:
    for manifest in sorted(root.glob("src/*/Cargo.toml")):
        for circle in Crate(manifest.parent).circles():
            way = " → ".join("::".join(module) or "lib" for module in circle)
            yield f"src/{manifest.parent.name}: circle {way}"


def long_files(root: Path) -> Iterator[str]:
    for path in sorted((root / "src").rglob("*.rs")):
        lines = len(path.read_text("utf-8").splitlines())
        if lines >= MAX_LINES:
            yield f"{path.relative_to(root).as_posix()}: {lines} lines, split it before {MAX_LINES}"


def violations(root: Path) -> list[str]:
    return [
        *crate_violations(root),
        *circles(root),
        *long_files(root),
    ]


def test_the_sources_keep_the_layers() -> None:
    assert violations(ROOT) == []


def test_every_layer_is_read() -> None:
    """The checks above see the files they are about."""
    crates = {path.parent.name: Crate(path.parent) for path in ROOT.glob("src/*/Cargo.toml")}
    assert set(crates) == set(CRATES)
    assert ("codec", "packet_type") in crates["protocol"].uses["codec", "reason"]
    assert ("codec", "error") in crates["protocol"].uses["session", "own_packets"]


CLEAN = {
    "src/protocol/Cargo.toml": '[dependencies]\nbytes = "1"\n',
    "src/protocol/lib.rs": "pub mod codec;\npub mod session;\npub use session::Session;\n",
    "src/protocol/codec/mod.rs": "mod ack;\nmod error;\npub use ack::Ack;\npub use error::Error;\n",
    "src/protocol/codec/error.rs": "pub struct Error;\n",
    "src/protocol/codec/ack.rs": "use super::Error;\n\npub struct Ack;\n",
    "src/protocol/session/mod.rs": """\
mod ledger;
mod sending;
pub use sending::Receipt;
use crate::codec::{self, Ack};
use ledger::{Entry, Ledger as Book};
// use sending::A;
pub struct Session { ledger: Book }
#[cfg(test)]
mod tests {
    use super::sending::B;
}
""",
    "src/protocol/session/sending.rs": "use super::Session;\npub struct Receipt;\n",
    "src/protocol/session/ledger.rs": "pub(super) struct Ledger;\n",
    "src/engine/Cargo.toml": '[dependencies]\noxmqtt-protocol = { path = "p" }\ntokio = "1"\n',
    "src/engine/lib.rs": "use oxmqtt_protocol::session::Session;\n",
}


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return root


def test_a_clean_tree_passes(tmp_path: Path) -> None:
    assert violations(plant(tmp_path, CLEAN)) == []


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("src/protocol/Cargo.toml", '[dependencies]\ntokio = "1"', "src/protocol: uses tokio"),
        (
            "src/engine/Cargo.toml",
            '[target."cfg(unix)".dependencies]\noxmqtt-broker.workspace = true',
            "src/engine: uses oxmqtt-broker",
        ),
        ("src/helpers/Cargo.toml", "", "src/helpers: has no place among the layers"),
        (
            "src/protocol/codec/error.rs",
            "use super::Ack;",
            "src/protocol: circle codec::ack → codec::error → codec::ack",
        ),
        (
            "src/protocol/codec/error.rs",
            "use super::ack::{\n    Kind, Ack};",
            "circle codec::ack → codec::error → codec::ack",
        ),
        (
            "src/protocol/codec/error.rs",
            "use crate::{codec::ack as a};",
            "circle codec::ack → codec::error → codec::ack",
        ),
        (
            "src/protocol/codec/error.rs",
            "use crate::Session;",
            "circle codec::ack → codec::error → session → codec::ack",
        ),
        (
            "src/protocol/session/mod.rs",
            "pub use sending::Receipt;\npub struct Session(Receipt);",
            "circle session → session::sending → session",
        ),
        (
            "src/protocol/codec/error.rs",
            "fn f() {\n    super::ack::f()\n}",
            "circle codec::ack → codec::error → codec::ack",
        ),
        (
            "src/protocol/session/ledger.rs",
            "use super::super::session::Session;",
            "circle session::ledger → session → session::ledger",
        ),
        ("src/engine/a.rs", "fn f() {}\n" * MAX_LINES, "split it before 600"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, name: str, text: str, found: str) -> None:
    planted = violations(plant(tmp_path, CLEAN | {name: text}))
    assert [line for line in planted if found in line], planted
