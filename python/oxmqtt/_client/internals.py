"""The private names of paho's client that programs reach into, each with who does.

Everything here acts on the engine; nothing in oxmqtt itself needs it. Private names that oxmqtt's own
code uses the way paho does (``_sock``, ``_loop``, ``_create_socket``, ``_thread``, ...) are where
that code is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..enums import LogLevel, MessageState, MessageType, MQTTErrorCode
from .callbacks import NAMES as _CALLBACKS
from .sockets import waker_pair
from .state import ClientState

if TYPE_CHECKING:
    import socket

    from .._native import Engine, MQTTMessage, MQTTMessageInfo


class Mutex:
    """One of paho's locks, made when somebody asks. Home Assistant replaces them, ThingsBoard and tests hold
    them around other private names. The engine has its own lock, so these guard nothing.

    It is no ``__getattr__`` of the client, which would make every look-up of a method slower.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, client: object | None, owner: type | None = None) -> Any:
        if client is None:
            return self
        return vars(client).setdefault(self._name, threading.RLock())


def _observe(client: ClientState) -> None:
    client._observe_callbacks()


#: Attributes whose change has to reach the engine at once: Flask-MQTT and asyncio-paho write options
#: this way, ThingsBoard the limits, tests the callback slots and the methods.
_EFFECTS: dict[str, Callable[[Any], None]] = {
    "_protocol": lambda client: client._engine.configure(version=int(client._protocol)),
    "_manual_ack": lambda client: client._engine.configure(manual_ack=bool(client._manual_ack)),
    "_max_inflight_messages": lambda client: client._engine.configure(
        max_inflight=client._max_inflight_messages
    ),
    "_max_queued_messages": lambda client: client._engine.configure(
        max_queued=client._max_queued_messages
    ),
    "_max_packet_size": lambda client: client._engine.configure(
        max_packet_size=client.max_packet_size
    ),
    "_handle_on_message": lambda client: client._engine.forget_topics(),
    "_dialling": lambda client: client._engine.configure(dialling=client._dialling),
    "_thread": lambda client: client._engine.configure(threaded=client._thread is not None),
    **dict.fromkeys(
        (
            "_logger",
            "_easy_log",
            "_do_on_publish",
            "_mid_generate",
            "_on_event_loop",
            *("_" + name for name in _CALLBACKS),
        ),
        _observe,
    ),
}


class Messages(Mapping[int, "MQTTMessage"]):
    """Messages by packet identifier, as they are at the moment of each look.

    Scripts wait until it is empty, count it, or list it before they exit.
    """

    def __init__(self, messages: Callable[[], list[MQTTMessage]]) -> None:
        self._messages = messages

    def _now(self) -> dict[int, MQTTMessage]:
        return {message.mid: message for message in self._messages()}

    def __getitem__(self, mid: int) -> MQTTMessage:
        return self._now()[mid]

    def __iter__(self) -> Iterator[int]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._messages())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._now()!r})"


class OutMessages(Messages):
    """The QoS 1 and 2 messages on their way out; ThingsBoard's client clears them."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.unfinished_messages)
        self._engine = engine

    def __len__(self) -> int:
        return self._engine.unfinished

    def clear(self) -> None:
        """Takes them all back, as ``drop_out_messages()`` does."""
        self._engine.drop_unfinished()


class InMessages(Messages):
    """The QoS 2 messages that arrived and that the broker has not released.

    Their ``mid`` and ``state`` only: topic and payload went to ``on_message`` with the PUBLISH.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(self._unreleased)
        self._engine = engine

    def _unreleased(self) -> list[MQTTMessage]:
        from .._native import MQTTMessage

        messages = []
        for mid, acknowledged in self._engine.unreleased():
            message = MQTTMessage(mid)
            message.qos = 2
            message.state = (
                MessageState.MQTT_MS_WAIT_FOR_PUBREL
                if acknowledged
                else MessageState.MQTT_MS_SEND_PUBREC
            )
            messages.append(message)
        return messages

    def __len__(self) -> int:
        return len(self._engine.unreleased())

    def clear(self) -> None:
        """Has no effect: forgetting one would deliver it twice."""


