"""Wire cases where oxmqtt does otherwise: each with what it does and the clause that justifies it.

A case that is not here must pass; one that is here and passes fails the test.
"""

from __future__ import annotations

_CONTROL = (
    "Delivers the message. Control characters in a topic are advised against, not forbidden: a receiver "
    "MAY refuse them (5.0: 1.5.4, 3.1.1: 1.5.3), and a client that did could never drain such a topic."
)
_MISMATCH = (
    "Answers PUBREL with 0x92, Packet Identifier not found, instead of success: there is no such "
    "message, and 3.6.2.1 has this reason for it."
)

DEVIATIONS = {
    "CONNACK/v5.0 CONNACK ALLOWED PROPERTIES VALID/20 with maximum-packet-size (four byte integer)": (
        "Stays, and sends no PUBACK, which has four bytes: the maximum is one byte [MQTT-3.2.2-15]."
    ),
    "CONNACK/v5.0 CONNACK/20 long": (
        "Closes, 0x81. CONNACK has no payload (3.2.3), so a byte behind its properties cannot be parsed "
        "(4.13.1)."
    ),
    "PUBLISH/v3.1.1 PUBLISH/38 QoS 0 Dup 1": (
        "Closes. DUP must be 0 at QoS 0 [MQTT-3.3.1-2], and a protocol violation must end the "
        "connection [MQTT-4.8.0-1]."
    ),
    "PUBLISH/v3.1.1 PUBLISH/30 topic with U+001F": _CONTROL,
    "PUBLISH/v3.1.1 PUBLISH/30 topic with U+007F": _CONTROL,
    "PUBLISH/v5.0 PUBLISH/30 topic with U+0001": _CONTROL,
    "PUBLISH/v5.0 PUBLISH/30 topic with U+001F": _CONTROL,
    "PUBLISH/v5.0 PUBLISH/30 topic with U+007F": _CONTROL,
    "PUBLISH/v5.0 PUBLISH/36 QoS 3 (with mid) [MQTT-3.3.1-4]": (
        "Closes with 0x81, not 0x82: QoS 3 is a Malformed Packet [MQTT-3.3.1-4]."
    ),
    "PUBLISH/v5.0 PUBLISH ALLOWED PROPERTIES/2*subscription-identifier=1 (variable byte integer)": (
        "Delivers the message: a PUBLISH of the server carries one subscription identifier for each "
        "subscription that matched (3.3.2.3.8, [MQTT-3.3.4-4])."
    ),
    "PUBREC/v5.0 PUBREC unsolicited/50 len=2": _MISMATCH,
    "PUBREC/v5.0 PUBREC unsolicited/50 len=3": _MISMATCH,
    "PUBREC/v5.0 PUBREC unsolicited/50 len=4 ok": _MISMATCH,
}
