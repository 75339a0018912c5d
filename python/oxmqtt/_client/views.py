"""What stands behind private names of paho's for messages and packets: live looks at the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..enums import MessageState

if TYPE_CHECKING:
    from .._native import Engine, MQTTMessage


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
