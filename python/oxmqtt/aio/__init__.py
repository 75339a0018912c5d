"""The asyncio API: ``import oxmqtt.aio as aiomqtt`` in place of ``import aiomqtt`` (2.5)."""

from __future__ import annotations

from .._native import Message
from ._receiving import MessagesIterator
from .client import Client
from .exceptions import MqttCodeError, MqttConnectError, MqttError, MqttReentrantError
from .running import running
from .settings import (
    Authentication,
    ProtocolVersion,
    ProxySettings,
    Reconnect,
    TLSParameters,
    Will,
)
from .topic import Topic, TopicLike, Wildcard, WildcardLike

__all__ = [
    "Authentication",
    "Client",
    "Message",
    "MessagesIterator",
    "MqttCodeError",
    "MqttConnectError",
    "MqttError",
    "MqttReentrantError",
    "ProtocolVersion",
    "ProxySettings",
    "Reconnect",
    "TLSParameters",
    "Topic",
    "TopicLike",
    "Wildcard",
    "WildcardLike",
    "Will",
    "running",
]
