"""Setting a client up for what a URL says; loaded when a program uses one. :mod:`oxmqtt.url` reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ..enums import CallbackAPIVersion, MQTTProtocolVersion
from ..packettypes import PacketTypes
from ..properties import Properties
from ..url import BrokerUrl, parse
from .settings import MQTT_CLEAN_START_FIRST_ONLY

if TYPE_CHECKING:
    from ..client import Client

    C = TypeVar("C", bound=Client)


def read(url: str | BrokerUrl) -> BrokerUrl:
    """The URL of a client.

    :raises ValueError: it is not valid, or has a topic.
    """
    known = parse(url) if isinstance(url, str) else url
    if known.topic:
        raise ValueError("the URL has a topic behind the host; a client takes none there")
    return known


def refuse_twice(named: dict[str, Any], given: dict[str, Any]) -> None:
    """:raises ValueError: an argument is in the URL and beside it."""
    twice = named.keys() & given.keys()
    if twice:
        raise ValueError(f"given by the URL and as an argument: {', '.join(sorted(twice))}")


def connect_properties(url: BrokerUrl, is_v5: bool) -> Properties | None:
    """Those that the URL asks for.

    :raises ValueError: the client does not speak MQTT 5.0.
    """
    if url.session_expiry is None:
        return None
    if not is_v5:
        raise ValueError("session_expiry is for MQTT 5.0: add version=5 to the URL")
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = url.session_expiry
    return properties


def make(kind: type[C], url: str | BrokerUrl, arguments: dict[str, Any]) -> C:
    """What ``Client.from_url`` returns."""
    known = read(url)
    named: dict[str, Any] = {"transport": known.transport}
    if known.version is not None:
        named["protocol"] = known.version
    if known.client_id is not None:
        named["client_id"] = known.client_id
    version = known.version or arguments.get("protocol")
    if known.clean_start is not None and version != MQTTProtocolVersion.MQTTv5:
        named["clean_session"] = known.clean_start
    refuse_twice(named, arguments)
    arguments.setdefault("callback_api_version", CallbackAPIVersion.VERSION2)
    client = kind(**arguments, **named)
    _follow(client, known)
    return client


def target(client: Client, url: str | BrokerUrl | None) -> dict[str, Any]:
    """The arguments of ``connect()``, once the client is set up for them."""
    if url is not None:
        given = read(url)
        _adopt(client, given)
        _follow(client, given)
    known = client._ox_settings.broker_url
    if known is None:
        raise ValueError("connect_url() needs a URL: the client was not made by from_url()")
    arguments: dict[str, Any] = {"host": known.host, "port": known.port or 1883}
    if known.keepalive is not None:
        arguments["keepalive"] = known.keepalive
    if client._ox_settings.is_v5:
        clean = known.clean_start
        arguments["clean_start"] = MQTT_CLEAN_START_FIRST_ONLY if clean is None else clean
    properties = connect_properties(known, client._ox_settings.is_v5)
    if properties is not None:
        arguments["properties"] = properties
    return arguments


def _adopt(client: Client, url: BrokerUrl) -> None:
    """Takes over what otherwise the constructor sets, and forgets what another URL has set."""
    settings = client._ox_settings
    before = settings.broker_url
    if settings.url_context is not None and settings.ssl_context is settings.url_context:
        settings.ssl, settings.ssl_context = False, None
    if before is not None and before.username is not None and before.username == client.username:
        client.username_pw_set(None)  # another broker has no business with them
    version = settings.protocol if url.version is None else url.version
    client_id = settings.client_id if url.client_id is None else url.client_id.encode("utf-8")
    if version != MQTTProtocolVersion.MQTTv5:
        clean = settings.clean_session
        if url.clean_start is not None:
            clean = url.clean_start
        if not clean and not client_id:
            raise ValueError("A client id must be provided if clean session is False.")
        settings.clean_session = clean
    client._sock_close()
    settings.protocol, settings.client_id = version, client_id
    settings.transport = url.transport
    client._ox_engine.configure(settings)


def _follow(client: Client, url: BrokerUrl) -> None:
    """Sets what has a method or property of its own."""
    files = url.ca_certs, url.certfile, url.keyfile
    if client._ox_settings.ssl and not url.tls:
        raise ValueError(f"TLS is set, and {url.scheme} is without: use mqtts or wss")
    if url.tls and (
        not client._ox_settings.ssl or any(files) or url.server_hostname or url.insecure
    ):
        client.tls_set(*files, server_hostname=url.server_hostname)
        client._ox_settings.url_context = client._ox_settings.ssl_context
        if url.insecure:
            client.tls_insecure_set(True)
    if url.username is not None:
        client.username_pw_set(url.username, url.password)
    if url.transport == "websockets":
        client.ws_set_options(url.path, client._ox_settings.websocket_extra_headers)
    if url.connect_timeout is not None:
        client._ox_settings.connect_timeout = url.connect_timeout
    client._ox_settings.broker_url = url
