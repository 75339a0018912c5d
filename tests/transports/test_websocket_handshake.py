"""The WebSocket handshake: what is sent, what is accepted, and every refusal."""

from __future__ import annotations

import gc
import socket
import threading
import time
import warnings
from types import ModuleType
from typing import Any, Callable

import pytest
from support import clients, packets, websocket
from support.peer import ScriptedPeer
from support.waiting import PATIENCE, eventually, finishes
from support.websocket import answer

Answer = Callable[[str], bytes]
PLAIN = "WebSocket handshake error"
UPGRADE = "WebSocket handshake error, connection not upgraded"
KEY = "WebSocket handshake error, invalid secret key"
LONG = "WebSocket handshake error, answer is longer than 16 KiB"
PROTOCOL = "WebSocket handshake error, subprotocol is not mqtt"
EXTENSION = "WebSocket handshake error, extension that was not asked for"


def status(line: str, **headers: str | None) -> Answer:
    return lambda key: answer(key, line, **headers)


def good(**headers: str | None) -> Answer:
    return lambda key: answer(key, **headers)


def raw(data: bytes) -> Answer:
    return lambda _: data


def replaced(old: bytes, new: bytes) -> Answer:
    return lambda key: answer(key).replace(old, new)


def refused(code: int) -> str:
    return f"{UPGRADE} (status {code})"


