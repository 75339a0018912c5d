"""Traces of callbacks: what was called, with which types and values, on which kind of thread, in which order.

A trace taken with paho and one taken with oxmqtt compare with `==` because the arguments are written down in a form
that names their types but not their modules.
"""

from __future__ import annotations

import enum
import threading
from typing import Any, Callable

from .waiting import PATIENCE, Mailbox

CALLBACKS = (
    "on_pre_connect",
    "on_connect",
    "on_connect_fail",
    "on_disconnect",
    "on_subscribe",
    "on_unsubscribe",
    "on_publish",
    "on_message",
)
SOCKET_CALLBACKS = (
    "on_socket_open",
    "on_socket_close",
    "on_socket_register_write",
    "on_socket_unregister_write",
)


def normal(value: Any) -> Any:
    """A comparable description of one argument or result: type name and value."""
    kind = type(value).__name__
    if value is None or isinstance(value, (str, bytes)) or kind in ("bool", "int", "float"):
        return value
    if isinstance(value, enum.Enum):
        return (kind, value.name)
    if kind in ("Client", "TracedClient") or hasattr(value, "loop_forever"):
        return "client"
    if kind == "MQTTMessage":
        return message(value)
    if kind == "MQTTMessageInfo":
        return (kind, normal(value.rc), value.mid)
    if kind == "ReasonCode":
        return (kind, value.packetType, value.value, str(value), value.is_failure)
    if kind == "Properties":
        return (kind, value.packetType, value.json())
    if kind == "SubscribeOptions":
        return (kind, value.json())
    if hasattr(value, "fileno"):
        return "socket"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return (kind, *((name, normal(getattr(value, name))) for name in value._fields))
    if isinstance(value, dict):
        # VERSION1 flags: oxmqtt's is a dict that has `.session_present` besides
        return ("dict", sorted((normal(key), normal(item)) for key, item in value.items()))
    if isinstance(value, (list, tuple)):
        return (kind, *(normal(item) for item in value))
    if isinstance(value, BaseException):
        return (kind, str(value))
    return (kind, repr(value))


def message(value: Any) -> Any:
    """All that an application can read from a message, except the clock."""
    return (
        "MQTTMessage",
        value.topic,
        normal(value.payload),
        ("qos", normal(value.qos)),
        ("retain", normal(value.retain)),
        ("dup", normal(value.dup)),
        ("mid", normal(value.mid)),
        ("properties", normal(value.properties)),
    )


class Trace:
    """What happened: every callback and every noted result, with its thread."""

    def __init__(self) -> None:
        self.calls: Mailbox[tuple[str, Any]] = Mailbox()
        self._program_thread = threading.current_thread()

    def step(self, heading: str) -> None:
        """A heading; programs reach it when nothing is under way."""
        self.note(f"--- {heading}")

    def note(self, name: str, *values: Any) -> None:
        """A result worth comparing: a return code, a mid."""
        self.add(name, values)

    def add(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.calls.put((name, (self.thread(), *(normal(value) for value in arguments))))

    def thread(self) -> Any:
        """Which kind of thread this is: the program's, or the client's own with its name and daemon flag."""
        current = threading.current_thread()
        if current is self._program_thread:
            return "program"
        return ("client", current.name, current.daemon)

    def recorder(self, name: str, then: Callable[..., Any] | None = None) -> Callable[..., None]:
        """A callback that writes itself down and then does `then(*arguments)`."""

        def callback(*arguments: Any) -> None:
            self.add(name, arguments)
            if then is not None:
                then(*arguments)

        return callback

    def attach(self, client: Any, names: tuple[str, ...] = CALLBACKS, **then: Any) -> None:
        """Set recording callbacks; `on_connect=f` also calls `f` after the recording."""
        for name in names:
            setattr(client, name, self.recorder(name, then.get(name)))

    def count(self, name: str) -> int:
        return sum(1 for call in self.calls if call[0] == name)

    def reached(self, name: str, count: int) -> Callable[[], bool]:
        """For `drive()`: has `name` been called that often?"""
        return lambda: self.count(name) >= count

    def wait(self, name: str, count: int = 1, seconds: float = PATIENCE) -> None:
        """Wait until `name` has been called that often in all."""
        self.calls.wait_for(
            lambda calls: sum(1 for call in calls if call[0] == name) >= count,
            f"{count} x {name}",
            seconds,
        )

    def streams(self) -> dict[Any, list[str]]:
        """The calls of each thread in their order.

        Between two threads no order is compared: a callback may come before or after the program has noted the result
        of the call that caused it. Where MQTT defines the order, the program waits for it.
        """
        streams: dict[Any, list[str]] = {}
        for name, (thread, *values) in self.calls:
            streams.setdefault(thread, []).append(f"{name} {values!r}")
        return streams
