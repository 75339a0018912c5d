"""Subscribe and receive without a client object to look after.

:func:`simple` returns a number of messages, :func:`callback` hands every message to a function.
Both block; a lost connection is made again.  They use the public API of
:class:`oxmqtt.client.Client` only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import oxmqtt as mqtt

from . import client as paho
from .enums import CallbackAPIVersion, MQTTProtocolVersion
from .publish import _configure

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from typing import Literal

    from .properties import Properties
    from .publish import AuthParameter, MessageDict, TLSParameter
    from .reasoncodes import ReasonCode


def _on_connect(
    client: paho.Client,
    userdata: dict[str, Any],
    flags: paho.ConnectFlags,
    reason_code: ReasonCode,
    properties: Properties | None,
) -> None:
    """Subscribe, after a reconnect too: the broker may have lost the session."""
    if reason_code != 0:
        raise mqtt.MQTTException(paho.connack_string(reason_code))
    topics = userdata["topics"]
    for topic in topics if isinstance(topics, list) else [topics]:
        client.subscribe(topic, userdata["qos"])


def _on_message_callback(
    client: paho.Client, userdata: dict[str, Any], message: paho.MQTTMessage
) -> None:
    """Call the function that :func:`callback` was given, with the user data it was given."""
    userdata["callback"](client, userdata["userdata"], message)


def _on_message_simple(
    client: paho.Client, userdata: dict[str, Any], message: paho.MQTTMessage
) -> None:
    """Collect messages for :func:`simple` until it has enough, then disconnect."""
    if userdata["msg_count"] == 0 or (message.retain and not userdata["retained"]):
        return
    userdata["msg_count"] -= 1
    if userdata["messages"] is None:
        userdata["messages"] = message
    else:
        userdata["messages"].append(message)
    if userdata["msg_count"] == 0:
        client.disconnect()


def callback(
    callback: Callable[[paho.Client, Any, paho.MQTTMessage], object],
    topics: str | list[str],
    qos: int = 0,
    userdata: Any = None,
    hostname: str = "localhost",
    port: int = 1883,
    client_id: str = "",
    keepalive: int = 60,
    will: MessageDict | None = None,
    auth: AuthParameter | None = None,
    tls: TLSParameter | ssl.SSLContext | None = None,
    protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
    transport: Literal["tcp", "websockets", "unix"] = "tcp",
    clean_session: bool | None = True,
    proxy_args: dict[str, Any] | None = None,
) -> None:
    """Connect, subscribe to ``topics`` and call ``callback(client, userdata, message)`` for ever.

    It returns only after the callback called ``client.disconnect()``.

    - ``topics``: one topic filter or a list of them; ``qos`` (0-2) holds for all.
    - ``userdata``: handed to the callback.
    - ``hostname``, ``port``, ``keepalive`` (seconds): as for ``Client.connect``.
    - ``client_id``, ``protocol``, ``transport``, ``clean_session``: as for ``Client``; MQTT 5 has
      no clean session and needs ``None``.
    - ``will``, ``auth``, ``tls``, ``proxy_args``: as for :func:`oxmqtt.publish.multiple`.

    Raises ``ValueError`` for a ``qos`` outside 0-2, ``KeyError`` if ``auth`` has no user name,
    :class:`oxmqtt.MQTTException` if the broker refuses the connection, what ``connect`` and
    ``subscribe`` raise, and what the callback raises.
    """
    if qos < 0 or qos > 2:
        raise ValueError("qos must be in the range 0-2")

    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        userdata={"callback": callback, "topics": topics, "qos": qos, "userdata": userdata},
        protocol=protocol,
        transport=transport,
        clean_session=clean_session,
    )
    client.enable_logger()
    client.on_message = _on_message_callback
    client.on_connect = _on_connect
    _configure(client, will, auth, tls, proxy_args)
    client.connect(hostname, port, keepalive)
    client.loop_forever()


def simple(
    topics: str | list[str],
    qos: int = 0,
    msg_count: int = 1,
    retained: bool = True,
    hostname: str = "localhost",
    port: int = 1883,
    client_id: str = "",
    keepalive: int = 60,
    will: MessageDict | None = None,
    auth: AuthParameter | None = None,
    tls: TLSParameter | ssl.SSLContext | None = None,
    protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
    transport: Literal["tcp", "websockets", "unix"] = "tcp",
    clean_session: bool | None = True,
    proxy_args: dict[str, Any] | None = None,
) -> paho.MQTTMessage | list[paho.MQTTMessage]:
    """Connect, subscribe to ``topics``, return the first ``msg_count`` messages, disconnect.

    One message is returned as it is, more as a list.  With ``retained=False`` retained messages
    are passed over.  ``clean_session`` is ignored for MQTT 5.  Everything else is as for
    :func:`callback`.

    Raises ``ValueError`` for a ``msg_count`` below 1, and what :func:`callback` raises.
    """
    if msg_count < 1:
        raise ValueError("msg_count must be > 0")
    collected: dict[str, Any] = {
        "retained": retained,
        "msg_count": msg_count,
        "messages": None if msg_count == 1 else [],
    }
    callback(
        _on_message_simple,
        topics,
        qos,
        collected,
        hostname,
        port,
        client_id,
        keepalive,
        will,
        auth,
        tls,
        protocol,
        transport,
        None if protocol == MQTTProtocolVersion.MQTTv5 else clean_session,
        proxy_args,
    )
    messages: paho.MQTTMessage | list[paho.MQTTMessage] = collected["messages"]
    return messages
