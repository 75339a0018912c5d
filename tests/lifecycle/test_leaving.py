"""However a client goes away, it hands over what it accepted: the table of docs/threading.md, cell by cell.

Each test takes one way and one transport, and six clients: QoS 0, 1 and 2, with the broker's answers in time and late. The broker
has their messages in the end, and the clients are gone from it; where nobody has said goodbye, their wills are published.
"""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from oxmqtt.enums import CallbackAPIVersion
from oxmqtt.testing import Broker
from support import packets
from support.late import LateAnswers
from support.packets import PUBLISH
from support.peer import ScriptedPeer
from support.process import Program
from support.waiting import PATIENCE, eventually, finishes

pytestmark = pytest.mark.better_than_paho(
    "it closes its socket at once; what waits for CONNACK or in its queue is lost"
)

TRANSPORTS = ("tcp", "unix", "tls", "rustls", "websockets", "wss")
CONNACK = {"in time": 0.0, "late": 0.3}
MESSAGES = 5
PAYLOAD = "x" * 2000


class Servers(NamedTuple):
    broker: Broker
    #: (host, port) of each (transport, CONNACK).
    addresses: dict[tuple[str, str], tuple[str, int]]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("leaving")
    with Broker(tls=True, websockets=True) as broker:
        ports = {
            "tcp": broker.port,
            "unix": broker.port,
            "tls": broker.tls_port,
            "rustls": broker.tls_port,
            "websockets": broker.websocket_port,
            "wss": broker.secure_websocket_port,
        }
        addresses = {}
        relays = []
        for (transport, port), (name, seconds) in (
            (one, other) for one in ports.items() for other in CONNACK.items()
        ):
            path = str(folder / name) if transport == "unix" else None
            relays.append(LateAnswers(port, seconds, path))
            addresses[transport, name] = (relays[-1].host, relays[-1].port)
        yield Servers(broker, addresses)
        for relay in relays:
            relay.__exit__()


def make(base: Any, transport: str, name: str, ca_file: str) -> Any:
    client = base(
        CallbackAPIVersion.VERSION2,
        client_id=name,
        transport={"unix": "unix", "websockets": "websockets", "wss": "websockets"}.get(
            transport, "tcp"
        ),
    )
    if transport in ("tls", "wss"):
        client.tls_set(ca_file)
        client.tls_insecure_set(True)
    elif transport == "rustls":
        client.tls_set(ca_file, backend="rustls")
        client.tls_insecure_set(True)
    client.will_set(f"will/{name}")
    return client


def publish(client: Any, name: str, qos: int) -> None:
    for number in range(MESSAGES):
        assert client.publish(f"left/{name}/{number}", PAYLOAD, qos).rc == 0


# Each gets a list with the only reference to a client that has published.


def dropped(clients: list[Any]) -> None:
    clients.clear()


def collected(clients: list[Any]) -> None:
    clients[0].user_data_set(clients[0])
    clients.clear()
    gc.collect()


def stopped_and_dropped(clients: list[Any]) -> None:
    clients[0].loop_start()
    clients[0].loop_stop()
    clients.clear()
    gc.collect()


def closed(clients: list[Any]) -> None:
    assert clients.pop().close() is True


def closed_with_a_loop(clients: list[Any]) -> None:
    clients[0].loop_start()
    assert clients.pop().close() is True


def left_by_with(clients: list[Any]) -> None:
    with clients.pop():
        pass


def closed_in_a_callback(clients: list[Any]) -> None:
    client = clients.pop()
    results: list[bool] = []
    client.on_connect = lambda client, *_: results.append(client.close())
    client.loop_start()
    eventually(lambda: results, "close() in on_connect")
    assert results == [True]


WAYS: dict[str, Callable[[list[Any]], None]] = {
    "dropped": dropped,
    "a subclass with a __del__ of its own": dropped,
    "collected in a cycle": collected,
    "loop_stop() and dropped": stopped_and_dropped,
    "close()": closed,
    "close() with a loop": closed_with_a_loop,
    "close() in a callback": closed_in_a_callback,
    "with": left_by_with,
}
SAYS_GOODBYE = ("close()", "close() with a loop", "close() in a callback", "with")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("way", WAYS)
def test_hands_over(mqtt: ModuleType, servers: Servers, way: str, transport: str) -> None:
    class Own(mqtt.Client):  # type: ignore[name-defined, misc]
        def __del__(self) -> None:
            pass

    names = []
    for qos in (0, 1, 2):
        for connack in CONNACK:
            name = f"{way}-{transport}-{qos}-{connack}".replace(" ", "-")
            names.append(name)
            base = Own if way.startswith("a subclass") else mqtt.Client
            clients = [make(base, transport, name, servers.broker.ca_file)]
            clients[0].connect(*servers.addresses[transport, connack])
            publish(clients[0], name, qos)
            WAYS[way](clients)
    has_arrived(servers.broker, names, with_wills=way not in SAYS_GOODBYE)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_hands_over_at_the_end_of_the_process(
    client_name: str, servers: Servers, transport: str
) -> None:
    names = []
    for connack in CONNACK:
        name = f"process-{transport}-{connack}".replace(" ", "-")
        crowd = [f"{name}-{qos}" for qos in (0, 1, 2)]
        names += crowd
        source = f"""
        from lifecycle.test_leaving import make, publish
        clients = [make(mqtt.Client, {transport!r}, name, CA) for name in NAMES]
        for qos, client in enumerate(clients):
            client.connect(*ADDRESS)
            publish(client, NAMES[qos], qos)
        """
        values = {
            "NAMES": crowd,
            "CA": servers.broker.ca_file,
            "ADDRESS": servers.addresses[transport, connack],
        }
        with Program(source, client_name, **values) as program:
            assert (program.exit_code(), program.error_text()) == (0, "")
    has_arrived(servers.broker, names, with_wills=True)


