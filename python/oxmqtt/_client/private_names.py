"""The private names of paho's client that programs reach into: one table.

They are no API, and yet public programs read, write and override them; ``docs/compatibility.md`` says
which do. Nothing in oxmqtt itself needs what stands here. Methods that oxmqtt calls too, so that a
program's own take effect, are in the body of ``oxmqtt.client.Client``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .configuration import ON_MESSAGE, SLOTS
from .made_when_asked import MadeWhenAsked
from .settings import Settings
from .sockets import waker_pair
from .views import InMessages, OutMessages, OutPackets

if TYPE_CHECKING:
    from ..client import Client

#: Settings that paho has not.
_OURS = {
    "broker_url",
    "key_source",
    "max_packet_size",
    "rustls",
    "server_hostname",
    "url_context",
}


class Name:
    """A private name, by what reads and what writes that which stands behind it.

    ``mock.patch`` deletes what it has set: what was there before comes back then.
    """

    def __init__(
        self, read: Callable[[Any], Any], write: Callable[[Any, Any], object], default: Any = None
    ) -> None:
        self._read = read
        self._write = write
        self._default = default

    def __get__(self, client: Client | None, owner: type | None = None) -> Any:
        return self._default if client is None else self._read(client)

    def __set__(self, client: Client, value: Any) -> None:
        vars(client).setdefault("_ox_before", {})[self] = self._read(client)
        self._write(client, value)

    def __delete__(self, client: Client) -> None:
        try:
            before = vars(client).get("_ox_before", {}).pop(self)
        except KeyError:
            raise AttributeError("it cannot be deleted") from None
        self._write(client, before)


def _setting(name: str, default: Any) -> Name:
    """A setting, under the name that paho has for it."""
    return Name(
        lambda client: getattr(client._ox_settings, name),
        lambda client, value: client._ox_set(name, value),
        default,
    )


class WakerEnd:
    """One of a pair of sockets: loops of programs wait on the first, and a byte to the second wakes the loop,
    whether that is ours or the program's.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, client: Client | None, owner: type | None = None) -> Any:
        if client is None:
            return self
        given = vars(client).get(self._name)
        if given is not None or (client._sock is None and client._thread is None):
            return given
        pair = vars(client).get("_ox_waker_pair")
        if pair is None:  # two threads may come here, and get the same
            pair = vars(client).setdefault("_ox_waker_pair", waker_pair(client._ox_engine))
        return pair[self._name]

    def __set__(self, client: Client, end: Any) -> None:
        vars(client)[self._name] = end


def close_wakers(client: Client) -> None:
    own = vars(client)
    pair = own.pop("_ox_waker_pair", {})
    for end in (own.pop("_sockpairR", None), own.pop("_sockpairW", None), *pair.values()):
        if end is not None:
            end.close()


def _no_effect(client: Client, value: object) -> None:
    """Messages and packets are the engine's; so are its counts and clocks."""


def _drop_messages(client: Client, value: object) -> None:
    """Programs empty the mapping this way too; messages that are put in go nowhere."""
    client._ox_engine.drop_unfinished()


def _last_move(client: Client, sent: bool) -> float:
    idle = client._ox_engine.idle
    return time.monotonic() - (idle[sent] if idle is not None else 0.0)


def _continue_after(client: Client, mid: int) -> None:
    client._ox_engine.continue_after(mid)


_received = Name(lambda client: _last_move(client, sent=False), _no_effect)

TABLE: dict[str, Any] = {
    **{
        "_" + name: _setting(name, default)
        for name, default in vars(Settings).items()
        if not (name.startswith("_") or name in _OURS or isinstance(default, property))
    },
    **SLOTS,
    "_on_message": Name(ON_MESSAGE.__get__, ON_MESSAGE.__set__),
    # paho's locks. Home Assistant replaces them, ThingsBoard and tests hold them around other private names.
    # The engine has its own lock, so these guard nothing.
    **{
        name: MadeWhenAsked(lambda client: threading.RLock())
        for name in (
            "_callback_mutex",
            "_in_callback_mutex",
            "_in_message_mutex",
            "_mid_generate_mutex",
            "_msgtime_mutex",
            "_out_message_mutex",
            "_reconnect_delay_mutex",
        )
    },
    "_sockpairR": WakerEnd(),
    "_sockpairW": WakerEnd(),
    "_out_messages": Name(lambda client: OutMessages(client._ox_engine), _drop_messages),
    "_in_messages": Name(lambda client: InMessages(client._ox_engine), _no_effect),
    "_out_packet": Name(lambda client: OutPackets(client._ox_engine), _no_effect),
    "_inflight_messages": Name(lambda client: client._ox_engine.in_flight, _no_effect),
    "_last_mid": Name(lambda client: client._ox_engine.last_packet_id, _continue_after),
    # When bytes came, by ``time.monotonic()``: health checks look at it.
    "_last_bytes_received": _received,
    # The name of the same before paho-mqtt 2.2.
    "_last_msg_in": _received,
    "_last_msg_out": Name(lambda client: _last_move(client, sent=True), _no_effect),
}


def install(client: type) -> None:
    """Gives the class these names."""
    for name, descriptor in TABLE.items():
        setattr(client, name, descriptor)
        if hasattr(descriptor, "__set_name__"):
            descriptor.__set_name__(client, name)
