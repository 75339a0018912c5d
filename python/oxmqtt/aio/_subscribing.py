"""Subscriptions, remembered for connections that are made again."""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from ..enums import MQTTErrorCode
from ..reasoncodes import ReasonCode
from ..subscribeoptions import SubscribeOptions
from ._connection import Connection, weakly
from .exceptions import MqttCodeError, MqttError

if TYPE_CHECKING:
    from ..properties import Properties

SubscribeTopic = Union[
    str, tuple[str, SubscribeOptions], list[tuple[str, SubscribeOptions]], list[tuple[str, int]]
]


#: SUBSCRIBEs that may be without an answer while subscriptions are renewed.
_AT_ONCE = 20


class Call:
    """A SUBSCRIBE: what goes out in one packet goes out in one again. Brokers limit its size, and some
    the number of its filters.
    """

    def __init__(self, properties: Properties | None) -> None:
        self.properties = properties


class Subscription(NamedTuple):
    """What was asked for with a topic filter."""

    option: SubscribeOptions | int
    call: Call


#: Gets the reason codes of an answer, whether or not anybody still waits for it.
Granted = Callable[[list[ReasonCode]], None]


class Request(NamedTuple):
    """A SUBSCRIBE or UNSUBSCRIBE on its way."""

    granted: Granted
    #: The coroutine's that waits for the answer, if one does.
    answer: asyncio.Future[list[ReasonCode]] | None


