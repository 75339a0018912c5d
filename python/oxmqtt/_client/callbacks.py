"""The callbacks of a client: properties, decorators, and callbacks per topic filter."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ..enums import LogLevel
from ..matcher import MQTTMatcher
from .greenlets import threads_are_greenlets
from .log import LOGGING_LEVEL
from .running_calls import RunningCalls
from .state import ClientState

if TYPE_CHECKING:
    from typing import Generic, TypeVar

    from .types import (
        CallbackOnConnect,
        CallbackOnConnectFail,
        CallbackOnDisconnect,
        CallbackOnLog,
        CallbackOnMessage,
        CallbackOnPreConnect,
        CallbackOnPublish,
        CallbackOnSocket,
        CallbackOnSubscribe,
        CallbackOnUnsubscribe,
    )

    F = TypeVar("F", bound=Callable[..., Any])
    Log = TypeVar("Log", bound=CallbackOnLog)
    PreConnect = TypeVar("PreConnect", bound=CallbackOnPreConnect)
    Connect = TypeVar("Connect", bound=CallbackOnConnect)
    ConnectFail = TypeVar("ConnectFail", bound=CallbackOnConnectFail)
    Subscribe = TypeVar("Subscribe", bound=CallbackOnSubscribe)
    Message = TypeVar("Message", bound=CallbackOnMessage)
    Publish = TypeVar("Publish", bound=CallbackOnPublish)
    Unsubscribe = TypeVar("Unsubscribe", bound=CallbackOnUnsubscribe)
    Disconnect = TypeVar("Disconnect", bound=CallbackOnDisconnect)
    Socket = TypeVar("Socket", bound=CallbackOnSocket)

    class Slot(Generic[F]):
        """The property that :func:`_slot` makes, as type checkers see it."""

        def __get__(self, client: object, owner: type | None = None) -> F | None: ...

        def __set__(self, client: object, func: F | None) -> None: ...


NAMES: tuple[str, ...] = (
    "on_log",
    "on_pre_connect",
    "on_connect",
    "on_connect_fail",
    "on_subscribe",
    "on_message",
    "on_publish",
    "on_unsubscribe",
    "on_disconnect",
    "on_socket_open",
    "on_socket_close",
    "on_socket_register_write",
    "on_socket_unregister_write",
)


def _slot(name: str, doc: str) -> Any:
    """A property that keeps its callback in the attribute ``_<name>``, where programs look for it."""
    attribute = "_" + name

    def assign(self: Callbacks, func: Callable[..., Any] | None) -> None:
        setattr(self, attribute, func)

    return property(attrgetter(attribute), assign, doc=doc)


class TopicCallbacks(MQTTMatcher):
    """Callbacks per topic filter; a change reaches the engine's topic cache at once."""

    def __init__(self, client: ClientState) -> None:
        super().__init__()
        self._forget_topics = client._engine.forget_topics

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._forget_topics()

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._forget_topics()


