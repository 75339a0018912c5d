"""WebSocket through a real mosquitto, beside the same client on TCP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from support import clients, packets
from support.certificates import Authority, Identity
from support.clients import Watched
from support.mosquitto import Mosquitto, free_port
from support.waiting import drive


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[SimpleNamespace, Mosquitto]]:
    """The broker by WebSocket, and by TCP."""
    port = free_port()
    listener = (f"listener {port} 127.0.0.1", "protocol websockets")
    with Mosquitto(tmp_path_factory.mktemp("mosquitto"), extra=listener) as tcp:
        yield SimpleNamespace(host=tcp.host, port=port), tcp


Servers = tuple[SimpleNamespace, Mosquitto]


@pytest.mark.parametrize("version", [packets.V31, packets.V311, packets.V5])
def test_messages_both_ways(mqtt: ModuleType, servers: Servers, version: int) -> None:
    by_websocket, by_tcp = servers
    watched = Watched(mqtt, "ws", version=version, transport="websockets")
    other = Watched(mqtt, "tcp", version=version)
    with watched, other:
        watched.start(by_websocket)
        other.start(by_tcp)
        for one, topic in ((watched, "to/ws/#"), (other, "to/tcp/#")):
            one.subscribe(topic, 2)
        for qos in (0, 1, 2):
            for n in range(200):
                watched.client.publish(f"to/tcp/{qos}", b"%d" % n, qos)
                other.client.publish(f"to/ws/{qos}", b"%d" % n, qos)
        for one in (watched, other):
            one.messages.wait_count(600)
            for qos in (0, 1, 2):
                payloads = [m.payload for m in one.messages if m.topic.endswith(str(qos))]
                assert payloads == [b"%d" % n for n in range(200)]


@pytest.mark.parametrize("backend", ["ssl", "rustls"])
def test_within_tls(
    mqtt: ModuleType, authority: Authority, server: Identity, tmp_path: Path, backend: str
) -> None:
    """Secure WebSocket, by either TLS backend; the request says so."""
    port = free_port()
    listener = (
        *(f"listener {port} 127.0.0.1", "protocol websockets"),
        *(f"certfile {server.chain}", f"keyfile {server.key}"),
    )
    usual: list[dict[str, str]] = []

    def sign(headers: dict[str, str]) -> dict[str, str]:
        usual.append(headers)
        return headers

    watched = Watched(mqtt, transport="websockets")
    watched.client.tls_set(str(authority.certificate), backend=backend)
    watched.client.ws_set_options(headers=sign)
    with Mosquitto(tmp_path / "mosquitto", extra=listener), watched:
        watched.start(SimpleNamespace(host="localhost", port=port))
        watched.subscribe("wss/#", 2)
        for qos in (0, 1, 2):
            for n in range(200):
                watched.client.publish(f"wss/{qos}", b"%d" % n * (n % 50), qos)
        watched.messages.wait_count(600)
        for qos in (0, 1, 2):
            payloads = [m.payload for m in watched.messages if m.topic.endswith(str(qos))]
            assert payloads == [b"%d" % n * (n % 50) for n in range(200)]
        assert usual[0]["Origin"] == f"https://localhost:{port}"


@pytest.mark.parametrize("backend", ["ssl", "rustls"])
def test_a_large_message_to_the_broker_within_tls(
    mqtt: ModuleType, authority: Authority, server: Identity, tmp_path: Path, backend: str
) -> None:
    port = free_port()
    listener = (
        *(f"listener {port} 127.0.0.1", "protocol websockets"),
        *(f"certfile {server.chain}", f"keyfile {server.key}"),
    )
    payload = bytes(range(256)) * 78_125
    watched = Watched(mqtt, transport="websockets")
    watched.client.tls_set(str(authority.certificate), backend=backend)
    with Mosquitto(tmp_path / "mosquitto", extra=listener) as tcp, watched, Watched(mqtt) as other:
        other.client.max_packet_size = 32 << 20
        watched.start(SimpleNamespace(host="localhost", port=port))
        other.start(tcp)
        other.subscribe("big", 1)
        watched.client.publish("big", payload, 1)
        assert other.messages.wait_count(1, seconds=30)[0].payload == payload


def test_a_large_message_to_the_broker(mqtt: ModuleType, servers: Servers) -> None:
    """The other way goes to a scripted server: mosquitto itself stalls on large frames it sends."""
    by_websocket, by_tcp = servers
    payload = bytes(range(256)) * 78_125
    with Watched(mqtt, transport="websockets") as watched, Watched(mqtt) as other:
        other.client.max_packet_size = 32 << 20
        watched.start(by_websocket)
        other.start(by_tcp)
        other.subscribe("big", 1)
        watched.client.publish("big", payload, 1)
        assert other.messages.wait_count(1, seconds=30)[0].payload == payload


def test_a_subprotocol_the_broker_does_not_speak(mqtt: ModuleType, servers: Servers) -> None:
    client = clients.make(mqtt, transport="websockets")
    client.ws_set_options(headers={"Sec-Websocket-Protocol": "chat"})
    with pytest.raises(mqtt.WebsocketConnectionError):
        client.connect(servers[0].host, servers[0].port)


def test_tcp_listener(mqtt: ModuleType, servers: Servers) -> None:
    """A broker that does not speak HTTP closes the connection."""
    client = clients.make(mqtt, transport="websockets")
    client.connect_timeout = 2
    with pytest.raises(mqtt.WebsocketConnectionError):
        client.connect(servers[1].host, servers[1].port)


def test_a_session_outlives_its_websocket(mqtt: ModuleType, servers: Servers) -> None:
    by_websocket, by_tcp = servers
    with Watched(mqtt, "kept", transport="websockets", clean=False) as watched:
        watched.start(by_websocket)
        watched.subscribe("kept", 1)
        watched.client.socket().close()
        with Watched(mqtt) as other:
            other.start(by_tcp)
            for n in range(100):
                other.client.publish("kept", b"%d" % n, 1)
            other.published.wait_count(100)
        messages = watched.messages.wait_count(100)
        assert [message.payload for message in messages] == [b"%d" % n for n in range(100)]
        assert len(watched.connects) == 2


def test_on_a_loop_of_ones_own(mqtt: ModuleType, servers: Servers) -> None:
    got: list[bytes] = []
    client = clients.make(mqtt, transport="websockets")
    client.on_connect = lambda client, *_: client.subscribe("own", 1)
    client.on_subscribe = lambda client, *_: client.publish("own", b"x", 1)
    client.on_message = lambda client, _, message: got.append(message.payload)
    client.connect(servers[0].host, servers[0].port)
    drive(client, lambda: got, "the message")
    client.disconnect()
