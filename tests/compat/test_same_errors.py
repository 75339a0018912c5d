"""Wrong arguments raise the same exception with the same text on paho and on oxmqtt; results without a network are equal.

The outcome of each call (exception type and text, or the result) is compared.
"""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import pytest
from support import clients
from support.trace import normal

from .error_calls import CALLS, CALLS_V5, Call

V311, V5 = 4, 5
_INVALID_FILTER = ("raises", "ValueError", "Invalid subscription filter.")
_KEEPALIVE = ("raises", "ValueError", "Keepalive must be <=65535.")
_PORT = ("raises", "ValueError", "Invalid port number.")
_NATIVE = "publish() is native: the name of its class and the count without self are CPython's"

#: name -> (outcome on oxmqtt, reason). Everything else must be equal.
DELIBERATE: dict[str, tuple[Any, str]] = {
    **{
        f"Client({first!r})": (("returns", "made"), "1.6-style constructors work")
        for first in ("id", "", b"id", None)
    },
    "Client(VERSION2, id int)": (
        ("raises", "TypeError", "client_id must be str, bytes or None"),
        "paho keeps it, and connect() fails",
    ),
    "connect_async to 3": (
        ("raises", "TypeError", "host must be a str, not int"),
        "paho's loop fails",
    ),
    "path of a number": (
        ("raises", "TypeError", "path must be a str, not int"),
        "paho keeps it, and connect() fails",
    ),
    "Client(VERSION2, protocol 9)": (
        ("raises", "ValueError", "unknown protocol version"),
        "paho keeps it, and says 3.1.1 with level 9",
    ),
    **{
        f"{call} 65536": (_KEEPALIVE, "paho keeps it, and connect() ends in a struct.error")
        for call in ("connect keepalive", "connect_async keepalive", "keepalive =")
    },
    **{
        f"{call} 65536": (_PORT, "paho dials another port: 65536 counts as 0")
        for call in ("connect port", "connect_async port", "port =")
    },
    **{
        f"connect with too long {field!r}": (
            ("raises", "ValueError", f"{said} is longer than 65,535 bytes"),
            "paho ends in a struct.error about a format",
        )
        for field, said in (
            ("client_id", "client identifier"),
            ("username", "user name"),
            ("password", "password"),
            ("will_payload", "will payload"),
        )
    },
    "publish topic 'a\\x00b'": (
        ("raises", "ValueError", "Publish topic cannot contain U+0000."),
        "MQTT-4.7.3-2; paho sends it",
    ),
    **{
        f"unsubscribe {wrong}": (_INVALID_FILTER, "as in subscribe(); paho sends it")
        for wrong in ("'a+'", "'#/x'", "'a/#/b'", "'+a'", "str of 65536")
    },
    "will_set topic 'a/#'": (
        ("raises", "ValueError", "Will topic cannot contain wildcards."),
        "MQTT-4.7.0-1; paho sends it, and the server refuses the CONNECT",
    ),
    "publish nothing": (
        (
            "raises",
            "TypeError",
            "ClientBase.publish() missing 1 required positional argument: 'topic'",
        ),
        _NATIVE,
    ),
    "publish too many": (
        (
            "raises",
            "TypeError",
            "ClientBase.publish() takes from 1 to 5 positional arguments but 6 were given",
        ),
        _NATIVE,
    ),
    "publish unknown keyword": (
        (
            "raises",
            "TypeError",
            "ClientBase.publish() got an unexpected keyword argument 'payloud'",
        ),
        _NATIVE,
    ),
}


def outcome(mqtt: ModuleType, version: int, call: Call) -> Any:
    client = clients.make(mqtt, "errors", version, reconnect_on_failure=False)
    client.on_message = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return ("returns", normal(call(mqtt, client)))
    except Exception as error:
        return ("raises", type(error).__name__, str(error))
    finally:
        clients.dispose(client)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
# paho's constructor leaves half an object behind when it raises, and its __del__ stumbles over it
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "version, name, call",
    [
        pytest.param(version, name, call, id=f"mqtt{version} {name}")
        for version, calls in ((V311, CALLS), (V5, CALLS_V5))
        for name, call in calls
    ],
)
def test_same_outcome(
    mqtt: ModuleType, paho: ModuleType, version: int, name: str, call: Call
) -> None:
    expected = outcome(paho, version, call)
    if mqtt is not paho:
        expected, _reason = DELIBERATE.get(name, (expected, ""))
    assert outcome(mqtt, version, call) == expected
