"""Bounds of time on a connection: a dead peer is noticed, a slow one is not taken for dead, back-off."""

from __future__ import annotations

import random
import ssl
import threading
import time
from types import ModuleType, SimpleNamespace

import pytest
from oxmqtt._client import loops
from oxmqtt._client.sequences import Pause, drive
from support import clients, packets
from support.bounds import within
from support.clients import Watched
from support.peer import PeerConnection, ScriptedPeer
from support.waiting import finishes


def silent_peer(
    mqtt: ModuleType, peer: ScriptedPeer, number: int, version: int
) -> tuple[Watched, float, PeerConnection]:
    """A client whose peer says nothing after its CONNACK, and when that was."""
    watched = Watched(mqtt, f"silent{number}", version=version)
    watched.client.reconnect_delay_set(60, 60)
    watched.client.connect(peer.host, peer.port, keepalive=1)
    watched.client.loop_start()
    connection = peer.accept()
    connection.expect(packets.CONNECT)
    since = time.monotonic()
    connection.send(packets.connack(version))
    watched.connects.wait_count(1)
    return watched, since, connection


@pytest.mark.better_than_paho("it takes two keep-alives")
@pytest.mark.parametrize(("state", "size"), [("idle", 40), ("publishing", 40), ("full socket", 4)])
def test_a_dead_peer_is_noticed(
    mqtt: ModuleType, peer: ScriptedPeer, state: str, size: int
) -> None:
    """Within one and a half keep-alives after its last byte; many clients at once. One that takes nothing of what
    waits gets five seconds at the least."""
    bound = 6.0 if state == "full socket" else 1.5
    crowd = [silent_peer(mqtt, peer, n, (packets.V311, packets.V5)[n % 2]) for n in range(size)]
    ends: dict[int, float] = {}
    for number, (watched, _, _) in enumerate(crowd):
        watched.client.on_disconnect = lambda *_, n=number: ends.setdefault(n, time.monotonic())
        if state == "full socket":
            large = ("a", bytes(8 << 20), 0)
            threading.Thread(target=watched.client.publish, args=large, daemon=True).start()
    while len(ends) < size:
        assert time.monotonic() - crowd[-1][1] < bound + 4, f"{len(ends)} of {size} noticed"
        if state == "publishing":
            for watched, _, _ in crowd:
                watched.client.publish("a", b"x", 0)
        time.sleep(0.02)
    for number, (watched, since, connection) in enumerate(crowd):
        assert ends[number] - since > 1.4
        if state != "full socket":
            asked = [packet.kind for packet in connection.read_to_end()]
            assert asked.count(packets.PINGREQ) == 1
        watched.close()
    slowest = max(ends[number] - since for number, (_, since, _) in enumerate(crowd))
    within(f"dead peer noticed, {state}, keep-alive 1 s", slowest, bound)


@pytest.mark.parametrize("version", [packets.V311, packets.V5])
def test_a_slow_download_is_not_a_dead_peer(
    mqtt: ModuleType, peer: ScriptedPeer, version: int
) -> None:
    """A message that takes three keep-alives, byte by byte, with no PINGRESP between."""
    with Watched(mqtt, "slow", version=version) as watched:
        watched.client.connect(peer.host, peer.port, keepalive=1)
        watched.client.loop_start()
        connection = peer.accept()
        connection.accept_client()
        for byte in packets.publish(version, "slow", b"0123456789" * 5):
            connection.send(bytes([byte]))
            time.sleep(0.05)
        (message,) = watched.messages.wait_count(1)
        assert message.payload == b"0123456789" * 5
        assert not len(watched.disconnects) and watched.client.is_connected()


