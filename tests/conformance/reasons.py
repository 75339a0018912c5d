"""The reason that MQTT 5.0 wants in the DISCONNECT which answers a refused packet, by rules of our own.

The wire set names the reason for PUBLISH only. The rules read the packet and the case's name and know
nothing of the codec: Malformed Packet when the packet cannot be parsed (1.2, 4.13), Protocol Error when
it can and breaks a rule.
"""

from __future__ import annotations

from support import packets

from .wire_language import WireCase

MALFORMED, PROTOCOL, ALIAS = 0x81, 0x82, 0x94

#: What a server never sends is refused for that, whatever is in it.
_OF_CLIENTS = {packets.CONNECT, packets.SUBSCRIBE, packets.UNSUBSCRIBE, packets.PINGREQ, 0}
_UNREADABLE = (
    "missing",
    "incomplete",
    "short",
    "long",
    "unknown",
    "invalid-property",
    "remaining length 5 bytes",
    "missing value",
)
_UNREADABLE_EXACTLY = {
    "E0 RC=0x00 PL=1 P=0x11",  # a property of four bytes that has none, one, two, three
    "E0 RC=0x00 PL=2 P=0x11",
    "E0 RC=0x00 PL=3 P=0x11",
    "E0 RC=0x00 PL=4 P=0x11",
    "30 topic with U+D800",
    "30 topic with U+FFFF",  # is U+DFFF in fact
    "30 topic with + [MQTT-3.3.2-2]",
    "30 topic with # [MQTT-3.3.2-2]",
    "36 QoS 3 (no mid) [MQTT-3.3.1-4]",
    "36 QoS 3 (with mid) [MQTT-3.3.1-4]",
    "subscription-identifier=0x8000 (variable byte integer)",
    "subscription-identifier=0x8080808001 (variable byte integer)",
}
_CONNACK_FLAGS = 1


def due(case: WireCase) -> int | None:
    """The reason code of the DISCONNECT, or None: the server has ended the connection itself."""
    raw = next(raw for from_client, raw in case.steps if not from_client)
    kind, flags = raw[0] >> 4, raw[0] & 0x0F
    if raw[1:6] == b"\x80\x80\x80\x80\x01":
        return MALFORMED
    if kind in _OF_CLIENTS:
        return PROTOCOL
    if flags != (2 if kind == packets.PUBREL else 0) and kind != packets.PUBLISH:
        return MALFORMED
    if "alias > max" in case.name:
        return ALIAS
    if case.name in _UNREADABLE_EXACTLY or any(word in case.name for word in _UNREADABLE):
        return MALFORMED
    if kind == packets.CONNACK and len(raw) >= 4:
        if raw[2] & ~_CONNACK_FLAGS:
            return MALFORMED
        if raw[3] >= 0x80:
            return None
    if kind == packets.DISCONNECT and case.connack and _is_for_clients(case):
        return None
    return PROTOCOL


def _is_for_clients(case: WireCase) -> bool:
    """A DISCONNECT that a server may send."""
    breaches = ("2*", "session-expiry-interval", "P=0x11")
    return "DISALLOWED" not in case.group and not any(word in case.name for word in breaches)