# what the server sends before it closes its side, and the client's words
FAULTS: list[tuple[str, Answer, str]] = [
    ("silence", raw(b""), PLAIN),
    ("not HTTP", raw(b"200 OK"), PLAIN),
    ("MQTT", raw(b"\x20\x02\x00\x00"), PLAIN),
    ("TLS", raw(b"\x15\x03\x01\x00\x02\x02\x46"), PLAIN),
    ("frames at once", raw(websocket.frame(websocket.BINARY, b"\x20\x02\x00\x00")), PLAIN),
    ("HTTP/1.0", replaced(b"HTTP/1.1", b"HTTP/1.0"), PLAIN),
    ("HTTP/2", replaced(b"HTTP/1.1", b"HTTP/2"), PLAIN),
    ("no status", replaced(b"101 Switching Protocols", b""), PLAIN),
    ("words for a status", replaced(b"101", b"abc"), PLAIN),
    ("status of two digits", replaced(b"101", b"10"), PLAIN),
    ("status below 100", replaced(b"101", b"010"), PLAIN),
    ("half a line", raw(b"HTTP/1.1 101 Swi"), PLAIN),
    ("half a header", lambda key: answer(key)[:-20], PLAIN),
    ("no empty line", lambda key: answer(key)[:-2], PLAIN),
    ("a header without colon", replaced(b"Upgrade: websocket", b"Upgrade websocket"), PLAIN),
    ("a folded header", replaced(b"Upgrade: websocket", b"Upgrade:\r\n websocket"), PLAIN),
    ("a space before the colon", replaced(b"Upgrade:", b"Upgrade :"), PLAIN),
    ("a zero byte in a header", replaced(b"websocket", b"web\0socket"), PLAIN),
    ("200", status("200 OK"), refused(200)),
    ("301 elsewhere", status("301 Moved", Location="ws://127.0.0.1:1/mqtt"), refused(301)),
    ("302 elsewhere", status("302 Found", Location="http://127.0.0.1:1/"), refused(302)),
    ("400", status("400 Bad Request"), refused(400)),
    ("401", status("401 Unauthorized", WWW_Authenticate="Basic"), refused(401)),
    ("403", status("403 Forbidden", Upgrade=None, Connection="close"), refused(403)),
    ("404", raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n"), refused(404)),
    ("426", status("426 Upgrade Required"), refused(426)),
    ("500", status("500 Internal Server Error"), refused(500)),
    ("503", status("503 Service Unavailable"), refused(503)),
    ("100 first", status("100 Continue"), refused(100)),
    ("no Upgrade", good(Upgrade=None), UPGRADE),
    ("another Upgrade", good(Upgrade="h2c"), UPGRADE),
    ("Upgrade that only begins so", good(Upgrade="websocket2"), UPGRADE),
    ("no Connection", good(Connection=None), UPGRADE),
    ("another Connection", good(Connection="keep-alive"), UPGRADE),
    ("no key", good(Sec_WebSocket_Accept=None), KEY),
    ("an empty key", good(Sec_WebSocket_Accept=""), KEY),
    ("another key", good(Sec_WebSocket_Accept=websocket.accept_key("x")), KEY),
    ("the client's own key", lambda key: answer(key, Sec_WebSocket_Accept=key), KEY),
    (
        "the key in lower case",
        lambda key: answer(key, Sec_WebSocket_Accept=websocket.accept_key(key).lower() + "="),
        KEY,
    ),
    ("two keys", replaced(b"\r\n\r\n", b"\r\nSec-WebSocket-Accept: x\r\n\r\n"), KEY),
    ("another subprotocol", good(Sec_WebSocket_Protocol="chat"), PROTOCOL),
    ("an old subprotocol", good(Sec_WebSocket_Protocol="mqttv3.1"), PROTOCOL),
    ("two subprotocols", good(Sec_WebSocket_Protocol="mqtt, chat"), PROTOCOL),
    ("a subprotocol in capitals", good(Sec_WebSocket_Protocol="MQTT"), PROTOCOL),
    ("an extension", good(Sec_WebSocket_Extensions="permessage-deflate"), EXTENSION),
    ("a head of 16 KiB", good(X_Padding="x" * (16 << 10)), LONG),
    ("a head without end", raw(b"HTTP/1.1 101 OK\r\n" + b"X: " + b"x" * (64 << 10)), LONG),
    ("125 headers", lambda key: answer(key)[:-2] + b"X: y\r\n" * 121 + b"\r\n", PLAIN),
]


@pytest.mark.parametrize(("reply", "text"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
@pytest.mark.better_than_paho("takes most of these for a good answer")
def test_refusal(mqtt: ModuleType, peer: ScriptedPeer, reply: Answer, text: str) -> None:
    opened: list[Any] = []
    client = clients.make(mqtt, transport="websockets")
    client.on_socket_open = lambda *_: opened.append("open")

    def server(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        _, headers = websocket.read_request(connection.sock)
        try:
            connection.sock.sendall(reply(headers["Sec-WebSocket-Key"]))
            connection.sock.shutdown(socket.SHUT_WR)
            assert connection.sock.recv(1) == b"", "the client went on"
        except OSError:
            pass  # it had seen enough

    peer.converse(server)
    with pytest.raises(mqtt.WebsocketConnectionError) as caught:
        client.connect(peer.host, peer.port)
    peer.finish()
    assert str(caught.value) == text
    assert client.socket() is None and not opened


def test_there_are_forty_refusals() -> None:
    assert len(FAULTS) >= 40


ACCEPTED: list[tuple[str, Answer]] = [
    ("plain", good()),
    ("without a subprotocol", good(Sec_WebSocket_Protocol=None)),
    ("other capitals", replaced(b"Upgrade: websocket", b"uPGRADE: WebSocket")),
    ("several Connection tokens", good(Connection="keep-alive, upgrade")),
    ("spaces around values", replaced(b": websocket", b": \t websocket \t")),
    ("no reason phrase", replaced(b" Switching Protocols", b"")),
    ("many headers", lambda key: answer(key)[:-2] + b"X: y\r\n" * 100 + b"\r\n"),
    ("bytes that are not ASCII", replaced(b"\r\n\r\n", b"\r\nX: \xe9\r\n\r\n")),
]


@pytest.mark.parametrize("reply", [a[1] for a in ACCEPTED], ids=[a[0] for a in ACCEPTED])
def test_acceptance(mqtt: ModuleType, peer: ScriptedPeer, reply: Answer) -> None:
    client = clients.make(mqtt, transport="websockets")

    def server(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        _, headers = websocket.read_request(connection.sock)
        connection.sock.sendall(reply(headers["Sec-WebSocket-Key"]))
        connection.sock = websocket.FramedSocket(connection.sock)  # type: ignore[assignment]
        connection.serve()

    peer.converse(server)
    client.connect(peer.host, peer.port)
    client.disconnect()


def test_answer_in_single_bytes_and_frames_right_behind(
    mqtt: ModuleType, peer: ScriptedPeer
) -> None:
    """What comes in one piece with the answer belongs to the connection."""
    pinged = threading.Event()

    def server(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        _, headers = websocket.read_request(connection.sock)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reply = answer(headers["Sec-WebSocket-Key"])
        for at in range(len(reply) - 2):
            connection.sock.sendall(reply[at : at + 1])
        ping = websocket.frame(websocket.PING, b"early")
        connection.sock.sendall(reply[-2:] + ping[:3])
        framed = websocket.FramedSocket(connection.sock)
        connection.sock = framed  # type: ignore[assignment]
        packet = connection.expect(packets.CONNECT)
        framed.sock.sendall(ping[3:])
        connection.send(connection.answer(packet))
        connection.serve()
        assert (websocket.PONG, b"early") in framed.controls
        pinged.set()

    client = clients.make(mqtt, transport="websockets")
    client.on_connect = lambda client, *_: client.disconnect()
    peer.converse(server)
    client.connect(peer.host, peer.port)
    client.loop_forever()
    assert pinged.wait(PATIENCE)


class Drip(threading.Thread):
    """A server that goes on with its answer one byte at a time for as long as anyone listens."""

    def __init__(self, peer: ScriptedPeer, reply: bytes) -> None:
        super().__init__(daemon=True)
        self.peer, self.reply = peer, reply
        self.start()

    def run(self) -> None:
        sock = self.peer.accept().sock
        try:
            sock.sendall(self.reply)
            while True:
                sock.sendall(b"x")
                time.sleep(0.05)
        except OSError:
            pass


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 101 OK\r\nX: ", b"HTTP/1.1 101 "], ids=["header", "line"]
)
@pytest.mark.better_than_paho("has a time-out for each byte, none for the whole")
def test_a_dripping_server_does_not_outlast_the_deadline(
    mqtt: ModuleType, peer: ScriptedPeer, reply: bytes
) -> None:
    client = clients.make(mqtt, transport="websockets")
    client.connect_timeout = 0.5
    Drip(peer, reply)
    started = time.monotonic()
    with pytest.raises((TimeoutError, socket.timeout)):
        client.connect(peer.host, peer.port)
    assert 0.4 < time.monotonic() - started < 2


def test_a_silent_server(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    client = clients.make(mqtt, transport="websockets")
    client.connect_timeout = 0.3
    with pytest.raises((TimeoutError, socket.timeout)):
        client.connect(peer.host, peer.port)


def test_reset_instead_of_an_answer(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    def server(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        websocket.read_request(connection.sock)
        connection.reset()

    client = clients.make(mqtt, transport="websockets")
    peer.converse(server)
    with pytest.raises(mqtt.WebsocketConnectionError, match=f"^{PLAIN}$"):
        client.connect(peer.host, peer.port)


@pytest.mark.better_than_paho("loop_stop() waits for the time-out")
def test_loop_stop_ends_a_handshake(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    client = clients.make(mqtt, transport="websockets")
    client.connect_timeout = 60
    client.connect_async(peer.host, peer.port)
    client.loop_start()
    peer.accept()
    finishes(client.loop_stop, 2, "loop_stop() during a handshake")


def test_the_loop_tries_again(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """A refusal is an OSError: the loop thread goes on, `on_connect_fail` tells."""
    failed = threading.Event()

    def server(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        websocket.read_request(connection.sock)
        connection.sock.sendall(b"HTTP/1.1 503 Busy\r\n\r\n")
        connection.close()
        websocket.upgrade(connection := peer.accept())
        connection.serve()

    client = clients.make(mqtt, transport="websockets")
    client.reconnect_delay_set(0.05, 0.1)
    client.on_connect_fail = lambda *_: failed.set()
    client.connect_async(peer.host, peer.port)
    peer.converse(server)
    client.loop_start()
    eventually(client.is_connected, "the second attempt")
    assert failed.is_set()
    client.disconnect()
    client.loop_stop()


def request_of(module: ModuleType, peer: ScriptedPeer, port: int, **options: Any) -> Any:
    """What a client of that module sends, without its random key; the connection then fails."""
    seen: list[Any] = []

    def server(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        line, headers = websocket.read_request(connection.sock)
        key = headers.get("Sec-WebSocket-Key")
        seen.append((line, [(n, "key" if v == key else v) for n, v in headers.items()]))
        connection.close()

    client = clients.make(module, transport="websockets")
    client.ws_set_options(**options)
    peer.converse(server)
    with pytest.raises(module.WebsocketConnectionError):
        client.connect(peer.host, port)
    peer.finish()
    return seen


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"path": "/ws"},
        {"path": "/mqtt?x=1&y=%20"},
        {"headers": {"Authorization": "Bearer abc", "X-é".replace("é", "e"): "ü"}},
        {"headers": {"Origin": "https://example.com", "Sec-Websocket-Protocol": "mqtt, mqttv3.1"}},
        {"headers": lambda usual: {**usual, "Host": "example.com", "X-Signed": str(len(usual))}},
        {"headers": lambda usual: dict(reversed(usual.items()))},
        {"headers": lambda usual: {"Only": "this", "Sec-WebSocket-Key": "key"}},
    ],
    ids=["defaults", "path", "query", "added", "replaced", "signed", "order", "own"],
)
def test_the_request_is_pahos(
    mqtt: ModuleType, paho: ModuleType, peer: ScriptedPeer, options: dict[str, Any]
) -> None:
    ours = request_of(mqtt, peer, peer.port, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # paho leaves its socket to the collector
        theirs = request_of(paho, peer, peer.port, **options)
        gc.collect()
    assert ours == theirs and len(ours) == 1


def test_404_as_with_paho(mqtt: ModuleType, paho: ModuleType, peer: ScriptedPeer) -> None:
    """The same exception; ours tells the status behind paho's words."""

    def server(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        websocket.read_request(connection.sock)
        connection.sock.sendall(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n")
        connection.close()

    def said(module: ModuleType) -> tuple[Any, ...]:
        client = clients.make(module, transport="websockets")
        peer.converse(server)
        with pytest.raises(module.WebsocketConnectionError) as caught:
            client.connect(peer.host, peer.port)
        peer.finish()
        assert client.socket() is None
        error = caught.value
        return type(error).__name__, type(error).__mro__[1:], error.errno, str(error)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # paho leaves its socket to the collector
        theirs = said(paho)
        gc.collect()
    ours = said(mqtt)
    assert ours[:3] == theirs[:3] and ours[3] == f"{theirs[3]} (status 404)"


def test_a_signing_callable_gets_the_usual_headers_each_time(
    mqtt: ModuleType, peer: ScriptedPeer
) -> None:
    usual: list[dict[str, str]] = []

    def sign(headers: dict[str, str]) -> dict[str, str]:
        usual.append(dict(headers))
        return headers

    request_of(mqtt, peer, peer.port, headers=sign)
    request_of(mqtt, peer, peer.port, headers=sign)
    assert [list(headers) for headers in usual] == 2 * [
        [
            "Host",
            "Upgrade",
            "Connection",
            "Origin",
            "Sec-WebSocket-Key",
            "Sec-Websocket-Version",
            "Sec-Websocket-Protocol",
        ]
    ]
    assert usual[0]["Host"] == f"{peer.host}:{peer.port}"
    assert usual[0]["Sec-WebSocket-Key"] != usual[1]["Sec-WebSocket-Key"]


def test_headers_have_to_be_a_dict_or_callable(mqtt: ModuleType) -> None:
    client = clients.make(mqtt, transport="websockets")
    with pytest.raises(ValueError, match="has to be either a dictionary or callable"):
        client.ws_set_options(headers=[("a", "b")])


@pytest.mark.parametrize("bad", ["\r\n", "\n", "\r", "\0", "\x7f", "\x1b"])
@pytest.mark.parametrize("where", ["path", "name", "value", "signed name", "signed value", "host"])
@pytest.mark.better_than_paho("sends it: header injection")
def test_control_characters_are_refused(
    mqtt: ModuleType, peer: ScriptedPeer, where: str, bad: str
) -> None:
    """Nothing is sent, and the message does not show the value."""
    secret = f"secret{bad}X-Injected: yes"
    client = clients.make(mqtt, transport="websockets")
    options: dict[str, dict[str, Any]] = {
        "path": {"path": f"/{secret}"},
        "name": {"headers": {secret: "a"}},
        "value": {"headers": {"A": secret}},
        "signed name": {"headers": lambda usual: {**usual, secret: "a"}},
        "signed value": {"headers": lambda usual: {**usual, "A": secret}},
        "host": {"headers": lambda usual: {**usual, "Host": secret}},
    }
    with pytest.raises(ValueError) as caught:
        client.ws_set_options(**options[where])
        client.connect(peer.host, peer.port)
    if "value" in where:
        assert "secret" not in str(caught.value)
    for connection in peer.connections:
        assert connection.sock.recv(100) == b""
