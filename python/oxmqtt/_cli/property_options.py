"""``-D PACKET PROPERTY VALUE``: MQTT 5.0 properties in the syntax of mosquitto_pub and mosquitto_sub."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import click

from .. import _native
from ..exception import MQTTException
from ..packettypes import PacketTypes
from ..properties import Properties
from .exits import Command

_PACKETS = {
    "CONNECT": PacketTypes.CONNECT,
    "PUBLISH": PacketTypes.PUBLISH,
    "SUBSCRIBE": PacketTypes.SUBSCRIBE,
    "UNSUBSCRIBE": PacketTypes.UNSUBSCRIBE,
    "DISCONNECT": PacketTypes.DISCONNECT,
    "WILL": PacketTypes.WILLMESSAGE,
}
#: "user-property" -> (attribute, kind, packet types)
_PROPERTIES = {
    name.lower().replace(" ", "-"): (name.replace(" ", ""), kind, packets)
    for _ident, name, kind, packets, _multiple in _native.PROPERTIES
}
_NUMBERS, _BINARY, _PAIR = (0, 1, 2, 3), 4, 6
#: Stands between the words of one -D; no argument of a program can have it.
_BETWEEN = "\0"
_SWITCHES = ("-D", "--property")


class CommandWithProperties(Command):
    """-D takes three words, with ``user-property`` four: they become one before click sees them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        joined, at = [], 0
        while at < len(args):
            word = args[at]
            at += 1
            joined.append(word)
            if word == "--":
                joined += args[at:]
                break
            if word in _SWITCHES:
                words = 4 if args[at + 1 : at + 2] == ["user-property"] else 3
                joined.append(_BETWEEN.join(args[at : at + words]))
                at += words
        return super().parse_args(ctx, joined)


def property_option(function: Any) -> Any:
    return click.option(
        *_SWITCHES,
        "properties",
        multiple=True,
        callback=_read,
        metavar="PACKET PROPERTY VALUE",
        help=f"A property of MQTT 5 (-V mqttv5) for one of {', '.join(_PACKETS)}; user-property takes "
        "a name and a value.",
    )(function)


def _read(
    _ctx: click.Context, _option: click.Parameter, given: Iterable[str]
) -> dict[str, Properties]:
    """The properties of each packet that -D names."""
    found: dict[str, Properties] = {}
    for words in given:
        packet, name, *values = words.split(_BETWEEN) if _BETWEEN in words else (words, "")
        if packet.upper() not in _PACKETS:
            raise click.BadParameter(f"{packet!r} is none of {', '.join(_PACKETS)}")
        packet = packet.upper()
        if name not in _PROPERTIES:
            known = [key for key, value in _PROPERTIES.items() if _PACKETS[packet] in value[2]]
            raise click.BadParameter(f"{packet} has none called {name!r}, but {', '.join(known)}")
        attribute, kind, _packets = _PROPERTIES[name]
        if len(values) != (2 if kind == _PAIR else 1):
            raise click.BadParameter(f"{packet} {name} needs a value")
        properties = found.setdefault(packet, Properties(_PACKETS[packet]))
        try:
            setattr(properties, attribute, _value(kind, values))
            properties.pack()
        except (MQTTException, ValueError, struct.error) as error:
            raise click.BadParameter(f"{packet} {name}: {error}") from None
    return found


def _value(kind: int, values: list[str]) -> Any:
    if kind == _PAIR:
        return values[0], values[1]
    if kind == _BINARY:
        return values[0].encode()
    if kind in _NUMBERS:
        if not values[0].isdecimal():
            raise ValueError("needs a number")
        return int(values[0])
    return values[0]
