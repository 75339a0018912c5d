"""Names of paho's client module that programs import, and that a client itself does without.

``oxmqtt.client`` looks here for names it does not have, so nothing is loaded before a program asks.
"""

from __future__ import annotations

import errno
import importlib
import socket
import time
from typing import Any

from ..enums import _ConnectionState
from . import types
from .codes import _base62
from .settings import encode_payload
from .sockets import ConnectionSocket
from .types import *  # noqa: F403

#: Modules that paho's client imports; programs write ``mqtt.ssl.CERT_REQUIRED``.
MODULES = (
    "base64",
    "collections",
    "errno",
    "hashlib",
    "logging",
    "os",
    "platform",
    "select",
    "socket",
    "ssl",
    "string",
    "struct",
    "threading",
    "time",
    "urllib",
    "uuid",
)

#: None where they are not there.
OPTIONAL_MODULES = ("dns", "socks", "ssl")

time_func = time.monotonic
sockpair_data = b"0"
EAGAIN = getattr(errno, "WSAEWOULDBLOCK", errno.EAGAIN)
_encode_payload = encode_payload


def _socketpair_compat() -> tuple[socket.socket, socket.socket]:
    """Two sockets that are connected with each other and do not block."""
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    return pair


def _force_bytes(s: str | bytes | bytearray) -> bytes | bytearray:
    """Text as UTF-8, bytes as they are."""
    return s.encode("utf-8") if isinstance(s, str) else s


#: What ``socket()`` gives. paho has a wrapper around WebSocket connections, and programs ask it for its
#: ``_socket`` to set options.
_WebsocketWrapper = WebsocketWrapper = ConnectionSocket
base62 = _base62
mqtt_cs_new = _ConnectionState.MQTT_CS_NEW
mqtt_cs_connected = _ConnectionState.MQTT_CS_CONNECTED
mqtt_cs_disconnecting = _ConnectionState.MQTT_CS_DISCONNECTING
mqtt_cs_connect_async = _ConnectionState.MQTT_CS_CONNECT_ASYNC

#: What is defined here; the names without a capital or an underscore in front are of paho-mqtt 1.x.
OWN = (
    "_WebsocketWrapper",
    "WebsocketWrapper",
    "EAGAIN",
    "_encode_payload",
    "_force_bytes",
    "_socketpair_compat",
    "base62",
    "mqtt_cs_connect_async",
    "mqtt_cs_connected",
    "mqtt_cs_disconnecting",
    "mqtt_cs_new",
    "sockpair_data",
    "time_func",
)

NAMES = frozenset({*types.__all__, *MODULES, *OPTIONAL_MODULES, *OWN, "HAVE_DNS"})


def _optional(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def find(name: str) -> Any:
    """The value of a name.

    :raises AttributeError: it is not known here either.
    """
    if name not in NAMES:
        raise AttributeError(f"module 'oxmqtt.client' has no attribute {name!r}")
    if name == "dns":
        return _optional("dns.resolver") and _optional("dns")
    if name in OPTIONAL_MODULES:
        return _optional(name)
    if name == "HAVE_DNS":
        return _optional("dns.resolver") is not None
    if name == "urllib":
        importlib.import_module("urllib.request")
    return importlib.import_module(name) if name in MODULES else globals()[name]