class OutPackets(Sequence[bytes]):
    """The QoS 0 messages that the transport has not taken, other packets counted as one.

    Programs watch the length for back-pressure. Loops of their own take the first packet and put it
    back, to see whether to wait for writing: they never have to, so for them there is none.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __len__(self) -> int:
        return self._engine.unsent_packets

    def __getitem__(self, index: Any) -> Any:
        raise IndexError("the packets are inside the engine")

    def popleft(self) -> bytes:
        """:raises IndexError: always."""
        raise IndexError("the packets are inside the engine")

    pop = popleft

    def append(self, packet: object) -> None:
        """Has no effect: nothing can be put back that was never taken."""

    appendleft = append

    def clear(self) -> None:
        """Has no effect: what was encoded for a connection ends with it."""


class Internals(ClientState):
    """What subclasses override and programs read, beside paho's documented API."""

    if not TYPE_CHECKING:  # to a type checker, every name would exist

        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            effect = _EFFECTS.get(name)
            if effect is not None:
                effect(self)

        def __delattr__(self, name):
            super().__delattr__(name)
            effect = _EFFECTS.get(name)
            if effect is not None:
                effect(self)

    _callback_mutex = Mutex()
    _in_callback_mutex = Mutex()
    _in_message_mutex = Mutex()
    _mid_generate_mutex = Mutex()
    _msgtime_mutex = Mutex()
    _out_message_mutex = Mutex()
    _reconnect_delay_mutex = Mutex()

    @property
    def _out_messages(self) -> OutMessages:
        return OutMessages(self._engine)

    @_out_messages.setter
    def _out_messages(self, messages: Mapping[int, MQTTMessage]) -> None:
        """Programs empty it this way too; messages that are put in go nowhere."""
        self._engine.drop_unfinished()

    @property
    def _in_messages(self) -> InMessages:
        return InMessages(self._engine)

    @_in_messages.setter
    def _in_messages(self, messages: Mapping[int, MQTTMessage]) -> None:
        """Has no effect: forgetting one would deliver it twice."""

    @property
    def _out_packet(self) -> OutPackets:
        return OutPackets(self._engine)

    @_out_packet.setter
    def _out_packet(self, packets: object) -> None:
        """Has no effect: what was encoded for a connection ends with it."""

    @property
    def _inflight_messages(self) -> int:
        return self._engine.in_flight

    @_inflight_messages.setter
    def _inflight_messages(self, count: int) -> None:
        """Has no effect: the engine counts."""

    def _last_move(self, sent: bool) -> float:
        idle = self._engine.idle
        return time.monotonic() - (idle[sent] if idle is not None else 0.0)

    @property
    def _last_bytes_received(self) -> float:
        """When bytes came, by ``time.monotonic()``: health checks look at it."""
        return self._last_move(sent=False)

    @_last_bytes_received.setter
    def _last_bytes_received(self, at: float) -> None:
        """Has no effect: the engine keeps the connection alive."""

    #: The name of the same before paho-mqtt 2.2.
    _last_msg_in = _last_bytes_received

    @property
    def _last_msg_out(self) -> float:
        """When bytes were sent."""
        return self._last_move(sent=True)

    @_last_msg_out.setter
    def _last_msg_out(self, at: float) -> None:
        """Has no effect either."""

    @property
    def _last_mid(self) -> int:
        return self._engine.last_packet_id

    @_last_mid.setter
    def _last_mid(self, mid: int) -> None:
        self._engine.continue_after(mid)

    def _waker_end(self, name: str) -> Any:
        given = vars(self).get(name)
        if given is not None or (self._sock is None and self._thread is None):
            return given
        pair = vars(self).get("_waker_pair")
        if pair is None:  # two threads may come here, and get the same
            pair = vars(self).setdefault("_waker_pair", waker_pair(self._engine))
        return pair[name]

    @property
    def _sockpairR(self) -> socket.socket | None:
        """Readable when somebody wrote to the other end: loops of programs wait on it too."""
        end: socket.socket | None = self._waker_end("_sockpairR")
        return end

    @_sockpairR.setter
    def _sockpairR(self, end: socket.socket | None) -> None:
        vars(self)["_sockpairR"] = end

    @property
    def _sockpairW(self) -> socket.socket | None:
        """A byte written to it wakes the loop, whether that is ours or the program's."""
        end: socket.socket | None = self._waker_end("_sockpairW")
        return end

    @_sockpairW.setter
    def _sockpairW(self, end: socket.socket | None) -> None:
        vars(self)["_sockpairW"] = end

    def _packet_queue(
        self,
        command: int,
        packet: bytes | bytearray,
        mid: int,
        qos: int,
        info: MQTTMessageInfo | None = None,
    ) -> MQTTErrorCode:
        """Sends a packet as it is. Programs override it to rewrite CONNECT; other packets of the
        client's own do not come this way.
        """
        if command & 0xF0 == MessageType.CONNECT:
            self._connect_packet = bytes(packet)
        elif not self._engine.send_own_packet(bytes(packet)):
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _rewritten_connect(self, packet: bytes) -> bytes:
        self._connect_packet = packet
        self._packet_queue(MessageType.CONNECT, packet, 0, 0)
        return self._connect_packet

    def _send_pingreq(self) -> MQTTErrorCode:
        """Sends PINGREQ, for programs that want to be sure. The engine pings by itself."""
        self._easy_log(LogLevel.MQTT_LOG_DEBUG, "Sending PINGREQ")
        return self._packet_queue(MessageType.PINGREQ, b"\xc0\0", 0, 0)

    def _mid_generate(self) -> int:
        """The next packet identifier; tests replace it, programs override it."""
        return self._engine.next_packet_id()

    def _take_own_mid(self) -> None:
        """Lets the packet that follows have the identifier of an overridden ``_mid_generate``."""
        self._engine.continue_after(self._mid_generate() - 1)

    def _call_socket_register_write(self) -> None:
        """Has no effect: the engine writes. Programs patch it and its counterpart away."""

    def _call_socket_unregister_write(self, sock: object = None) -> None:
        """Has no effect either."""

    def _reset_sockets(self, sockpair_only: bool = False) -> None:
        """Gives all descriptors back; programs call it after ``loop_stop()``."""
        if not sockpair_only:
            self._sock_close()
        own = vars(self)
        pair = own.pop("_waker_pair", {})
        for end in (own.pop("_sockpairR", None), own.pop("_sockpairW", None), *pair.values()):
            if end is not None:
                end.close()
        self._release_descriptor()
