"""Private methods that programs override or call, and objects that they make by hand: as on paho.

Most of it runs on paho as well (`--client paho.mqtt.client`). The page docs/compatibility.md says who does what.
"""

from __future__ import annotations

import selectors
import socket
import threading
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from support import clients, packets
from support.mosquitto import Mosquitto
from support.peer import ScriptedPeer
from support.waiting import Mailbox, eventually


def connects(client: Any, server: Any) -> None:
    """The client connects, by its own loop thread."""
    accepted = threading.Event()
    client.on_connect = lambda *_: accepted.set()
    client.connect(server.host, server.port)
    client.loop_start()
    try:
        assert accepted.wait(30)
        assert client.is_connected()
    finally:
        clients.dispose(client)


@pytest.mark.parametrize("by_super", [True, False])
def test_own_socket_connection(mqtt: ModuleType, broker: Mosquitto, by_super: bool) -> None:
    """Routes of their own, unix sockets, another address when the name is unknown."""

    class Own(mqtt.Client):  # type: ignore[misc,name-defined]
        dials = 0

        def _create_socket_connection(self) -> Any:
            self.dials += 1
            if by_super:
                return super()._create_socket_connection()
            return socket.create_connection((broker.host, broker.port), self._connect_timeout)

    client = clients.make(mqtt, "route", factory=Own)
    connects(client, broker)
    assert client.dials == 1


