"""What the tests of the asyncio API share: an event loop in debug mode for each, and names that are its own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

#: Seconds for a whole test.
PATIENCE = 120

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture
def run() -> Run:
    """Runs a coroutine function on an event loop of its own; what it leaves behind fails the test."""

    def run(program: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        async def bounded() -> Any:
            problems: list[dict[str, Any]] = []
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: problems.append(context))
            result = await asyncio.wait_for(program(), PATIENCE)
            assert not problems, problems
            return result

        return asyncio.run(bounded(), debug=True)

    return run


_numbers = itertools.count(1)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A topic and client identifier that no other test has."""
    return f"{request.node.name.split('[')[0]}-{next(_numbers)}"
