"""Ways to a broker that this version does not have: WebSocket, proxies, SRV records.

Their methods are here with paho's signatures, so that a program finds out at the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .state import MQTT_CLEAN_START_FIRST_ONLY, ClientState

if TYPE_CHECKING:
    from ..enums import MQTTErrorCode
    from ..properties import Properties
    from .types import CleanStartOption, WebSocketHeaders


def not_in_this_version(what: str) -> NotImplementedError:
    """The error that says so."""
    return NotImplementedError(f"{what} is not in this version of oxmqtt")


def require_transport(transport: str) -> None:
    """:raises NotImplementedError: the transport is not built yet."""
    if transport == "websockets":
        raise not_in_this_version("WebSocket")


class Transports(ClientState):
    """What is not built yet."""

    def ws_set_options(self, path: str = "/mqtt", headers: WebSocketHeaders | None = None) -> None:
        """Sets path and headers of the WebSocket handshake.

        :raises NotImplementedError: always: WebSocket is not in this version.
        """
        raise not_in_this_version("WebSocket")

    def proxy_set(self, **proxy_args: Any) -> None:
        """Connects through a SOCKS or HTTP proxy.

        :raises NotImplementedError: always: proxies are not in this version.
        """
        raise not_in_this_version("a proxy")

    def connect_srv(
        self,
        domain: str | None = None,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Properties | None = None,
    ) -> MQTTErrorCode:
        """Connects to a broker that the SRV records of a domain name.

        :raises NotImplementedError: always: SRV records are not in this version.
        """
        raise not_in_this_version("connect_srv()")
