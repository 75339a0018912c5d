"""Through proxies: PySocks on our side; on the other a small proxy of the tests, and Debian's microsocks and tinyproxy."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from support import clients
from support.certificates import Authority, Identity
from support.clients import Watched
from support.mosquitto import Mosquitto, free_port
from support.proxy import Proxy
from support.waiting import eventually

from .conftest import TlsMosquitto

socks = pytest.importorskip("socks")

TYPES = {"SOCKS4": socks.SOCKS4, "SOCKS5": socks.SOCKS5, "HTTP": socks.HTTP}
VARIABLES = ("mqtt_proxy", "no_proxy", "MQTT_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as running:
        yield running


def traffic(watched: Watched, broker: Mosquitto | SimpleNamespace) -> None:
    watched.start(broker)
    watched.subscribe("proxy", 1)
    watched.client.publish("proxy", b"x" * 100_000, 1)
    assert watched.messages.wait_count(1)[0].payload == b"x" * 100_000


@pytest.mark.parametrize("kind", TYPES)
def test_traffic(mqtt: ModuleType, broker: Mosquitto, proxy: Proxy, kind: str) -> None:
    with Watched(mqtt, "proxied") as watched:
        watched.client.proxy_set(
            proxy_type=TYPES[kind], proxy_addr=proxy.host, proxy_port=proxy.port
        )
        traffic(watched, broker)
    assert [wish[:3] for wish in proxy.asked] == [(kind, broker.host, broker.port)]


@pytest.mark.parametrize("kind", TYPES)
def test_tls(
    mqtt: ModuleType, authority: Authority, tls_broker: TlsMosquitto, proxy: Proxy, kind: str
) -> None:
    """The proxy is asked for the name, and TLS verifies it behind the proxy."""
    with Watched(mqtt, "proxied") as watched:
        watched.client.tls_set(str(authority.certificate))
        watched.client.proxy_set(
            proxy_type=TYPES[kind], proxy_addr=proxy.host, proxy_port=proxy.port
        )
        traffic(watched, tls_broker)
    assert [wish[:3] for wish in proxy.asked] == [(kind, "localhost", tls_broker.port)]


@pytest.mark.parametrize("backend", [None, "ssl", "rustls"])
@pytest.mark.parametrize("kind", TYPES)
def test_websocket(
    mqtt: ModuleType,
    authority: Authority,
    server: Identity,
    tmp_path: Path,
    proxy: Proxy,
    kind: str,
    backend: str | None,
) -> None:
    """Plain, and within TLS by either backend: both handshakes are the broker's, behind the proxy."""
    port = free_port()
    within = (f"certfile {server.chain}", f"keyfile {server.key}") if backend else ()
    listener = (f"listener {port} 127.0.0.1", "protocol websockets", *within)
    with (
        Mosquitto(tmp_path / "mosquitto", extra=listener),
        Watched(mqtt, "proxied", transport="websockets") as watched,
    ):
        if backend:
            watched.client.tls_set(str(authority.certificate), backend=backend)
        watched.client.proxy_set(
            proxy_type=TYPES[kind], proxy_addr=proxy.host, proxy_port=proxy.port
        )
        traffic(watched, SimpleNamespace(host="localhost", port=port))
    assert [wish[:3] for wish in proxy.asked] == [(kind, "localhost", port)]


@pytest.mark.parametrize("kind", ["SOCKS5", "HTTP"])
def test_credentials(mqtt: ModuleType, broker: Mosquitto, kind: str) -> None:
    with Proxy(("user", "s3cret")) as proxy:
        options = {"proxy_type": TYPES[kind], "proxy_addr": proxy.host, "proxy_port": proxy.port}
        with Watched(mqtt, "proxied") as watched:
            watched.client.proxy_set(
                **options, proxy_username="user", proxy_password="s3cret", proxy_rdns=True
            )
            traffic(watched, broker)
            assert proxy.asked.items()[0][3:] == ("user", "s3cret")
        with Watched(mqtt, "refused") as watched:
            watched.client.proxy_set(**options, proxy_username="user", proxy_password="wrong")
            with pytest.raises(OSError):
                watched.client.connect(broker.host, broker.port)


@pytest.mark.parametrize("scheme", ["socks", "http"])
def test_environment(
    mqtt: ModuleType,
    broker: Mosquitto,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
) -> None:
    monkeypatch.setenv("mqtt_proxy", f"{scheme}://{proxy.host}:{proxy.port}")
    with Watched(mqtt, "proxied") as watched:
        traffic(watched, broker)
    assert [wish[0] for wish in proxy.asked] == [{"socks": "SOCKS5", "http": "HTTP"}[scheme]]
    monkeypatch.setenv("no_proxy", broker.host)
    with Watched(mqtt, "direct") as watched:
        traffic(watched, broker)
    assert len(proxy.asked) == 1


