"""One cell of the callback matrix: a callback that does something in a loop of some style, and what follows.

Each cell has a client, a scripted broker and a driver thread of its own, so cells can run side by side. `run()`
raises AssertionError where the outcome is another than docs/threading.md says.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from types import ModuleType
from typing import Any, Callable

from . import clients, packets
from .mosquitto import free_port
from .peer import PeerConnection, ScriptedPeer
from .waiting import eventually, finishes

STYLES = ("loop_start", "loop_forever", "loop", "external")
#: Those that find a connection, and those that come before or after one.
CONNECTED = (
    "on_connect",
    "on_subscribe",
    "on_unsubscribe",
    "on_message",
    "filter",
    "on_publish",
    "on_log",
)
UNCONNECTED = (
    "on_pre_connect",
    "on_connect_fail",
    "on_socket_open",
    "on_socket_close",
    "on_disconnect",
)
CALLBACKS = CONNECTED + UNCONNECTED
ACTIONS = (
    "raise",
    "block",
    "publish",
    "publish and wait",
    "subscribe",
    "disconnect",
    "reconnect",
    "loop_stop",
    "replace itself",
    "add a filter",
)
#: Callbacks that belong to the life of a connection: a new connection brings them again.
OF_CONNECTION = (
    "on_pre_connect",
    "on_socket_open",
    "on_connect",
    "on_log",
    "on_socket_close",
    "on_disconnect",
)
#: Their exceptions are logged and go no further.
SWALLOWED = ("on_log", "on_connect_fail")
#: Seconds; a callback that blocks does so until it has passed, and the broker has time to answer the ping.
KEEPALIVE = 2
BLOCK = 2.5
PATIENCE = 20.0
MESSAGE, PROBE, EXTRA = 9, 1000, 2000


class Planned(Exception):
    """What a callback raises."""


class Broker(ScriptedPeer):
    """Serves each connection like an obliging broker, on a thread of its own."""

    def __init__(self) -> None:
        super().__init__()
        threading.Thread(target=self._serve_all, daemon=True).start()

    def _serve_all(self) -> None:
        with contextlib.suppress(AssertionError):
            while True:
                connection = self.accept(PATIENCE * 2)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: PeerConnection) -> None:
        with contextlib.suppress(OSError, AssertionError, TimeoutError):
            connection.serve(PATIENCE * 2)
        connection.sock.close()

    def received(self, kind: int) -> list[packets.Packet]:
        return [p for c in list(self.connections) for p in list(c.received) if p.kind == kind]

    def send(self, packet: bytes) -> None:
        """To the latest connection, if that still stands."""
        with contextlib.suppress(OSError, IndexError):
            self.connections[-1].send(packet)

    def drop(self) -> None:
        with contextlib.suppress(OSError, IndexError):
            self.connections[-1].sock.shutdown(socket.SHUT_RDWR)


class Cell:
    def __init__(self, mqtt: ModuleType, style: str, callback: str, action: str) -> None:
        self.mqtt, self.style, self.callback, self.action = mqtt, style, callback, action
        self.name = f"{style}, {callback}, {action}"
        self.broker = Broker()
        self.client = clients.make(mqtt, self.name, packets.V311)
        self.client.reconnect_delay_set(0.02, 0.02)
        self.client.on_connect = lambda *_: None
        self.client.message_callback_add("probe/#", lambda c, u, m: self.probes.append(m.mid))
        self.client.message_callback_add("extra/#", lambda *_: None)
        self.client.message_callback_remove("extra/#")
        self.probes: list[int] = []
        self.extras: list[int] = []
        self.raised: list[BaseException] = []
        self.calls = 0
        self.replaced = threading.Event()
        self.fired = threading.Event()
        #: What the action returned, as soon as it has.
        self.result: Any = None
        self.acted = threading.Event()
        self.is_over = False
        self.driver: threading.Thread | None = None
        self._install(self._under_test)

    # -- the callback under test

    def _install(self, function: Callable[..., None]) -> None:
        if self.callback == "filter":
            self.client.message_callback_add("in/#", function)
        else:
            setattr(self.client, self.callback, function)

    def _under_test(self, client: Any, userdata: Any, *args: Any) -> None:
        if self.callback == "on_log" and not args[1].startswith("Received CONNACK"):
            return
        self.calls += 1
        if self.callback == "on_connect_fail" and self.action != "replace itself":
            client._port = self.broker.port
        if self.fired.is_set():
            return
        self.fired.set()
        try:
            self.result = getattr(self, "_do_" + self.action.replace(" ", "_"))()
        finally:
            self.acted.set()

    def _replacement(self, client: Any, userdata: Any, *args: Any) -> None:
        client._port = self.broker.port
        self.replaced.set()

    def _do_raise(self) -> None:
        raise Planned(self.name)

    def _do_block(self) -> Any:
        time.sleep(BLOCK)
        pings = len(self.broker.received(packets.PINGREQ))
        acknowledged = self._is_acknowledged()
        return pings, acknowledged

    def _do_publish(self) -> Any:
        return self.client.publish("out", self.name, 1).rc

    def _do_publish_and_wait(self) -> Any:
        info = self.client.publish("out", self.name, 1)
        if self.callback in CONNECTED:
            info.wait_for_publish(PATIENCE)
            return info.rc, info.is_published()
        info.wait_for_publish(0.05)
        return info.rc, info.is_published()

    def _do_subscribe(self) -> Any:
        return self.client.subscribe("extra/#", 1)

    def _do_disconnect(self) -> Any:
        return self.client.disconnect()

    def _do_reconnect(self) -> Any:
        return self.client.reconnect()

    def _do_loop_stop(self) -> Any:
        return self.client.loop_stop()

    def _do_replace_itself(self) -> None:
        self._install(self._replacement)

    def _do_add_a_filter(self) -> None:
        self.client.message_callback_add("extra/#", lambda c, u, m: self.extras.append(m.mid))

    # -- the loop

    def start(self) -> None:
        port = (
            free_port()
            if self.callback == "on_connect_fail" and not self.calls
            else self.broker.port
        )
        if self.style == "loop_start":
            self.client.connect_async("127.0.0.1", port, KEEPALIVE)
            self.client.loop_start()
            # The thread may have come to its end by now.
            self.driver = self.client._thread or threading.Thread(target=bool)
            return
        self.is_over = False
        self.driver = threading.Thread(target=self._drive, args=(port,), daemon=True)
        self.driver.start()

    def _drive(self, port: int) -> None:
        if self.style == "loop_forever":
            self.client.connect_async("127.0.0.1", port, KEEPALIVE)
        else:
            self._catch(lambda: self.client.connect("127.0.0.1", port, KEEPALIVE))
        while not self.is_over:
            if self.style == "loop_forever":
                returned = self._catch(lambda: self.client.loop_forever(0.05, True))
                if returned is not None:
                    return
            elif self.client.socket() is None:
                if self._was_disconnected():
                    return
                if self._catch(self.client.reconnect) is None:
                    time.sleep(0.01)
            else:
                self._catch(self._one_round)

    def _one_round(self) -> None:
        if self.style == "loop":
            self.client.loop(0.02)
            return
        sock = self.client.socket()
        if sock is not None and select.select([sock], [], [], 0.02)[0]:
            self.client.loop_read()
        self.client.loop_misc()

    def _catch(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (Planned, OSError) as error:
            self.raised.append(error)
            return None

    def _was_disconnected(self) -> bool:
        return self.action == "disconnect" and self.fired.is_set()

    # -- what has to happen

    def run(self) -> None:
        try:
            finishes(self._run, PATIENCE, self.name)
        finally:
            self.is_over = True
            self._install(lambda *_: None)
            clients.dispose(self.client)
            self.broker.close()

    def _run(self) -> None:
        if self.callback == "on_connect_fail" and self.style in ("loop", "external"):
            return self._check_that_the_caller_hears()
        self.start()
        self._trigger()
        assert self.fired.wait(PATIENCE), "the callback was not called"
        assert self.acted.wait(PATIENCE), "the action does not return"
        getattr(self, "_check_" + self.action.replace(" ", "_"))()
        self._check_exceptions()

    def _check_that_the_caller_hears(self) -> None:
        """Only the loops that dial by themselves call on_connect_fail."""
        try:
            self.client.connect("127.0.0.1", free_port(), KEEPALIVE)
        except ConnectionRefusedError:
            assert self.calls == 0, "on_connect_fail was called as well"
        else:
            raise AssertionError("connect() did not raise")

    def _trigger(self) -> None:
        if self.callback in (
            "on_pre_connect",
            "on_socket_open",
            "on_connect",
            "on_log",
            "on_connect_fail",
        ):
            return
        eventually(self.client.is_connected, "a connection", PATIENCE)
        if self.callback == "on_subscribe":
            self.client.subscribe("other")
        elif self.callback == "on_unsubscribe":
            self.client.unsubscribe("other")
        elif self.callback == "on_publish":
            self.client.publish("other", b"", 1)
        elif self.callback in ("on_message", "filter"):
            self.broker.send(packets.publish(packets.V311, "in/1", b"x", 1, MESSAGE))
        else:
            self.broker.drop()

    def _is_acknowledged(self) -> bool:
        return any(packet.mid == MESSAGE for packet in self.broker.received(packets.PUBACK))

    def _probe(self) -> None:
        """The loop runs: a message gets to its callback, and its acknowledgement to the broker."""

        def arrived() -> bool:
            if not self.client.is_connected():
                return False
            self.broker.send(packets.publish(packets.V311, "probe/x", b"", 1, PROBE))
            time.sleep(0.02)
            return any(p.mid == PROBE for p in self.broker.connections[-1].received)

        eventually(arrived, "the loop to go on", PATIENCE)
        assert self.probes, "acknowledged without a call"

    def _expect(self, got: Any, connected: Any, unconnected: Any) -> None:
        expected = connected if self.callback in CONNECTED else unconnected
        assert got == expected, f"the action returned {got!r}, not {expected!r}"

    def _expect_acknowledged(self, expected: bool) -> None:
        """After a probe, so the acknowledgement would have come before."""
        if self.callback in ("on_message", "filter"):
            assert self._is_acknowledged() == expected, f"acknowledged: {not expected}"

    def _check_exceptions(self) -> None:
        planned = [error for error in self.raised if isinstance(error, Planned)]
        expected = int(self.action == "raise" and self.callback not in SWALLOWED)
        assert len(planned) == expected, f"{planned!r} got out, {expected} are due"

    def _check_raise(self) -> None:
        self._probe()
        self._expect_acknowledged(self.style == "loop_start")
        if self.callback in CONNECTED:
            assert len(self.broker.connections) == 1, "the connection stands"

    def _check_block(self) -> None:
        pings, acknowledged = self.result
        self._expect(pings >= 1, True, False)
        assert not acknowledged, "acknowledged before the callback returned"
        self._probe()
        self._expect_acknowledged(True)
        if self.callback in CONNECTED:
            assert len(self.broker.connections) == 1, "the connection stands"

    def _is_published(self) -> bool:
        return any(p.payload == self.name.encode() for p in self.broker.received(packets.PUBLISH))

    def _check_publish(self) -> None:
        self._expect(self.result, self.mqtt.MQTT_ERR_SUCCESS, self.mqtt.MQTT_ERR_NO_CONN)
        eventually(self._is_published, "the message at the broker", PATIENCE)
        self._probe()
        self._expect_acknowledged(True)

    def _check_publish_and_wait(self) -> None:
        codes = self.mqtt.MQTT_ERR_SUCCESS, self.mqtt.MQTT_ERR_NO_CONN
        self._expect(self.result, (codes[0], True), (codes[1], False))
        eventually(self._is_published, "the message at the broker", PATIENCE)
        self._probe()
        self._expect_acknowledged(True)

    def _check_subscribe(self) -> None:
        rc, mid = self.result
        self._expect(rc, self.mqtt.MQTT_ERR_SUCCESS, self.mqtt.MQTT_ERR_NO_CONN)
        self._expect(mid is not None, True, False)
        self._probe()
        subscribed = [p for p in self.broker.received(packets.SUBSCRIBE) if p.mid == mid]
        self._expect(len(subscribed), 1, 0)
        self._expect_acknowledged(True)

    def _join_driver(self) -> None:
        assert self.driver is not None
        if self.driver.ident is not None:
            self.driver.join(PATIENCE)
        assert not self.driver.is_alive(), "the loop goes on"

    def _check_disconnect(self) -> None:
        # on_socket_open has a socket, though nothing of MQTT was said on it.
        has_socket = self.callback in CONNECTED or self.callback == "on_socket_open"
        expected = self.mqtt.MQTT_ERR_SUCCESS if has_socket else self.mqtt.MQTT_ERR_NO_CONN
        assert self.result == expected, f"disconnect() returned {self.result!r}"
        self._join_driver()
        assert self.client.socket() is None and not self.client.is_connected()
        if self.callback in CONNECTED:
            eventually(lambda: self.broker.received(packets.DISCONNECT), "DISCONNECT", PATIENCE)
        self._expect(len(self.broker.received(packets.DISCONNECT)), 1, 0)
        self._expect_acknowledged(True)
        self.action = "over"
        self.start()
        self._probe()

    def _check_reconnect(self) -> None:
        assert self.result == self.mqtt.MQTT_ERR_SUCCESS, f"reconnect() returned {self.result!r}"
        # One more than without it, where there was one before.
        is_second = self.callback not in ("on_pre_connect", "on_connect_fail")
        eventually(lambda: len(self.broker.connections) >= 1 + is_second, "a connection", PATIENCE)
        self._probe()
        assert len(self.broker.connections) == 1 + is_second, "one connection too many"
        self._expect_acknowledged(False)

    def _check_loop_stop(self) -> None:
        if self.style != "loop_start":
            assert self.result == self.mqtt.MQTT_ERR_INVAL, "there is no thread to stop"
        else:
            assert self.result == self.mqtt.MQTT_ERR_SUCCESS
            self._join_driver()
            assert self.client._thread is None
            self._expect(self.client.socket() is not None, True, False)
            assert self.client.loop_start() == self.mqtt.MQTT_ERR_SUCCESS
        self._probe()
        self._expect_acknowledged(True)

    def _check_replace_itself(self) -> None:
        if self.callback in OF_CONNECTION:
            eventually(self.client.is_connected, "a connection", PATIENCE)
            self.broker.drop()
        elif self.callback != "on_connect_fail":
            self._trigger()
        assert self.replaced.wait(PATIENCE), "the new callback was not called"
        self._probe()
        assert self.calls == 1, "the old callback was called again"
        self._expect_acknowledged(True)

    def _check_add_a_filter(self) -> None:
        self._probe()
        self.broker.send(packets.publish(packets.V311, "extra/x", b"", 1, EXTRA))
        eventually(lambda: self.extras, "the callback of the new filter", PATIENCE)
        self._probe()
        self._expect_acknowledged(True)
