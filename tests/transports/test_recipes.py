"""The programs of docs/tls.md and docs/transports.md, run as they stand there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.clients import Watched
from support.mosquitto import Mosquitto
from support.proxy import Proxy

from .test_service_records import NameServer, names  # noqa: F401  a fixture

DOCS = Path(__file__).resolve().parents[2] / "docs"
RECIPE = re.compile(r"<!-- recipe: (?P<name>[\w-]+) -->\n```python\n(?P<code>.*?)```", re.DOTALL)


def recipes(page: str) -> dict[str, str]:
    text = (DOCS / page).read_text("utf-8")
    return {found["name"]: found["code"] for found in RECIPE.finditer(text)}


TRANSPORTS, TLS = recipes("transports.md"), recipes("tls.md")


@pytest.fixture
def run(mqtt: ModuleType) -> Callable[..., None]:
    """Runs a recipe with a client of its own, and waits until that is connected."""

    def run(code: str, **values: Any) -> None:
        with Watched(mqtt, "recipe") as watched:
            names = {"mqtt": mqtt, "client": watched.client, **values}
            exec(compile(code, "recipe", "exec"), names)
            client = names["client"]
            client.on_connect = watched.client.on_connect
            if client.socket() is None:
                client.connect("localhost", values["PORT"])
            client.loop_start()
            watched.connects.wait_count(1)
            assert watched.connects.items()[0][1] == 0
            client.disconnect()
            client.loop_stop()

    return run


def test_tcp(run: Callable[..., None], broker: Mosquitto) -> None:
    run(TRANSPORTS["tcp"], PORT=broker.port)


def test_unix(run: Callable[..., None], tmp_path: Path) -> None:
    path = str(tmp_path / "broker.sock")
    with Mosquitto(tmp_path / "mosquitto", unix_path=path):
        run(TRANSPORTS["unix"], PATH=path)


def test_proxy(run: Callable[..., None], broker: Mosquitto) -> None:
    with Proxy(("user", "s3cret")) as proxy:
        values = {"PROXY_HOST": proxy.host, "PROXY_PORT": proxy.port, "PORT": broker.port}
        run(TRANSPORTS["proxy"], **values)
        assert len(proxy.asked) == 1


def test_srv(run: Callable[..., None], broker: Mosquitto, names: NameServer) -> None:  # noqa: F811
    names.records["_mqtt._tcp.iot.example."] = [f"10 1 {broker.port} localhost."]
    run(TRANSPORTS["srv"])


def test_no_recipe_is_forgotten() -> None:
    assert TRANSPORTS.keys() == {"tcp", "unix", "proxy", "srv"}
