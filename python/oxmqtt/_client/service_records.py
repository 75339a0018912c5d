"""Finding a broker by the SRV records of a domain (RFC 2782), by dnspython (``pip install oxmqtt[srv]``)."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .settings import MQTT_CLEAN_START_FIRST_ONLY

if TYPE_CHECKING:
    from ..client import Client
    from ..enums import MQTTErrorCode
    from ..properties import Properties
    from .types import CleanStartOption


def in_order(records: Iterable[Any]) -> Iterator[Any]:
    """By priority; among equals at random, each as likely to come first as its weight says."""
    import random

    left = list(records)
    while left:
        best = min(record.priority for record in left)
        equals = [record for record in left if record.priority == best]
        # Weight 0 is for those that should hardly ever come before others.
        weights = [record.weight or 0.01 for record in equals]
        chosen = random.choices(equals, weights)[0]
        left.remove(chosen)
        yield chosen


def connect(
    client: Client,
    domain: str | None = None,
    keepalive: int = 60,
    bind_address: str = "",
    bind_port: int = 0,
    clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY,
    properties: Properties | None = None,
) -> MQTTErrorCode:
    """Connects to a broker that the SRV records of a domain name, in their order."""
    try:
        import dns.resolver
    except ImportError:
        raise ValueError('No DNS resolver library found, try "pip install dnspython".') from None
    if domain is None:
        domain = socket.getfqdn()
        domain = domain[domain.find(".") + 1 :]
    service = "_secure-mqtt" if client._ox_settings.ssl else "_mqtt"
    try:
        answer = dns.resolver.resolve(
            f"{service}._tcp.{domain}", "SRV", lifetime=client._ox_settings.connect_timeout
        )
    except (
        dns.resolver.NXDOMAIN,
        dns.resolver.NoAnswer,
        dns.resolver.NoNameservers,
    ) as error:
        raise ValueError(f"No answer/NXDOMAIN for SRV in {domain}") from error
    last: OSError | None = None
    for record in in_order(answer):
        host = record.target.to_text(omit_final_dot=True)
        if host == ".":  # the service is decidedly not available (RFC 2782)
            continue
        try:
            return client.connect(
                host, record.port, keepalive, bind_address, bind_port, clean_start, properties
            )
        except OSError as error:
            last = error
    raise ValueError("No SRV hosts responded") from last
