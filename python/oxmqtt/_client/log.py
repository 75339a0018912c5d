"""What a client logs: levels, and the text of each packet line (paho's, programs match on them)."""

from __future__ import annotations

from typing import Any

from ..enums import LogLevel

#: The levels of ``logging``, which a program without a logger need not load.
LOGGING_LEVEL = {
    LogLevel.MQTT_LOG_DEBUG: 10,
    LogLevel.MQTT_LOG_INFO: 20,
    LogLevel.MQTT_LOG_NOTICE: 20,
    LogLevel.MQTT_LOG_WARNING: 30,
    LogLevel.MQTT_LOG_ERR: 40,
}

#: (format, arguments), as ``logging`` takes them.
Line = tuple[str, tuple[Any, ...]]


def publish_line(
    sent: bool,
    traits: tuple[bool, int, bool, int],
    topic: str,
    size: int,
    properties: Any,
    with_properties: bool,
) -> Line:
    """``traits`` are DUP, QoS, RETAIN and the packet identifier; ``size`` is the payload's."""
    text = f"{'Sending' if sent else 'Received'} PUBLISH (d%d, q%d, r%d, m%d), '%s'"
    arguments: tuple[Any, ...] = (*traits, topic)
    if with_properties:
        text += ", properties=%s"
        arguments += (properties,)
    if sent and size == 0:
        return text + " (NULL payload)", arguments
    return text + (", ... (%d bytes)" if sent else ", ...  (%d bytes)"), (*arguments, size)


def packet_line(sent: bool, name: str, mid: int | None) -> Line:
    """PING packets and acknowledgements."""
    text = f"{'Sending' if sent else 'Received'} {name}"
    return (text, ()) if mid is None else (text + " (Mid: %d)", (mid,))


def connect_line(
    flags: tuple[int, int, int, int, int, int, int],
    client_id: bytes,
    properties: Any,
    with_properties: bool,
) -> Line:
    """``flags``: user name, password, will retain, will QoS, will, clean start; the keep-alive."""
    text = "Sending CONNECT (u%d, p%d, wr%d, wq%d, wf%d, c%d, k%d) client_id=%s"
    arguments = (*flags, client_id)
    if with_properties:
        return text + " properties=%s", (*arguments, properties)
    return text, arguments


def connack_line(flags: int, reason: Any, properties: Any, with_properties: bool) -> Line:
    if with_properties:
        return "Received CONNACK (%s, %s) properties=%s", (flags, reason, properties)
    return "Received CONNACK (%s, %s)", (flags, reason)
