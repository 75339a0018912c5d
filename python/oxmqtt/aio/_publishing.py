"""Messages on their way out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from .._client.codes import reason_code
from ..packettypes import PacketTypes
from ..reasoncodes import ReasonCode
from ._connection import Connection
from .exceptions import MqttCodeError

if TYPE_CHECKING:
    from .._client.types import PayloadType
    from ..properties import Properties

#: Messages that ``publish_many()`` hands over at once; two times as many may be without an answer.
_AT_ONCE = 1000

_SUCCESS = reason_code(PacketTypes.PUBACK, 0)


def _outcome(code: int) -> ReasonCode:
    if code == 0:
        return _SUCCESS
    reason = reason_code(PacketTypes.PUBACK, code)
    if reason.is_failure:
        raise MqttCodeError(reason, "The broker refused the message")
    return reason


class Publishing(Connection):
    """``publish`` and ``publish_many``."""

    #: A warning is logged, once, when more calls than this wait for the broker.
    pending_calls_threshold: int
    _is_warned = False

    async def publish(
        self,
        /,
        topic: str,
        payload: PayloadType = None,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
        *,
        timeout: float | None = None,
    ) -> ReasonCode:
        """Publishes a message, and waits until the broker has it, for QoS 1 and 2.

        A QoS 0 message is on its way when this returns; it waits only while too much is unsent.  Where
        connections are made again, a QoS 1 or 2 message waits for the next one.  A call that is
        cancelled or takes too long has published its message all the same.

        :param topic: the topic name, without wildcards.
        :param payload: bytes, bytearray, str (sent as UTF-8), int or float (in decimal), or None.
        :param qos: 0, 1 or 2.
        :param retain: whether the broker keeps the message for later subscribers.
        :param properties: MQTT 5.0 properties of the PUBLISH.
        :param timeout: seconds, in place of the client's.
        :returns: the broker's reason code, such as "No matching subscribers" (OASIS MQTT 5.0, clause
            3.4.2.1).
        :raises MqttCodeError: there is no connection, the queue is full, the message exceeds what the
            broker allows, or the broker refused it.
        :raises MqttError: the connection was lost, or the time is up.
        :raises ValueError: topic, QoS or size are not valid.
        :raises TypeError: the payload has another type.
        """
        calls = self._outgoing_calls_sem
        if calls is not None:
            await calls.acquire()
        try:
            if timeout is None:
                timeout = self.timeout
            pending = self._mailbox.publish(topic, payload, qos, retain, properties, timeout)
            if pending is None:
                return _SUCCESS
            self._watch_pending()
            return _outcome(await pending)
        except MqttCodeError as error:
            raise error from self._lost
        finally:
            if calls is not None:
                calls.release()

    async def publish_many(
        self,
        messages: Iterable[tuple[str, PayloadType]] | AsyncIterable[tuple[str, PayloadType]],
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Publishes ``(topic, payload)`` pairs; returns when the broker has them all, for QoS 1 and 2.

        The messages are taken as there is room for them, so they may come from a generator without end.

        :param timeout: seconds for each thousand of them.
        :raises MqttCodeError: as :meth:`publish`; the other messages are published all the same, up to
            those that were not taken yet.
        """
        seconds = self.timeout if timeout is None else timeout
        options = (qos, retain, properties, seconds)
        before: asyncio.Future[int] | None = None
        try:
            async for chunk in _chunks(messages):
                pending = self._mailbox.publish_many(chunk, *options)
                before, waited_for = pending, before
                if waited_for is not None:
                    _outcome(await waited_for)
                await asyncio.sleep(0)  # others on the loop have their turn
            if before is not None:
                _outcome(await before)
        except MqttCodeError as error:
            raise error from self._lost
        finally:
            if before is not None:
                before.cancel()

    def _watch_pending(self) -> None:
        if not self._is_warned and self._mailbox.pending > self.pending_calls_threshold:
            self._is_warned = True
            self._logger.warning("There are %d pending publish calls.", self._mailbox.pending)


async def _chunks(messages: Any) -> AsyncIterable[list[tuple[str, PayloadType]]]:
    if not isinstance(messages, AsyncIterable):
        iterator: Iterator[Any] = iter(messages)
        while chunk := list(islice(iterator, _AT_ONCE)):
            yield chunk
        return
    chunk = []
    async for message in messages:
        chunk.append(message)
        if len(chunk) == _AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
