"""The asyncio client: names, parameters and behaviour of aiomqtt 2.5, and more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from .. import client as mqtt
from .._client.settings import Target
from ._authenticating import Authenticating
from ._connection import LOGGER
from ._receiving import Receiving
from ._requesting import Requesting
from .settings import ProtocolVersion, Reconnect

if TYPE_CHECKING:
    import logging
    import ssl
    from collections.abc import Iterable

    from typing_extensions import Self

    from .._client.types import CleanStartOption, WebSocketHeaders
    from .._native import Message
    from ..properties import Properties
    from ..url import BrokerUrl
    from .settings import Authentication, ProxySettings, TLSParameters, Will
    from .types import SocketOption


class Client(Receiving, Requesting, Authenticating):
    """A connection to an MQTT broker, for ``async with``; reusable, but not reentrant.

    :param hostname: name or address of the broker, or the path of a unix socket.
    :param port: 1 to 65,535.
    :param username: for the broker, with ``password``.
    :param logger: where the client logs to; ``logging.getLogger("mqtt")``, from warnings on, when left out.
    :param identifier: the client identifier; left out, the broker or the client makes one up.
    :param queue_type: a class of ``asyncio.Queue``, to put messages in another order.  They are
        acknowledged when they are put into it.
    :param protocol: the version of MQTT; 3.1.1 when left out.
    :param will: what the broker publishes when the connection is lost.
    :param clean_session: MQTT 3.x: whether the broker forgets the session; True when left out.
    :param transport: ``"tcp"``, ``"websockets"`` or ``"unix"``.
    :param timeout: seconds that connecting, publishing and the other calls may take; 10 when left out.
    :param keepalive: seconds between signs of life; 0 for none.
    :param bind_address: local address to connect from, with ``bind_port``.
    :param clean_start: MQTT 5.0: whether the broker forgets the session, or for the first connection only.
    :param max_queued_incoming_messages: so many waiting messages stop the reading, until some were
        taken; none is discarded.  Left out, or 0, their memory alone is bounded.
    :param max_queued_outgoing_messages: unfinished QoS 1 and 2 messages that may be kept; 0 for any number.
    :param max_inflight_messages: QoS 1 and 2 messages that may be unacknowledged at once; 20 when left out.
    :param max_concurrent_outgoing_calls: calls of ``publish``, ``subscribe`` and ``unsubscribe`` that may
        be under way at once; the others wait.
    :param properties: MQTT 5.0 properties of the CONNECT.
    :param tls_context: TLS by this context.
    :param tls_params: TLS by certificate files.
    :param tls_insecure: True: do not check the broker's name.
    :param proxy: a SOCKS or HTTP proxy.
    :param socket_options: tuples of arguments for ``setsockopt()``.
    :param websocket_path: the path of the WebSocket handshake, with ``websocket_headers``.
    :param reconnect: make lost connections again, and subscribe again: True, or a :class:`Reconnect`.
        ``async for`` and unanswered calls then go on over connections.
    :param authentication: MQTT 5.0: enhanced authentication, by AUTH packets.
    :param manual_ack: leave the acknowledging of QoS 1 and 2 messages to :meth:`ack`.
    :raises ValueError: an argument is not valid.
    """

    def __init__(
        self,
        hostname: str,
        port: int = 1883,
        *,
        username: str | None = None,
        password: str | None = None,
        logger: logging.Logger | None = None,
        identifier: str | None = None,
        queue_type: type[asyncio.Queue[Message]] | None = None,
        protocol: ProtocolVersion | None = None,
        will: Will | None = None,
        clean_session: bool | None = None,
        transport: Literal["tcp", "websockets", "unix"] = "tcp",
        timeout: float | None = None,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: CleanStartOption = mqtt.MQTT_CLEAN_START_FIRST_ONLY,
        max_queued_incoming_messages: int | None = None,
        max_queued_outgoing_messages: int | None = None,
        max_inflight_messages: int | None = None,
        max_concurrent_outgoing_calls: int | None = None,
        properties: Properties | None = None,
        tls_context: ssl.SSLContext | None = None,
        tls_params: TLSParameters | None = None,
        tls_insecure: bool | None = None,
        proxy: ProxySettings | None = None,
        socket_options: Iterable[SocketOption] | None = None,
        websocket_path: str | None = None,
        websocket_headers: WebSocketHeaders | None = None,
        authentication: Authentication | None = None,
        reconnect: Reconnect | bool = False,
        manual_ack: bool = False,
    ) -> None:
        client = self._client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=identifier,
            protocol=mqtt.MQTTProtocolVersion(protocol or ProtocolVersion.V311),
            clean_session=clean_session,
            transport=transport,
            reconnect_on_failure=bool(reconnect),
            manual_ack=manual_ack,
        )
        self.timeout: float = 10 if timeout is None else timeout
        self.pending_calls_threshold = 10
        self._logger = LOGGER if logger is None else logger
        self._target = Target(
            hostname,
            port,
            keepalive,
            bind_address,
            bind_port,
            clean_start,
            properties,
        )
        self._tls_params = tls_params
        self._tls_insecure = tls_insecure
        self._socket_options = tuple(socket_options or ())
        self._reconnects = bool(reconnect)
        if isinstance(reconnect, Reconnect):
            client.reconnect_delay_set(reconnect.min_delay, reconnect.max_delay)
        if max_inflight_messages is not None:
            client.max_inflight_messages_set(max_inflight_messages)
        if max_queued_outgoing_messages is not None:
            client.max_queued_messages_set(max_queued_outgoing_messages)
        if username is not None:
            client.username_pw_set(username, password)
        if tls_context is not None:
            client.tls_set_context(tls_context)
        if proxy is not None:
            client.proxy_set(**proxy.proxy_args)
        if websocket_path is not None:
            client.ws_set_options(websocket_path, websocket_headers)
        if will is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain, will.properties)
        self._most_calls = max_concurrent_outgoing_calls
        most_waiting = max(0, max_queued_incoming_messages or 0)
        self._init_connection(most_waiting)
        self._init_subscribing()
        self._init_receiving(queue_type, most_waiting)
        self._init_requesting()
        self._init_authenticating(authentication)

    @classmethod
    def from_url(cls, url: str | BrokerUrl, **options: Any) -> Self:
        """A client of the broker that a URL names, as ``mqtts://user:password@host?keepalive=30``.

        :param url: as :func:`oxmqtt.url.parse` reads it.
        :param options: arguments of the constructor that the URL does not say.
        :raises ValueError: the URL is not valid, or an option is in both.
        """
        from ._urls import arguments_of

        return cls(**arguments_of(url, options))

    @property
    def identifier(self) -> str:
        """The client identifier: the one given, the one made up, or the broker's."""
        return self._client._ox_settings.client_id.decode() or self._assigned_identifier or ""

    def __repr__(self) -> str:
        host, port = self._target[:2]
        return f"<{type(self).__name__} {self.identifier!r} {host}:{port}>"
