"""Calls with wrong and odd arguments, each made on a fresh, unconnected client of either library."""

from __future__ import annotations

import socket
import ssl
from types import ModuleType
from typing import Any, Callable

from support.trace import normal
from support.waiting import finishes

Call = Callable[[ModuleType, Any], Any]

#: Calls on a client of 3.1.1. (name, call)
CALLS: list[tuple[str, Call]] = []
#: Calls on a client of 5.
CALLS_V5: list[tuple[str, Call]] = []


def each(
    where: list[tuple[str, Call]], name: str, values: list[Any], call: Callable[..., Any]
) -> None:
    """One call per value."""
    for value in values:
        shown = repr(value) if len(repr(value)) < 40 else f"{type(value).__name__} of {len(value)}"
        where.append((f"{name} {shown}", lambda m, c, value=value: call(m, c, value)))


def connect_to_a_listener(client: Any, keepalive: int = 60) -> Any:
    """CONNECT is encoded once the connection stands."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return client.connect(*listener.getsockname(), keepalive)


def connect_with_too_long(client: Any, field: str) -> Any:
    """CONNECT with a field of 65,536 bytes, one more than its length can say."""
    if field == "client_id":
        client._client_id = b"x" * 65536
    elif field == "will_payload":
        client.will_set("a", bytes(65536))
    else:
        client.username_pw_set("u", "p")
        setattr(client, field, "x" * 65536)
    return connect_to_a_listener(client)


# --- constructor ----------------------------------------------------------------------------------------------------

WRONG_IDS = ["id", "", b"id", None, 0, 3, 2.0, [], object]
for first in WRONG_IDS:
    CALLS.append((f"Client({first!r})", lambda m, c, first=first: m.Client(first) and "made"))
NEW: list[tuple[str, dict[str, Any]]] = [
    ("transport", {"transport": "udp"}),
    ("transport None", {"transport": None}),
    ("transport TCP", {"transport": "TCP"}),
    ("no id, persistent", {"client_id": "", "clean_session": False}),
    ("v5 with clean_session", {"protocol": 5, "clean_session": True}),
    ("v5 with clean_session False", {"protocol": 5, "clean_session": False}),
    ("id bytes", {"client_id": b"bytes"}),
    ("id None", {"client_id": None}),
    ("id int", {"client_id": 5}),
    ("unknown keyword", {"nonsense": 1}),
    ("protocol 9", {"protocol": 9}),
    ("protocol text", {"protocol": "5"}),
]
for label, options in NEW:
    CALLS.append(
        (
            f"Client(VERSION2, {label})",
            lambda m, c, options=options: normal(
                m.Client(m.CallbackAPIVersion.VERSION2, **options)._client_id
            ),
        )
    )

# --- connect --------------------------------------------------------------------------------------------------------

each(CALLS, "connect host", ["", None], lambda m, c, v: c.connect(v))
each(CALLS, "connect port", [0, -1, "x", None, 65536], lambda m, c, v: c.connect("127.0.0.1", v))
each(
    CALLS,
    "connect keepalive",
    [-1, "x", None, 65536],
    lambda m, c, v: connect_to_a_listener(c, keepalive=v),
)
each(
    CALLS,
    "connect bind_port",
    [-1, 65536, "x"],
    lambda m, c, v: c.connect("127.0.0.1", 1, 60, "", v),
)
each(
    CALLS,
    "connect with too long",
    ["client_id", "username", "password", "will_payload"],
    lambda m, c, v: connect_with_too_long(c, v),
)
each(
    CALLS,
    "connect clean_start",
    [True, False],
    lambda m, c, v: c.connect("127.0.0.1", 1, clean_start=v),
)
CALLS += [
    ("connect properties on 3.1.1", lambda m, c: c.connect("h", 1, properties=m.Properties(1))),
    ("connect_async host", lambda m, c: c.connect_async("")),
    ("connect_async port", lambda m, c: c.connect_async("h", 0)),
    ("connect_async port 65536", lambda m, c: c.connect_async("h", 65536)),
    ("connect_async keepalive 65536", lambda m, c: c.connect_async("h", 1, 65536)),
    ("connect_async keepalive", lambda m, c: c.connect_async("h", 1, -1)),
    ("connect_async", lambda m, c: c.connect_async("h", 1)),
    ("reconnect without connect", lambda m, c: c.reconnect()),
    ("connect_srv without domain", lambda m, c: c.connect_srv()),
    ("disconnect offline", lambda m, c: c.disconnect()),
    ("reconnect_delay_set", lambda m, c: c.reconnect_delay_set(2, 3)),
    ("is_connected", lambda m, c: c.is_connected()),
]

# --- publish --------------------------------------------------------------------------------------------------------

TOPICS = [
    "",
    None,
    "a/+",
    "#",
    "a+b",
    "a" * 65536,
    b"bytes",
    5,
    [],
    "a\x00b",
    "ok/ü",
    "/",
    "$SYS/x",
]
each(CALLS, "publish topic", TOPICS, lambda m, c, v: c.publish(v, "x"))
each(CALLS_V5, "publish topic", TOPICS, lambda m, c, v: c.publish(v, "x"))
QOS = [-1, 3, 0, 1, 2, "1", None, 1.0, 1.5, True, b"1"]
each(CALLS, "publish qos", QOS, lambda m, c, v: c.publish("a", "x", v))
PAYLOADS = [
    [],
    {},
    object,
    memoryview(b"x"),
    (1,),
    {1},
    1j,
    True,
    5,
    2.5,
    None,
    "x",
    b"x",
    bytearray(b"x"),
    "\ud800",
]
each(CALLS, "publish payload", PAYLOADS, lambda m, c, v: c.publish("a", v))
each(CALLS, "publish payload qos 1", PAYLOADS, lambda m, c, v: c.publish("a", v, 1))
each(CALLS, "publish retain", [1, "yes", None, 0], lambda m, c, v: c.publish("a", "x", 0, v))
CALLS += [
    ("publish nothing", lambda m, c: c.publish()),
    ("publish too many", lambda m, c: c.publish("a", "b", 0, False, None, 1)),
    ("publish unknown keyword", lambda m, c: c.publish("a", payloud="x")),
    ("publish payload of 256 MiB", lambda m, c: c.publish("a", bytes(268435456))),
    (
        "publish by keywords",
        lambda m, c: c.publish(topic="a", payload="b", qos=2, retain=True, properties=None),
    ),
    ("publish ids", lambda m, c: [c.publish("a", "x", n % 3).mid for n in range(7)]),
]

# --- subscribe ------------------------------------------------------------------------------------------------------

FILTERS = [
    "",
    None,
    "a+",
    "#/x",
    "a/#/b",
    "+a",
    "a" * 65536,
    5,
    b"a",
    [],
    ["a"],
    [("a",)],
    ("a",),
    ("a", 3),
    ("a", 1),
]
FILTERS += [
    ("a", "1"),
    [("a", 3)],
    [("", 0)],
    [("a", None)],
    [(b"a", 0)],
    {},
    ["a", 1],
    "a/+/#",
    "$share/g/#",
    "ok",
    ("a", 1, 2),
]
for table in (CALLS, CALLS_V5):
    each(table, "subscribe", FILTERS, lambda m, c, v: c.subscribe(v))
    each(table, "subscribe qos", QOS, lambda m, c, v: c.subscribe("a", v))
    each(table, "unsubscribe", FILTERS, lambda m, c, v: c.unsubscribe(v))
CALLS += [
    ("subscribe options on 3.1.1", lambda m, c: c.subscribe("a", options=m.SubscribeOptions(1)))
]
CALLS_V5 += [
    ("subscribe options and qos", lambda m, c: c.subscribe("a", 1, m.SubscribeOptions(1))),
    ("subscribe options not options", lambda m, c: c.subscribe("a", options=1)),
    ("subscribe tuple with options", lambda m, c: c.subscribe(("a", m.SubscribeOptions(1)))),
    ("subscribe list with options", lambda m, c: c.subscribe([("a", m.SubscribeOptions(1))])),
    ("subscribe list with int", lambda m, c: c.subscribe([("a", 1)])),
    ("connect clean_start", lambda m, c: c.connect("", clean_start=True)),
    (
        "connect properties",
        lambda m, c: c.connect("", properties=m.Properties(m.PacketTypes.CONNECT)),
    ),
    (
        "will_set wrong properties",
        lambda m, c: c.will_set("a", properties=m.Properties(m.PacketTypes.PUBLISH)),
    ),
    ("will_set properties a dict", lambda m, c: c.will_set("a", properties={})),
]

# --- will, credentials, options -------------------------------------------------------------------------------------

each(
    CALLS,
    "will_set topic",
    ["", None, "a/#", 5, b"a", "a" * 65536],
    lambda m, c, v: (c.will_set(v), c.will_topic),
)
each(CALLS, "will_set qos", [-1, 3, "1", None], lambda m, c, v: c.will_set("a", "x", v))
each(
    CALLS,
    "will_set payload",
    PAYLOADS,
    lambda m, c, v: (c.will_set("a", v), normal(c.will_payload)),
)
CALLS += [
    (
        "will_set properties on 3.1.1",
        lambda m, c: c.will_set("a", properties=m.Properties(m.PacketTypes.WILLMESSAGE)),
    ),
    ("will unset", lambda m, c: (c.will_topic, c.will_payload)),
    (
        "will_clear",
        lambda m, c: (c.will_set("a", "b"), c.will_clear(), c.will_topic, c.will_payload),
    ),
]
each(CALLS, "username", [5, b"u", None, ""], lambda m, c, v: (c.username_pw_set(v), c.username))
each(
    CALLS,
    "password",
    ["p", b"p", None, ""],
    lambda m, c, v: (c.username_pw_set("u", v), c.password),
)
each(
    CALLS,
    "max_inflight_messages_set",
    [-1, 0, 5, "5", None],
    lambda m, c, v: (c.max_inflight_messages_set(v), c.max_inflight_messages),
)
each(
    CALLS,
    "max_queued_messages_set",
    [-1, 0, 5, "5", None, 1.5],
    lambda m, c, v: (normal(c.max_queued_messages_set(v)), c.max_queued_messages),
)
PROPERTIES: dict[str, list[Any]] = {
    "host": ["", "h", None],
    "port": [0, -1, 5, "x", 65536],
    "keepalive": [-1, 0, 9, "x", 65536],
    "connect_timeout": [0, -1, 2.5, "x"],
    "transport": ["udp", "unix", "TCP"],
    "username": ["u", None, ""],
    "password": ["p", None, ""],
    "max_inflight_messages": [-1, 0, 7],
    "max_queued_messages": [-1, 0, 7],
    "protocol": [5],
    "callback_api_version": [1],
    "will_topic": ["a"],
    "will_payload": ["a"],
    "suppress_exceptions": [True],
}
for attribute, values in PROPERTIES.items():
    CALLS.append((f"{attribute} at first", lambda m, c, a=attribute: normal(getattr(c, a))))
    for value in values:
        CALLS.append(
            (
                f"{attribute} = {value!r}",
                lambda m, c, a=attribute, v=value: (setattr(c, a, v), normal(getattr(c, a))),
            )
        )
CALLS += [
    ("userdata", lambda m, c: (c.user_data_get(), c.user_data_set({"a": 1}), c.user_data_get())),
    ("message_callback_add None", lambda m, c: c.message_callback_add(None, print)),
    ("message_callback_add empty", lambda m, c: c.message_callback_add("", print)),
    ("message_callback_add no callback", lambda m, c: c.message_callback_add("a", None)),
    ("message_callback_remove None", lambda m, c: c.message_callback_remove(None)),
    ("message_callback_remove unknown", lambda m, c: c.message_callback_remove("unknown")),
    ("ack without manual_ack", lambda m, c: c.ack(1, 1)),
    ("manual_ack_set", lambda m, c: c.manual_ack_set(True)),
    (
        "callbacks at first",
        lambda m, c: [getattr(c, n) for n in ("on_connect", "on_message", "on_log", "on_publish")],
    ),
    ("on_message anything", lambda m, c: (setattr(c, "on_message", 5), c.on_message)),
    (
        "enable_logger",
        lambda m, c: (
            c.enable_logger(),
            normal(c.logger is not None),
            c.disable_logger(),
            c.logger,
        ),
    ),
    ("tls_insecure_set before tls_set", lambda m, c: c.tls_insecure_set(True)),
    ("tls_set unknown file", lambda m, c: c.tls_set("/nonexistent/ca.crt")),
    ("tls_set_context twice", lambda m, c: (c.tls_set_context(), c.tls_set_context())),
    ("tls_set twice", lambda m, c: (c.tls_set(), c.tls_set())),
    ("tls_set after tls_set_context", lambda m, c: (c.tls_set_context(), c.tls_set())),
    ("tls_set unknown certfile", lambda m, c: c.tls_set(certfile="/nonexistent/me.crt")),
    ("tls_set not a certificate", lambda m, c: c.tls_set(__file__)),
    ("tls_set not a client certificate", lambda m, c: c.tls_set(certfile=__file__)),
    ("tls_set keyfile only", lambda m, c: c.tls_set(keyfile="/nonexistent/me.key")),
    ("tls_set bad ciphers", lambda m, c: c.tls_set(ciphers="NO-SUCH-CIPHER")),
    ("tls_set bad version", lambda m, c: c.tls_set(tls_version=99)),
    ("tls_set bad cert_reqs", lambda m, c: c.tls_set(cert_reqs=17)),
    ("tls_set bad ALPN", lambda m, c: c.tls_set(alpn_protocols=[""])),
    ("tls_set number", lambda m, c: c.tls_set(5)),
    ("tls_set", lambda m, c: (c.tls_set(), c._ssl, c._tls_insecure)),
    ("tls_set without checks", lambda m, c: (c.tls_set(cert_reqs=ssl.CERT_NONE), c._tls_insecure)),
    (
        "drop_out_messages",
        lambda m, c: (
            c.publish("a", "x", 1),
            [normal(x) for x in c.drop_out_messages()],
            c.drop_out_messages(),
        ),
    ),
]

# --- loops ----------------------------------------------------------------------------------------------------------

each(CALLS, "loop timeout", [-1, -0.1, 0], lambda m, c, v: c.loop(v))
CALLS += [
    ("loop timeout text", lambda m, c: c.loop("x")),
    ("loop_read", lambda m, c: c.loop_read()),
    ("loop_write", lambda m, c: c.loop_write()),
    ("loop_misc", lambda m, c: c.loop_misc()),
    ("want_write", lambda m, c: c.want_write()),
    ("socket", lambda m, c: c.socket()),
    ("loop_stop without loop_start", lambda m, c: c.loop_stop()),
]


# Never connected: paho's returns or raises, it does not wait for ever.
CALLS += [
    ("loop_forever offline", lambda m, c: finishes(c.loop_forever, 5, "loop_forever()")),
    (
        "loop_forever offline, reconnecting",
        lambda m, c: (
            setattr(c, "_reconnect_on_failure", True),
            finishes(c.loop_forever, 5, "loop_forever()"),
        ),
    ),
]

# --- odd arguments --------------------------------------------------------------------------------------------------

each(CALLS, "error_string", [[], "x", None, 99], lambda m, c, v: m.error_string(v))
each(CALLS, "connack_string", [[], "x", None, 99], lambda m, c, v: m.connack_string(v))
each(CALLS, "filter", ["\ud800", "a", "#"], lambda m, c, v: m.topic_matches_sub(v, "\ud800"))
each(CALLS, "connect_async to", [b"localhost", 3], lambda m, c, v: c.connect_async(v))
CALLS += [
    ("host of bytes", lambda m, c: c.connect(b"127.0.0.1", 1)),
    ("path of a number", lambda m, c: c.ws_set_options(path=1)),
]
