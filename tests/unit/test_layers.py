"""The layers of docs/architecture.md, checked by reading the sources.

`codec ◀ session ◀ engine ◀ bindings`: each layer uses those before it and never those after it. The
second half of the file plants violations in a small tree and expects each to be found, so that a
check which has gone blind fails here and not in a review.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 600

# What each top module of the crate may name, itself included. A new module needs a line here.
USES: dict[str, set[str]] = {
    "topic": {"topic"},
    "codec": {"topic", "codec"},
    "session": {"topic", "codec", "session"},
    "engine": {"topic", "codec", "session", "engine"},
    "broker": {"topic", "codec", "engine", "broker"},
    "bindings": {"topic", "codec", "session", "engine", "broker", "bindings"},
}

# The layers without sockets, threads, clocks, randomness, files and Python.
PURE = {"topic", "codec", "session"}
# Those that read bytes from the network without ever panicking or using unsafe code.
SOUND = {"codec", "session"}

CRATES: dict[str, set[str]] = {
    "pyo3": {"bindings"},
    "tokio": {"engine", "broker"},
    "socket2": {"engine", "broker"},
    "rustix": {"engine", "broker", "bindings"},
    "atomic_waker": {"engine", "broker"},
    "rand": {"engine", "broker", "bindings"},
    "getrandom": {"engine"},
    "rcgen": {"broker"},
    "rustls": {"engine", "broker"},
    "rustls_native_certs": {"engine"},
    "rustls_pki_types": {"engine", "broker"},
    "tungstenite": {"engine", "broker"},
}

IMPURE = {
    r"\bstd\s*::\s*(net|thread|fs|env|process|os)\b": "std::{}",
    r"\b(Instant|SystemTime)\s*::\s*now\b": "{}::now",
    r"\b(println|eprintln|print|eprint|dbg)!": "{}!",
}
PANICS = {
    r"\.(unwrap|expect)\s*\(": ".{}()",
    r"\b(panic|todo|unimplemented)!": "{}!",
}

# Python modules that stand on top of client.py: nothing below them imports them.
UPPER_PYTHON = {"publish", "subscribe", "aio", "testing", "paho", "_paho_path", "_cli", "__main__"}


class Source(NamedTuple):
    """One Rust file, without its comments, literals and tests; the lines keep their numbers."""

    name: str
    module: tuple[str, ...]
    text: str

    @property
    def layer(self) -> str:
        return self.module[0] if self.module else "lib"

    def line(self, offset: int) -> int:
        return self.text.count("\n", 0, offset) + 1


# Comments (block comments nest and are matched by hand), strings, characters; not lifetimes.
LITERAL = re.compile(
    r"""
      (?P<line>//[^\n]*)
    | (?P<block>/\*)
    | (?P<raw>\b(?:br|cr|r)(?P<hashes>\#*)"(?s:.*?)"(?P=hashes))
    | (?P<string>\b[bc]?"(?:\\(?s:.)|[^"\\])*"|"(?:\\(?s:.)|[^"\\])*")
    | (?P<char>b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[0-9a-fA-F_]+\}|.)|[^'\\\n])')
    """,
    re.VERBOSE,
)


def blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def without_literals(text: str) -> str:
    out, at = [], 0
    while found := LITERAL.search(text, at):
        end = found.end()
        if found.lastgroup == "block":
            depth = 1
            while depth and (edge := re.compile(r"/\*|\*/").search(text, end)):
                depth += 1 if edge.group() == "/*" else -1
                end = edge.end()
            end = end if not depth else len(text)
        out += [text[at : found.start()], blank(text[found.start() : end])]
        at = end
    return "".join([*out, text[at:]])


def closing(text: str, opening: int) -> int:
    """The offset behind the bracket that closes the one at `opening`."""
    pairs = {"{": "}", "[": "]", "(": ")"}
    left, right, depth = text[opening], pairs[text[opening]], 0
    for at in range(opening, len(text)):
        depth += (text[at] == left) - (text[at] == right)
        if not depth:
            return at + 1
    return len(text)


def without_tests(text: str) -> str:
    """Blanks every item under `#[cfg(test)]`, its other attributes included."""
    while found := re.search(r"#\[cfg\(test\)\]", text):
        at = found.end()
        while attribute := re.compile(r"\s*#\[").match(text, at):
            at = closing(text, attribute.end() - 1)
        edge = re.compile(r"[{;]").search(text, at)
        end = len(text) if edge is None else edge.end()
        if edge is not None and edge.group() == "{":
            end = closing(text, edge.start())
        text = text[: found.start()] + blank(text[found.start() : end]) + text[end:]
    return text


def rust_sources(root: Path) -> Iterator[Source]:
    src = root / "src"
    texts = {path: without_literals(path.read_text("utf-8")) for path in sorted(src.rglob("*.rs"))}
    tests = set()
    for path, text in texts.items():
        folder = path.parent if path.name in ("mod.rs", "lib.rs") else path.with_suffix("")
        for name in re.findall(
            r"#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;", text
        ):
            tests |= {folder / f"{name}.rs", folder / name}
    for path, text in texts.items():
        if tests.isdisjoint([path, *path.parents]):
            parts = path.relative_to(src).with_suffix("").parts
            module = parts[:-1] if parts[-1] in ("mod", "lib") else parts
            yield Source(path.relative_to(root).as_posix(), module, without_tests(text))


def first_names(text: str, at: int) -> Iterator[str]:
    """The first path segments behind `crate::` or `super::` at `at`: one, or those of a group."""
    at += len(text[at:]) - len(text[at:].lstrip())
    if text[at : at + 1] != "{":
        if name := re.compile(r"\w+|\*").match(text, at):
            yield name.group()
        return
    depth, start, end = 0, at + 1, closing(text, at) - 1
    for here in range(start, end + 1):
        depth += (text[here] == "{") - (text[here] == "}" and here < end)
        if (text[here] == "," and not depth) or here == end:
            if text[start:here].strip():
                yield from first_names(text, start)
            start = here + 1


def crate_paths(source: Source) -> Iterator[tuple[int, str]]:
    """(line, top module) of every path through `crate::` or `super::`."""
    text = source.text
    for found in re.finditer(r"\bcrate\s*::\s*(?=[\w{*])", text):
        for name in first_names(text, found.end()):
            yield source.line(found.start()), name
    inline = [
        (found.start(), closing(text, found.end() - 1), found.group(1))
        for found in re.finditer(r"\bmod\s+(\w+)\s*\{", text)
    ]
    for found in re.finditer(r"(?<!\w)(?:super\s*::\s*)+(?=[\w{*])", text):
        here = source.module + tuple(
            name for start, end, name in inline if start < found.start() < end
        )
        kept = here[: max(0, len(here) - found.group().count("super"))]
        if kept:
            yield source.line(found.start()), kept[0]
        else:
            for name in first_names(text, found.end()):
                yield source.line(found.start()), name


def rust_violations(root: Path) -> Iterator[str]:
    for source in rust_sources(root):
        layer = source.layer
        if layer != "lib" and layer not in USES:
            yield f"{source.name}: `{layer}` has no place among the layers"
            continue
        for line, name in crate_paths(source) if layer != "lib" else ():
            if name not in USES:
                yield f"{source.name}:{line}: names `{name}` through the crate root, not its module"
            elif name not in USES[layer]:
                yield f"{source.name}:{line}: {layer} uses {name}"
        for crate, users in CRATES.items():
            if layer not in users:
                for found in re.finditer(
                    rf"\b{crate}\b\s*::|\bextern crate {crate}\b", source.text
                ):
                    yield f"{source.name}:{source.line(found.start())}: {layer} uses {crate}"
        rules = (IMPURE if layer in PURE else {}) | (PANICS if layer in SOUND else {})
        for pattern, shown in rules.items():
            for found in re.finditer(pattern, source.text):
                what = shown.format(found.group(1))
                yield f"{source.name}:{source.line(found.start())}: {layer} uses {what}"
        if source.module in {(name,) for name in SOUND}:
            if not re.search(r"#!\[forbid\([^)]*\bunsafe_code\b", source.text):
                yield f"{source.name}: lacks #![forbid(unsafe_code)]"


def long_files(root: Path) -> Iterator[str]:
    for path in sorted((root / "src").rglob("*.rs")):
        lines = len(path.read_text("utf-8").splitlines())
        if lines >= MAX_LINES:
            yield f"{path.relative_to(root).as_posix()}: {lines} lines, split it before {MAX_LINES}"


def imported_modules(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, module below oxmqtt) of every import inside the package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            paths = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "oxmqtt." if node.level else ""
            prefix = base + (node.module + "." if node.module else "")
            paths = [prefix + alias.name for alias in node.names]
        else:
            continue
        for path in paths:
            top, _, rest = path.partition(".")
            if top == "oxmqtt" and rest:
                yield node.lineno, rest.split(".")[0]


def python_violations(root: Path) -> Iterator[str]:
    package = root / "python" / "oxmqtt"
    for path in sorted(package.rglob("*.py")):
        own = path.relative_to(package).with_suffix("").parts[0]
        if own in UPPER_PYTHON:
            continue
        for line, name in imported_modules(ast.parse(path.read_text("utf-8"))):
            if name in UPPER_PYTHON:
                yield f"{path.relative_to(root).as_posix()}:{line}: imports {name}, which stands above it"


def violations(root: Path) -> list[str]:
    return [*rust_violations(root), *long_files(root), *python_violations(root)]


def test_the_sources_keep_the_layers() -> None:
    assert violations(ROOT) == []


def test_every_layer_is_read() -> None:
    """The check above sees the files it is about."""
    layers = {source.layer for source in rust_sources(ROOT)}
    assert {"lib", "codec", "session", "engine", "bindings"} <= layers


FORBID = "#![forbid(unsafe_code)]\n"
CLEAN = {
    "src/lib.rs": "pub mod codec;\npub mod session;\npub use session::Session;\n",
    "src/codec/mod.rs": FORBID + "use crate::topic::is_filter;\npub struct Packet<'a>(&'a [u8]);\n",
    "src/topic.rs": "pub fn is_filter() -> char { '\"' }\n",
    "src/session/mod.rs": FORBID
    + """\
//! Says `.unwrap()` and tokio:: in prose /* and pyo3:: */ only.
/* a block /* in a block */ tokio::spawn() */
use crate::{codec::{self, Packet}, topic};
const TEXT: &str = "\\" tokio::spawn std::net .unwrap()";
const RAW: &str = r#"a " pyo3:: panic!"#;
fn f<'a>(now: std::time::Instant) -> u8 { b'\\'' }
#[cfg(test)]
mod ledger_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::engine::Inbox;
    fn t() { Some(1).unwrap(); panic!(); }
}
""",
    "src/session/ledger.rs": "mod inner { use super::super::Session; use super::Entry; }\n",
    "src/session/ledger_tests.rs": 'use crate::engine::x; fn t() { a.expect("b"); }\n',
    "src/engine/mod.rs": "use tokio::net::TcpStream;\nuse crate::session::Session;\n",
    "src/bindings/mod.rs": "use pyo3::prelude::*;\nuse crate::engine::Inbox;\n",
    "python/oxmqtt/client.py": "from oxmqtt import _native\nfrom .enums import MQTTErrorCode\n",
    "python/oxmqtt/publish.py": "from .subscribe import simple\nfrom . import client\n",
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
        ("src/engine/io.rs", "\nuse pyo3::Python;", "src/engine/io.rs:2: engine uses pyo3"),
        ("src/lib.rs", "#[pyo3::pymodule]\nmod n {}", "src/lib.rs:1: lib uses pyo3"),
        (
            "src/bindings/a.rs",
            "async fn f() { tokio::time::sleep(d) }",
            "a.rs:1: bindings uses tokio",
        ),
        ("src/session/a.rs", "use tokio::sync;", "a.rs:1: session uses tokio"),
        ("src/session/a.rs", "fn f() { x.unwrap() }", "a.rs:1: session uses .unwrap()"),
        ("src/session/a.rs", 'fn f() { x\n  .expect("y") }', "a.rs:2: session uses .expect()"),
        ("src/codec/a.rs", 'fn f() { panic!("x") }', "a.rs:1: codec uses panic!"),
        ("src/codec/a.rs", "'\"'; /* \" */ fn f() { todo!() }", "a.rs:1: codec uses todo!"),
        (
            "src/codec/a.rs",
            "#[cfg(test)]\nmod t { fn f() {} }\nfn g() { x.unwrap() }",
            "a.rs:3: codec uses .unwrap()",
        ),
        ("src/codec/mod.rs", "//! #![forbid(unsafe_code)]", "lacks #![forbid(unsafe_code)]"),
        ("src/session/mod.rs", "use crate::codec;", "lacks #![forbid(unsafe_code)]"),
        ("src/session/a.rs", "fn f() { Instant::now() }", "a.rs:1: session uses Instant::now"),
        ("src/session/a.rs", "use std::net::IpAddr;", "a.rs:1: session uses std::net"),
        ("src/codec/a.rs", "use crate::session::Session;", "a.rs:1: codec uses session"),
        ("src/codec/a.rs", "use super::super::session;", "a.rs:1: codec uses session"),
        ("src/codec/v5/a.rs", "fn f() { super::super::super::engine::f() }", "codec uses engine"),
        ("src/codec/a.rs", "mod b { use super::super::super::session::X; }", "codec uses session"),
        ("src/session/a.rs", "use crate::{\n codec::{A, B},\n engine::C };", "session uses engine"),
        ("src/session/a.rs", "fn f() -> crate::bindings::B {}", "session uses bindings"),
        ("src/engine/a.rs", "use crate::bindings::Client;", "a.rs:1: engine uses bindings"),
        ("src/engine/a.rs", "use crate::broker::Broker;", "a.rs:1: engine uses broker"),
        ("src/engine/a.rs", "use crate::Session;", "names `Session` through the crate root"),
        ("src/engine/a.rs", "use crate::*;", "names `*` through the crate root"),
        ("src/helper.rs", "fn f() {}", "`helper` has no place among the layers"),
        ("src/engine/a.rs", "fn f() {}\n" * MAX_LINES, "split it before 600"),
        ("python/oxmqtt/client.py", "from .publish import single", "imports publish"),
        ("python/oxmqtt/enums.py", "import oxmqtt.aio.client", "imports aio"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, name: str, text: str, found: str) -> None:
    planted = violations(plant(tmp_path, CLEAN | {name: text}))
    assert [line for line in planted if found in line], planted
