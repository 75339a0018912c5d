"""From the options to a connection: dialling, CONNECT, and the way back.

Python dials, so each exception is exactly Python's; the connected socket then goes to the engine.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .. import _native
from ..enums import (
    LogLevel,
    MQTTErrorCode,
    PahoClientMode,
    _ConnectionState,
)
from ..packettypes import PacketTypes
from ..properties import Properties
from ..reasoncodes import ReasonCode
from . import abandonable, addresses
from .codes import _base62
from .log import connect_line
from .needs import AnyNeed, Attempt, Step
from .options import check_host, check_keepalive, check_port
from .proxies import Proxies
from .sequences import drive
from .sockets import ConnectionSocket, TlsConnectionSocket
from .state import MQTT_CLEAN_START_FIRST_ONLY
from .websocket import WebSockets

if TYPE_CHECKING:
    import ssl

    from .._native import HandshakeLayers
    from .types import CleanStartOption

T = TypeVar("T")

#: Seconds that a call for which others keep the time gets beyond it.
_DIAL_GRACE = 0.2


def random_client_id() -> bytes:
    """A client identifier for servers that want one (MQTT 3.1 and some of 3.1.1)."""
    import uuid

    return _base62(uuid.uuid4().int, padding=22).encode("utf8")


class Dialling(Proxies, WebSockets):
    """``connect`` and its relatives. They raise what Python's sockets raise."""

    def connect(
        self,
        host: str,
        port: int = 1883,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Properties | None = None,
    ) -> MQTTErrorCode:
        """Connects to a broker and sends CONNECT; the answer comes with the loop.

        :param host: name or address, or the path of a unix socket.
        :param keepalive: seconds; 0 for none.
        :param bind_address: local address to connect from, with ``bind_port``.
        :param clean_start: MQTT 5.0: whether the broker forgets the session (clause 3.1.2.4);
            ``MQTT_CLEAN_START_FIRST_ONLY`` for the first connection only.
        :param properties: MQTT 5.0 properties of the CONNECT.
        :raises ConnectionRefusedError: nobody listens there.
        :raises socket.gaierror: the name is unknown.
        :raises TimeoutError: no answer within :attr:`connect_timeout`, handshakes included.
        :raises WebsocketConnectionError: the server refused the WebSocket handshake.
        :raises ValueError: an argument is not valid.
        """
        if self._v5:
            self._mqttv5_first_connect = True
        elif clean_start != MQTT_CLEAN_START_FIRST_ONLY:
            raise ValueError("Clean start only applies to MQTT V5")
        elif properties:
            raise ValueError("Properties only apply to MQTT V5")
        arguments = (host, port, keepalive, bind_address, bind_port, clean_start, properties)
        self._set_target(*arguments, state=_ConnectionState.MQTT_CS_CONNECTING)
        return self.reconnect()

    def connect_async(
        self,
        host: str,
        port: int = 1883,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Properties | None = None,
    ) -> None:
        """As :meth:`connect`, but dialling is left to ``loop_start()`` or ``loop_forever()``."""
        arguments = (host, port, keepalive, bind_address, bind_port, clean_start, properties)
        self._set_target(*arguments, state=_ConnectionState.MQTT_CS_CONNECT_ASYNC)
        self._interrupt()

    def _set_target(
        self,
        host: str,
        port: int,
        keepalive: int,
        bind_address: str,
        bind_port: int,
        clean_start: CleanStartOption,
        properties: Properties | None,
        *,
        state: _ConnectionState,
    ) -> None:
        if bind_port < 0:
            raise ValueError("Invalid bind port number.")
        check_host(host, self._transport)
        check_port(port)
        check_keepalive(keepalive)
        self._sock_close()
        self._host = host
        self._port = port
        self._keepalive = keepalive
        self._bind_address = bind_address
        self._bind_port = bind_port
        self._clean_start = clean_start
        self._connect_properties = properties
        self._state = state

    def reconnect(self) -> MQTTErrorCode:
        """Connects again to where :meth:`connect` went; works in callbacks too.

        The latest call wins: one that another overtakes, from a callback of its own or from another
        thread, leaves the connection to that one.

        :returns: ``MQTT_ERR_SUCCESS``, or ``MQTT_ERR_NO_CONN`` if ``disconnect()`` or ``loop_stop()``
            came between.
        :raises ValueError: there was no :meth:`connect` or :meth:`connect_async`.
        """
        if sys.is_finalizing():  # a finaliser's call: no thread starts any more
            raise ConnectionAbortedError("the interpreter is shutting down")
        return drive(self._reconnecting(), abandonable.run)

    def _reconnecting(self) -> Generator[AnyNeed, Any, MQTTErrorCode]:
        """The sequence of :meth:`reconnect`: it yields what it has to wait for."""
        if len(self._host) == 0:
            raise ValueError("Invalid host.")
        if self._port <= 0:
            raise ValueError("Invalid port number.")
        attempt = Attempt(self._is_wanted)
        overtaken, self._latest_attempt = self._latest_attempt, attempt
        if overtaken is not None:
            overtaken.look_again()
        dialled_before, self._dialling = self._dialling, True
        try:
            self._state = _ConnectionState.MQTT_CS_CONNECTING
            self._sock_close()
            if attempt.is_wanted():
                self._call("on_pre_connect")
            if attempt.is_wanted() and (yield from self._opening(attempt)):
                return MQTTErrorCode.MQTT_ERR_SUCCESS
            return self._yield(attempt)
        finally:
            attempt.waker = None
            if self._latest_attempt is attempt:
                self._latest_attempt = None  # it holds the client, which may be dropped now
            self._dialling = dialled_before
            if self._engine.looping:  # a loop() that comes later would return at once, with nothing
                self._engine.interrupt()

    def _is_wanted(self, attempt: Attempt) -> bool:
        """Whether this is the latest call of reconnect(), and nothing has stopped it."""
        is_stopped = self._thread_terminate and self._thread is threading.current_thread()
        is_connecting = self._state is _ConnectionState.MQTT_CS_CONNECTING
        return self._latest_attempt is attempt and is_connecting and not is_stopped

    def _interrupt(self) -> None:
        """Whoever waits for this client looks whether it still has to."""
        self._engine.interrupt()
        attempt = self._latest_attempt
        if attempt is not None:
            attempt.look_again()

    def _opening(self, attempt: Attempt) -> Generator[AnyNeed, Any, bool]:
        """Dials and sends CONNECT, as long as that is wanted; whether it has."""
        until = time.monotonic() + self._connect_timeout
        dialled: socket.socket | None = yield from self._dialled(attempt, until)
        if dialled is None:
            return False
        if not attempt.is_wanted():
            dialled.close()
            return False
        try:
            self._engine.descriptor()  # if there is none left, before others have hold of it
            sock = self._wrap(dialled)
        except BaseException:
            dialled.close()
            raise
        layers = None
        try:
            shake_hands = self._handshake(sock, until)
            if shake_hands is not None:
                layers = yield from self._calling_elsewhere(
                    attempt, until, shake_hands, lambda late: None
                )
        except BaseException:
            sock._release()
            raise
        if not attempt.is_wanted():
            sock._release()
            return False
        self._sock = sock
        try:
            self._call("on_socket_open", sock)
            if not attempt.is_wanted():
                return False
            self._hand_to_engine(sock, layers)
        except BaseException:
            if self._sock is sock:
                self._sock_close()
            raise
        return True

    def _dialled(
        self, attempt: Attempt, until: float
    ) -> Generator[AnyNeed, Any, socket.socket | None]:
        """The connected socket, with TLS by Python's ``ssl`` where that is set."""
        source = self._source()
        if self._dials_its_own_way(source):
            return (
                yield from self._calling_elsewhere(
                    attempt, until, self._create_socket, lambda late: late.close()
                )
            )
        if self._transport == "unix":
            connected: socket.socket | None = self._create_unix_socket_connection()
        else:
            connected = yield from addresses.connecting(
                attempt, self._host, self._port, source, until
            )
        if connected is None or not self._ssl or self._rustls is not None:
            return connected
        return (yield from self._securing(attempt, until, connected))

    def _dials_its_own_way(self, source: addresses.Source) -> bool:
        """Whether dialling calls what may take its time: the program's own, PySocks, a look-up of the
        address to connect from.
        """
        return (
            self._is_own("_create_socket")
            or self._is_own("_create_socket_connection")
            or self._is_own("_create_unix_socket_connection")
            or addresses.is_overridden()
            or not (source is None or not source[0] or addresses.is_numeric(source[0]))
            or (self._transport != "unix" and self._may_have_proxy())
        )

    def _securing(
        self, attempt: Attempt, until: float, connected: socket.socket
    ) -> Generator[AnyNeed, Any, socket.socket | None]:
        """TLS by Python's ``ssl`` on a connected socket, which it takes over."""

        def secure() -> socket.socket:
            try:
                connected.settimeout(max(until - time.monotonic(), 0.001))
                return self._ssl_wrap_socket(connected)
            except BaseException:
                connected.close()
                raise

        return (
            yield from self._calling_elsewhere(attempt, until, secure, lambda late: late.close())
        )

    def _calling_elsewhere(
        self, attempt: Attempt, until: float, call: Callable[[], T], discard: Callable[[T], Any]
    ) -> Generator[AnyNeed, T | None, T | None]:
        """The result of a call that may take its time, or None when the attempt is not wanted any more.

        :raises TimeoutError: there is none by ``until`` and a little more.
        """
        result = yield Step(call, attempt, until + _DIAL_GRACE, discard)
        if result is None and attempt.is_wanted():
            raise socket.timeout("timed out")
        return result

    def _handshake(
        self, sock: ConnectionSocket, until: float
    ) -> Callable[[], HandshakeLayers] | None:
        """The step that shakes hands for what the engine puts between packets and socket, if it does."""
        is_websocket, tls = self._transport == "websockets", self._rustls
        if tls is None and not is_websocket:
            return None
        request, key = self._upgrade_request() if is_websocket else (None, "")
        name = self._server_name() if tls is not None else ""
        if name is None:
            raise ValueError("TLS over a unix socket needs server_hostname")
        any_name = self._tls_insecure
        descriptor, unix = sock._duplicate_end()
        return lambda: _native.handshake(
            descriptor,
            unix=unix,
            timeout=max(0.0, until - time.monotonic()),
            tls=tls,
            server_name=name,
            any_name=any_name,
            request=request,
            key=key,
        )

    def _yield(self, attempt: Attempt) -> MQTTErrorCode:
        """Leaves the connection to whoever came between."""
        if self._latest_attempt is not attempt:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        self._sock_close()
        if self._state is _ConnectionState.MQTT_CS_CONNECTING:
            self._state = _ConnectionState.MQTT_CS_CONNECT_ASYNC  # for the next loop_start()
        elif self._state is _ConnectionState.MQTT_CS_DISCONNECTING:
            self._state = _ConnectionState.MQTT_CS_DISCONNECTED
        return MQTTErrorCode.MQTT_ERR_NO_CONN

    def _create_socket(self) -> socket.socket:
        """Dials, and makes TLS of it where that is set; the connected socket."""
        until = time.monotonic() + self._connect_timeout
        if self._transport == "unix":
            dialled = self._create_unix_socket_connection()
        else:
            dialled = self._create_socket_connection()
        if not self._ssl or self._rustls is not None:
            return dialled
        try:
            dialled.settimeout(max(until - time.monotonic(), 0.001))
            return self._ssl_wrap_socket(dialled)
        except BaseException:
            dialled.close()
            raise

    def _wrap(self, connected: socket.socket) -> ConnectionSocket:
        """What programs get to see of the connection."""
        if self._ssl and self._tls_insecure and self._key_source is None:
            line = "TLS without verification of the broker's name: anyone may pose as it"
            self._easy_log(LogLevel.MQTT_LOG_WARNING, line)
        if not isinstance(connected, socket.socket):
            from .foreign_sockets import ForeignSocket

            connected = ForeignSocket(connected)
        if hasattr(connected, "do_handshake"):  # without loading ssl
            return TlsConnectionSocket(cast("ssl.SSLSocket", connected), self._engine)
        return ConnectionSocket(connected, self._engine)

    def _create_unix_socket_connection(self) -> socket.socket:
        """Connects to the path in ``_host``; programs override it."""
        dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            dialled.settimeout(self._connect_timeout)
            dialled.connect(self._host)
        except BaseException:
            dialled.close()
            raise
        return dialled

    def _create_socket_connection(self) -> socket.socket:
        """Connects by TCP, through a proxy if there is one; programs override it."""
        until = time.monotonic() + self._connect_timeout
        source = self._source()
        proxied = self._connect_by_proxy(source, until)
        if proxied is not None:
            return proxied
        return addresses.connect(self._host, self._port, source, until)

    def _source(self) -> addresses.Source:
        """Where to connect from, if that matters."""
        bound = (self._bind_address, self._bind_port)
        return bound if any(bound) else None

    def _hand_to_engine(self, sock: ConnectionSocket, layers: HandshakeLayers | None) -> None:
        will: tuple[Any, ...] | None = None
        if self._will:
            will = (
                self._will_topic.decode("utf-8"),
                bytes(self._will_payload),
                self._will_qos,
                bool(self._will_retain),
                self._will_properties if self._v5 else None,
            )
        clean = self._clean_flag()
        has_password = self._username is not None and self._password is not None
        self._observe_callbacks()
        if self._is_logged():
            flags = (
                int(self._username is not None),
                int(has_password),
                int(bool(self._will and self._will_retain)),
                self._will_qos if self._will else 0,
                int(self._will),
                int(clean),
                self._keepalive,
            )
            line, args = connect_line(flags, self._client_id, self._connect_properties, self._v5)
            self._easy_log(LogLevel.MQTT_LOG_DEBUG, line, *args)
        below = sock._below()
        descriptor, unix = sock._hand_over()
        self._engine.connect(
            descriptor,
            unix=unix,
            relay=sock._relay,
            below=below,
            layers=layers,
            client_id=self._client_id,
            clean_start=clean,
            keep_alive=self._keepalive,
            username=self._username,
            password=self._password if has_password else None,
            will=will,
            properties=self._announced() if self._v5 else None,
            bridge=self._client_mode == PahoClientMode.MQTT_BRIDGE and not self._v5,
            connack_timeout=self._connect_timeout,
            rewrite=self._rewritten_connect if self._is_own("_packet_queue") else None,
        )

    def _announced(self) -> Properties | None:
        """The properties of CONNECT, with the bounds that the program set."""
        given = self._connect_properties
        if self._max_packet_size is None or hasattr(given, "MaximumPacketSize"):
            return given
        properties = Properties(PacketTypes.CONNECT)
        if given is not None:
            vars(properties).update(vars(given))
        properties.MaximumPacketSize = self._max_packet_size
        return properties

    def _clean_flag(self) -> bool:
        if not self._v5:
            return bool(self._clean_session)
        if self._clean_start == MQTT_CLEAN_START_FIRST_ONLY:
            return self._mqttv5_first_connect
        return bool(self._clean_start)

    def _sock_close(self) -> None:
        """Gives the connection up; ``on_socket_close`` comes first."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        try:
            self._call("on_socket_close", sock)
        finally:
            if self._sock is None:  # else the callback has connected again
                self._engine.abandon()
                if self._state == _ConnectionState.MQTT_CS_CONNECTED:
                    self._state = _ConnectionState.MQTT_CS_CONNECTION_LOST
            sock._release()

    def disconnect(
        self,
        reasoncode: ReasonCode | None = None,
        properties: Properties | None = None,
    ) -> MQTTErrorCode:
        """Sends DISCONNECT behind everything published so far, and ends the connection.

        The broker drops the will (OASIS MQTT 5.0, clause 3.14.4). It does not wait for acknowledgements,
        as :meth:`close` does. Without a connection it only stops
        reconnecting and returns ``MQTT_ERR_NO_CONN``.

        :param reasoncode: MQTT 5.0: why; success when left out.
        :param properties: MQTT 5.0 properties of the DISCONNECT.
        """
        if self._sock is None:
            self._state = _ConnectionState.MQTT_CS_DISCONNECTED
            self._interrupt()
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        self._state = _ConnectionState.MQTT_CS_DISCONNECTING
        if self._v5:
            self._easy_log(
                LogLevel.MQTT_LOG_DEBUG,
                "Sending DISCONNECT reasonCode=%s properties=%s",
                reasoncode,
                properties,
            )
        else:
            self._easy_log(LogLevel.MQTT_LOG_DEBUG, "Sending DISCONNECT")
        waiting = self._engine.unfinished
        if waiting:
            line = "DISCONNECT does not wait for %d messages that the broker has not acknowledged"
            self._easy_log(LogLevel.MQTT_LOG_WARNING, line, waiting)
        reason = 0 if reasoncode is None or not self._v5 else reasoncode.value
        self._engine.disconnect(reason, properties if self._v5 else None)
        self._dispatch_without_loop()
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def is_connected(self) -> bool:
        """Whether the broker has accepted the connection and it still stands."""
        if self._state != _ConnectionState.MQTT_CS_CONNECTED:
            return False
        # Without a connection, the program has set the state by itself, as tests do.
        return self._engine.online or self._sock is None
