"""Packets and packet identifiers of the program's own making."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..enums import LogLevel, MessageType, MQTTErrorCode

if TYPE_CHECKING:
    from .._native import MQTTMessageInfo
    from ..client import Client


def queue(
    client: Client,
    command: int,
    packet: bytes | bytearray,
    mid: int,
    qos: int,
    info: MQTTMessageInfo | None = None,
) -> MQTTErrorCode:
    """Sends a packet as it is. Programs override it to rewrite CONNECT; other packets of the client's own
    do not come this way.
    """
    if command & 0xF0 == MessageType.CONNECT:
        vars(client)["_ox_connect_packet"] = bytes(packet)
    elif not client._ox_engine.send_own_packet(bytes(packet)):
        return MQTTErrorCode.MQTT_ERR_NO_CONN
    return MQTTErrorCode.MQTT_ERR_SUCCESS


def rewritten_connect(client: Client, packet: bytes) -> bytes:
    """CONNECT as the program's own ``_packet_queue`` leaves it."""
    vars(client)["_ox_connect_packet"] = packet
    client._packet_queue(MessageType.CONNECT, packet, 0, 0)
    rewritten: bytes = vars(client)["_ox_connect_packet"]
    return rewritten


def send_pingreq(client: Client) -> MQTTErrorCode:
    """Sends PINGREQ, for programs that want to be sure. The engine pings by itself."""
    client._easy_log(LogLevel.MQTT_LOG_DEBUG, "Sending PINGREQ")
    return client._packet_queue(MessageType.PINGREQ, b"\xc0\0", 0, 0)


def next_mid(client: Client) -> int:
    """The next packet identifier; tests replace it, programs override it."""
    return client._ox_engine.next_packet_id()


def take_own_mid(client: Client) -> None:
    """Lets the packet that follows have the identifier of an overridden ``_mid_generate``."""
    client._ox_engine.continue_after(client._mid_generate() - 1)


def without_effect(client: Client, *args: object) -> None:
    """The engine writes. Programs patch this and its counterpart away."""
