"""WebSocket: its options, and the request of its handshake (RFC 6455, clause 4.1).

The engine sends the request, checks the answer, and makes and reads the frames.
"""

from __future__ import annotations

import binascii
import os
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .settings import Settings
    from .types import HTTPHeader

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_IN_PATH = re.compile(r"[\x00-\x20\x7f]")
_BAD_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def upgrade_request(settings: Settings) -> tuple[bytes, str]:
    """The request, and the key whose hash the server must answer with.

    :raises ValueError: there are control characters in it.
    """
    key = binascii.b2a_base64(os.urandom(16), newline=False).decode()
    scheme, default_port = ("https", 443) if settings.ssl else ("http", 80)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    if settings.port != default_port:
        host = f"{host}:{settings.port}"
    headers: HTTPHeader = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Origin": f"{scheme}://{host}",
        "Sec-WebSocket-Key": key,
        "Sec-Websocket-Version": "13",
        "Sec-Websocket-Protocol": "mqtt",
    }
    wanted = settings.websocket_extra_headers
    if isinstance(wanted, dict):
        headers.update(wanted)
    elif wanted is not None:
        headers = wanted(headers)
    check_path(settings.websocket_path)
    check_headers(headers)
    lines = [f"GET {settings.websocket_path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode(), key


def check_path(path: Any) -> None:
    """:raises ValueError: it would end the request's first line or a word of it.
    :raises TypeError: it is no text.
    """
    if not isinstance(path, str):
        raise TypeError(f"path must be a str, not {type(path).__name__}")
    if _BAD_IN_PATH.search(path):
        raise ValueError("spaces and control characters are not allowed in a WebSocket path")


def check_headers(headers: HTTPHeader) -> None:
    """:raises ValueError: a header would end its line or is none (RFC 9110, clause 5). The message
    has no values, which may be secret."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a name for a WebSocket header")
        if _BAD_IN_VALUE.search(str(value)):
            raise ValueError(f"control characters are not allowed in the WebSocket header {name}")