class Channel:
    """A connection that is no socket of Python: TLS of somebody's own, a channel of SSH."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._carrier = socket.create_connection(address)

    def fileno(self) -> int:
        return self._carrier.fileno()

    def settimeout(self, seconds: float | None) -> None:
        self._carrier.settimeout(seconds)

    def setblocking(self, flag: bool) -> None:
        self._carrier.setblocking(flag)

    def pending(self) -> int:
        return 0

    def recv(self, size: int) -> bytes:
        return self._carrier.recv(size)

    def send(self, data: bytes) -> int:
        return self._carrier.send(data)

    def close(self) -> None:
        self._carrier.close()


def test_connection_that_is_no_socket(mqtt: ModuleType, broker: Mosquitto) -> None:
    class Own(mqtt.Client):  # type: ignore[misc,name-defined]
        def _create_socket_connection(self) -> Any:
            return Channel((broker.host, broker.port))

    messages: Mailbox[bytes] = Mailbox()
    ready = threading.Event()
    client = clients.make(mqtt, "channel", factory=Own)
    client.on_connect = lambda client, *_: client.subscribe("channel/#", 1)
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda client, userdata, message: messages.put(bytes(message.payload))
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        assert ready.wait(30)
        client.publish("channel/large", bytes(300_000), 1)
        client.publish("channel/small", b"1", 1)
        assert messages.wait_count(2) == [bytes(300_000), b"1"]
    finally:
        clients.dispose(client)


def test_unix_socket_connection(mqtt: ModuleType, broker: Mosquitto) -> None:
    """With the transport of unix sockets it is another method."""

    class Own(mqtt.Client):  # type: ignore[misc,name-defined]
        def _create_unix_socket_connection(self) -> Any:
            return socket.create_connection((broker.host, broker.port))

    client = clients.make(mqtt, "unix", factory=Own, transport="unix")
    connects(client, broker)


def test_rewritten_connect(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """Integrations of Home Assistant set a bit in CONNECT that brokers of vacuum cleaners want."""

    class Own(mqtt.Client):  # type: ignore[misc,name-defined]
        def _packet_queue(self, command: int, packet: Any, *args: Any, **kwargs: Any) -> Any:
            if command == mqtt.CONNECT:
                packet = bytearray(packet)
                packet[9] |= 0x08  # the QoS of a will that is not there
            return super()._packet_queue(command, packet, *args, **kwargs)

    client = clients.make(mqtt, "rewritten", factory=Own)
    client.connect(peer.host, peer.port)
    client.loop_start()
    try:
        connection = peer.accept()
        connect = connection.accept_client().raw
        assert connect[9] == 0x0A and connect.endswith(b"rewritten")
        eventually(client.is_connected, "online")
        client.publish("t", b"1", 1)
        connection.expect(packets.PUBLISH)
    finally:
        clients.dispose(client)


def test_packet_of_the_programs_own(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    client = clients.make(mqtt, "own")
    client.connect(peer.host, peer.port)
    client.loop_start()
    try:
        connection = peer.accept()
        connection.accept_client()
        eventually(client.is_connected, "online")
        assert client._packet_queue(mqtt.PINGREQ, b"\xc0\x00", 0, 0) == mqtt.MQTT_ERR_SUCCESS
        connection.expect(packets.PINGREQ)
        assert client._send_pingreq() == mqtt.MQTT_ERR_SUCCESS
        connection.expect(packets.PINGREQ)
        connection.send(packets.pingresp())
        connection.expect_alive()
    finally:
        clients.dispose(client)


def made_message(mqtt: ModuleType, topic: bytes, payload: bytes) -> Any:
    message = mqtt.MQTTMessage(mid=1, topic=topic)
    message.payload = payload
    return message


def test_message_handed_over_by_a_test(mqtt: ModuleType) -> None:
    client = clients.make(mqtt, "handed")
    seen: list[Any] = []
    client.on_message = lambda client, userdata, message: seen.append(("any", message.payload))
    client.message_callback_add(
        "f/#", lambda client, userdata, message: seen.append(("filter", message.payload))
    )
    client._handle_on_message(made_message(mqtt, b"a", b"1"))
    client._handle_on_message(made_message(mqtt, b"f/1", b"2"))
    assert seen == [("any", b"1"), ("filter", b"2")]


def test_exception_of_a_message_handed_over(mqtt: ModuleType) -> None:
    client = clients.make(mqtt, "raises")
    lines: list[str] = []
    client.on_log = lambda client, userdata, level, line: lines.append(line)

    def fail(*_: Any) -> None:
        raise ZeroDivisionError("of the program")

    client.on_message = fail
    with pytest.raises(ZeroDivisionError):
        client._handle_on_message(made_message(mqtt, b"a", b""))
    assert lines == ["Caught exception in on_message: of the program"]
    client.suppress_exceptions = True
    client._handle_on_message(made_message(mqtt, b"a", b""))


@pytest.mark.parametrize("by_subclass", [True, False])
def test_own_handling_of_messages(mqtt: ModuleType, broker: Mosquitto, by_subclass: bool) -> None:
    """Routers decode a message before its callbacks see it, or take it away."""

    class Own(mqtt.Client):  # type: ignore[misc,name-defined]
        def _handle_on_message(self, message: Any) -> None:
            if message.payload != b"taken":
                super()._handle_on_message(message)

    with clients.Watched(mqtt, "router", factory=Own if by_subclass else None) as watched:
        watched.start(broker).subscribe("router/#", 1)
        if not by_subclass:
            watched.client.publish("router/x", b"before", 1)
            watched.messages.wait_count(1)
            original = watched.client._handle_on_message
            watched.client._handle_on_message = lambda message: (
                None if message.payload == b"taken" else original(message)
            )
        watched.client.publish("router/x", b"taken", 1)
        watched.client.publish("router/x", b"kept", 1)
        messages = watched.messages.wait_for(lambda seen: seen and seen[-1].payload == b"kept")
        assert b"taken" not in [message.payload for message in messages]


def test_own_handling_of_connack(mqtt: ModuleType, broker: Mosquitto) -> None:
    class Own(mqtt.Client):  # type: ignore[misc,name-defined]
        results: list[Any]

        def _handle_connack(self) -> Any:
            result = super()._handle_connack()
            self.results.append(result)
            return result

    client = clients.make(mqtt, "connack", factory=Own)
    client.results = []
    connects(client, broker)
    assert client.results == [mqtt.MQTT_ERR_SUCCESS]


def test_own_handling_of_the_end(mqtt: ModuleType, broker: Mosquitto) -> None:
    ends: Mailbox[Any] = Mailbox()

    class Own(mqtt.Client):  # type: ignore[misc,name-defined]
        def _do_on_disconnect(self, packet_from_broker: bool, v1_rc: Any, *rest: Any) -> None:
            ends.put((packet_from_broker, v1_rc))
            super()._do_on_disconnect(packet_from_broker, v1_rc, *rest)

    with clients.Watched(mqtt, "end", factory=Own) as watched:
        watched.start(broker)
        watched.client.disconnect()
        assert ends.wait_count(1) == [(False, mqtt.MQTT_ERR_SUCCESS)]
        watched.disconnects.wait_count(1)


def test_end_declared_by_a_test(mqtt: ModuleType) -> None:
    client = clients.make(mqtt, "declared")
    seen: list[Any] = []
    client.on_disconnect = lambda client, userdata, flags, reason, properties: seen.append(
        (flags.is_disconnect_packet_from_server, str(reason))
    )
    client._do_on_disconnect(packet_from_broker=False, v1_rc=mqtt.MQTT_ERR_KEEPALIVE)
    assert seen == [(False, "Keep alive timeout")]


def test_loop_with_a_selector_of_its_own(mqtt: ModuleType, broker: Mosquitto) -> None:
    """Load generators do without select(), which has no descriptors above 1,023."""

    class Own(mqtt.Client):  # type: ignore[misc,name-defined]
        def _loop(self, timeout: float = 1.0) -> Any:
            with selectors.DefaultSelector() as selector:
                events = selectors.EVENT_READ
                try:
                    self._out_packet.appendleft(self._out_packet.popleft())
                    events |= selectors.EVENT_WRITE
                except IndexError:
                    pass
                selector.register(self._sock, events)
                if self._sockpairR is not None:
                    selector.register(self._sockpairR, selectors.EVENT_READ)
                ready = {key.fileobj: mask for key, mask in selector.select(timeout)}
            if ready.get(self._sock, 0) & selectors.EVENT_READ:
                result = self.loop_read()
                if result or self._sock is None:
                    return result
            if self._sockpairR in ready:
                try:
                    self._sockpairR.recv(10_000)
                except BlockingIOError:
                    pass
            if ready.get(self._sock, 0) & selectors.EVENT_WRITE:
                result = self.loop_write()
                if result or self._sock is None:
                    return result
            return self.loop_misc()

    with clients.Watched(mqtt, "selector", factory=Own) as watched:
        watched.start(broker).subscribe("selector/#", 1)
        for number in range(20):
            watched.client.publish(f"selector/{number}", str(number), number % 3)
        watched.messages.wait_count(20)
        watched.client.disconnect()
        watched.disconnects.wait_count(1)


@pytest.mark.parametrize("when", ["before", "after", "pair"])
def test_assigned_wakers(mqtt: ModuleType, broker: Mosquitto, when: str) -> None:
    class Own(mqtt.Client):  # type: ignore[misc,name-defined]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            if when == "before":
                self._sock = self._sockpairR = self._sockpairW = None
            super().__init__(*args, **kwargs)
            if when == "after":
                self._sock = self._sockpairR = self._sockpairW = None
            if when == "pair":
                self._sockpairR, self._sockpairW = mqtt._socketpair_compat()

    client = clients.make(mqtt, "wakers", factory=Own)
    connects(client, broker)
    client._reset_sockets()
    assert client._sockpairR is client._sockpairW is None


def test_wakers_are_there_with_a_loop_only(mqtt: ModuleType, broker: Mosquitto) -> None:
    client = clients.make(mqtt, "when")
    assert client._sockpairR is None
    client.connect(broker.host, broker.port)
    client.loop(0.0)
    try:
        assert client._sockpairR is client._sockpairR is not None
        assert client._sockpairR.fileno() != client._sock.fileno()
        with pytest.raises(BlockingIOError):
            client._sockpairR.recv(1)
        client._sockpairW.send(b"0")
        assert client._sockpairR.recv(10) == b"0"
    finally:
        clients.dispose(client)
    client._reset_sockets()
    assert client._sockpairR is None


def test_queues_can_be_replaced(mqtt: ModuleType) -> None:
    client = clients.make(mqtt, "replaced")
    client.publish("t", b"", 1)
    client._out_messages = {}
    assert len(client._out_messages) == 0
    client._in_messages = {}
    client._inflight_messages = 0
    client._out_packet.clear()
    with pytest.raises(IndexError):
        client._out_packet.popleft()


def test_state_set_by_a_test(mqtt: ModuleType) -> None:
    client = clients.make(mqtt, "state")
    connected = type(client._state).MQTT_CS_CONNECTED
    client._state = connected
    assert client.is_connected()
    client._state = type(client._state).MQTT_CS_NEW
    assert not client.is_connected()


def test_last_signs_of_life(mqtt: ModuleType, broker: Mosquitto) -> None:
    """Health checks compare them with `time.monotonic()`."""
    import time

    with clients.Watched(mqtt, "health") as watched:
        watched.start(broker)
        now = time.monotonic()
        assert 0 <= now - watched.client._last_bytes_received < 30
        assert 0 <= now - watched.client._last_msg_out < 30
        watched.client._last_msg_out = now


# Objects made by hand


def test_message_info_made_by_hand(mqtt: ModuleType) -> None:
    class Own(mqtt.MQTTMessageInfo):  # type: ignore[misc,name-defined]
        def __init__(self, mid: Any, note: str) -> None:
            super().__init__(mid)
            self.note = note

    for mid in (1, 70_000, -1, "one", None, 1.5, True):
        for info in (mqtt.MQTTMessageInfo(mid), mqtt.MQTTMessageInfo(mid=mid), Own(mid, "n")):
            assert info.mid is mid or (type(mid) is int and info.mid == mid)
            assert tuple(info) == (mqtt.MQTT_ERR_SUCCESS, mid) and info[1] == mid
            assert not info.is_published()
            info.mid = "another"
            assert info.mid == "another"
            info.mid = 7
            assert info.mid == 7
    with pytest.raises(TypeError):
        mqtt.MQTTMessageInfo()
    with pytest.raises(TypeError):
        mqtt.MQTTMessageInfo(1, 2)


@pytest.mark.parametrize("how", ["method", "attribute"])
def test_message_info_declared_published(mqtt: ModuleType, how: str) -> None:
    info = mqtt.MQTTMessageInfo(1)
    assert info._published is False

    def declare() -> None:
        if how == "method":
            info._set_as_published()
        else:
            info._published = True

    timer = threading.Timer(0.05, declare)
    timer.start()
    info.wait_for_publish(30 if how == "method" else 1)
    timer.join()
    assert info.is_published() and info._published is True
    info.wait_for_publish()
    info.rc = mqtt.MQTT_ERR_QUEUE_SIZE
    with pytest.raises(ValueError):
        info.is_published()


def test_unpublished_message_info_waits(mqtt: ModuleType) -> None:
    info = mqtt.MQTTMessageInfo(1)
    info.wait_for_publish(0.05)
    assert not info.is_published()


def test_message_made_by_hand(mqtt: ModuleType) -> None:
    class Own(mqtt.MQTTMessage):  # type: ignore[misc,name-defined]
        def __init__(self, topic: str, payload: bytes) -> None:
            super().__init__(mid=3, topic=topic.encode())
            self.payload = payload

    message = Own("a/b", b"1")
    assert (message.mid, message.topic, message.payload) == (3, "a/b", b"1")
    assert mqtt.MQTTMessage("one").mid == "one"
    with pytest.raises(TypeError):
        mqtt.MQTTMessage(1, b"t", 2)


PATCHED = {
    "_host": "elsewhere",
    "_keepalive": 5,
    "_protocol": 5,
    "_max_inflight_messages": 7,
    "_client_id": b"patched",
    "_on_connect": print,
    "_on_publish": print,
    "_on_message": print,
    "_easy_log": print,
    "_mid_generate": print,
    "_do_on_publish": print,
    "_handle_on_message": print,
    "_create_socket": print,
    "_state": None,
    "_sock": None,
    "_thread": None,
    "_out_messages": {},
    "_callback_mutex": None,
}


@pytest.mark.parametrize("name", PATCHED)
def test_patching_an_object(mqtt: ModuleType, name: str) -> None:
    client = clients.make(mqtt, "patched")
    before = getattr(client, name)
    for _ in range(2):
        with mock.patch.object(client, name, PATCHED[name]):
            if name != "_out_messages":  # a view of what there is
                assert getattr(client, name) == PATCHED[name]
        assert getattr(client, name) == before


@pytest.mark.parametrize("name", sorted(PATCHED.keys() - {"_easy_log", "_mid_generate"}))
def test_set_before_the_constructor(mqtt: ModuleType, name: str) -> None:
    """What a subclass keeps under a name of paho's before it calls the constructor does no harm."""

    class Own(mqtt.Client):  # type: ignore[misc,name-defined]
        def __init__(self, *args: Any, **options: Any) -> None:
            setattr(self, name, PATCHED[name])
            super().__init__(*args, **options)

    client = clients.make(mqtt, "early", factory=Own)
    assert client._client_id == b"early" and client._port == 1883
    client.publish("t", b"", 1)


def test_other_private_names_are_told_by_their_prefix(mqtt: ModuleType, paho: ModuleType) -> None:
    """A program's own attributes do not meet ours by chance."""
    if mqtt is paho:
        pytest.skip("paho has none of them")
    ours, theirs = (clients.make(library, "names") for library in (mqtt, paho))
    own = set(dir(ours)) - set(dir(theirs)) - {"_last_msg_in"}  # paho's, before 2.2
    private = [name for name in own if name.startswith("_") and not name.startswith("__")]
    assert [name for name in private if not name.startswith("_ox_")] == []