def has_arrived(broker: Broker, names: list[str], with_wills: bool) -> None:
    for name in names:
        for number in range(MESSAGES):
            assert broker.wait_for(f"left/{name}/{number}", PATIENCE).payload == PAYLOAD.encode()
        broker.wait_for_client(name, PATIENCE, connected=False)
        if with_wills:
            broker.wait_for(f"will/{name}", PATIENCE)
    if not with_wills:
        assert [m.topic for m in broker.messages if m.topic in {f"will/{n}" for n in names}] == []
    broker.clear()


def test_nothing_is_reset_under_a_late_connack(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """The broker reads only when it has sent CONNACK: the socket must not be closed before."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.connect(peer.host, peer.port)
    for number in range(1000):
        client.publish("early", str(number))
    connection = peer.accept()
    del client
    connection.accept_client()
    received = connection.read_to_end()
    assert [int(packet.payload) for packet in received] == list(range(1000))


def test_incoming_messages_are_not_acknowledged(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """Nobody has seen them: the broker keeps them."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.connect(peer.host, peer.port)
    client.publish("mine", "x", 1)
    connection = peer.accept()
    connection.accept_client()
    mine = connection.expect(PUBLISH)
    del client
    for qos in (0, 1, 2):
        connection.send(packets.publish(packets.V311, "yours", b"x", qos, 7 + qos))
    connection.send(connection.answer(mine))
    assert connection.read_to_end() == []


def test_close_says_what_the_broker_has_not(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    lines: list[str] = []
    client.on_log = lambda _client, _userdata, _level, line: lines.append(line)
    client.connect(peer.host, peer.port)
    client.loop_start()
    client.publish("kept", "x", 1)
    client.publish("kept", "x", 1)
    peer.accept().accept_client()
    assert finishes(lambda: client.close(timeout=0.2), PATIENCE, "close()") is False
    assert "Closing with 2 messages that were not handed over to the broker" in lines


def test_with_warns_of_what_the_broker_has_not(
    mqtt: ModuleType, peer: ScriptedPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oxmqtt._client.closing.LATEST", 0.2)
    with pytest.warns(ResourceWarning, match="1 messages were not handed over"):
        with mqtt.Client(mqtt.CallbackAPIVersion.VERSION2) as client:
            client.connect(peer.host, peer.port)
            client.publish("kept", "x", 1)
            peer.accept().accept_client()


def test_close_waits_for_a_slow_reader(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """12 MB of QoS 0 for a broker that does not read for longer than a closing client used to wait."""
    size = 12_000_000
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.connect(peer.host, peer.port)
    client.loop_start()
    connection = peer.accept()
    connection.accept_client()
    eventually(client.is_connected, "the connection")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        peer.converse(lambda _: (time.sleep(2), connection.read_to_end(2 * PATIENCE)))
        client.publish("large", bytes(size))
        assert client.close() is True
    peer.finish()
    assert connection.received[-1].kind == packets.DISCONNECT
    assert len(connection.received[1].payload) == size


def test_close_of_a_client_that_never_connected(mqtt: ModuleType) -> None:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    assert client.close() is True
    client.publish("offline", "x", 1)
    assert client.close() is False


def test_the_process_tells_of_what_is_lost(
    client_name: str, peer: ScriptedPeer, tmp_path: Path
) -> None:
    """A client is dropped, its broker vanishes: a ResourceWarning at the exit says so."""
    source = """
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.connect(HOST, PORT)
    client.publish("lost", "x", 1)
    del client
    say("dropped")
    """
    values = {"HOST": peer.host, "PORT": peer.port}
    with Program(
        source, client_name, first="import warnings; warnings.simplefilter('always')", **values
    ) as program:
        connection = peer.accept()
        program.wait_line("dropped")
        connection.reset()
        assert program.exit_code() == 0
        assert "1 MQTT messages were not handed over" in program.error_text()
