"""The arguments of an asyncio client that a URL stands for; :mod:`oxmqtt.url` reads it."""

from __future__ import annotations

from typing import Any

from .._client import urls
from ..enums import MQTTProtocolVersion
from ..url import BrokerUrl
from .settings import ProtocolVersion, TLSParameters


def arguments_of(url: str | BrokerUrl, given: dict[str, Any]) -> dict[str, Any]:
    """All arguments of the constructor: those of the URL and those that the program gave.

    :raises ValueError: the URL is not valid, or an argument is in both.
    """
    read = urls.read(url)
    is_v5 = (read.version or given.get("protocol")) == MQTTProtocolVersion.MQTTv5
    named: dict[str, Any] = {
        "hostname": read.host,
        "port": read.port or 1883,
        "transport": read.transport,
        "username": read.username,
        "password": read.password,
        "identifier": read.client_id,
        "keepalive": read.keepalive,
        "protocol": None if read.version is None else ProtocolVersion(read.version),
        "timeout": read.connect_timeout,
        "clean_start" if is_v5 else "clean_session": read.clean_start,
        "websocket_path": read.path or None,
        "tls_insecure": read.insecure or None,
    }
    files = read.ca_certs, read.certfile, read.keyfile
    if read.tls and (given.get("tls_context") is None or any(files) or read.server_hostname):
        named["tls_params"] = TLSParameters(*files, server_hostname=read.server_hostname)
    named["properties"] = urls.connect_properties(read, is_v5)
    named = {name: value for name, value in named.items() if value is not None}
    urls.refuse_twice(named, given)
    if not read.tls and not {"tls_context", "tls_params"}.isdisjoint(given):
        raise ValueError(f"TLS is set, and {read.scheme} is without: use mqtts or wss")
    return {**given, **named}