class Subscribing(Connection):
    """``subscribe`` and ``unsubscribe``."""

    def _init_subscribing(self) -> None:
        self._client.on_subscribe = weakly(self._on_answer)
        self._client.on_unsubscribe = weakly(self._on_answer)
        #: By packet identifier.
        self._requests: dict[int, Request] = {}
        #: By topic filter.
        self._subscriptions: dict[str, Subscription] = {}
        #: The topic filters of calls that have yet to be made again.
        self._to_renew: deque[list[str]] = deque()

    async def subscribe(
        self,
        /,
        topic: SubscribeTopic,
        qos: int = 0,
        options: SubscribeOptions | None = None,
        properties: Properties | None = None,
        *,
        timeout: float | None = None,
    ) -> list[ReasonCode]:
        """Subscribes to one topic filter or several (OASIS MQTT 5.0, clause 3.8).

        :param topic: a filter; a tuple ``(filter, SubscribeOptions)``; or a list of ``(filter, qos)`` or
            ``(filter, SubscribeOptions)``.
        :param qos: 0, 1 or 2, for a filter alone.
        :param options: with MQTT 5.0, in place of ``qos``.
        :param properties: MQTT 5.0 properties of the SUBSCRIBE.
        :param timeout: seconds, in place of the client's.
        :returns: the broker's reason code for each filter: the granted QoS, or a failure.
        :raises MqttCodeError: there is no connection.
        :raises MqttError: the connection was lost, or the time is up.
        :raises ValueError: a filter, QoS or option is not valid.
        """
        properties = copy.copy(properties)  # the caller may go on to change them
        call = Call(properties)
        filters: list[Any] = list(topic) if isinstance(topic, list) else [topic]

        def granted(codes: list[ReasonCode]) -> None:
            for given, code in zip(filters, codes):
                name, option = given if isinstance(given, tuple) else (given, options or qos)
                if not code.is_failure:
                    self._subscriptions[name] = Subscription(option, call)

        return await self._request(
            lambda: self._client.subscribe(topic, qos, options, properties),
            granted,
            "Could not subscribe to topic",
            timeout,
        )

    async def unsubscribe(
        self,
        /,
        topic: str | list[str],
        properties: Properties | None = None,
        *,
        timeout: float | None = None,
    ) -> list[ReasonCode]:
        """Unsubscribes from one topic filter or a list of them (OASIS MQTT 5.0, clause 3.10).

        :returns: the broker's reason code for each filter; nothing under MQTT 3.x.
        :raises MqttCodeError: there is no connection.
        :raises MqttError: the connection was lost, or the time is up.
        :raises ValueError: a filter is not valid.
        """
        names = list(topic) if isinstance(topic, list) else [topic]

        def granted(codes: list[ReasonCode]) -> None:
            for name, code in zip_longest(names, codes):  # none under MQTT 3.x
                if code is None or not code.is_failure:
                    self._subscriptions.pop(name, None)

        return await self._request(
            lambda: self._client.unsubscribe(topic, properties),
            granted,
            "Could not unsubscribe from topic",
            timeout,
        )

    async def _request(
        self, send: Any, granted: Granted, failure: str, timeout: float | None
    ) -> list[ReasonCode]:
        calls = self._outgoing_calls_sem
        if calls is not None:
            await calls.acquire()
        try:
            return await self._wait_for(self._ask(send, granted, failure), timeout)
        finally:
            if calls is not None:
                calls.release()

    async def _ask(self, send: Any, granted: Granted, failure: str) -> list[ReasonCode]:
        while True:
            rc, mid = send()
            if rc == MQTTErrorCode.MQTT_ERR_NO_CONN and await self._next_connection():
                continue
            if rc != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
                raise MqttCodeError(rc, failure) from self._lost
            assert self._loop is not None
            answer: asyncio.Future[list[ReasonCode]] = self._loop.create_future()
            self._requests[mid] = Request(granted, answer)
            self._mailbox.await_answers(1)
            try:
                return await answer
            except _ConnectionLost:
                if self._lost is not None:
                    raise self._disconnected("Disconnected before the broker answered") from None
            finally:
                self._mailbox.await_answers(-1)

    def _on_answer(
        self, client: Any, userdata: Any, mid: int, reason_codes: Any, properties: Any
    ) -> None:
        request = self._requests.pop(mid, None)
        if request is None:
            return
        request.granted(reason_codes)
        if request.answer is not None and not request.answer.done():
            request.answer.set_result(reason_codes)

    def _forget_requests(self) -> None:
        super()._forget_requests()
        for request in self._requests.values():
            if request.answer is not None and not request.answer.done():
                request.answer.set_exception(_ConnectionLost())
        self._requests.clear()

    def _renew_subscriptions(self, is_first: bool) -> None:
        """The broker has a new session: asks it again, call by call, for everything that was subscribed
        since the client was entered.
        """
        if is_first:
            self._subscriptions.clear()
        calls: dict[Call, list[str]] = {}
        for name, subscription in self._subscriptions.items():
            calls.setdefault(subscription.call, []).append(name)
        self._to_renew = deque(calls.values())
        for _ in range(_AT_ONCE):
            self._renew_next()

    def _renew_next(self) -> None:
        """Makes one call again; one that is too large by now, in halves."""
        while self._to_renew and self._lost is None:
            names = [name for name in self._to_renew.popleft() if name in self._subscriptions]
            if not names:  # unsubscribed meanwhile
                continue
            options: Any = [(name, self._subscriptions[name].option) for name in names]
            properties = self._subscriptions[names[0]].call.properties
            rc, mid = self._client.subscribe(options, properties=properties)
            if mid is not None:
                self._requests[mid] = Request(partial(self._renewed, names), None)
                return
            if rc == MQTTErrorCode.MQTT_ERR_PAYLOAD_SIZE and len(names) > 1:
                middle = len(names) // 2
                self._to_renew.extendleft((names[middle:], names[:middle]))
            elif (
                rc != MQTTErrorCode.MQTT_ERR_NO_CONN
            ):  # else they are renewed on the next connection
                self._give_up(
                    MqttError(f"Could not subscribe to {names} again: {MqttCodeError(rc)}")
                )

    def _renewed(self, names: list[str], codes: list[ReasonCode]) -> None:
        for name, code in zip(names, codes):
            if code.is_failure:
                return self._give_up(MqttError(f"Could not subscribe to {name!r} again: {code}"))
        self._renew_next()


class _ConnectionLost(Exception):
    """The connection that a request was sent on is gone."""
