"""The layers of docs/architecture.md, as far as the compiler does not keep them.

The crates under `src/` are the layers: what one does not name in its Cargo.toml it cannot use. Here
stands which of them may name which, that files stay short, and which Python modules stand above
`client.py`. The second half of the file plants violations in a small tree and expects each to be
found, so that a check which has gone blind fails here and not in a review.
"""

from __future__ import annotations

import ast
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

# Python modules that stand on top of client.py: nothing below them imports them.
UPPER_PYTHON = {"publish", "subscribe", "aio", "testing", "paho", "_paho_path", "_cli", "__main__"}


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
    return [
        *crate_violations(root),
        *long_files(root),
        *python_violations(root),
    ]


def test_the_sources_keep_the_layers() -> None:
    assert violations(ROOT) == []


def test_every_layer_is_read() -> None:
    """The checks above see the files they are about."""
    assert {path.parent.name for path in ROOT.glob("src/*/Cargo.toml")} == set(CRATES)


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
        ("src/protocol/Cargo.toml", '[dependencies]\ntokio = "1"', "src/protocol: uses tokio"),
        (
            "src/engine/Cargo.toml",
            '[target."cfg(unix)".dependencies]\noxmqtt-broker.workspace = true',
            "src/engine: uses oxmqtt-broker",
        ),
        ("src/helpers/Cargo.toml", "", "src/helpers: has no place among the layers"),
        ("src/engine/a.rs", "fn f() {}\n" * MAX_LINES, "split it before 600"),
        ("python/oxmqtt/client.py", "from .publish import single", "imports publish"),
        ("python/oxmqtt/enums.py", "import oxmqtt.aio.client", "imports aio"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, name: str, text: str, found: str) -> None:
    planted = violations(plant(tmp_path, CLEAN | {name: text}))
    assert [line for line in planted if found in line], planted
