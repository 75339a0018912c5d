"""`Broker`: a real MQTT broker in the process of the test."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import socket
import tempfile
import threading
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from .. import _native
from .views import Authentication, BrokerClient, BrokerMessage, Subscription

if TYPE_CHECKING:
    from .._client.types import PayloadType
    from ..properties import Properties

T = TypeVar("T")
_ALWAYS = 0xFFFF_FFFF
_NO_AUTHORITY = "the broker has no authority of its own: not with tls=True"


class _Folder:
    """A temporary folder, removed by the process that made it: its forked children have the object too."""

    def __init__(self) -> None:
        self.name = tempfile.mkdtemp(prefix="oxmqtt-broker-")
        self.remove = weakref.finalize(self, _remove, self.name, os.getpid())


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


class Broker:
    """A broker for tests and demos: MQTT 3.1, 3.1.1 and 5.0, on a thread of its own without the GIL.

    It runs from the constructor on, until :meth:`close`, which ``with`` and ``async with`` call. A
    forked child has no broker; the methods raise ``RuntimeError`` there, and after ``close()``.

    :param host: the address to listen on; others than loopback let strangers in.
    :param port: the port of plain TCP, or without that of TLS; 0 takes a free one.
    :param users: names and passwords; without it everybody may connect.
    :param tls: True also listens for TLS, with a certificate of an authority that is made up
        (:attr:`ca_file`); a pair of paths, to a certificate chain and its key in PEM, is used instead.
    :param client_certificates: True asks every client for a certificate of the authority that is made
        up (:meth:`issue`), the path of a PEM file for one of the authorities in it. No port is open then
        that asks for none.
    :param plain: whether to listen without TLS too; by default unless ``client_certificates``.
    :param websockets: also listen for WebSocket, and together with ``tls`` for WebSocket in TLS.
    :param authentication: enhanced authentication that every client has to go through.
    :param receive_maximum: QoS 1 and 2 messages that a client may have unacknowledged (MQTT 5.0).
    :param maximum_packet_size: bytes of the largest packet that a client may send.
    :param max_messages: how many messages :attr:`messages` holds; older ones are forgotten, and so
        are those beyond 64 MiB.
    :param max_unsent: bytes that may wait for a client that reads slowly. Above, QoS 0 messages to it
        are dropped and counted (:attr:`dropped`). Of QoS 1 and 2 up to 100,000 messages or 64 MiB wait.
        All that is kept for all clients (waiting, recorded and retained messages, sessions,
        subscriptions) may take 256 MiB; above, no more is taken.
    :raises OSError: the address is in use, or not of this machine.
    :raises ValueError: the certificate or the key cannot be used, or there is no authority whose
        certificates clients could have.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        users: dict[str, str] | None = None,
        tls: bool | tuple[str | os.PathLike[str], str | os.PathLike[str]] = False,
        client_certificates: bool | str | os.PathLike[str] = False,
        plain: bool | None = None,
        websockets: bool = False,
        authentication: Authentication | None = None,
        receive_maximum: int = 65_535,
        maximum_packet_size: int = 16 << 20,
        max_messages: int = 10_000,
        max_unsent: int = 16 << 20,
    ) -> None:
        if not 1 <= receive_maximum <= 65_535:
            raise ValueError("receive_maximum must be 1 to 65,535")
        if not 1 <= maximum_packet_size <= 268_435_460:
            raise ValueError("maximum_packet_size must be 1 to 268,435,460")
        if authentication is not None and not authentication.steps:
            raise ValueError("an authentication needs a step")
        address = str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])
        identity, client_authorities = None, None
        if isinstance(tls, tuple):
            identity = (_read(tls[0]), _read(tls[1]))
        if client_certificates and not tls:
            raise ValueError("client_certificates needs tls")
        if plain is None:
            plain = not client_certificates
        if not plain and not tls:
            raise ValueError("plain=False needs tls")
        if not isinstance(client_certificates, bool):
            client_authorities = _read(client_certificates)
        elif client_certificates and identity is not None:
            raise ValueError("client_certificates needs the path of an authority, or tls=True")
        names = list(dict.fromkeys(["localhost", "127.0.0.1", "::1", host, address]))
        self._host = host
        self._files: _Folder | None = None
        self._writing = threading.Lock()
        self._issued = itertools.count(1)
        self._server = _native.BrokerServer(
            address=address,
            port=port,
            users=None
            if users is None
            else {name.encode(): password.encode() for name, password in users.items()},
            authentication=None
            if authentication is None
            else (authentication.method, list(authentication.steps)),
            maximum_packet_size=maximum_packet_size,
            receive_maximum=receive_maximum,
            record=max_messages,
            max_unsent=max_unsent,
            tls=identity,
            tls_names=names if tls is True else None,
            clients_need_certificates=client_certificates is True,
            client_authorities=client_authorities,
            plain=plain,
            websockets=websockets,
        )

    # where it is

    @property
    def host(self) -> str:
        return self._host

    @property
    def port(self) -> int:
        """The port of plain TCP; ``RuntimeError`` where everything goes by TLS."""
        return _listening(self._server.ports[0], "plain=True")

    @property
    def tls_port(self) -> int:
        """The port of TLS; ``RuntimeError`` without ``tls``."""
        return _listening(self._server.ports[1], "tls=True")

    @property
    def websocket_port(self) -> int:
        """The port of WebSocket, at any path; ``RuntimeError`` without ``websockets``, or where everything
        goes by TLS."""
        return _listening(self._server.ports[2], "websockets=True and plain=True")

    @property
    def secure_websocket_port(self) -> int:
        """The port of WebSocket in TLS; ``RuntimeError`` without ``tls`` and ``websockets``."""
        return _listening(self._server.ports[3], "tls=True and websockets=True")

    @property
    def url(self) -> str:
        """``mqtt://host:port``, or ``mqtts://host:tls_port`` where everything goes by TLS."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        plain, tls, *_ = self._server.ports
        return f"mqtts://{host}:{tls}" if plain is None else f"mqtt://{host}:{plain}"

    @property
    def ca_pem(self) -> str:
        """The certificate of the authority that was made up, in PEM."""
        pem = self._server.ca_pem
        if pem is None:
            raise RuntimeError(_NO_AUTHORITY)
        return pem

    @property
    def ca_file(self) -> str:
        """The path of a temporary file with :attr:`ca_pem`; ``close()`` removes it."""
        return self._file("ca.pem", self.ca_pem)

    def issue(self, name: str) -> tuple[str, str]:
        """A new client certificate of the authority that was made up, for this common name.

        :returns: the paths of its PEM file and of its key's; ``close()`` removes them.
        """
        issued = self._server.issue(name)
        if issued is None:
            raise RuntimeError(_NO_AUTHORITY)
        number = next(self._issued)
        certificate, key = issued
        return (
            self._file(f"client-{number}.pem", certificate),
            self._file(f"client-{number}.key", key),
        )

    def _file(self, name: str, text: str) -> str:
        with self._writing:
            if self._files is None:
                self._files = _Folder()
            path = os.path.join(self._files.name, name)
            if not os.path.exists(path):
                with open(path, "w") as file:
                    file.write(text)
        return path

    # what it saw

    @property
    def messages(self) -> list[BrokerMessage]:
        """The latest messages that clients published, oldest first, wills included."""
        return [BrokerMessage(*fields) for fields in self._server.messages()]

    @property
    def clients(self) -> list[BrokerClient]:
        """The connected clients, in the order of their identifiers."""
        clients = []
        for client_id, version, address, clean, keep_alive, filters in self._server.clients():
            subscriptions = tuple(Subscription(*each) for each in filters)
            told = BrokerClient(client_id, version, address, clean, keep_alive, subscriptions)
            clients.append(told)
        return clients

    @property
    def dropped(self) -> int:
        """Deliveries that were given up because a client read too slowly or had too many waiting."""
        return self._server.counters()[1]

    @property
    def received(self) -> int:
        """Messages that were published to the broker, those that are forgotten included."""
        return self._server.counters()[0]

    def clear(self) -> None:
        """Forgets the recorded messages."""
        self._server.clear()

    # waiting

    def wait_for(self, topic_filter: str, timeout: float = 5.0) -> BrokerMessage:
        """The oldest recorded message that matches and that no earlier call returned, or the next.

        So two calls with one filter give two messages, in the order in which they came.

        :param timeout: seconds.
        :raises TimeoutError: none came in time.
        :raises ValueError: not a topic filter.
        """
        return self._wait_for(topic_filter, timeout, _native.Cancellation())

    def wait_for_client(
        self, client_id: str, timeout: float = 5.0, *, connected: bool = True
    ) -> None:
        """Waits until a client of that name is connected, or with ``connected=False`` until none is.

        :raises TimeoutError: it did not happen in time.
        """
        self._wait_for_client(client_id, connected, timeout, _native.Cancellation())

    def wait_for_subscription(
        self, topic_filter: str, timeout: float = 5.0, *, client_id: str | None = None
    ) -> None:
        """Waits until a connected client, or this one, has subscribed to exactly this filter.

        :raises TimeoutError: nobody did in time.
        """
        self._wait_for_subscription(topic_filter, client_id, timeout, _native.Cancellation())

    async def async_wait_for(self, topic_filter: str, timeout: float = 5.0) -> BrokerMessage:
        """As :meth:`wait_for`, for coroutines."""
        return await _on_thread(lambda token: self._wait_for(topic_filter, timeout, token))

    async def async_wait_for_client(
        self, client_id: str, timeout: float = 5.0, *, connected: bool = True
    ) -> None:
        """As :meth:`wait_for_client`, for coroutines."""
        await _on_thread(lambda token: self._wait_for_client(client_id, connected, timeout, token))

    async def async_wait_for_subscription(
        self, topic_filter: str, timeout: float = 5.0, *, client_id: str | None = None
    ) -> None:
        """As :meth:`wait_for_subscription`, for coroutines."""
        await _on_thread(
            lambda token: self._wait_for_subscription(topic_filter, client_id, timeout, token)
        )

    def _wait_for(
        self, topic_filter: str, timeout: float, token: _native.Cancellation
    ) -> BrokerMessage:
        fields = self._server.wait_for_message(topic_filter, timeout, token)
        if fields is None:
            raise TimeoutError(f"no message for {topic_filter!r} within {timeout} s")
        return BrokerMessage(*fields)

    def _wait_for_client(
        self, client_id: str, connected: bool, timeout: float, token: _native.Cancellation
    ) -> None:
        if not self._server.wait_for_client(client_id, connected, timeout, token):
            state = "connected" if connected else "disconnected"
            raise TimeoutError(f"client {client_id!r} not {state} within {timeout} s")

    def _wait_for_subscription(
        self, topic_filter: str, client_id: str | None, timeout: float, token: _native.Cancellation
    ) -> None:
        if not self._server.wait_for_subscription(topic_filter, client_id, timeout, token):
            raise TimeoutError(f"no subscription to {topic_filter!r} within {timeout} s")

    # what it does

    def publish(
        self,
        topic: str,
        payload: PayloadType = None,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> bool:
        """Publishes to the subscribers, as a client would; :attr:`messages` does not show it.

        :returns: whether anybody has subscribed to the topic.
        :raises ValueError: the topic, the QoS or the payload's size is not valid.
        """
        return self._server.publish(topic, payload, qos, retain, properties)

    # faults

    def drop_connections(self, client_id: str | None = None) -> int:
        """Closes all connections, or that of one client, without DISCONNECT; returns how many.

        Wills are published, sessions stay as long as they would otherwise.
        """
        return self._server.drop_connections(client_id)

    def refuse(self, reason_code: int | None, times: int | None = None) -> None:
        """Refuses the next ``times`` connections, or all, with this reason code of CONNACK.

        :param reason_code: one of MQTT 5.0 (clause 3.2.2.2), such as 0x88, which earlier versions get
            as the return code that is nearest, or a return code of those; None ends it.
        """
        if reason_code is None:
            return self._server.refuse(0, 0)
        if not 1 <= reason_code <= 255:
            raise ValueError("reason_code must be 1 to 255")
        return self._server.refuse(reason_code, _ALWAYS if times is None else times)

    def delay_acks(self, seconds: float) -> None:
        """Holds PUBACK, PUBREC and PUBCOMP back for so long from now on; 0 ends it."""
        self._server.delay_acks(seconds)

    def lose_acks(self, count: int) -> None:
        """Does not send the next ``count`` of PUBACK, PUBREC and PUBCOMP; the messages are handled."""
        self._server.lose_acks(count)

    def cut_after(self, count: int, times: int = 1) -> None:
        """Closes the next ``times`` connections on which ``count`` more bytes pass, at that byte.

        The bytes of MQTT packets of both directions are counted, on each connection from now on. 0
        times ends it.
        """
        self._server.cut_after(count, times)

    def restart(self, *, keep_sessions: bool = True) -> None:
        """Loses all connections at once, as a restart would; no will is published.

        :param keep_sessions: False forgets sessions and retained messages too.
        """
        self._server.restart(keep_sessions)

    # its end

    def close(self) -> None:
        """Closes all connections and the ports, and ends the thread. May be called again."""
        self._server.close()
        files, self._files = self._files, None
        if files is not None:
            files.remove()

    def __enter__(self) -> Broker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Broker:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # It takes a millisecond.
        self.close()

    def __repr__(self) -> str:
        state = self.url if self._server.is_running else "closed"
        return f"<Broker {state}>"


def _listening(port: int | None, option: str) -> int:
    if port is None:
        raise RuntimeError(f"the broker was made without {option}")
    return port


def _read(path: str | os.PathLike[str]) -> bytes:
    with open(path, "rb") as file:
        return file.read()


async def _on_thread(wait: Callable[[_native.Cancellation], T]) -> T:
    """Waits on a thread of its own, so that neither the loop nor its executor is held up."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    token = _native.Cancellation()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = wait(token)
        except Exception as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            pass

    threading.Thread(target=run, name="oxmqtt-broker-wait", daemon=True).start()
    try:
        return await future  # type: ignore[no-any-return]
    finally:
        token.cancel()
