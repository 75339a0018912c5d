"""What the engine calls: the one table of functions that it takes over from Python.

``src/bindings/handlers.rs`` reads each once, by its name here. They get the client as first argument. A
program's subclass cannot collide with them: they are no attributes of the client.
"""

from __future__ import annotations

from .events import (
    callbacks_for,
    connack_came,
    defer,
    handle_auth,
    handle_closed,
    handle_published,
    message_callback_failed,
    suback_came,
    unsuback_came,
)
from .log import log_message, log_packet, log_publish, log_resend
from .packets import take_own_mid

__all__ = [
    "callbacks_for",
    "connack_came",
    "defer",
    "handle_auth",
    "handle_closed",
    "handle_published",
    "log_message",
    "log_packet",
    "log_publish",
    "log_resend",
    "message_callback_failed",
    "suback_came",
    "take_own_mid",
    "unsuback_came",
]
