"""The connection of an asyncio client: made and ended with ``async with``, and made again on request."""

from __future__ import annotations

import asyncio
import logging
import math
import warnings
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .. import client as mqtt
from .._client import dialling, tls
from .._client.settings import Target
from .._client.tls_context import load
from .._client.tls_options import Options
from .._native import Mailbox
from ..enums import MQTTErrorCode
from ..reasoncodes import ReasonCode
from ._runner import Runner
from ._sequences import in_thread
from .exceptions import MqttCodeError, MqttConnectError, MqttError, MqttReentrantError

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .settings import TLSParameters

T = TypeVar("T")

LOGGER = logging.getLogger("mqtt")
#: Else a program that logs everything would log each packet.
LOGGER.setLevel(logging.WARNING)


def weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, without keeping its object: what the client holds must not keep the client."""
    reference = weakref.WeakMethod(method)

    def call(*args: Any) -> Any:
        alive = reference()
        return None if alive is None else alive(*args)

    return call


class Connection:
    """Everything about the connection, and what the other parts of a client wait for."""

    #: Seconds that a call waits for the broker unless it says otherwise; ``math.inf`` for ever.
    timeout: float

    _client: mqtt.Client
    _mailbox: Mailbox
    _logger: logging.Logger
    _target: Target
    _socket_options: tuple[Any, ...]
    _tls_params: TLSParameters | None
    _tls_insecure: bool | None
    _reconnects: bool
    #: ``publish``, ``subscribe`` and ``unsubscribe`` that may be under way at once.
    _most_calls: int | None
    _outgoing_calls_sem: asyncio.Semaphore | None = None

    def _init_connection(self, most_waiting: int) -> None:
        client = self._client
        client.on_connect = weakly(self._on_connect)
        client.on_disconnect = weakly(self._on_disconnect)
        self._mailbox = client._ox_new_mailbox(
            wake_in=weakly(self._wake_in),
            send_acks_soon=weakly(self._send_acks_soon),
            reply=weakly(self._on_reply),
            most_waiting=most_waiting,
        )
        self._mailbox.keeps_offline = self._reconnects
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runner: Runner | None = None
        self._task: asyncio.Task[Any] | None = None
        self._is_entered = False
        self._is_online = False
        #: Of the broker, where the client has none of its own; the next connection has it too.
        self._assigned_identifier: str | None = None
        #: Why there is no connection any more.
        self._lost: BaseException | None = None
        #: Its result: the properties of CONNACK.
        self._waits_for_connack: asyncio.Future[Any] | None = None
        self._waits_for_end: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        #: Those who wait for the next connection.
        self._offline: dict[asyncio.Future[None], None] = {}

    async def __aenter__(self) -> Self:
        """Connects.

        :raises MqttConnectError: the broker refused the connection.
        :raises MqttError: there was no connection to be had, or no answer in time.
        :raises MqttReentrantError: the client is connected already.
        :raises ValueError: an argument of the client is not valid.
        """
        if self._is_entered:
            raise MqttReentrantError("The client context manager is reusable, but not reentrant")
        self._is_entered = True
        self._lost = None
        loop = self._loop = asyncio.get_running_loop()
        if self._most_calls is not None:
            self._outgoing_calls_sem = asyncio.Semaphore(self._most_calls)
        self._open_queue()
        self._mailbox.create_future = loop.create_future
        self._client.enable_logger(self._logger)
        runner = self._runner = Runner(self._client, self._mailbox, weakly(self._on_drained))
        try:
            try:
                runner.start()
            except OSError as error:  # no descriptor is left
                raise MqttError(str(error)) from error
            await self._connect(runner)
        except BaseException:
            self._leave()
            raise
        if self._reconnects:
            name = f"oxmqtt-{self._client._ox_settings.client_id.decode()}"
            self._task = loop.create_task(
                self._keep_connected(weakref.ref(self), runner), name=name
            )
        return self

    async def _connect(self, runner: Runner) -> None:
        """The first connection."""
        try:
            await self._load_tls()
        except OSError as error:
            raise MqttError(str(error)) from error
        if self._client._ox_settings.is_v5:
            self._client._ox_settings.mqttv5_first_connect = True
        state = mqtt._ConnectionState.MQTT_CS_CONNECTING
        dialling.set_target(self._client, self._target, state)
        assert self._loop is not None
        connack = self._waits_for_connack = self._loop.create_future()
        try:
            await self._wait_for(self._begin_authentication())
            try:
                await self._wait_for(runner.connect())
            except (OSError, mqtt.WebsocketConnectionError) as error:
                raise MqttError(str(error)) from error
            sock = self._client.socket()
            for option in self._socket_options if sock is not None else ():
                sock.setsockopt(*option)  # type: ignore[union-attr]
            await self._wait_for(self._end_authentication(await self._wait_for(connack)))
        finally:
            self._waits_for_connack = None
            connack.cancel()

    async def _load_tls(self) -> None:
        """Certificates are files: reading them may block."""
        parameters = self._tls_params
        if parameters is not None:
            given = {name: getattr(parameters, name) for name in parameters.__dataclass_fields__}
            server_hostname = given.pop("server_hostname")
            options = Options(**given)
            loaded = await in_thread(lambda: load(options))
            tls.secure(self._client, loaded, server_hostname)
            self._tls_params = None  # not before: a client that wants TLS never connects without
        insecure, self._tls_insecure = self._tls_insecure, None
        if insecure is not None:
            self._client.tls_insecure_set(insecure)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Disconnects, behind everything that was published.

        Messages that a consumer had in hand are acknowledged, unless an exception leaves the block.

        :raises MqttError: the broker did not take what was on its way in time.
        """
        if not self._is_entered:
            return
        try:
            if self._lost is None and self._is_online:
                if exc_type is None:
                    self._mailbox.settle_left_over()
                await self._disconnect()
        finally:
            self._leave()

    async def _disconnect(self) -> None:
        assert self._loop is not None
        self._mailbox.send_acks()
        end = self._waits_for_end = self._loop.create_future()
        self._stop_reconnecting()
        try:
            if self._client.disconnect() == MQTTErrorCode.MQTT_ERR_SUCCESS:
                await self._wait_for(end)
        finally:
            self._waits_for_end = None
            end.cancel()

    def _stop_reconnecting(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def _leave(self) -> None:
        """Gives everything back; the client can be used again."""
        self._stop_reconnecting()
        runner, self._runner = self._runner, None
        self._client._sock_close()
        if runner is not None:
            runner.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_online = self._is_entered = False
        self._end(self._lost or MqttError("The client was disconnected"))
        self._mailbox.create_future = None
        self._loop = None

    def _end(self, error: BaseException) -> None:
        """There will be no connection any more: tells everybody who waits for something."""
        self._lost = error
        waiters: list[asyncio.Future[Any]] = [*self._mailbox.take_pending(), *self._offline]
        self._offline = {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(self._disconnected("Disconnected before the broker answered"))
        self._forget_requests()
        self._wake_consumers()

    def _give_up(self, error: BaseException) -> None:
        """Ends a connection that does not do what it was made for."""
        self._logger.error("%s", error)
        self._stop_reconnecting()
        self._end(error)
        self._client.disconnect()

    def _disconnected(self, text: str) -> MqttError:
        error = MqttError(text)
        error.__cause__ = self._lost
        return error

    @staticmethod
    async def _keep_connected(client: weakref.ref[Connection], runner: Runner) -> None:
        """Runs while connections are made again; the client may go away meanwhile."""
        try:
            await runner.run()
        except Exception as error:
            alive = client()
            if alive is not None:
                alive._end(error)

    def _on_connect(
        self, client: Any, userdata: Any, flags: Any, reason_code: ReasonCode, properties: Any
    ) -> None:
        connack = self._waits_for_connack
        if connack is not None and not connack.done():
            if reason_code.is_failure:
                connack.set_exception(MqttConnectError(reason_code))
            else:
                connack.set_result(properties)
        if reason_code.is_failure:
            self._logger.warning("Connection refused: %s", reason_code)
            return
        self._is_online = True
        self._assigned_identifier = getattr(
            properties, "AssignedClientIdentifier", self._assigned_identifier
        )
        if connack is None:
            self._logger.info("Connected again")
        if not flags.session_present:
            self._renew_subscriptions(is_first=connack is not None)
        offline, self._offline = self._offline, {}
        for waiter in offline:
            if not waiter.done():
                waiter.set_result(None)

    def _on_disconnect(
        self, client: Any, userdata: Any, flags: Any, reason_code: ReasonCode, properties: Any
    ) -> None:
        was_online, self._is_online = self._is_online, False
        if self._waits_for_end is not None:
            if not self._waits_for_end.done():
                self._waits_for_end.set_result(None)
            return
        if self._lost is not None:  # by _give_up()
            return
        error = MqttCodeError(reason_code, "Unexpected disconnection")
        connack = self._waits_for_connack
        if not was_online:
            if connack is not None and not connack.done():
                connack.set_exception(error)
        elif self._reconnects:
            self._logger.warning("Connection lost: %s", reason_code)
            self._forget_requests()
        else:
            self._end(error)

    def _forget_requests(self) -> None:
        """The connection is gone: tells those who wait for an answer on it."""

    async def _wait_for(self, awaitable: Awaitable[T], timeout: float | None = None) -> T:
        """The result, within so many seconds.

        :raises MqttError: there was none.
        """
        seconds = self.timeout if timeout is None else timeout
        # Not asyncio.wait_for(): before Python 3.12 a cancellation that comes with the result is lost.
        result = asyncio.ensure_future(awaitable)
        try:
            if seconds > 0 or result is not awaitable:  # without any time, nothing is waited for
                await asyncio.wait({result}, timeout=None if seconds == math.inf else seconds)
        finally:
            if not result.done():
                result.cancel()
                await asyncio.wait({result})
            if not result.cancelled():
                result.exception()  # heard, even where a cancellation goes first
        if result.cancelled():
            raise MqttError("Operation timed out")
        return result.result()

    async def _next_connection(self) -> bool:
        """Where connections are made again: waits for another one. False where none will come."""
        if not self._reconnects or self._lost is not None or self._loop is None:
            return False
        waiter = self._loop.create_future()
        self._offline[waiter] = None
        try:
            await waiter
        finally:
            self._offline.pop(waiter, None)
        return True

    def _wake_in(self, seconds: float) -> None:
        """The mailbox wants to look for what takes too long."""
        if self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, weakly(self._expire))

    def _expire(self) -> None:
        self._timer = None
        for future in self._mailbox.expire():
            if not future.done():
                future.set_exception(MqttError("Operation timed out"))

    def _send_acks_soon(self) -> None:
        if self._loop is not None:
            self._loop.call_soon(self._mailbox.send_acks)

    def __del__(self) -> None:
        runner = getattr(self, "_runner", None)
        if runner is None:
            return
        warnings.warn(f"unclosed client {self!r}", ResourceWarning, source=self, stacklevel=2)
        loop, task = self._loop, self._task
        self._client._ox_engine.leave()
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(runner.stop)
            if task is not None:
                loop.call_soon_threadsafe(task.cancel)

    if TYPE_CHECKING:

        async def _begin_authentication(self) -> None: ...

        async def _end_authentication(self, connack: Any) -> None: ...

        def _open_queue(self) -> None: ...

        def _on_reply(self, message: Any) -> None: ...

        def _on_drained(self) -> None: ...

        def _wake_consumers(self) -> None: ...

        def _renew_subscriptions(self, is_first: bool) -> None: ...
