"""SUBSCRIBE and UNSUBSCRIBE (OASIS MQTT 5.0, clauses 3.8 and 3.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..enums import LogLevel, MQTTErrorCode
from ..properties import Properties
from ..subscribeoptions import SubscribeOptions
from .listening import is_logged, is_own
from .packets import take_own_mid

if TYPE_CHECKING:
    from ..client import Client

_SHARE = "$share/"


def _check_levels(topic_filter: str) -> None:
    """Wildcards stand alone in their level, ``#`` only in the last; 1 to 65,535 bytes, no U+0000
    (clause 4.7)."""
    levels = topic_filter.split("/")
    if (
        not 0 < len(topic_filter.encode("utf-8")) <= 65535
        or "\0" in topic_filter
        or any(len(level) > 1 and ("+" in level or "#" in level) for level in levels)
        or "#" in levels[:-1]
    ):
        raise ValueError("Invalid subscription filter.")


def _check_shared_filter(topic_filter: str) -> None:
    """``$share/{ShareName}/{filter}`` has all three parts, the name no wildcard (clause 4.8.2)."""
    if topic_filter.startswith(_SHARE):
        share_name, _, rest = topic_filter[len(_SHARE) :].partition("/")
        if not share_name or not rest or share_name in ("+", "#"):
            raise ValueError("Invalid shared subscription filter.")


def _check_qos(qos: Any) -> None:
    if qos < 0 or qos > 2:
        raise ValueError("Invalid QoS level.")


def _text(topic: Any) -> str:
    # paho encodes; a topic in bytes fails with this very error there.
    encoded: bytes = topic.encode("utf-8")
    return encoded.decode("utf-8")


def subscribe(
    client: Client,
    topic: Any,
    qos: int = 0,
    options: SubscribeOptions | None = None,
    properties: Properties | None = None,
) -> tuple[MQTTErrorCode, int | None]:
    """Subscribes to one topic filter or several."""
    filters = (
        _filters_v5(client, topic, qos, options)
        if client._ox_settings.is_v5
        else _filters_v3(client, topic, qos)
    )
    if not filters:
        raise ValueError("No topic specified, or incorrect topic type.")
    for topic_filter, chosen in filters:
        _check_filter(client, topic_filter)
        if client._ox_settings.is_v5 and chosen.noLocal and topic_filter.startswith(_SHARE):
            raise ValueError("A shared subscription cannot have the No Local option.")
    if client._sock is None:
        return MQTTErrorCode.MQTT_ERR_NO_CONN, None
    packed = [
        (
            topic_filter,
            chosen.pack()[0] if isinstance(chosen, SubscribeOptions) else int(chosen),
        )
        for topic_filter, chosen in filters
    ]
    # Before anything is sent, for the case that there is no memory for it.
    listed = filters if is_logged(client) else []
    named = [(name.encode("utf-8"), chosen) for name, chosen in listed]
    if is_own(client, "_mid_generate"):
        take_own_mid(client)
    rc, mid = client._ox_engine.subscribe(packed, properties if client._ox_settings.is_v5 else None)
    if mid is not None:
        _log_request(client, "Sending SUBSCRIBE (d%d, m%d) %s", False, mid, named)
    return MQTTErrorCode(rc), mid


def _check_filter(client: Client, topic_filter: str) -> None:
    _check_levels(topic_filter)
    if client._ox_settings.is_v5:  # before, $share is an extension of some servers
        _check_shared_filter(topic_filter)


def _filters_v3(client: Client, topic: Any, qos: Any) -> list[tuple[str, Any]]:
    if isinstance(topic, tuple):
        topic, qos = topic
    if isinstance(topic, (bytes, str)):
        _check_qos(qos)
        if len(topic) == 0:
            raise ValueError("Invalid topic.")
        return [(_text(topic), qos)]
    if not isinstance(topic, list):
        return []
    if not topic:
        raise ValueError("Empty topic list")
    filters = []
    for name, level in topic:
        if isinstance(level, SubscribeOptions):
            raise ValueError("Invalid QoS level.")
        _check_qos(level)
        if name is None or len(name) == 0 or not isinstance(name, (bytes, str)):
            raise ValueError("Invalid topic.")
        filters.append((_text(name), level))
    return filters


def _filters_v5(client: Client, topic: Any, qos: Any, options: Any) -> list[tuple[str, Any]]:
    wrong_options = "Subscribe options must be instance of SubscribeOptions class."
    if isinstance(topic, tuple):
        topic, options = topic
        if not isinstance(options, SubscribeOptions):
            raise ValueError(wrong_options)
    if isinstance(topic, (bytes, str)):
        _check_qos(qos)
        if options is None:
            options = SubscribeOptions(qos=qos)
        elif qos != 0:
            raise ValueError("Subscribe options and qos parameters cannot be combined.")
        if not isinstance(options, SubscribeOptions):
            raise ValueError(wrong_options)
        return [(_text(topic), options)]
    if not isinstance(topic, list):
        return []
    if not topic:
        raise ValueError("Empty topic list")
    filters = []
    for name, chosen in topic:
        if not isinstance(chosen, SubscribeOptions):
            _check_qos(chosen)
            chosen = SubscribeOptions(qos=chosen)
        filters.append((_text(name), chosen))
    return filters


def unsubscribe(
    client: Client, topic: str | list[str], properties: Properties | None = None
) -> tuple[MQTTErrorCode, int | None]:
    """Unsubscribes from one topic filter or a list of them."""
    if topic is None:
        raise ValueError("Invalid topic.")
    topics: Any = [topic] if isinstance(topic, (bytes, str)) else topic
    if not isinstance(topics, list):
        raise ValueError("No topic specified, or incorrect topic type.")
    filters = []
    for name in topics:
        if len(name) == 0 or not isinstance(name, (bytes, str)):
            raise ValueError("Invalid topic.")
        filters.append(_text(name))
        _check_filter(client, filters[-1])
    if client._sock is None:
        return MQTTErrorCode.MQTT_ERR_NO_CONN, None
    encoded = [name.encode("utf-8") for name in filters] if is_logged(client) else []
    if is_own(client, "_mid_generate"):
        take_own_mid(client)
    rc, mid = client._ox_engine.unsubscribe(
        filters, properties if client._ox_settings.is_v5 else None
    )
    if mid is not None:
        if client._ox_settings.is_v5:
            line = "Sending UNSUBSCRIBE (d%d, m%d) %s %s"
            _log_request(client, line, False, mid, properties, encoded)
        else:
            _log_request(client, "Sending UNSUBSCRIBE (d%d, m%d) %s", False, mid, encoded)
    return MQTTErrorCode(rc), mid


def _log_request(client: Client, line: str, *args: Any) -> None:
    client._easy_log(LogLevel.MQTT_LOG_DEBUG, line, *args)
