"""Publish one message, or a few, and disconnect: no client object to look after.

Both functions block until the broker owns every message and the connection is closed; a lost
connection is made again.  They use the public API of :class:`oxmqtt.client.Client` only.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Union

import oxmqtt as mqtt

from . import client as paho
from .enums import CallbackAPIVersion, MQTTProtocolVersion

if TYPE_CHECKING:
    import ssl
    from typing import Literal

    from typing_extensions import NotRequired, TypedDict

    from .properties import Properties
    from .reasoncodes import ReasonCode

    class AuthParameter(TypedDict):
        """User name and password; the password may be left out."""

        username: str
        password: NotRequired[str | None]

    class TLSParameter(TypedDict, total=False):
        """The arguments of ``Client.tls_set``, and ``insecure`` for ``tls_insecure_set``."""

        ca_certs: str | None
        certfile: str | None
        keyfile: str | None
        cert_reqs: ssl.VerifyMode | None
        tls_version: int | None
        ciphers: str | None
        keyfile_password: str | None
        alpn_protocols: list[str] | None
        insecure: bool

    class MessageDict(TypedDict):
        """The arguments of ``Client.publish`` by name; only the topic is required."""

        topic: str
        payload: NotRequired[paho.PayloadType]
        qos: NotRequired[int]
        retain: NotRequired[bool]
        properties: NotRequired[Properties | None]

    # The arguments of ``Client.publish`` by position, as many as are wanted.
    MessageTuple = tuple[Any, ...]
    MessagesList = Iterable[Union[MessageDict, MessageTuple, list[Any]]]


def _do_publish(client: paho.Client) -> None:
    """Publish the next message of the queue that is the client's user data."""
    message = client.user_data_get().popleft()
    if isinstance(message, dict):
        client.publish(**message)
    elif isinstance(message, (tuple, list)):
        client.publish(*message)
    else:
        raise TypeError("message must be a dict, tuple, or list")


def _on_connect(
    client: paho.Client,
    userdata: collections.deque[Any],
    flags: paho.ConnectFlags,
    reason_code: ReasonCode,
    properties: Properties | None,
) -> None:
    """Start, or after a reconnect go on, with the first message that was not published yet."""
    if reason_code != 0:
        raise mqtt.MQTTException(paho.connack_string(reason_code))
    if userdata:
        _do_publish(client)


def _on_publish(
    client: paho.Client,
    userdata: collections.deque[Any],
    mid: int,
    reason_codes: ReasonCode,
    properties: Properties,
) -> None:
    """Each finished message sends the next one; the last one disconnects."""
    if userdata:
        _do_publish(client)
    else:
        client.disconnect()


def _configure(
    client: paho.Client,
    will: Any,
    auth: Any,
    tls: Any,
    proxy_args: Any,
) -> None:
    """Apply the options that both helper modules take to a client that is not connected yet."""
    if proxy_args is not None:
        client.proxy_set(**proxy_args)
    if auth:
        username = auth.get("username")
        if not username:
            raise KeyError("The 'username' key was not found, this is required for auth")
        client.username_pw_set(username, auth.get("password"))
    if will is not None:
        client.will_set(**will)
    if isinstance(tls, dict):
        arguments = dict(tls)
        insecure = arguments.pop("insecure", False)
        client.tls_set(**arguments)
        if insecure:
            # It changes the context that tls_set() has just made.
            client.tls_insecure_set(insecure)
    elif tls is not None:
        client.tls_set_context(tls)


def multiple(
    msgs: MessagesList,
    hostname: str = "localhost",
    port: int = 1883,
    client_id: str = "",
    keepalive: int = 60,
    will: MessageDict | None = None,
    auth: AuthParameter | None = None,
    tls: TLSParameter | ssl.SSLContext | None = None,
    protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
    transport: Literal["tcp", "websockets", "unix"] = "tcp",
    proxy_args: dict[str, Any] | None = None,
) -> None:
    """Connect, publish every message of ``msgs`` in order, disconnect.

    A message is a dict with the arguments of ``Client.publish`` (``topic`` is required) or a tuple
    or list of them; each is sent when the one before it has been handed over.

    - ``hostname``, ``port``, ``keepalive`` (seconds): as for ``Client.connect``.
    - ``client_id``, ``protocol``, ``transport``: as for ``Client``.
    - ``will``: the arguments of ``Client.will_set`` as a dict.
    - ``auth``: a dict with ``username`` and perhaps ``password``.
    - ``tls``: the arguments of ``Client.tls_set`` as a dict, with ``insecure`` besides, or an
      ``ssl.SSLContext``.
    - ``proxy_args``: the arguments of ``Client.proxy_set`` as a dict.

    Raises ``TypeError`` if ``msgs`` is not iterable or a message is no dict, tuple or list,
    ``ValueError`` if it is empty, ``KeyError`` if ``auth`` has no user name,
    :class:`oxmqtt.MQTTException` if the broker refuses the connection, and what ``connect`` and
    ``publish`` raise.
    """
    if not isinstance(msgs, Iterable):
        raise TypeError("msgs must be an iterable")
    queue = collections.deque(msgs)
    if not queue:
        raise ValueError("msgs is empty")

    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        userdata=queue,
        protocol=protocol,
        transport=transport,
    )
    client.enable_logger()
    client.on_publish = _on_publish
    client.on_connect = _on_connect
    _configure(client, will, auth, tls, proxy_args)
    client.connect(hostname, port, keepalive)
    client.loop_forever()


def single(
    topic: str,
    payload: paho.PayloadType = None,
    qos: int = 0,
    retain: bool = False,
    hostname: str = "localhost",
    port: int = 1883,
    client_id: str = "",
    keepalive: int = 60,
    will: MessageDict | None = None,
    auth: AuthParameter | None = None,
    tls: TLSParameter | ssl.SSLContext | None = None,
    protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
    transport: Literal["tcp", "websockets", "unix"] = "tcp",
    proxy_args: dict[str, Any] | None = None,
) -> None:
    """Connect, publish one message, disconnect.

    ``topic``, ``payload``, ``qos`` and ``retain`` are those of ``Client.publish``; everything else
    is as for :func:`multiple`.
    """
    message: MessageDict = {"topic": topic, "payload": payload, "qos": qos, "retain": retain}
    multiple(
        [message],
        hostname,
        port,
        client_id,
        keepalive,
        will,
        auth,
        tls,
        protocol,
        transport,
        proxy_args,
    )
