"""What a client logs: levels, and the text of each packet line (paho's, programs match on them)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..enums import LogLevel

if TYPE_CHECKING:
    from ..client import Client
    from .configuration import Configuration

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


def write(client: Configuration, level: LogLevel, fmt: str, *args: Any) -> None:
    """Passes a line to ``on_log`` and to the logger."""
    on_log = client.on_log
    if on_log is not None:
        try:
            on_log(client, client._userdata, level, fmt % args)  # type: ignore[arg-type]
        except Exception:  # a log callback has nowhere to report to
            pass
    logger = client._ox_settings.logger
    if logger is not None:
        logger.log(LOGGING_LEVEL[level], fmt, *args)


def log_message(client: Client, message: Any) -> None:
    traits = (message.dup, message.qos, message.retain, message.mid)
    size, properties = len(message.payload), message.properties
    line, args = publish_line(
        False, traits, message.topic, size, properties, client._ox_settings.is_v5
    )
    client._easy_log(LogLevel.MQTT_LOG_DEBUG, line, *args)


def log_publish(
    client: Client, qos: int, retain: bool, mid: int, topic: str, properties: Any, size: int
) -> None:
    traits = (False, qos, retain, mid)
    name = topic.encode("utf-8")
    line, args = publish_line(True, traits, name, size, properties, client._ox_settings.is_v5)  # type: ignore[arg-type]
    client._easy_log(LogLevel.MQTT_LOG_DEBUG, line, *args)


def log_resend(client: Client, message: Any) -> None:
    traits = (True, message.qos, message.retain, message.mid)
    size, properties = len(message.payload), message.properties
    name = message.topic.encode("utf-8")
    line, args = publish_line(True, traits, name, size, properties, client._ox_settings.is_v5)
    client._easy_log(LogLevel.MQTT_LOG_DEBUG, line, *args)


def log_packet(client: Client, sent: bool, name: str, mid: int | None) -> None:
    line, args = packet_line(sent, name, mid)
    client._easy_log(LogLevel.MQTT_LOG_DEBUG, line, *args)
