"""Clients made from URLs, against real brokers of each transport; and the programs of docs/urls.md."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import oxmqtt.client as mqtt
import oxmqtt.url
import pytest
from support.certificates import Authority
from support.mosquitto import Mosquitto, free_port, needed
from support.process import Process
from support.waiting import Mailbox

from .conftest import TlsMosquitto

PAGE = Path(__file__).resolve().parents[2] / "docs" / "urls.md"
V2 = mqtt.CallbackAPIVersion.VERSION2


def connects(client: mqtt.Client, **arguments: Any) -> tuple[Any, Any, Any]:
    """Connects by `connect_url`; flags, reason code and properties of the answer."""
    answers: Mailbox[Any] = Mailbox()
    client.on_connect = lambda *given: answers.put(given[2:])
    with client:
        client.connect_url(**arguments)
        client.loop_start()
        return answers.wait_count(1)[0]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """Wants user name and password; also listens to WebSocket and on a unix socket."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "passwords").touch()
    command = [needed("mosquitto_passwd"), "-b", str(folder / "passwords"), "us@er", "p/w:%"]
    subprocess.run(command, check=True)
    (folder / "passwords").chmod(0o644)
    port = free_port()
    extra = (
        f"password_file {folder / 'passwords'}",
        "allow_anonymous false",
        f"listener {port} 127.0.0.1",
        "protocol websockets",
    )
    with Mosquitto(folder, extra=extra, unix_path=str(folder / "socket")) as running:
        running.websocket_port = port  # type: ignore[attr-defined]
        yield running


CREDENTIALS = "us%40er:p%2Fw%3A%25"


@pytest.mark.parametrize("version", ["3.1", "3.1.1", "5"])
@pytest.mark.parametrize("scheme", ["mqtt", "ws", "unix"])
def test_each_transport(guarded: Any, scheme: str, version: str) -> None:
    place = {
        "mqtt": f"127.0.0.1:{guarded.port}",
        "ws": f"127.0.0.1:{guarded.websocket_port}/mqtt",
        "unix": str(guarded.directory / "socket"),
    }[scheme]
    client = mqtt.Client.from_url(f"{scheme}://{CREDENTIALS}@{place}?version={version}&client_id=x")
    assert client.protocol == oxmqtt.url.parse(f"mqtt://h?version={version}").version
    _flags, reason, _properties = connects(client)
    assert reason == 0
    assert b"x" == client._client_id


def test_wrong_credentials_are_refused(guarded: Any) -> None:
    client = mqtt.Client.from_url(f"mqtt://us%40er:other@127.0.0.1:{guarded.port}")
    assert connects(client)[1].value == 0x87


def test_tls(tls_broker: TlsMosquitto, authority: Authority) -> None:
    ca = quote(str(authority.certificate), safe="")
    base = f"mqtts://localhost:{tls_broker.port}"
    assert connects(mqtt.Client.from_url(f"{base}?ca_certs={ca}"))[1] == 0
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        connects(mqtt.Client.from_url(base))
    with pytest.raises(OSError, match="Hostname mismatch"):
        connects(mqtt.Client.from_url(f"{base}?ca_certs={ca}&server_hostname=other"))
    other = f"{base}?ca_certs={ca}&server_hostname=other&insecure=true"
    assert connects(mqtt.Client.from_url(other))[1] == 0


def test_client_certificate(authority: Authority, tmp_path: Path) -> None:
    mine = authority.issue("client", ("extendedKeyUsage=clientAuth",))
    options = (f"cafile {authority.certificate}", "require_certificate true")
    with TlsMosquitto(tmp_path / "mosquitto", authority.issue(), *options) as broker:
        url = f"mqtts://localhost:{broker.port}?ca_certs={authority.certificate}"
        url += f"&certfile={mine.certificate}&keyfile={mine.key}"
        assert connects(mqtt.Client.from_url(url))[1] == 0


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_persistent_session(broker: Mosquitto, version: str) -> None:
    expiry = "&session_expiry=60" if version == "5" else ""
    url = f"mqtt://127.0.0.1:{broker.port}?version={version}&client_id=kept{version}"
    url += f"&clean_start=false{expiry}"
    assert connects(mqtt.Client.from_url(url))[0].session_present is False
    assert connects(mqtt.Client.from_url(url))[0].session_present is True


def test_settings_reach_the_client(broker: Mosquitto) -> None:
    url = f"mqtt://127.0.0.1:{broker.port}?keepalive=7&connect_timeout=2.5"
    client = mqtt.Client.from_url(url, userdata=3)
    assert (client.connect_timeout, client.user_data_get()) == (2.5, 3)
    assert client.callback_api_version is V2
    connects(client)
    assert (client.host, client.port, client.keepalive) == ("127.0.0.1", broker.port, 7)


