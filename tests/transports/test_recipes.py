"""The programs of docs/tls.md and docs/transports.md, run as they stand there."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.certificates import SERVER_USAGE, Authority, openssl
from support.clients import Watched
from support.mosquitto import Mosquitto, free_port
from support.name_server import NameServer
from support.proxy import Proxy

from .conftest import TlsMosquitto
from .test_service_records import names  # noqa: F401  a fixture

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


@pytest.fixture
def tls_folder(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The files that the recipes name, in the working directory."""
    mine = authority.issue("client", ("extendedKeyUsage=clientAuth",))
    (tmp_path / "ca.crt").write_text(authority.certificate.read_text())
    (tmp_path / "client.crt").write_text(mine.certificate.read_text())
    openssl(
        *("pkey", "-in", mine.key, "-aes128", "-passout", "pass:s3cret"),
        *("-out", tmp_path / "client.key"),
    )
    (tmp_path / "revoked.crl").write_text(authority.revocations())
    monkeypatch.setenv("BROKER_CA", authority.certificate.read_text())
    monkeypatch.setenv("CLIENT_CERT", mine.certificate.read_text())
    monkeypatch.setenv("CLIENT_KEY", mine.key.read_text())
    monkeypatch.chdir(tmp_path)
    yield tmp_path


@pytest.mark.parametrize("name", ["server", "mutual", "memory", "name", "context", "ask", "rustls"])
def test_tls(run: Callable[..., None], authority: Authority, tls_folder: Path, name: str) -> None:
    """Every recipe against a broker that asks for a certificate if one is to be shown."""
    extensions = ("subjectAltName=DNS:localhost,DNS:broker.example.com", SERVER_USAGE)
    options = [f"cafile {authority.certificate}"]
    if name in ("mutual", "memory"):
        options.append("require_certificate true")
    folder = tls_folder / "mosquitto"
    with TlsMosquitto(folder, authority.issue("localhost", extensions), *options) as broker:
        run(TLS[name], PORT=broker.port)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="pre-shared keys: Python 3.13")
def test_psk(run: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("sensor-7:0102030405060708090a0b0c0d0e0f10\n")
    options = ("psk_hint hint", f"psk_file {tmp_path / 'keys'}", "tls_version tlsv1.2")
    with Mosquitto(tmp_path / "mosquitto", listener=options) as broker:
        run(TLS["psk"], PORT=broker.port)


@pytest.mark.parametrize("name", ["websocket", "signed-websocket"])
def test_websocket(run: Callable[..., None], tmp_path: Path, name: str) -> None:
    # Not the listener that is tried out at the start: a client that goes at once is mosquitto's end.
    port = free_port()
    listener = (f"listener {port} 127.0.0.1", "protocol websockets")
    with Mosquitto(tmp_path / "mosquitto", extra=listener):
        run(TRANSPORTS[name], PORT=port)


def test_no_recipe_is_forgotten() -> None:
    found = {"tcp", "unix", "proxy", "srv", "websocket", "signed-websocket"}
    assert TRANSPORTS.keys() == found
    assert TLS.keys() >= {"server", "mutual", "memory", "name", "context", "ask", "psk", "rustls"}
