"""Clients for tests: made alike with paho and oxmqtt, ended whatever happens, rivals without any library."""

from __future__ import annotations

import socket
import warnings
from types import ModuleType
from typing import Any

from . import packets
from .waiting import Mailbox


def make(
    mqtt: ModuleType,
    client_id: str = "",
    version: int = packets.V311,
    api: int = 2,
    clean: bool = True,
    factory: Any = None,
    **options: Any,
) -> Any:
    """`mqtt.Client` for this protocol version and callback API; `clean` is for 3.1 and 3.1.1 only."""
    if version != packets.V5:
        options["clean_session"] = clean
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return (factory or mqtt.Client)(
            mqtt.CallbackAPIVersion(api),
            client_id=client_id,
            protocol=mqtt.MQTTProtocolVersion(version),
            **options,
        )


def dispose(client: Any) -> None:
    """End a client in any state, without waiting for acknowledgements that may never come."""
    client.on_disconnect = client.on_log = None
    client.disconnect()
    if type(client).__mro__[-2].__module__.startswith("paho"):
        sock = client.socket()
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except (OSError, AttributeError):  # paho's WebSocket has none
                pass
        client._out_messages.clear()
        client.loop_stop()
        # or the garbage collector finds its socket pair in the middle of another test
        client._reset_sockets()
    else:
        client.loop_stop()


def properties(mqtt: ModuleType, kind: str, **values: Any) -> Any:
    """`Properties` for a packet type ("CONNECT", "PUBLISH", "WILLMESSAGE" ...)."""
    made = mqtt.Properties(getattr(mqtt.PacketTypes, kind))
    for name, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            setattr(made, name, one)
    return made


class Watched:
    """A client with its callbacks collected in mailboxes; `close()` ends it in any state."""

    def __init__(self, mqtt: ModuleType, client_id: str = "", **options: Any) -> None:
        self.mqtt = mqtt
        self.client = make(mqtt, client_id, **options)
        self.connects: Mailbox[Any] = Mailbox()
        self.disconnects: Mailbox[Any] = Mailbox()
        self.messages: Mailbox[Any] = Mailbox()
        self.published: Mailbox[int] = Mailbox()
        self.subscribed: Mailbox[int] = Mailbox()
        client = self.client
        client.on_connect = lambda c, u, flags, reason, props: self.connects.put(
            (flags.session_present, reason.value, props)
        )
        client.on_disconnect = lambda c, u, flags, reason, props: self.disconnects.put(
            (flags.is_disconnect_packet_from_server, reason.value, str(reason))
        )
        client.on_message = lambda c, u, message: self.messages.put(message)
        client.on_publish = lambda c, u, mid, reason, props: self.published.put(mid)
        client.on_subscribe = lambda c, u, mid, reasons, props: self.subscribed.put(mid)

    def start(self, server: Any, keepalive: int = 60, wait: bool = True, **options: Any) -> Watched:
        """Connect to a broker or peer, start the loop thread, wait for on_connect."""
        self.client.connect(server.host, server.port, keepalive, **options)
        self.client.loop_start()
        if wait:
            self.connects.wait_count(1)
        return self

    def join(self, peer: Any, options: dict[str, Any] | None = None, **connack: Any) -> Any:
        """Connect to a scripted peer that answers with this CONNACK; the peer's connection."""
        before = len(self.connects)
        self.client.connect(peer.host, peer.port, **(options or {}))
        self.client.loop_start()
        connection = peer.accept()
        connection.accept_client(**connack)
        self.connects.wait_count(before + 1)
        return connection

    def rejoin(self, peer: Any, **connack: Any) -> Any:
        """The connection that the client makes anew by itself, accepted with this CONNACK."""
        before = len(self.connects)
        connection = peer.accept()
        connection.accept_client(**connack)
        self.connects.wait_count(before + 1)
        return connection

    def subscribe(self, topic: str, qos: int = 0) -> None:
        """And wait for the SUBACK."""
        before = len(self.subscribed)
        result, _ = self.client.subscribe(topic, qos)
        assert result == self.mqtt.MQTT_ERR_SUCCESS
        self.subscribed.wait_count(before + 1)

    def payloads(self) -> list[bytes]:
        return [bytes(message.payload) for message in self.messages]

    def close(self) -> None:
        dispose(self.client)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def take_over(server: Any, version: int, client_id: str) -> socket.socket:
    """Connect to the broker under somebody's client id, so that the broker throws that client out."""
    sock = socket.create_connection((server.host, server.port), timeout=10)
    sock.sendall(packets.connect(version, client_id))
    buffer = bytearray()
    while packets.split(buffer) is None:
        chunk = sock.recv(4096)
        assert chunk, "the broker did not like the rival"
        buffer += chunk
    return sock