def test_connect_url_sets_up_a_client(guarded: Any) -> None:
    client = mqtt.Client(V2)
    place = f"{CREDENTIALS}@127.0.0.1:{guarded.websocket_port}/mqtt"
    assert connects(client, url=f"ws://{place}?version=5&client_id=y")[1] == 0
    assert (client.transport, client.protocol, client._client_id) == (
        "websockets",
        mqtt.MQTTv5,
        b"y",
    )
    # again, by what it knows; and elsewhere, without the credentials of before
    assert connects(client)[1] == 0
    assert connects(client, url=f"mqtt://127.0.0.1:{guarded.port}")[1].value == 0x87
    assert client.username is None


def test_connect_url_keeps_credentials_of_the_program(guarded: Any) -> None:
    client = mqtt.Client(V2)
    client.username_pw_set("us@er", "p/w:%")
    for _ in range(2):
        assert connects(client, url=f"mqtt://127.0.0.1:{guarded.port}")[1] == 0


@pytest.mark.parametrize("backend", ["ssl", "rustls"])
def test_connect_url_keeps_tls_of_the_program(
    tls_broker: TlsMosquitto, authority: Authority, backend: Any
) -> None:
    client = mqtt.Client(V2)
    client.tls_set(str(authority.certificate), backend=backend)
    url = f"mqtts://localhost:{tls_broker.port}"
    for _ in range(2):
        assert connects(client, url=url)[1] == 0
    with pytest.raises(ValueError, match="already been configured"):
        client.connect_url(f"{url}?ca_certs={authority.certificate}")


def test_tls_of_one_url_is_not_that_of_the_next(
    broker: Mosquitto, tls_broker: TlsMosquitto, authority: Authority
) -> None:
    secure = f"mqtts://localhost:{tls_broker.port}?ca_certs={authority.certificate}"
    client = mqtt.Client(V2)
    assert connects(client, url=secure)[1] == 0
    assert connects(client, url=f"mqtt://127.0.0.1:{broker.port}")[1] == 0
    assert connects(client, url=secure)[1] == 0
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        client.connect_url(f"mqtts://localhost:{tls_broker.port}")


def test_connect_url_async(broker: Mosquitto) -> None:
    client = mqtt.Client.from_url(f"mqtt://127.0.0.1:{broker.port}")
    answers: Mailbox[Any] = Mailbox()
    client.on_connect = lambda *given: answers.put(given[3])
    with client:
        client.connect_url_async()
        client.loop_start()
        assert answers.wait_count(1)[0] == 0


def test_no_tls_in_silence() -> None:
    client = mqtt.Client(V2)
    client.tls_set()
    with pytest.raises(ValueError, match="TLS is set, and mqtt is without"):
        client.connect_url("mqtt://127.0.0.1:1")


@pytest.mark.parametrize(
    ("url", "arguments", "why"),
    [
        ("mqtt://h", {"transport": "tcp"}, "given by the URL and as an argument: transport"),
        (
            "mqtt://h?client_id=a",
            {"client_id": "b"},
            "given by the URL and as an argument: client_id",
        ),
        ("mqtt://h?version=5", {"protocol": mqtt.MQTTv5}, "as an argument: protocol"),
        ("mqtt://h/topic", {}, "has a topic"),
        ("mqtt://h?clean_start=false", {}, "client id must be provided"),
        ("mqtt://", {}, "lacks a host"),
    ],
)
def test_refused(url: str, arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mqtt.Client.from_url(url, **arguments)


def test_session_expiry_needs_mqtt_5() -> None:
    with pytest.raises(ValueError, match="session_expiry is for MQTT 5"):
        mqtt.Client(V2).connect_url("mqtt://127.0.0.1:1?session_expiry=3")
    client = mqtt.Client.from_url("mqtt://127.0.0.1:1?session_expiry=3", protocol=mqtt.MQTTv5)
    assert client._ox_settings.is_v5


def test_connect_url_without_any() -> None:
    with pytest.raises(ValueError, match="needs a URL"):
        mqtt.Client(V2).connect_url()


def test_subclass() -> None:
    class Own(mqtt.Client):
        pass

    assert type(Own.from_url("mqtt://h")) is Own


BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = BLOCK.findall(PAGE.read_text("utf-8"))


def test_the_page_has_programs() -> None:
    assert len(PROGRAMS) >= 3


@pytest.mark.parametrize("source", PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_program_of_the_page(broker: Mosquitto, source: str) -> None:
    address = f"{broker.host}:{broker.port}"
    source = source.replace("localhost:1883", address)
    command = [sys.executable, "-W", "error", "-c", source]
    with Process(command, MQTT_URL=f"mqtt://{address}?client_id=page") as program:
        assert program.exit_code(20) == 0, program.error_text()


def test_the_page_names_every_key() -> None:
    table = PAGE.read_text("utf-8").partition("| key |")[2]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(oxmqtt.url._SETTINGS)
