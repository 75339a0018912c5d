"""No message of a command has the password of a URL, wherever the URL was put."""

from __future__ import annotations

import pytest

from .conftest import run

URL = "mqtts://user:hunter2@/x@localhost"


@pytest.mark.parametrize(
    "words",
    [
        ["sub", "-t", "t", URL],
        ["pub", "-t", "t", "-m", "x", URL, URL],
        [URL],
        ["sub", "-p", URL],
        ["sub", "--qos", URL],
        ["sub", "--nosuch", URL],
        ["sub", f"--nosuch={URL}"],
        ["sub", "-L", URL],
        ["broker", URL],
        ["bench", "--nosuch", URL],
        ["doctor", URL, URL],
    ],
)
def test_url_in_the_wrong_place(words: list[str]) -> None:
    done = run(*words)
    assert done.code != 0
    assert "hunter2" not in done.output + done.errors
