"""Request and response (OASIS MQTT 5.0, clause 4.10)."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from typing import TYPE_CHECKING

from .._native import Message
from ..packettypes import PacketTypes
from ..properties import Properties
from ._publishing import Publishing
from ._subscribing import Subscribing
from .exceptions import MqttError

if TYPE_CHECKING:
    from .._client.types import PayloadType


class Requesting(Publishing, Subscribing):
    """``request``."""

    def _init_requesting(self) -> None:
        self._reply_topic: str | None = None
        self._subscribing_for_replies: asyncio.Lock | None = None
        self._correlation = itertools.count(1)
        #: By correlation data.
        self._replies: dict[bytes, asyncio.Future[Message]] = {}

    async def request(
        self,
        topic: str,
        payload: PayloadType = None,
        timeout: float | None = None,
        *,
        qos: int = 0,
        properties: Properties | None = None,
    ) -> Message:
        """Publishes a request and returns the message that answers it.

        The request has a Response Topic of this client's own and Correlation Data.  The responder
        publishes to that topic, with the same Correlation Data.  Answers do not appear in ``messages``.

        :param timeout: seconds for the answer, in place of the client's.
        :param qos: of the request; answers come with the QoS that the responder chooses.
        :param properties: MQTT 5.0 properties of the request; it gets the two named above as well.
        :raises ValueError: the client does not speak MQTT 5.0.
        :raises MqttError: there was no answer in time, or the connection was lost.
        :raises MqttCodeError: the request could not be published.
        """
        if not self._client._ox_settings.is_v5:
            raise ValueError("Requests need MQTT 5.0")
        answered = self._answered(topic, payload, qos, properties)
        return await self._wait_for(answered, timeout)

    async def _answered(
        self, topic: str, payload: PayloadType, qos: int, properties: Properties | None
    ) -> Message:
        request = Properties(PacketTypes.PUBLISH)
        vars(request).update(vars(properties) if properties is not None else {})
        request.ResponseTopic = await self._subscribe_for_replies()
        correlation = next(self._correlation).to_bytes(8, "big")
        request.CorrelationData = correlation
        assert self._loop is not None
        answer: asyncio.Future[Message] = self._loop.create_future()
        self._replies[correlation] = answer
        self._mailbox.await_answers(1)
        try:
            await self.publish(topic, payload, qos, properties=request)
            return await answer
        finally:
            self._mailbox.await_answers(-1)
            del self._replies[correlation]
            answer.cancel()

    async def _subscribe_for_replies(self) -> str:
        if self._subscribing_for_replies is None:
            self._subscribing_for_replies = asyncio.Lock()
        async with self._subscribing_for_replies:
            topic = self._reply_topic or f"oxmqtt/replies/{uuid.uuid4().hex}"
            if topic not in self._subscriptions:
                (code,) = await self.subscribe(topic, 2)
                if code.is_failure:
                    raise MqttError(f"Could not subscribe for answers: {code}")
                self._reply_topic = self._mailbox.reply_topic = topic
        return topic

    def _on_reply(self, message: Message) -> None:
        correlation = getattr(message.properties, "CorrelationData", b"")
        answer = self._replies.get(correlation)
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _forget_requests(self) -> None:
        super()._forget_requests()
        if self._lost is not None:
            self._subscribing_for_replies = None  # the next connection may be on another loop
            for answer in self._replies.values():
                if not answer.done():
                    answer.set_exception(self._disconnected("Disconnected before the answer came"))
