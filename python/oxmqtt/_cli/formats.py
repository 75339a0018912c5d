"""How ``oxmqtt sub`` prints a message: the formats of ``mosquitto_sub -F``, and JSON.

:func:`compile_format` makes a function from a message to the bytes that are printed.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from ..client import MQTTMessage

    Text = Union[str, bytes]
    Print = Callable[[MQTTMessage], bytes]
    Paint = Callable[[str], str]

_LONGEST = 268_435_455
_FIELD = re.compile(
    r"%(?P<left>-)?(?P<zero>0)?(?P<width>[0-9]{1,4})?(?:\.(?P<most>[0-9]{1,4}))?(?P<letter>.)"
    r"|@(?P<time>.)|\\(?P<escape>.)",
    re.DOTALL,
)
_ESCAPES = {
    "\\": "\\",
    "0": "\0",
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}


def _property(name: str) -> Callable[[MQTTMessage], Text]:
    def read(message: MQTTMessage) -> Text:
        value = getattr(message.properties, name, "")
        return value if isinstance(value, bytes) else str(value)

    return read


def _user_properties(message: MQTTMessage) -> str:
    pairs = getattr(message.properties, "UserProperty", [])
    return " ".join(f"{name}:{value}" for name, value in pairs)


def _subscriptions(message: MQTTMessage) -> str:
    return " ".join(map(str, getattr(message.properties, "SubscriptionIdentifier", [])))


def _now() -> str:
    now = time.time()
    fraction = f".{int(now % 1 * 1e6):06}"
    return time.strftime("%Y-%m-%dT%H:%M:%S" + fraction + "%z", time.localtime(now))


def _payload(message: MQTTMessage) -> Text:
    return message.payload


#: The letter behind % -> what it stands for.
_FIELDS: dict[str, Callable[[MQTTMessage], Text]] = {
    "%": lambda message: "%",
    "A": _property("TopicAlias"),
    "C": _property("ContentType"),
    "D": _property("CorrelationData"),
    "E": _property("MessageExpiryInterval"),
    "F": _property("PayloadFormatIndicator"),
    "I": lambda message: _now(),
    "J": lambda message: as_json(message, parse=True),
    "P": _user_properties,
    "R": _property("ResponseTopic"),
    "S": _subscriptions,
    "U": lambda message: f"{time.time():.9f}",
    "X": lambda message: message.payload.hex().upper(),
    "j": lambda message: as_json(message, parse=False),
    "l": lambda message: str(len(message.payload)),
    "m": lambda message: str(message.mid),
    "p": _payload,
    "q": lambda message: str(message.qos),
    "r": lambda message: str(int(message.retain)),
    "t": lambda message: message.topic,
    "x": lambda message: message.payload.hex(),
}


def compile_format(text: str, paint: Paint, clean: Callable[[bytes], bytes], end: bytes) -> Print:
    """The function that prints as ``text`` says; ``json`` is ``%J``.

    :param paint: colours a topic.
    :param clean: makes text from a message harmless for where it is printed.
    :param end: stands behind each message.
    :raises ValueError: ``text`` has a ``%`` or a backslash with something unknown behind it.
    """
    parts: list[bytes | Print] = []
    at = 0
    text = "%J" if text == "json" else text
    for found in _FIELD.finditer(text):
        parts.append(text[at : found.start()].encode())
        at = found.end()
        parts.append(_part(found, paint, clean))
    rest = text[at:]
    if rest.endswith(("%", "\\", "@")):
        raise ValueError(f"the format ends in {rest[-1]}")
    parts.append(rest.encode() + end)

    def print_message(message: MQTTMessage) -> bytes:
        return b"".join([part if isinstance(part, bytes) else part(message) for part in parts])

    return print_message


def _part(found: re.Match[str], paint: Paint, clean: Callable[[bytes], bytes]) -> bytes | Print:
    if found["escape"] is not None:
        if found["escape"] not in _ESCAPES:
            known = " ".join("\\" + each for each in _ESCAPES)
            raise ValueError(f"\\{found['escape']} is none of {known}")
        return _ESCAPES[found["escape"]].encode()
    if found["time"] is not None:
        if found["time"] == "@":
            return b"@"
        code = "%" + found["time"]
        return lambda message: time.strftime(code).encode()
    letter = found["letter"]
    if letter not in _FIELDS:
        raise ValueError(f"%{letter} is none of %{' %'.join(_FIELDS)}")
    value = _FIELDS[letter]
    padded = found["width"] or found["most"]
    width, most = int(found["width"] or 0), int(found["most"] or _LONGEST)
    if letter in "pxX":  # never cut
        most = _LONGEST
    fill = b"0" if found["zero"] else b" "

    def print_field(message: MQTTMessage) -> bytes:
        made = value(message)
        shown = made.encode() if isinstance(made, str) else made
        if padded:
            shown = shown[:most]
            shown = shown.ljust(width) if found["left"] else shown.rjust(width, fill)
        shown = clean(shown)
        return paint(shown.decode()).encode() if letter == "t" else shown

    return print_field


def as_json(message: MQTTMessage, parse: bool) -> str:
    """One line: the keys of ``mosquitto_sub -F %j``, and the payload as text or, with ``parse``, as JSON.

    A payload that is not UTF-8 stands in ``payload_base64`` instead.
    """
    fields: dict[str, Any] = {"tst": _now(), "topic": message.topic, "qos": message.qos}
    fields["retain"] = int(message.retain)
    fields["payloadlen"] = len(message.payload)
    if message.mid:
        fields["mid"] = message.mid
    if message.properties is not None and not message.properties.isEmpty():
        fields["properties"] = _plain(message.properties.json())
    try:
        text = message.payload.decode()
    except UnicodeDecodeError:
        fields["payload_base64"] = base64.b64encode(message.payload).decode()
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    line = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    payload = _embedded(text) if parse else None
    if payload is None:
        payload = json.dumps(text, ensure_ascii=False)
    return f'{line[:-1]},"payload":{payload}}}'


def _plain(properties: dict[str, Any]) -> dict[str, Any]:
    """Names as ``-D`` has them."""
    return {
        re.sub(r"(?<!^)(?=[A-Z][a-z])", "-", name).lower(): value
        for name, value in properties.items()
    }


def _embedded(text: str) -> str | None:
    """JSON text as it came, so that no number loses a digit, on one line; None if it is none."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    text = text.strip(" \t\r\n")
    if "\n" in text or "\r" in text:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