@pytest.mark.better_than_paho("its loop pings after all that it can read")
def test_pings_go_out_under_a_flood(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    with Watched(mqtt, "flooded") as watched:
        watched.client.on_message = None
        watched.client.connect(peer.host, peer.port, keepalive=1)
        watched.client.loop_start()
        connection = peer.accept()
        connection.accept_client()
        enough = threading.Event()
        chunk = packets.publish(packets.V311, "flood", bytes(200_000)) * 20

        def flood() -> None:
            try:
                while not enough.is_set():
                    connection.sock.sendall(chunk)
            except OSError:
                pass

        thread = threading.Thread(target=flood)
        times = [time.monotonic()]
        thread.start()
        for _ in range(4):
            connection.expect(packets.PINGREQ)
            times.append(time.monotonic())
        enough.set()
        thread.join()
        assert not len(watched.disconnects)
        gaps = [after - before for before, after in zip(times, times[1:])]
        within("PINGREQ under a flood, keep-alive 1 s", max(gaps), 1.5)


@pytest.mark.better_than_paho("it waits for connect_timeout")
def test_stop_while_the_tls_handshake_stalls(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    client = clients.make(mqtt, "handshake")
    client.tls_set_context(ssl.create_default_context())
    client.connect_timeout = 8
    client.connect_async(peer.host, peer.port)
    client.loop_start()
    assert peer.accept().sock.recv(1) == b"\x16", "a ClientHello"
    started = time.monotonic()
    assert finishes(client.loop_stop, 10, "loop_stop()") == mqtt.MQTT_ERR_SUCCESS
    within("loop_stop(), the TLS handshake stalls", time.monotonic() - started, 0.2)


class Clock:
    """Virtual time for the back-off: waiting moves it."""

    def __init__(self, mqtt: ModuleType, monkeypatch: pytest.MonkeyPatch, jitter: float) -> None:
        self.now = 1000.0
        #: The bounds that random numbers were asked for.
        self.asked: set[tuple[float, float]] = set()
        from oxmqtt._client import events, loops

        for module in (events, loops):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))

        def uniform(low: float, high: float) -> float:
            self.asked.add((low, high))
            return low + (high - low) * jitter

        monkeypatch.setattr(random, "uniform", uniform)
        self.client = clients.make(mqtt, "backoff")

    def _pass(self, pause: Pause) -> None:
        self.now += pause.seconds

    def delay(self, lasted: float | None = None) -> float:
        """Of the next try, after a connection that lasted so long since its CONNACK."""
        if lasted is not None:
            self.client._ox_connack_at = self.now
            self.now += lasted
        before = self.now
        drive(loops._backing_off(self.client), self._pass)
        return self.now - before


@pytest.mark.better_than_paho("no jitter; every CONNACK resets it")
@pytest.mark.parametrize(("jitter", "part"), [(0.0, 0.5), (1.0, 1.0), (0.5, 0.75)])
def test_back_off(
    mqtt: ModuleType, monkeypatch: pytest.MonkeyPatch, jitter: float, part: float
) -> None:
    clock = Clock(mqtt, monkeypatch, jitter)
    failures = [clock.delay() for _ in range(9)]
    expected = [1, 2, 4, 8, 16, 32, 64, 120, 120]
    assert failures == pytest.approx([seconds * part for seconds in expected])
    assert clock.asked == {(0.5, 1.0)}


@pytest.mark.better_than_paho("every CONNACK resets it")
def test_only_a_connection_that_lasts_resets_the_back_off(
    mqtt: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(mqtt, monkeypatch, 1.0)
    assert [clock.delay(lasted=0.1) for _ in range(4)] == pytest.approx([1, 2, 4, 8])
    assert clock.delay(lasted=7.9) == pytest.approx(16), "shorter than the last delay"
    assert clock.delay(lasted=16.0) == pytest.approx(1), "as long as the last delay"
    assert clock.delay() == pytest.approx(2)


@pytest.mark.better_than_paho("it comes back after a second each time")
def test_a_broker_that_accepts_and_closes(mqtt: ModuleType, peer: ScriptedPeer) -> None:
    """The pauses grow though each CONNACK said yes."""
    with Watched(mqtt, "kicked") as watched:
        watched.client.reconnect_delay_set(0.1, 60)
        watched.client.connect(peer.host, peer.port)
        watched.client.loop_start()
        ends = []
        pauses = []
        for _ in range(5):
            connection = peer.accept()
            if ends:
                pauses.append(time.monotonic() - ends[-1])
            connection.accept_client()
            watched.connects.wait_count(len(ends) + 1)
            ends.append(time.monotonic())
            connection.close()
        least = [0.05, 0.1, 0.2, 0.4]
        assert all(pause >= low for pause, low in zip(pauses, least))


def test_pings_while_a_callback_blocks_for_keep_alives(
    mqtt: ModuleType, peer: ScriptedPeer
) -> None:
    """The engine pings; the peer is content, and the next message comes when the callback is through."""
    with Watched(mqtt, "busy") as watched:
        leave = threading.Event()
        watched.client.on_message = lambda *_: leave.wait(30)
        watched.client.connect(peer.host, peer.port, keepalive=1)
        watched.client.loop_start()
        connection = peer.accept()
        connection.accept_client()
        connection.send(packets.publish(packets.V311, "a", b"x", 1, 7))
        for _ in range(4):
            connection.expect(packets.PINGREQ, 2)
            connection.send(packets.pingresp())
        leave.set()
        connection.expect(packets.PUBACK, mid=7)
        assert not len(watched.disconnects)
