"""Packet types as small numbers, and their names as the reprs print them."""

from __future__ import annotations


class PacketTypes:
    """The packet types of OASIS MQTT 5.0, table 2-1, and one that exists only for properties.

    ``Properties`` and ``ReasonCode`` take one of these numbers.  ``Names[number]`` is the name of
    a packet type; ``indexes`` are the numbers that a packet can have.
    """

    indexes: range = range(1, 16)

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15

    # Will properties (clause 3.1.3.2) travel inside CONNECT but are a set of their own.
    WILLMESSAGE = 99

    Names: tuple[str, ...] = (
        "reserved",
        "Connect",
        "Connack",
        "Publish",
        "Puback",
        "Pubrec",
        "Pubrel",
        "Pubcomp",
        "Subscribe",
        "Suback",
        "Unsubscribe",
        "Unsuback",
        "Pingreq",
        "Pingresp",
        "Disconnect",
        "Auth",
    )
