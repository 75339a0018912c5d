"""Ways to the broker: TLS by parameters and by context, WebSocket, unix sockets, proxies."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import websocket
from support.certificates import Authority, Identity
from support.mosquitto import Mosquitto, free_port
from support.peer import ScriptedPeer
from support.proxy import Proxy
from support.waiting import Mailbox

from .conftest import received


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def person(authority: Authority) -> Identity:
    """A client's certificate."""
    return authority.issue("a client", ("extendedKeyUsage=clientAuth",))


@pytest.fixture(scope="module")
def tls_broker(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[Mosquitto]:
    """Its certificate names localhost and 127.0.0.1; it wants one of its clients."""
    server = authority.issue()
    listener = (f"certfile {server.chain}", f"keyfile {server.key}")
    wants = (f"cafile {authority.certificate}", "require_certificate true")
    folder = tmp_path_factory.mktemp("mosquitto")
    with Mosquitto(folder, listener=(*listener, *wants)) as running:
        yield running


@pytest.fixture(scope="module")
def misnamed_broker(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[Mosquitto]:
    """Its certificate names another host."""
    server = authority.issue("elsewhere", ("subjectAltName=DNS:elsewhere.example",))
    listener = (f"certfile {server.chain}", f"keyfile {server.key}")
    with Mosquitto(tmp_path_factory.mktemp("mosquitto"), listener=listener) as running:
        yield running


async def carries_messages(client: Any, most: int = 500_000) -> None:
    async with client:
        await client.subscribe("carried", 1)
        for n in range(100):
            await client.publish("carried", n, n % 3)
        large = b"x" * most
        await client.publish("carried", large, 1)
        messages = await received(client, 101)
        assert messages[-1].payload == large
        assert [int(message.payload) for message in messages[:-1]] == list(range(100))


async def test_tls_params(
    aiomqtt: ModuleType, tls_broker: Mosquitto, authority: Authority, person: Identity
) -> None:
    parameters = aiomqtt.TLSParameters(
        ca_certs=str(authority.certificate),
        certfile=str(person.certificate),
        keyfile=str(person.key),
        cert_reqs=ssl.CERT_REQUIRED,
        tls_version=ssl.PROTOCOL_TLS_CLIENT,
        ciphers="ECDHE+AESGCM",
        keyfile_password=None,
    )
    client = aiomqtt.Client(tls_broker.host, tls_broker.port, tls_params=parameters)
    for _ in range(2):
        await carries_messages(client)


async def test_tls_context(
    aiomqtt: ModuleType, tls_broker: Mosquitto, authority: Authority, person: Identity
) -> None:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.load_cert_chain(person.certificate, person.key)
    await carries_messages(aiomqtt.Client(tls_broker.host, tls_broker.port, tls_context=context))


async def test_unknown_authority(aiomqtt: ModuleType, misnamed_broker: Mosquitto) -> None:
    client = aiomqtt.Client(
        misnamed_broker.host, misnamed_broker.port, tls_params=aiomqtt.TLSParameters()
    )
    with pytest.raises(aiomqtt.MqttError, match="CERTIFICATE_VERIFY_FAILED"):
        await client.__aenter__()


async def test_insecure(
    aiomqtt: ModuleType, misnamed_broker: Mosquitto, authority: Authority
) -> None:
    """The name is not checked, the authority is."""
    address = (misnamed_broker.host, misnamed_broker.port)
    parameters = aiomqtt.TLSParameters(ca_certs=str(authority.certificate))
    for insecure in (None, False):
        client = aiomqtt.Client(*address, tls_params=parameters, tls_insecure=insecure)
        with pytest.raises(aiomqtt.MqttError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.__aenter__()
    await carries_messages(aiomqtt.Client(*address, tls_params=parameters, tls_insecure=True))


async def test_insecure_context(
    aiomqtt: ModuleType, misnamed_broker: Mosquitto, authority: Authority
) -> None:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    address = (misnamed_broker.host, misnamed_broker.port)
    await carries_messages(aiomqtt.Client(*address, tls_context=context, tls_insecure=True))


async def test_certificate_files_that_are_not_there(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    """An OSError like any other."""
    parameters = aiomqtt.TLSParameters(ca_certs="/nonexistent/ca.pem")
    client = aiomqtt.Client(broker.host, broker.port, tls_params=parameters)
    for _ in range(2):
        with pytest.raises(aiomqtt.MqttError, match="No such file"):
            await client.__aenter__()


async def test_no_tls_on_the_other_side(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    parameters = aiomqtt.TLSParameters()
    with pytest.raises(aiomqtt.MqttError):
        await aiomqtt.Client(broker.host, broker.port, tls_params=parameters).__aenter__()


async def test_tls_without_tls(aiomqtt: ModuleType, tls_broker: Mosquitto) -> None:
    with pytest.raises(aiomqtt.MqttError):
        await aiomqtt.Client(tls_broker.host, tls_broker.port, timeout=1).__aenter__()


async def test_websocket(aiomqtt: ModuleType, tmp_path: Path) -> None:
    port = free_port()
    listener = (f"listener {port} 127.0.0.1", "protocol websockets")
    with Mosquitto(tmp_path, extra=listener) as broker:
        client = aiomqtt.Client(broker.host, port, transport="websockets")
        for _ in range(2):
            await carries_messages(client, 30_000)  # mosquitto takes little more by WebSocket


def upgraded(peer: ScriptedPeer, requests: Mailbox[Any]) -> None:
    connection = peer.accept()
    line, headers = websocket.read_request(connection.sock)
    requests.put((line, headers))
    connection.sock.sendall(websocket.answer(headers["Sec-WebSocket-Key"]))
    connection.sock = websocket.FramedSocket(connection.sock)  # type: ignore[assignment]
    connection.serve()


async def test_websocket_path_and_headers(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    requests: Mailbox[Any] = Mailbox()
    peer.converse(lambda peer: upgraded(peer, requests))
    async with aiomqtt.Client(
        peer.host,
        peer.port,
        transport="websockets",
        websocket_path="/own/path",
        websocket_headers={"X-Token": "secret"},
    ) as client:
        await client.publish("a", "x", 1)
    ((line, headers),) = requests.items()
    assert line == "GET /own/path HTTP/1.1"
    assert headers["X-Token"] == "secret"
    assert {name.lower(): value for name, value in headers.items()}[
        "sec-websocket-protocol"
    ] == "mqtt"


async def test_websocket_headers_by_a_function(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    def change(headers: dict[str, str]) -> dict[str, str]:
        return {**headers, "Host": "broker.example"}

    requests: Mailbox[Any] = Mailbox()
    peer.converse(lambda peer: upgraded(peer, requests))
    async with aiomqtt.Client(
        peer.host,
        peer.port,
        transport="websockets",
        websocket_path="/mqtt",
        websocket_headers=change,
    ):
        pass
    ((_, headers),) = requests.items()
    assert headers["Host"] == "broker.example"


async def test_refused_upgrade(aiomqtt: ModuleType, peer: ScriptedPeer) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        websocket.read_request(connection.sock)
        connection.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        connection.close()

    peer.converse(script)
    with pytest.raises(aiomqtt.MqttError):
        await aiomqtt.Client(peer.host, peer.port, transport="websockets").__aenter__()


async def test_unix_socket(aiomqtt: ModuleType, unix_broker: Mosquitto) -> None:
    client = aiomqtt.Client(unix_broker.unix_path, transport="unix")
    for _ in range(2):
        await carries_messages(client)


async def test_unix_socket_that_is_not_there(aiomqtt: ModuleType, tmp_path: Path) -> None:
    client = aiomqtt.Client(str(tmp_path / "none"), transport="unix")
    with pytest.raises(aiomqtt.MqttError, match="No such file"):
        await client.__aenter__()


async def test_proxy(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    socks = pytest.importorskip("socks")
    with Proxy(("me", "secret")) as proxy:
        settings = aiomqtt.ProxySettings(
            proxy_type=socks.SOCKS5,
            proxy_addr=proxy.host,
            proxy_port=proxy.port,
            proxy_username="me",
            proxy_password="secret",
        )
        await carries_messages(aiomqtt.Client(broker.host, broker.port, proxy=settings))
        ((protocol, _, port, user, _),) = proxy.asked.items()
        assert (protocol, port, user) == ("SOCKS5", broker.port, "me")
