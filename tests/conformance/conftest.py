"""Fixtures of the conformance tests: clients that end with their test, and the versions of the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any, Callable

import pytest
from support.clients import Watched
from support.packets import V5, V311

Watch = Callable[..., Watched]


@pytest.fixture(params=[V311, V5], ids=["v3.1.1", "v5"])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def watch(mqtt: ModuleType) -> Iterator[Watch]:
    """Makes clients that reconnect at once; a test may make several."""
    if mqtt.__name__.startswith("paho"):
        pytest.skip("the standard is the measure here, not paho")
    made: list[Watched] = []

    def make(version: int, client_id: str = "c", **options: Any) -> Watched:
        watched = Watched(mqtt, client_id, version=version, **options)
        watched.client._reconnect_min_delay = 0.02
        made.append(watched)
        return watched

    yield make
    for watched in made:
        watched.close()
