"""Connecting to where a URL says; :mod:`oxmqtt.url` reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from ..packettypes import PacketTypes
from ..properties import Properties
from .options import Options
from .service_records import ServiceRecords
from .state import MQTT_CLEAN_START_FIRST_ONLY
from .tls import Tls

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..url import BrokerUrl


def _read(url: str | BrokerUrl) -> BrokerUrl:
    from ..url import parse

    read = parse(url) if isinstance(url, str) else url
    if read.topic:
        raise ValueError("the URL has a topic behind the host; a client takes none there")
    return read


class Urls(Options, Tls, ServiceRecords):
    """``from_url`` and ``connect_url``."""

    _url: BrokerUrl | None = None

    @classmethod
    def from_url(cls, url: str | BrokerUrl, **arguments: Any) -> Self:
        """A client that knows where to connect: transport, credentials, TLS and all are set.

        ``connect_url()`` without argument then connects, and ``connect_url_async()`` leaves that to the
        loop.

        :param url: such as ``mqtts://user:password@host:8883?keepalive=30``; :mod:`oxmqtt.url` has the keys.
        :param arguments: those of the constructor; ``callback_api_version`` is ``VERSION2`` when left out.
        :raises ValueError: the URL is not valid, or says what an argument says too.
        :raises OSError: a certificate cannot be read.
        """
        read = _read(url)
        named: dict[str, Any] = {"transport": read.transport}
        if read.version is not None:
            named["protocol"] = read.version
        if read.client_id is not None:
            named["client_id"] = read.client_id
        version = read.version or arguments.get("protocol")
        if read.clean_start is not None and version != MQTTProtocolVersion.MQTTv5:
            named["clean_session"] = read.clean_start
        twice = named.keys() & arguments.keys()
        if twice:
            names = ", ".join(sorted(twice))
            raise ValueError(f"given by the URL and as an argument: {names}")
        arguments.setdefault("callback_api_version", CallbackAPIVersion.VERSION2)
        client = cls(**arguments, **named)
        client._follow(read)
        return client

    def connect_url(self, url: str | BrokerUrl | None = None) -> MQTTErrorCode:
        """Connects as :meth:`connect`, to where the URL says, with the settings that it has.

        :param url: that of :meth:`from_url` or of the call before when left out.
        :raises ValueError: the URL is not valid, or is without TLS where TLS is set already, or there
            is none.
        :raises OSError: what :meth:`connect` raises, or a certificate cannot be read.
        """
        arguments = self._target(url)
        return self.connect(**arguments)

    def connect_url_async(self, url: str | BrokerUrl | None = None) -> None:
        """As :meth:`connect_url`, but dialling is left to ``loop_start()`` or ``loop_forever()``."""
        self.connect_async(**self._target(url))

    def _target(self, url: str | BrokerUrl | None) -> dict[str, Any]:
        """The arguments of :meth:`connect`, once the client is set up for them."""
        if url is not None:
            read = _read(url)
            self._adopt(read)
            self._follow(read)
        known = self._url
        if known is None:
            raise ValueError("connect_url() needs a URL: the client was not made by from_url()")
        arguments: dict[str, Any] = {"host": known.host, "port": known.port or 1883}
        if known.keepalive is not None:
            arguments["keepalive"] = known.keepalive
        if self._v5:
            clean = known.clean_start
            arguments["clean_start"] = MQTT_CLEAN_START_FIRST_ONLY if clean is None else clean
        if known.session_expiry is not None:
            if not self._v5:
                raise ValueError("session_expiry is for MQTT 5.0: add version=5 to the URL")
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = known.session_expiry
            arguments["properties"] = properties
        return arguments

    def _adopt(self, url: BrokerUrl) -> None:
        """Takes over what otherwise the constructor sets, and forgets what another URL has set."""
        before = self._url
        if before is not None and before.tls:
            self._ssl, self._ssl_context = False, None
        if before is not None and before.username is not None:
            self.username_pw_set(None)  # another broker has no business with them
        version = self._protocol if url.version is None else url.version
        client_id = self._client_id if url.client_id is None else url.client_id.encode("utf-8")
        if version != MQTTProtocolVersion.MQTTv5:
            clean = getattr(self, "_clean_session", True)
            if url.clean_start is not None:
                clean = url.clean_start
            if not clean and not client_id:
                raise ValueError("A client id must be provided if clean session is False.")
            self._clean_session = clean
        self._sock_close()
        self._protocol, self._client_id = version, client_id
        self._transport = url.transport

    def _follow(self, url: BrokerUrl) -> None:
        """Sets what has a method or property of its own."""
        files = url.ca_certs, url.certfile, url.keyfile
        if self._ssl and not url.tls:
            raise ValueError(f"TLS is set, and {url.scheme} is without: use mqtts or wss")
        if url.tls and (not self._ssl or any(files) or url.server_hostname or url.insecure):
            self.tls_set(*files, server_hostname=url.server_hostname)
            if url.insecure:
                self.tls_insecure_set(True)
        if url.username is not None:
            self.username_pw_set(url.username, url.password)
        if url.transport == "websockets":
            self.ws_set_options(url.path, self._websocket_extra_headers)
        if url.connect_timeout is not None:
            self._connect_timeout = url.connect_timeout
        self._url = url
