"""The blocks of docs/testing.md are test files, and pass."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.mosquitto import needed

PAGE = Path(__file__).resolve().parents[2] / "docs" / "testing.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_the_page_has_test_files() -> None:
    assert len(BLOCKS) >= 5


@pytest.mark.parametrize("source", BLOCKS, ids=range(1, len(BLOCKS) + 1))
def test_a_block(tmp_path: Path, source: str) -> None:
    if "[PROGRAM," in source:
        needed()
    (tmp_path / "test_block.py").write_text(source)
    options = ["-p", "no:asyncio"]
    if "pytest_asyncio" in source:
        pytest.importorskip("pytest_asyncio")
        # which warns that its default will change
        options = ["-o", "asyncio_default_fixture_loop_scope=function"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d passed", done.stdout)
    assert "skipped" not in done.stdout
