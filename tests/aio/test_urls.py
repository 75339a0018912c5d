"""Clients made from URLs."""

from __future__ import annotations

from pathlib import Path

import pytest
from oxmqtt import aio
from oxmqtt.url import parse
from support.mosquitto import Mosquitto

from .conftest import Run


def test_a_url_is_all_it_takes(run: Run, broker: Mosquitto, name: str) -> None:
    url = f"mqtt://{broker.host}:{broker.port}?client_id={name}&version=5&keepalive=7"

    async def program() -> None:
        for given in (url, parse(url)):
            async with aio.Client.from_url(given) as client:
                assert client.identifier == name
                assert client._client._keepalive == 7
                reason = await client.publish(name, "m", qos=1)
                assert reason == "No matching subscribers"  # so it is MQTT 5.0

    run(program)


def test_a_unix_socket(run: Run, tmp_path: Path, name: str) -> None:
    path = str(tmp_path / "broker.sock")

    async def program() -> None:
        async with aio.Client.from_url(f"unix:{path}") as client:
            await client.publish(name, "m", qos=1)

    with Mosquitto(tmp_path / "mosquitto", unix_path=path):
        run(program)


def test_what_a_url_says() -> None:
    client = aio.Client.from_url(
        "wss://user:p%40ss@host:8884/path?ca_certs=/ca.pem&server_hostname=other&insecure=true"
        "&clean_start=false&client_id=c&connect_timeout=3",
        keepalive=9,
    )
    assert client._target[:3] == ("host", 8884, 9)
    assert client._tls_params == aio.TLSParameters("/ca.pem", server_hostname="other")
    assert client._tls_insecure is True
    assert client.timeout == 3
    inner = client._client
    assert (inner.username, inner.password) == ("user", "p@ss")
    assert (inner._transport, inner._websocket_path) == ("websockets", "/path")
    assert inner._clean_session is False
    v5 = aio.Client.from_url("mqtt://host?version=5&session_expiry=60&clean_start=false")
    assert v5._target[5] is False
    assert v5._target[6].SessionExpiryInterval == 60


@pytest.mark.parametrize(
    ("url", "options", "text"),
    [
        ("mqtt://host?client_id=c", {"identifier": "d"}, "identifier"),
        ("mqtt://host/topic", {}, "topic"),
        ("mqtt://host?session_expiry=1", {}, "version=5"),
        ("mqtt://host", {"tls_params": aio.TLSParameters()}, "mqtts"),
        ("http://host", {}, "scheme"),
    ],
)
def test_what_a_url_may_not_say(url: str, options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        aio.Client.from_url(url, **options)
