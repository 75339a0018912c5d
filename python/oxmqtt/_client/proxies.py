"""SOCKS and HTTP proxies, by PySocks (``pip install oxmqtt[proxy]``)."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..client import Client
    from .addresses import Source
    from .settings import Settings

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_KEYS = (
    "proxy_type",
    "proxy_addr",
    "proxy_port",
    "proxy_rdns",
    "proxy_username",
    "proxy_password",
)


#: What ``sys.path`` was when PySocks was looked for in vain: looking takes long, and clients dial often.
_missing_on: list[str] | None = None


def pysocks() -> Any:
    """The module, or None where it is not installed."""
    global _missing_on
    try:
        import socks  # type: ignore[import-untyped]
    except ImportError:
        _missing_on = list(sys.path)
        return None
    return socks


def _may_be_there() -> bool:
    return "socks" in sys.modules or _missing_on != sys.path


def is_valid(proxy: Any) -> bool:
    """Whether it names a proxy and a type that PySocks knows."""
    if isinstance(proxy, (list, tuple)):
        proxy = dict(zip(_KEYS, proxy)) if len(proxy) == len(_KEYS) else None
    socks = pysocks() if isinstance(proxy, dict) else None
    if socks is None:
        return False
    types = {socks.HTTP, socks.SOCKS4, socks.SOCKS5}
    return proxy.get("proxy_type") in types and bool(proxy.get("proxy_addr"))


def check(proxy: dict[str, Any]) -> None:
    """:raises ValueError: PySocks is missing, or it would not take that."""
    if pysocks() is None:
        raise ValueError("PySocks must be installed for proxy support.")
    if not is_valid(proxy):
        raise ValueError("proxy_type and/or proxy_addr are invalid.")
    for name, value in proxy.items():
        if isinstance(value, str) and _CONTROL.search(value):
            raise ValueError(f"control characters are not allowed in {name}")


def get_proxy(client: Client) -> dict[str, Any] | None:
    """The arguments for PySocks; None for no proxy."""
    settings = client._ox_settings
    if settings.proxy and is_valid(settings.proxy):
        return settings.proxy
    return _proxy_of_environment(settings.host) or _default_proxy()


def may_have_proxy(settings: Settings) -> bool:
    """Whether ``_get_proxy()`` has to be asked, which may load modules and ask the system."""
    return bool(settings.proxy) or _may_be_in_environment() or _default_proxy() is not None


def connect_by_proxy(client: Client, source: Source, until: float) -> socket.socket | None:
    """A connection through the proxy; None if there is none to use."""
    proxy = client._get_proxy()
    if proxy is None:
        return None
    if _CONTROL.search(client._ox_settings.host):
        raise ValueError("Invalid host.")
    connected: socket.socket = pysocks().create_connection(
        (client._ox_settings.host, client._ox_settings.port),
        timeout=max(until - time.monotonic(), 0.001),
        source_address=source,
        **proxy,
    )
    return connected


def _may_be_in_environment() -> bool:
    if sys.platform in ("darwin", "win32"):  # in the system's settings too
        return _may_be_there()
    return any(name.lower() == "mqtt_proxy" for name in os.environ)


def _proxy_of_environment(host: str) -> dict[str, Any] | None:
    """What ``mqtt_proxy`` names, unless ``no_proxy`` names the host."""
    if not _may_be_in_environment():
        return None
    socks = pysocks() if _may_be_there() else None
    if socks is None:
        return None
    import urllib.parse
    import urllib.request

    url = urllib.request.getproxies().get("mqtt")
    if url is None or urllib.request.proxy_bypass(host):
        return None
    parts = urllib.parse.urlparse(url)
    try:
        port = parts.port
    except ValueError:  # its text has what it took for a port, such as a part of a password
        raise ValueError("the port in the environment's mqtt_proxy is no number") from None
    types = {"http": socks.HTTP, "socks": socks.SOCKS5}
    if parts.scheme not in types:
        return None
    proxy = {
        "proxy_type": types[parts.scheme],
        "proxy_addr": parts.hostname,
        "proxy_port": port,
    }
    if parts.username:
        proxy["proxy_username"] = urllib.parse.unquote(parts.username)
        proxy["proxy_password"] = urllib.parse.unquote(parts.password or "")
    return proxy


def _default_proxy() -> dict[str, Any] | None:
    """PySocks' own, which a program may have set for everybody; it has to have loaded it for that."""
    socks = sys.modules.get("socks")
    default: Any = None if socks is None else socks.get_default_proxy()
    return dict(zip(_KEYS, default)) if is_valid(default) else None