@pytest.mark.better_than_paho("paho leaves user name and password of the URL out")
def test_credentials_of_the_environment(
    mqtt: ModuleType, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(("user", "p@ss")) as proxy:
        monkeypatch.setenv("mqtt_proxy", f"http://user:p%40ss@{proxy.host}:{proxy.port}")
        with Watched(mqtt, "proxied") as watched:
            traffic(watched, broker)


def test_default_proxy_of_pysocks(mqtt: ModuleType, broker: Mosquitto, proxy: Proxy) -> None:
    socks.set_default_proxy(socks.SOCKS5, proxy.host, proxy.port)
    try:
        with Watched(mqtt, "proxied") as watched:
            traffic(watched, broker)
    finally:
        socks.set_default_proxy()
    assert len(proxy.asked) == 1


def test_silent_proxy(mqtt: ModuleType) -> None:
    """A proxy that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = clients.make(mqtt, "waits")
        client.connect_timeout = 0.3
        client.proxy_set(
            proxy_type=socks.SOCKS5, proxy_addr="127.0.0.1", proxy_port=listener.getsockname()[1]
        )
        with pytest.raises(OSError):
            client.connect("broker.example", 1883)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"proxy_type": socks.HTTP},
        {"proxy_addr": "proxy"},
        {"proxy_type": 99, "proxy_addr": "proxy"},
        {"proxy_type": socks.HTTP, "proxy_addr": ""},
    ],
)
def test_invalid_arguments(mqtt: ModuleType, arguments: dict[str, Any]) -> None:
    client = clients.make(mqtt, "wrong")
    with pytest.raises(ValueError, match="proxy_type and/or proxy_addr are invalid"):
        client.proxy_set(**arguments)


@pytest.mark.better_than_paho("paho lets headers be injected")
@pytest.mark.parametrize("name", ["proxy_addr", "proxy_username", "proxy_password"])
def test_no_control_characters(mqtt: ModuleType, name: str) -> None:
    client = clients.make(mqtt, "wrong")
    arguments = {"proxy_type": socks.HTTP, "proxy_addr": "proxy", name: "a\r\nX-Injected: b"}
    with pytest.raises(ValueError, match=f"control characters are not allowed in {name}") as caught:
        client.proxy_set(**arguments)
    assert "Injected" not in str(caught.value)


@pytest.mark.better_than_paho("paho lets headers be injected")
def test_no_control_characters_in_the_host(mqtt: ModuleType, proxy: Proxy) -> None:
    client = clients.make(mqtt, "wrong")
    client.proxy_set(proxy_type=socks.HTTP, proxy_addr=proxy.host, proxy_port=proxy.port)
    with pytest.raises(ValueError, match=r"Invalid host\."):
        client.connect("broker\r\nX-Injected: b", 1883)
    assert len(proxy.asked) == 0


def test_dead_proxy_as_with_paho(mqtt: ModuleType, paho: ModuleType) -> None:
    port = free_port()

    def said(module: ModuleType, kind: int) -> tuple[type[BaseException], Any, str]:
        client = clients.make(module, "dead")
        client.proxy_set(proxy_type=kind, proxy_addr="127.0.0.1", proxy_port=port)
        with pytest.raises(OSError) as caught:
            client.connect("broker.example", 1883)
        clients.dispose(client)
        return type(caught.value), caught.value.errno, str(caught.value)

    for kind in TYPES.values():
        assert said(mqtt, kind) == said(paho, kind)


def test_missing_pysocks(mqtt: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    if mqtt.__name__.startswith("paho"):
        pytest.skip("paho looks for it when it is imported")
    monkeypatch.setitem(sys.modules, "socks", None)
    client = clients.make(mqtt, "without")
    with pytest.raises(ValueError, match=r"PySocks must be installed for proxy support\."):
        client.proxy_set(proxy_type=1, proxy_addr="proxy")


@contextlib.contextmanager
def running(program: str, port: int, *words: str) -> Iterator[None]:
    """A proxy of Debian's on this port, ended by its process id."""
    found = shutil.which(program, path="/usr/bin:/usr/sbin:/usr/local/bin")
    if found is None:
        pytest.skip(f"no {program} here (apt-get install {program})")
    process = subprocess.Popen(
        [found, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def listens() -> bool:
        assert process.poll() is None, f"{program} has ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    try:
        eventually(listens, f"{program} to listen")
        yield
    finally:
        process.terminate()
        process.wait(10)


def test_microsocks(mqtt: ModuleType, broker: Mosquitto) -> None:
    port = free_port()
    words = ("-i", "127.0.0.1", "-p", str(port), "-u", "user", "-P", "s3cret")
    with running("microsocks", port, *words), Watched(mqtt, "microsocks") as watched:
        watched.client.proxy_set(
            proxy_type=socks.SOCKS5,
            proxy_addr="127.0.0.1",
            proxy_port=port,
            proxy_username="user",
            proxy_password="s3cret",
        )
        traffic(watched, broker)


def test_tinyproxy(
    mqtt: ModuleType, authority: Authority, tls_broker: TlsMosquitto, tmp_path: Path
) -> None:
    config = tmp_path / "tinyproxy.conf"
    port = free_port()
    config.write_text(f"Port {port}\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\n")
    with (
        running("tinyproxy", port, "-d", "-c", str(config)),
        Watched(mqtt, "tinyproxy") as watched,
    ):
        watched.client.tls_set(str(authority.certificate))
        watched.client.proxy_set(proxy_type=socks.HTTP, proxy_addr="127.0.0.1", proxy_port=port)
        traffic(watched, tls_broker)
