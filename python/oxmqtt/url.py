"""Where a broker is and how to talk to it, as one URL: ``mqtts://user:password@host:8883?keepalive=30``.

Reading a URL touches neither network nor files.  The schemes are ``mqtt``, ``mqtts`` (TLS), ``ws``, ``wss``
(WebSocket, WebSocket within TLS) and ``unix``.  User name, password, host, topic and the values behind
``?`` may hold any character as ``%`` and two hexadecimal digits (RFC 3986, clause 2.1).

No error and no ``repr`` has a part of the URL that may be secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import unquote

from .enums import MQTTProtocolVersion

__all__ = ["BrokerUrl", "from_environment", "parse"]

#: Scheme -> port; a unix socket has none.
_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443, "unix": 0}
_VERSIONS = {
    "3.1": MQTTProtocolVersion.MQTTv31,
    "3.1.1": MQTTProtocolVersion.MQTTv311,
    "5": MQTTProtocolVersion.MQTTv5,
    "5.0": MQTTProtocolVersion.MQTTv5,
}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

_SHAPE = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<rest>.*)", re.DOTALL)
_BAD = re.compile(r"[\x00-\x20\x7f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODE = "in user name and password, characters such as / ? # @ : are written as % and two digits"


@dataclass(frozen=True)
class BrokerUrl:
    """A URL, read.  None stands for what it does not say.

    ``str()`` gives it without user name, password and the part behind ``?``, fit for a log.
    """

    scheme: Literal["mqtt", "mqtts", "ws", "wss", "unix"]
    #: Name or address (IPv6 without brackets), or the path of a unix socket.
    host: str
    #: 0 for a unix socket.
    port: int
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    #: ``ws`` and ``wss``: the path of the resource, ``/mqtt`` unless given; sent as it is.
    path: str = ""
    #: ``mqtt`` and ``mqtts``: what stands behind the host, as in ``mosquitto_pub -L``; else empty.
    topic: str = ""

    client_id: str | None = None
    #: Seconds; 0 for none.
    keepalive: int | None = None
    version: MQTTProtocolVersion | None = None
    #: Whether the broker forgets the session; MQTT 3.x calls it clean session.
    clean_start: bool | None = None
    #: MQTT 5.0: seconds that the broker keeps the session after the connection.
    session_expiry: int | None = None
    #: Seconds that dialling, and then the answer to CONNECT, may take.
    connect_timeout: float | None = None
    #: Paths of PEM files: the authorities to trust (the system's if None), the client's certificate and key.
    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    #: The name to ask for and to verify; the host's if None.
    server_hostname: str | None = None
    #: Accept a certificate that names another host.
    insecure: bool = False

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in ("mqtts", "wss")

    @property
    def transport(self) -> Literal["tcp", "websockets", "unix"]:
        """As the constructor of :class:`oxmqtt.client.Client` takes it."""
        if self.scheme == "unix":
            return "unix"
        return "websockets" if self.scheme in ("ws", "wss") else "tcp"

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix://{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        topic = f"/{self.topic}" if self.topic else ""
        return f"{self.scheme}://{host}:{self.port}{self.path}{topic}"


def parse(url: str) -> BrokerUrl:
    """Reads a URL.

    :raises ValueError: it is not one of a broker; the text says what is wrong, without secrets.
    """
    shape = _SHAPE.fullmatch(url)
    known = ", ".join(_DEFAULT_PORTS)
    if shape is None:
        raise ValueError(f"the URL of a broker begins with one of {known} and ://")
    scheme = shape["scheme"].lower()
    if scheme not in _DEFAULT_PORTS:
        raise ValueError(f"the scheme of the URL must be one of {known}")
    rest = shape["rest"]
    if _BAD.search(rest):
        raise ValueError("the URL has spaces or control characters: write them as % and two digits")
    if _BAD_ESCAPE.search(rest):
        raise ValueError(
            "a % in the URL must be followed by two hexadecimal digits: itself, it is %25"
        )
    if "#" in rest:
        raise ValueError(f"the URL has a #: {_ENCODE}")
    rest, _, query = rest.partition("?")
    authority, path = "", rest
    if rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        path = slash + path
    elif scheme != "unix":
        raise ValueError(f"{scheme}: must be followed by //")
    parts = {**_place(scheme, authority, path), **_settings(scheme, query)}
    return BrokerUrl(**parts)


def from_environment(
    name: str = "MQTT_URL", environment: Mapping[str, str] = os.environ
) -> BrokerUrl:
    """Reads the URL in an environment variable.

    User name and password may stand in variables of their own, as they are, without ``%``: for
    ``MQTT_URL`` in ``MQTT_USERNAME`` and ``MQTT_PASSWORD``.  Those in the URL come first.

    :raises ValueError: there is no such variable, or :func:`parse` raises it.
    """
    text = environment.get(name)
    if not text:
        raise ValueError(f"the environment variable {name} is not set")
    try:
        url = parse(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    stem = name[:-4] if name.endswith("_URL") else name
    username = url.username or environment.get(f"{stem}_USERNAME")
    password = url.password
    if password is None and username is not None:
        password = environment.get(f"{stem}_PASSWORD")
    return replace(url, username=username, password=password)


def _place(scheme: str, authority: str, path: str) -> dict[str, Any]:
    """Where the broker is, and the credentials."""
    credentials, at, location = authority.rpartition("@")
    found: dict[str, Any] = {"scheme": scheme}
    if at:
        username, colon, password = credentials.partition(":")
        found["username"] = _decode(username, "user name")
        if colon:
            found["password"] = _decode(password, "password")
    if scheme == "unix":
        if location:
            raise ValueError("a unix socket has no host: write unix:///path/of/socket")
        if path in ("", "/"):
            raise ValueError("the URL lacks the path of the unix socket")
        return {**found, "host": _decode(path, "path"), "port": 0}
    found["host"], found["port"] = _host_and_port(scheme, location)
    if scheme in ("ws", "wss"):
        found["path"] = path or "/mqtt"
    else:
        found["topic"] = _decode(path[1:], "topic")
    return found


def _host_and_port(scheme: str, location: str) -> tuple[str, int]:
    if location.startswith("["):
        host, bracket, port = location[1:].partition("]")
        host = _decode(host, "host")
        if not bracket or not _is_ipv6(host) or (port and not port.startswith(":")):
            raise ValueError("an IPv6 address in the URL is written as [address] or [address]:port")
        port = port[1:]
    else:
        host, _, port = location.partition(":")
        host = _decode(host, "host")
        if ":" in port:
            raise ValueError(f"an IPv6 address needs brackets, as in [::1]; {_ENCODE}")
    if not host:
        raise ValueError("the URL lacks a host")
    if _BAD.search(host):
        raise ValueError("the host has spaces or control characters")
    if not port:
        return host, _DEFAULT_PORTS[scheme]
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65_536:
        raise ValueError(f"the port must be a number from 1 to 65535; {_ENCODE}")
    return host, int(port)


def _is_ipv6(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.IPv6Address(text.partition("%")[0])  # behind it stands the interface
    except ValueError:
        return False
    return True


def _decode(text: str, what: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"the {what} in the URL is not UTF-8") from None


def _text(value: str) -> str:
    if not value:
        raise ValueError("needs a value")
    return value


def _one_of(values: Mapping[str, Any]) -> Callable[[str], Any]:
    def read(value: str) -> Any:
        if value.lower() not in values:
            raise ValueError(f"must be one of {', '.join(values)}")
        return values[value.lower()]

    return read


def _whole(largest: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", value) or int(value) > largest:
            raise ValueError(f"must be a number of seconds from 0 to {largest}")
        return int(value)

    return read


def _seconds(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value) or not float(value):
        raise ValueError("must be a number of seconds above 0")
    return float(value)


#: The keys behind ``?``, each with what reads its value.
_SETTINGS: dict[str, Callable[[str], Any]] = {
    "client_id": str,
    "keepalive": _whole(65_535),
    "version": _one_of(_VERSIONS),
    "clean_start": _one_of(_BOOLEANS),
    "session_expiry": _whole(0xFFFF_FFFF),
    "connect_timeout": _seconds,
    "ca_certs": _text,
    "certfile": _text,
    "keyfile": _text,
    "server_hostname": _text,
    "insecure": _one_of(_BOOLEANS),
}
_FOR_TLS = ("ca_certs", "certfile", "keyfile", "server_hostname", "insecure")


def _settings(scheme: str, query: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in filter(None, query.split("&")):
        key, _, encoded = part.partition("=")
        if key not in _SETTINGS:
            # Behind an unencoded ? in a password stands the rest of the password.
            shown = f" {key}" if re.fullmatch(r"\w+", key) and "@" not in query else ""
            known = ", ".join(_SETTINGS)
            raise ValueError(f"the URL has an unknown key{shown} behind ?; the keys are {known}")
        if key in found:
            raise ValueError(f"{key} stands twice in the URL")
        if key in _FOR_TLS and scheme not in ("mqtts", "wss"):
            raise ValueError(f"{key} is for TLS, that is for mqtts and wss, not for {scheme}")
        try:
            found[key] = _SETTINGS[key](_decode(encoded, key))
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    if "keyfile" in found and "certfile" not in found:
        raise ValueError("keyfile needs certfile")
    if "session_expiry" in found and found.get("version") not in (None, MQTTProtocolVersion.MQTTv5):
        raise ValueError("session_expiry is for version=5")
    return found
