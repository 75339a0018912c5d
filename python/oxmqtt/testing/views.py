"""What a broker is told and tells: messages, clients, a dialogue of authentication."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..properties import Properties


@dataclasses.dataclass(frozen=True)
class BrokerMessage:
    """A message that was published to the broker (OASIS MQTT 5.0, clause 3.3), a will included."""

    topic: str
    payload: bytes
    #: 0, 1 or 2, as it was published.
    qos: int
    retain: bool
    #: The properties of MQTT 5.0, None for a message of an earlier version.
    properties: Properties | None
    #: The identifier of the client that published it.
    client_id: str


@dataclasses.dataclass(frozen=True)
class Subscription:
    """A subscription and its options (clause 3.8.3.1)."""

    filter: str
    qos: int
    no_local: bool
    retain_as_published: bool
    retain_handling: int


@dataclasses.dataclass(frozen=True)
class BrokerClient:
    """A connected client."""

    client_id: str
    #: The protocol level: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0.
    version: int
    #: Address and port of its end of the connection.
    address: str
    #: Clean Start, Clean Session before MQTT 5.0.
    clean_start: bool
    #: Seconds; 0 is none.
    keep_alive: int
    subscriptions: tuple[Subscription, ...]


@dataclasses.dataclass(frozen=True)
class Authentication:
    """A dialogue of AUTH packets that every client has to know (clause 4.12).

    ``steps`` are pairs: the Authentication Data that the client must send, None for any, and the data
    that it is answered. The first is about CONNECT; the answer of the last comes with CONNACK. A
    re-authentication goes through the same steps. Other data is refused with "Not authorized" (0x87).
    """

    method: str
    steps: Sequence[tuple[bytes | None, bytes]] = dataclasses.field(repr=False)
