"""The exceptions that packets, properties and reason codes raise."""

from __future__ import annotations


class MQTTException(Exception):
    """A value that MQTT does not allow: an unknown property, a number out of range, a refusal."""


class MalformedPacket(MQTTException):
    """Bytes that cannot be parsed as the MQTT packet or property they claim to be.

    OASIS MQTT 5.0, clause 1.2 (Malformed Packet) and clause 4.13.
    """
