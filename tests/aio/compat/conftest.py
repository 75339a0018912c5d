"""The same coroutines on oxmqtt.aio and on aiomqtt, the oracle, each in an event loop of its own in debug mode.

Tests marked `better_than_aiomqtt("why")` assert what aiomqtt does not do, and do not run on it.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.mosquitto import Mosquitto
from support.waiting import PATIENCE

#: Each API, and the package that its properties and reason codes are of.
PACKAGES = {"oxmqtt.aio": "oxmqtt", "aiomqtt": "paho.mqtt"}
#: paho leaves its socket pairs to the garbage collector.
IGNORED = ("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

Module = Callable[[str], ModuleType]


async def in_thread(call: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, call, *arguments)


async def received(client: Any, count: int) -> list[Any]:
    """The next messages."""
    return [await client.messages.__anext__() for _ in range(count)]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "better_than_aiomqtt(reason): aiomqtt 2.5 is known to fail this"
    )


def on_oracle(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    return call is not None and call.params.get("aiomqtt") == "aiomqtt"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in filter(on_oracle, items):
        mark = item.get_closest_marker("better_than_aiomqtt")
        if mark:
            item.add_marker(pytest.mark.skip(reason=f"aiomqtt: {mark.args[0]}"))
        for warning in IGNORED:
            item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that is a coroutine has an event loop, which must hear of no error that nobody handles."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj) or "anyio_backend" in pyfuncitem.funcargs:
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    unhandled: list[dict[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: unhandled.append(context))
        await asyncio.wait_for(pyfuncitem.obj(**arguments), 3 * PATIENCE)

    asyncio.run(main(), debug=True)
    assert on_oracle(pyfuncitem) or not unhandled
    return True


@pytest.fixture(params=PACKAGES)
def aiomqtt(request: pytest.FixtureRequest) -> ModuleType:
    """The module under test."""
    if request.param == "aiomqtt":
        return pytest.importorskip("aiomqtt")
    return importlib.import_module(request.param)


@pytest.fixture
def oracle() -> ModuleType:
    return pytest.importorskip("aiomqtt")


@pytest.fixture
def module(aiomqtt: ModuleType) -> Module:
    """Gives modules of the callback API that belongs to it, such as `properties`."""
    return lambda name: importlib.import_module(f"{PACKAGES[aiomqtt.__name__]}.{name}")


@pytest.fixture
def unix_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "mosquitto", unix_path=str(tmp_path / "socket")) as running:
        yield running
