"""Messages on their way in: consumers, and who waits for what."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from functools import partial
from typing import Any

from .._native import Consumer, Message
from ._connection import Connection


class MessagesIterator(Consumer):
    """The messages that arrive, for ``async for``; ``len()`` counts those that wait.

    Several may be used at once: each message goes to one of them.  A QoS 1 or 2 message is acknowledged
    when its consumer asks for the next one.
    """

    def __new__(cls, client: Receiving) -> MessagesIterator:
        iterator = super().__new__(cls, client._mailbox)
        iterator._client = client
        return iterator

    _client: Receiving

    def __aiter__(self) -> MessagesIterator:
        return self

    async def __anext__(self) -> Message:
        """The next message.

        :raises MqttError: there is no connection, and no message is left of it.
        """
        queue = self._client._queue
        if queue is not None:
            return await self._client._take_from(queue)
        while True:
            message = self.take()
            if message is not None:
                return message
            await self._client._wait_for_message()

    def __len__(self) -> int:
        queue = self._client._queue
        return super().__len__() + (0 if queue is None else queue.qsize())


class BatchesIterator(Consumer):
    """The messages that arrive, for ``async for``, in lists of what is there.

    The messages of a list are acknowledged when its consumer asks for the next one.
    """

    def __new__(cls, client: Receiving, most: int) -> BatchesIterator:
        iterator = super().__new__(cls, client._mailbox)
        iterator._client = client
        iterator._most = most
        return iterator

    _client: Receiving
    _most: int

    def __aiter__(self) -> BatchesIterator:
        return self

    async def __anext__(self) -> list[Message]:
        """The next messages, one at least.

        :raises MqttError: there is no connection, and no message is left of it.
        """
        while True:
            batch = self.take_batch(self._most)
            if batch:
                return batch
            await self._client._wait_for_message()


class Receiving(Connection):
    """``messages``, ``batches`` and ``ack``."""

    def _init_receiving(self, queue_type: Any, most_waiting: int) -> None:
        self._consumers: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        #: The program's own queue: messages are put into it as long as it takes them.
        self._queue: asyncio.Queue[Message] | None = None
        self._make_queue = None if queue_type is None else partial(queue_type, maxsize=most_waiting)

    def _open_queue(self) -> None:
        """Not before there is an event loop: up to Python 3.9 a queue needs one."""
        if self._queue is None and self._make_queue is not None:
            self._queue = self._make_queue()
            self._filler = Consumer(self._mailbox)

    @property
    def messages(self) -> MessagesIterator:
        """An iterator over the messages that arrive."""
        return MessagesIterator(self)

    def batches(self, max: int = 1000) -> BatchesIterator:
        """An iterator over the messages that arrive, in lists of at most ``max``.

        They go past a ``queue_type``.

        :raises ValueError: ``max`` is less than 1.
        """
        if max < 1:
            raise ValueError("max must be at least 1")
        return BatchesIterator(self, max)

    async def ack(self, message: Message) -> None:
        """Acknowledges a message, for clients with ``manual_ack``: PUBACK for QoS 1, PUBREC for QoS 2
        (OASIS MQTT 5.0, clauses 4.3.2 and 4.3.3).

        In any order [MQTT-4.6.0-2]; one of QoS 1 that came by an earlier connection will come again.
        """
        self._mailbox.acknowledge(message)

    async def _wait_for_message(self) -> None:
        if len(self._mailbox):
            return
        if self._loop is None or self._lost is not None:
            raise self._disconnected("Disconnected during message iteration")
        consumer = self._loop.create_future()
        self._consumers[consumer] = None
        try:
            await consumer
        except asyncio.CancelledError:
            if consumer.done() and not consumer.cancelled():
                self._on_drained()  # the message is another's
            else:
                self._consumers.pop(consumer, None)
            raise

    async def _take_from(self, queue: asyncio.Queue[Message]) -> Message:
        while queue.empty():
            self._fill(queue)
            if queue.empty():
                await self._wait_for_message()
        message = queue.get_nowait()
        self._fill(queue)
        return message

    def _fill(self, queue: asyncio.Queue[Message]) -> None:
        while not queue.full():
            message = self._filler.take()
            if message is None:
                return
            queue.put_nowait(message)

    def _on_drained(self) -> None:
        waiting = len(self._mailbox)
        if waiting and self._queue is not None:
            self._fill(self._queue)
        while waiting and self._consumers:
            consumer, _ = self._consumers.popitem(last=False)
            if not consumer.done():
                consumer.set_result(None)
                waiting -= 1

    def _wake_consumers(self) -> None:
        while self._consumers:
            consumer, _ = self._consumers.popitem(last=False)
            if not consumer.done():
                consumer.set_result(None)
