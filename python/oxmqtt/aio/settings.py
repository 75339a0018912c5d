"""What a client is made with, beyond plain values."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal

from ..enums import MQTTProtocolVersion

if TYPE_CHECKING:
    import ssl

    from .._client.types import PayloadType
    from ..properties import Properties


class ProtocolVersion(enum.IntEnum):
    """The version of MQTT that a client speaks."""

    V31 = MQTTProtocolVersion.MQTTv31
    V311 = MQTTProtocolVersion.MQTTv311
    V5 = MQTTProtocolVersion.MQTTv5


@dataclasses.dataclass(frozen=True)
class TLSParameters:
    """The arguments of :meth:`oxmqtt.client.Client.tls_set`: paths of PEM files, and options of ``ssl``.

    ``server_hostname`` is the name to ask for and to verify, ``backend`` who encrypts.
    """

    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    cert_reqs: ssl.VerifyMode | None = None
    tls_version: Any | None = None
    ciphers: str | None = None
    keyfile_password: str | None = dataclasses.field(default=None, repr=False)
    server_hostname: str | None = None
    backend: Literal["ssl", "rustls"] = "ssl"


class ProxySettings:
    """The arguments of :meth:`oxmqtt.client.Client.proxy_set`; ``proxy_type`` is one of PySocks'."""

    def __init__(
        self,
        *,
        proxy_type: int,
        proxy_addr: str,
        proxy_rdns: bool | None = True,
        proxy_username: str | None = None,
        proxy_password: str | None = None,
        proxy_port: int | None = None,
    ) -> None:
        self.proxy_args: dict[str, Any] = {
            "proxy_type": proxy_type,
            "proxy_addr": proxy_addr,
            "proxy_rdns": proxy_rdns,
            "proxy_username": proxy_username,
            "proxy_password": proxy_password,
            "proxy_port": proxy_port,
        }


@dataclasses.dataclass(frozen=True)
class Will:
    """The message that the broker publishes when the connection is lost (OASIS MQTT 5.0, clause 3.1.2.5)."""

    topic: str
    payload: PayloadType | None = None
    qos: int = 0
    retain: bool = False
    properties: Properties | None = None


@dataclasses.dataclass(frozen=True)
class Reconnect:
    """How a lost connection is made again: after ``min_delay`` seconds, then after twice as many each
    time up to ``max_delay``, less up to the half of it by chance.
    """

    min_delay: float = 1
    max_delay: float = 120


@dataclasses.dataclass(frozen=True)
class Authentication:
    """Enhanced authentication (OASIS MQTT 5.0, clause 4.12).

    :param method: the name of the method, such as ``"SCRAM-SHA-256"``.
    :param respond: gets the data of the broker's AUTH or CONNACK, bytes, and returns what to answer;
        None begins an exchange and asks for the data of CONNECT. Data of the end of an exchange needs
        no answer. What it raises ends the connection.
    """

    method: str
    respond: Callable[[bytes | None], Awaitable[bytes | None]]