class Callbacks(ClientState):
    """Callbacks run on the thread that runs the loop, one at a time, with no lock held.

    They are looked up when they are called, so a subclass may define them as methods.
    ``userdata`` is what the constructor or :meth:`user_data_set` got.
    """

    def _init_callbacks(self) -> None:
        vars(self).update({"_" + name: None for name in NAMES if name != "on_message"})
        self._on_message = None
        if "_calling" not in vars(self):  # else a callback may have called reinitialise()
            self._calling = RunningCalls()
            self._deferred = []
            self._seat = {}
        self._on_message_filtered = TopicCallbacks(self)

    def _is_own(self, method: str) -> bool:
        """Whether the program has put a method of its own in the place of this one."""
        return not getattr(self, method).__module__.startswith(f"{__package__}.")

    def _is_logged(self) -> bool:
        """Whether anybody wants a line for each packet; a logger may change its mind between connections."""
        debug = LOGGING_LEVEL[LogLevel.MQTT_LOG_DEBUG]
        by_logger = self._logger is not None and bool(self._logger.isEnabledFor(debug))
        return self.on_log is not None or by_logger or self._is_own("_easy_log")

    def _observe_callbacks(self) -> None:
        """Tells the engine which events have a listener."""
        self._has_own_on_publish = self._is_own("_do_on_publish")
        is_reported = self.on_publish is not None or self._has_own_on_publish
        self._engine.configure(
            trace=self._is_logged(),
            report_acked=is_reported or self._on_event_loop,
            report_sent=is_reported,
            event_driven=self.on_socket_register_write is not None or self._on_event_loop,
            on_message_is_method=type(self).on_message is not Callbacks.on_message,
            own_mids=self._is_own("_mid_generate"),
            cooperative=threads_are_greenlets(),
            awaits_callbacks=self._on_event_loop,
        )

    on_log: Slot[CallbackOnLog] = _slot(
        "on_log",
        """``on_log(client, userdata, level, buf)``: a line of the client's log.

        ``level`` is one of ``MQTT_LOG_*``, ``buf`` the text. Its exceptions are swallowed.""",
    )
    on_pre_connect: Slot[CallbackOnPreConnect] = _slot(
        "on_pre_connect",
        """``on_pre_connect(client, userdata)``: before each dialling, so credentials can change.""",
    )
    on_connect: Slot[CallbackOnConnect] = _slot(
        "on_connect",
        """CONNACK came (OASIS MQTT 5.0, clause 3.2).

        Version 2: ``on_connect(client, userdata, connect_flags, reason_code, properties)`` with a
        :class:`ConnectFlags`, a :class:`ReasonCode` (failure if the broker refused) and properties.
        Version 1: ``on_connect(client, userdata, flags, rc)`` with a dict and the return code for
        MQTT 3.x, and ``(client, userdata, flags, reason_code, properties)`` for MQTT 5.0.""",
    )
    on_connect_fail: Slot[CallbackOnConnectFail] = _slot(
        "on_connect_fail",
        """``on_connect_fail(client, userdata)``: the loop could not reach the broker.""",
    )
    on_subscribe: Slot[CallbackOnSubscribe] = _slot(
        "on_subscribe",
        """SUBACK came (clause 3.9).

        Version 2: ``on_subscribe(client, userdata, mid, reason_code_list, properties)``, one reason
        code per filter. Version 1 with MQTT 3.x: ``(client, userdata, mid, granted_qos)``, a tuple
        of the granted QoS, 128 for a failure.""",
    )
    on_message: Slot[CallbackOnMessage] = _slot(
        "on_message",
        """``on_message(client, userdata, message)``: a message that no filter callback took.""",
    )
    on_publish: Slot[CallbackOnPublish] = _slot(
        "on_publish",
        """A publish is through (clauses 4.3.1 to 4.3.3).

        Version 2: ``on_publish(client, userdata, mid, reason_code, properties)``; a failure code
        means that the broker refused the message. Version 1: ``(client, userdata, mid)``.""",
    )
    on_unsubscribe: Slot[CallbackOnUnsubscribe] = _slot(
        "on_unsubscribe",
        """UNSUBACK came (clause 3.11).

        Version 2: ``on_unsubscribe(client, userdata, mid, reason_code_list, properties)``; the list
        is empty for MQTT 3.x. Version 1: ``(client, userdata, mid)``, and for MQTT 5.0
        ``(client, userdata, mid, properties, reason_codes)`` with a bare code for a single filter.""",
    )
    on_disconnect: Slot[CallbackOnDisconnect] = _slot(
        "on_disconnect",
        """The connection ended, by either side.

        Version 2: ``on_disconnect(client, userdata, disconnect_flags, reason_code, properties)``.
        Version 1: ``(client, userdata, rc)``, and for MQTT 5.0
        ``(client, userdata, reason_code, properties)``.""",
    )
    on_socket_open: Slot[CallbackOnSocket] = _slot(
        "on_socket_open",
        """``on_socket_open(client, userdata, sock)``: watch ``sock`` for reading in an external loop.""",
    )
    on_socket_close: Slot[CallbackOnSocket] = _slot(
        "on_socket_close",
        """``on_socket_close(client, userdata, sock)``: stop watching ``sock``; it is about to close.""",
    )
    on_socket_register_write: Slot[CallbackOnSocket] = _slot(
        "on_socket_register_write",
        """``on_socket_register_write(client, userdata, sock)``: paho waits for writing here.

        The engine writes by itself, so this is never called. A client that has it is driven by an
        event loop: its :meth:`publish` never waits for the connection.""",
    )
    on_socket_unregister_write: Slot[CallbackOnSocket] = _slot(
        "on_socket_unregister_write",
        """``on_socket_unregister_write(client, userdata, sock)``: the counterpart, never called.""",
    )

    def _decorator(self, name: str) -> Callable[[F], F]:
        def decorate(func: F) -> F:
            setattr(self, name, func)
            return func

        return decorate

    def log_callback(self) -> Callable[[Log], Log]:
        """Decorator that sets :attr:`on_log`."""
        return self._decorator("on_log")

    def pre_connect_callback(self) -> Callable[[PreConnect], PreConnect]:
        """Decorator that sets :attr:`on_pre_connect`."""
        return self._decorator("on_pre_connect")

    def connect_callback(self) -> Callable[[Connect], Connect]:
        """Decorator that sets :attr:`on_connect`."""
        return self._decorator("on_connect")

    def connect_fail_callback(self) -> Callable[[ConnectFail], ConnectFail]:
        """Decorator that sets :attr:`on_connect_fail`."""
        return self._decorator("on_connect_fail")

    def subscribe_callback(self) -> Callable[[Subscribe], Subscribe]:
        """Decorator that sets :attr:`on_subscribe`."""
        return self._decorator("on_subscribe")

    def message_callback(self) -> Callable[[Message], Message]:
        """Decorator that sets :attr:`on_message`."""
        return self._decorator("on_message")

    def publish_callback(self) -> Callable[[Publish], Publish]:
        """Decorator that sets :attr:`on_publish`."""
        return self._decorator("on_publish")

    def unsubscribe_callback(self) -> Callable[[Unsubscribe], Unsubscribe]:
        """Decorator that sets :attr:`on_unsubscribe`."""
        return self._decorator("on_unsubscribe")

    def disconnect_callback(self) -> Callable[[Disconnect], Disconnect]:
        """Decorator that sets :attr:`on_disconnect`."""
        return self._decorator("on_disconnect")

    def socket_open_callback(self) -> Callable[[Socket], Socket]:
        """Decorator that sets :attr:`on_socket_open`."""
        return self._decorator("on_socket_open")

    def socket_close_callback(self) -> Callable[[Socket], Socket]:
        """Decorator that sets :attr:`on_socket_close`."""
        return self._decorator("on_socket_close")

    def socket_register_write_callback(self) -> Callable[[Socket], Socket]:
        """Decorator that sets :attr:`on_socket_register_write`."""
        return self._decorator("on_socket_register_write")

    def socket_unregister_write_callback(self) -> Callable[[Socket], Socket]:
        """Decorator that sets :attr:`on_socket_unregister_write`."""
        return self._decorator("on_socket_unregister_write")

    def message_callback_add(self, sub: str, callback: CallbackOnMessage) -> None:
        """Registers a callback for the messages that match a topic filter.

        All callbacks whose filters match are called; :attr:`on_message` gets what matches none.
        A filter has one callback: a second one replaces it.

        :raises ValueError: ``sub`` or ``callback`` is None.
        """
        if callback is None or sub is None:
            raise ValueError("sub and callback must both be defined.")
        self._on_message_filtered[sub] = callback

    def message_callback_remove(self, sub: str) -> None:
        """Removes the callback of a topic filter, if there is one.

        :raises ValueError: ``sub`` is None.
        """
        if sub is None:
            raise ValueError("sub must defined.")
        try:
            del self._on_message_filtered[sub]
        except KeyError:
            pass

    def topic_callback(self, sub: str) -> Callable[[Message], Message]:
        """Decorator form of :meth:`message_callback_add`."""

        def decorate(func: Message) -> Message:
            self.message_callback_add(sub, func)
            return func

        return decorate

    def user_data_set(self, userdata: Any) -> None:
        """Sets the ``userdata`` that callbacks get."""
        self._userdata = userdata

    def user_data_get(self) -> Any:
        """The ``userdata`` that callbacks get."""
        return self._userdata
