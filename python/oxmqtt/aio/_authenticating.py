"""Enhanced authentication (OASIS MQTT 5.0, clause 4.12), with a coroutine that knows the answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..enums import MQTTErrorCode
from ..packettypes import PacketTypes
from ..properties import Properties
from ._connection import Connection, weakly
from .exceptions import MqttCodeError, MqttError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ..reasoncodes import ReasonCode
    from .settings import Authentication

_CONTINUE = 0x18
_REAUTHENTICATE = 0x19


class Authenticating(Connection):
    """``reauthenticate``, and the answers to AUTH packets."""

    def _init_authenticating(self, authentication: Authentication | None) -> None:
        self._authentication = authentication
        self._answering: set[asyncio.Task[None]] = set()
        self._reauthenticated: asyncio.Future[None] | None = None
        if authentication is None:
            return
        if not self._client._ox_settings.is_v5:
            raise ValueError("Enhanced authentication needs MQTT 5.0")
        self._client._ox_engine.accept_auth()
        self._client._ox_on_auth = weakly(self._on_auth)
        self._client.on_pre_connect = weakly(self._before_reconnect)

    async def reauthenticate(self, timeout: float | None = None) -> None:
        """Authenticates again on the connection that stands (clause 4.12.1).

        :param timeout: seconds, in place of the client's.
        :raises ValueError: the client was made without ``authentication``.
        :raises MqttCodeError: there is no connection.
        :raises MqttError: the broker refused, by ending the connection, or the time is up.
        """
        if self._authentication is None:
            raise ValueError("The client has no authentication")
        await self._wait_for(self._reauthenticate(self._authentication), timeout)

    async def _reauthenticate(self, authentication: Authentication) -> None:
        while self._reauthenticated is not None:  # one exchange at a time, whoever waits for it
            await asyncio.wait({self._reauthenticated})
        if self._loop is None:
            raise MqttCodeError(MQTTErrorCode.MQTT_ERR_NO_CONN, "Could not authenticate")
        done: asyncio.Future[None] = self._loop.create_future()
        done.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._reauthenticated = done
        try:
            data = await self._respond(authentication, None)
            if not self._client._ox_engine.authenticate(_REAUTHENTICATE, data):
                raise MqttCodeError(MQTTErrorCode.MQTT_ERR_NO_CONN, "Could not authenticate")
        except BaseException:
            self._reauthenticated = None
            done.cancel()
            raise
        self._mailbox.await_answers(1)
        try:
            await asyncio.shield(done)
        finally:
            self._mailbox.await_answers(-1)

    @staticmethod
    async def _respond(authentication: Authentication, data: bytes | None) -> bytes | None:
        try:
            return await authentication.respond(data)
        except Exception as error:
            raise MqttError(f"Authentication failed: {error}") from error

    async def _begin_authentication(self) -> None:
        """Puts the method and the first data into the next CONNECT."""
        if self._authentication is None:
            return
        data = await self._respond(self._authentication, None)
        properties = Properties(PacketTypes.CONNECT)
        given = self._target.connect_properties
        vars(properties).update(vars(given) if given is not None else {})
        properties.AuthenticationMethod = self._authentication.method
        if data is not None:
            properties.AuthenticationData = data
        self._client._ox_settings.connect_properties = properties

    async def _end_authentication(self, connack: Any) -> None:
        """The broker's last word may have to be checked too."""
        data = getattr(connack, "AuthenticationData", None)
        if self._authentication is not None and data is not None:
            await self._respond(self._authentication, data)

    def _before_reconnect(self, client: Any, userdata: Any) -> Coroutine[Any, Any, None] | None:
        if self._waits_for_connack is not None:
            return None  # the first connection has begun it already
        return self._guard(self._begin_authentication())

    def _on_auth(self, reason_code: ReasonCode, properties: Any) -> None:
        assert self._loop is not None
        data = getattr(properties, "AuthenticationData", None)
        answer = self._guard(self._answer(reason_code.value, data))
        task = self._loop.create_task(answer)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, code: int, data: bytes | None) -> None:
        assert self._authentication is not None
        answer = await self._respond(self._authentication, data)
        if code == _CONTINUE:
            if not self._client._ox_engine.authenticate(_CONTINUE, answer):
                raise MqttError("Authentication failed: the answer is too large")
            return
        done, self._reauthenticated = self._reauthenticated, None
        if done is not None and not done.done():
            done.set_result(None)

    async def _guard(self, step: Coroutine[Any, Any, None]) -> None:
        """A step of an exchange whose exception ends the connection."""
        try:
            await step
        except MqttError as failure:
            connack = self._waits_for_connack
            if connack is not None and not connack.done():
                connack.set_exception(failure)
            self._client._ox_engine.abort()
            if connack is None:
                self._stop_reconnecting()
                self._end(failure)

    def _forget_requests(self) -> None:
        super()._forget_requests()
        for task in self._answering:
            if task is not asyncio.current_task():
                task.cancel()  # the next connection asks questions of its own
        done, self._reauthenticated = self._reauthenticated, None
        if done is not None and not done.done():
            done.set_exception(self._disconnected("Disconnected before the broker answered"))
