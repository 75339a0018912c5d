"""Names for annotations: what arguments may be."""

from __future__ import annotations

from typing import Union

from .._client.types import PayloadType, WebSocketHeaders
from ._subscribing import SubscribeTopic

__all__ = ["PayloadType", "SocketOption", "SubscribeTopic", "WebSocketHeaders"]

#: Arguments of ``socket.setsockopt()``.
SocketOption = Union[tuple[int, int, Union[int, bytes]], tuple[int, int, None, int]]
