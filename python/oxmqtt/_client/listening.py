"""What the engine needs to know of those who listen."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from ..enums import LogLevel
from .greenlets import threads_are_greenlets
from .log import LOGGING_LEVEL

if TYPE_CHECKING:
    from .configuration import Configuration

F = TypeVar("F", bound=Callable[..., Any])


class Listeners(NamedTuple):
    """Which events somebody wants, and how callbacks are to be called; for ``Engine.listen()``."""

    #: A line of log for each packet.
    trace: bool
    #: The end of each QoS 1 or 2 message.
    acked: bool
    #: The handing over of each QoS 0 message.
    sent: bool
    #: The program's own event loop drives the client: nothing may wait.
    event_driven: bool
    #: ``on_message`` is a method of a subclass.
    on_message_is_method: bool
    #: ``_mid_generate`` is the program's own.
    own_mids: bool
    #: Threads are greenlets of one thread.
    cooperative: bool
    #: What callbacks return is awaited if it can be.
    awaits_callbacks: bool


def is_own(client: Configuration, method: str) -> bool:
    """Whether the program has put a method of its own in the place of this one."""
    module = getattr(getattr(client, method), "__module__", None) or ""
    return module.partition(".")[0] != "oxmqtt"


def is_logged(client: Configuration) -> bool:
    """Whether anybody wants a line for each packet; a logger may change its mind between connections."""
    debug = LOGGING_LEVEL[LogLevel.MQTT_LOG_DEBUG]
    logger = client._ox_settings.logger
    by_logger = logger is not None and bool(logger.isEnabledFor(debug))
    return client.on_log is not None or by_logger or is_own(client, "_easy_log")


def listeners(client: Configuration, on_message_is_method: bool) -> Listeners:
    client._ox_has_own_on_publish = is_own(client, "_do_on_publish")
    is_reported = client.on_publish is not None or client._ox_has_own_on_publish
    on_loop = client._ox_on_event_loop
    return Listeners(
        trace=is_logged(client),
        acked=is_reported or on_loop,
        sent=is_reported,
        event_driven=client.on_socket_register_write is not None or on_loop,
        on_message_is_method=on_message_is_method,
        own_mids=is_own(client, "_mid_generate"),
        cooperative=threads_are_greenlets(),
        awaits_callbacks=on_loop,
    )


class _Overridable:
    """A method whose replacement on an object has to reach the engine at once."""

    def __init__(self, method: Any) -> None:
        self._method = method

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, client: Any, owner: type | None = None) -> Any:
        if client is None:
            return self._method
        own = vars(client).get(self._name)
        return MethodType(self._method, client) if own is None else own

    def __set__(self, client: Any, method: Any) -> None:
        vars(client)[self._name] = method
        self._tell(client)

    def __delete__(self, client: Any) -> None:
        try:
            del vars(client)[self._name]
        except KeyError:
            raise AttributeError(self._name) from None
        self._tell(client)

    def _tell(self, client: Any) -> None:
        client._ox_observe()
        client._ox_engine.forget_topics()


def overridable(method: F) -> F:
    """The method for the body of the class."""
    return cast("F", _Overridable(method))
