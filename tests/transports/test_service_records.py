"""connect_srv: a name server of the tests on loopback, and real brokers behind its records."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from oxmqtt._client.service_records import in_order
from support import clients
from support.certificates import Authority
from support.clients import Watched
from support.mosquitto import Mosquitto, free_port
from support.name_server import NameServer
from support.peer import ScriptedPeer

from .conftest import TlsMosquitto

DOMAIN = "iot.example"


@pytest.fixture
def names() -> Iterator[NameServer]:
    with NameServer() as server:
        yield server


def test_connects(mqtt: ModuleType, names: NameServer, broker: Mosquitto) -> None:
    names.records[f"_mqtt._tcp.{DOMAIN}."] = [f"10 1 {broker.port} localhost."]
    with Watched(mqtt, "srv") as watched:
        assert watched.client.connect_srv(DOMAIN, keepalive=30) == mqtt.MQTT_ERR_SUCCESS
        watched.client.loop_start()
        watched.connects.wait_count(1)
        assert (watched.client.host, watched.client.port) == ("localhost", broker.port)
        assert watched.client.keepalive == 30


def test_tls_has_records_of_its_own(
    mqtt: ModuleType, names: NameServer, authority: Authority, tls_broker: TlsMosquitto
) -> None:
    names.records[f"_secure-mqtt._tcp.{DOMAIN}."] = [f"10 1 {tls_broker.port} localhost."]
    with Watched(mqtt, "srv") as watched:
        watched.client.tls_set(str(authority.certificate))
        watched.client.connect_srv(DOMAIN)
        watched.client.loop_start()
        watched.connects.wait_count(1)
    assert names.asked == [f"_secure-mqtt._tcp.{DOMAIN}."]


@pytest.mark.better_than_paho("paho takes them as they come")
def test_priorities(mqtt: ModuleType, names: NameServer, broker: Mosquitto) -> None:
    with ScriptedPeer() as unwanted:
        names.records[f"_mqtt._tcp.{DOMAIN}."] = [
            f"30 1 {unwanted.port} localhost.",
            f"20 1 {broker.port} localhost.",
            f"10 1 {free_port()} localhost.",
        ]
        with Watched(mqtt, "srv") as watched:
            watched.client.connect_srv(DOMAIN)
            watched.client.loop_start()
            watched.connects.wait_count(1)
        unwanted.expect_no_connection(0.05)


@pytest.mark.parametrize("weights", [(1, 3), (0, 1), (0, 0), (5, 5)])
def test_weights(weights: tuple[int, int]) -> None:
    """Over many draws each comes first about as often as its weight says (RFC 2782)."""
    records = [SimpleNamespace(priority=1, weight=weight, n=n) for n, weight in enumerate(weights)]
    last = SimpleNamespace(priority=2, weight=1000, n=9)
    first: Counter[Any] = Counter()
    for _ in range(2000):
        order = [record.n for record in in_order([last, *records])]
        assert sorted(order[:2]) == [0, 1] and order[2] == 9
        first[order[0]] += 1
    if weights == (1, 3):
        assert 0.6 < first[1] / 2000 < 0.9, first
    if weights == (0, 1):
        assert first[1] > first[0] > 0, first


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (None, f"No answer/NXDOMAIN for SRV in {DOMAIN}"),
        ([], f"No answer/NXDOMAIN for SRV in {DOMAIN}"),
        (["10 1 PORT localhost.", "20 1 PORT localhost."], "No SRV hosts responded"),
    ],
)
def test_errors(mqtt: ModuleType, names: NameServer, texts: list[str] | None, message: str) -> None:
    if texts is not None:
        port = str(free_port())
        names.records[f"_mqtt._tcp.{DOMAIN}."] = [text.replace("PORT", port) for text in texts]
    client = clients.make(mqtt, "srv")
    with pytest.raises(ValueError) as caught:
        client.connect_srv(DOMAIN)
    assert str(caught.value) == message


def test_no_service(mqtt: ModuleType, names: NameServer) -> None:
    """A target of "." says so (RFC 2782)."""
    names.records[f"_mqtt._tcp.{DOMAIN}."] = ["0 0 0 ."]
    with pytest.raises(ValueError, match="No SRV hosts responded"):
        clients.make(mqtt, "srv").connect_srv(DOMAIN)


def test_missing_dnspython(mqtt: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    if mqtt.__name__.startswith("paho"):
        pytest.skip("paho looks for it when it is imported")
    monkeypatch.setitem(sys.modules, "dns.resolver", None)
    with pytest.raises(ValueError, match="No DNS resolver library found"):
        clients.make(mqtt, "srv").connect_srv(DOMAIN)
