"""The way to a broker that this version does not have: WebSocket.

Its method is here with paho's signature, so that a program finds out at the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .state import ClientState

if TYPE_CHECKING:
    from .types import WebSocketHeaders


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
