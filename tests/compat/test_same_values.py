"""Small things that programs lean on: texts of codes, topic matching, MQTTMessageInfo, MQTTMessage, enums, signatures."""

from __future__ import annotations

import copy
import inspect
from types import ModuleType
from typing import Any, Callable

import pytest
from support import clients
from support.mosquitto import Mosquitto
from support.peer import ScriptedPeer
from support.trace import normal
from support.waiting import drive

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return normal(call())
    except Exception as error:
        return ("raises", type(error).__name__, str(error))


@pytest.mark.parametrize("code", [*range(-2, 18), None, "x"])
def test_error_string(mqtt: ModuleType, paho: ModuleType, code: Any) -> None:
    assert outcome(lambda: mqtt.error_string(code)) == outcome(lambda: paho.error_string(code))


@pytest.mark.parametrize("code", [*range(-1, 8), 128, 255, None])
def test_connack_string(mqtt: ModuleType, paho: ModuleType, code: Any) -> None:
    assert outcome(lambda: mqtt.connack_string(code)) == outcome(lambda: paho.connack_string(code))


def test_connack_string_of_reason_code(mqtt: ModuleType, paho: ModuleType) -> None:
    def texts(m: ModuleType) -> list[str]:
        names = ["Success", "Not authorized", "Server busy", "Bad user name or password"]
        return [m.connack_string(m.ReasonCode(m.PacketTypes.CONNACK, name)) for name in names]

    assert texts(mqtt) == texts(paho)


@pytest.mark.parametrize("code", range(-1, 17))
def test_conversions_of_codes(mqtt: ModuleType, paho: ModuleType, code: int) -> None:
    for name in (
        "convert_connack_rc_to_reason_code",
        "convert_disconnect_error_code_to_reason_code",
    ):
        assert outcome(lambda n=name: getattr(mqtt, n)(code)) == outcome(
            lambda n=name: getattr(paho, n)(code)
        )


FILTERS = [
    "a/b",
    "a/+",
    "+/b",
    "#",
    "a/#",
    "+",
    "+/+",
    "/+",
    "/#",
    "$SYS/#",
    "+/x",
    "a/b/#",
    "a//b",
    "a/+/b",
    "",
    "a#",
    "a+",
    "$share/g/a",
]
TOPICS = ["a/b", "a", "b", "/", "/a", "a/", "a//b", "$SYS/x", "$SYS", "a/b/c", "", "ü/☃", "a/x/b"]


def test_topic_matches_sub(mqtt: ModuleType, paho: ModuleType) -> None:
    """What is no text is refused by both, each in its own words."""
    for sub, topic in [(None, "a"), (5, "a"), ("a", None), ("a/b", 5)]:
        for m in (paho, mqtt):
            with pytest.raises((TypeError, AttributeError)):
                m.topic_matches_sub(sub, topic)
    for sub in FILTERS:
        for topic in TOPICS:
            expected = outcome(lambda s=sub, t=topic: paho.topic_matches_sub(s, t))
            actual = outcome(lambda s=sub, t=topic: mqtt.topic_matches_sub(s, t))
            assert actual == expected, (sub, topic)


def information(m: ModuleType, info: Any) -> list[Any]:
    """All that one can do with an MQTTMessageInfo at rest."""
    return [
        outcome(lambda: list(info)),
        outcome(lambda: tuple(info)),
        outcome(lambda: info[0]),
        outcome(lambda: info[1]),
        outcome(lambda: info[2]),
        outcome(lambda: info[-1]),
        outcome(lambda: len(info))[:2],  # the text names the class as CPython sees it
        outcome(lambda: str(info)),
        outcome(lambda: info.rc),
        outcome(lambda: info.mid),
        outcome(lambda: next(iter(info))),
        outcome(lambda: [*info] == [info.rc, info.mid]),
        outcome(lambda: setattr(info, "nonsense", 1))[:2],
    ]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_message_info_offline(mqtt: ModuleType, paho: ModuleType, qos: int) -> None:
    def result(m: ModuleType) -> list[Any]:
        client = clients.make(m, "info")
        return information(m, client.publish("a", "x", qos))

    assert result(mqtt) == result(paho)


def test_message_info_offline_qos0_waits(mqtt: ModuleType, paho: ModuleType) -> None:
    """A QoS 0 message without a connection is gone, and both ways of asking say so."""

    def result(m: ModuleType) -> list[Any]:
        info = clients.make(m, "info").publish("a", "x", 0)
        return [outcome(lambda: info.is_published()), outcome(lambda: info.wait_for_publish(0.05))]

    assert result(mqtt) == result(paho)


def test_message_info_queue_full(mqtt: ModuleType, paho: ModuleType) -> None:
    def result(m: ModuleType) -> list[Any]:
        client = clients.make(m, "info")
        client.max_queued_messages_set(2)
        infos = [client.publish("a", "x", 1 + n % 2) for n in range(4)]
        full = infos[-1]
        return [
            [information(m, info) for info in infos],
            outcome(full.is_published),
            outcome(lambda: full.wait_for_publish(0.05)),
            outcome(lambda: client.publish("a", "x", 0).rc),
        ]

    assert result(mqtt) == result(paho)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_message_info_connected(
    mqtt: ModuleType, paho: ModuleType, broker: Mosquitto, qos: int
) -> None:
    def result(m: ModuleType) -> list[Any]:
        client = clients.make(m, "info")
        client.connect(broker.host, broker.port)
        drive(client, client.is_connected, "CONNACK")
        info = client.publish("a", "x", qos)
        drive(client, info.is_published, "the acknowledgement")
        results = [
            *information(m, info),
            outcome(lambda: info.wait_for_publish(1)),
            outcome(info.wait_for_publish),
        ]
        clients.dispose(client)
        return results

    assert result(mqtt) == result(paho)


def test_wait_for_publish_times_out_silently(mqtt: ModuleType, paho: ModuleType) -> None:
    def result(m: ModuleType) -> list[Any]:
        with ScriptedPeer() as peer:
            client = clients.make(m, "info")
            client.connect(peer.host, peer.port)
            peer.accept().accept_client()
            drive(client, client.is_connected, "CONNACK")
            info = client.publish("a", "x", 1)
            results = [outcome(lambda: info.wait_for_publish(0.05)), outcome(info.is_published)]
            clients.dispose(client)
            return results

    assert result(mqtt) == result(paho) == [None, False]


def test_message_made_by_hand(mqtt: ModuleType, paho: ModuleType) -> None:
    """Test suites of users build messages, copy and compare them."""

    def result(m: ModuleType) -> list[Any]:
        message, other = m.MQTTMessage(3, b"a/b"), m.MQTTMessage(3)
        facts = [
            normal(message),
            message == other,
            message != other,
            outcome(lambda: hash(message))[:2],  # the text names the class as CPython sees it
        ]
        message.topic, message.payload, message.qos, message.retain = b"x/\xc3\xbc", b"p", 2, True
        other.topic = b"\xff"
        return [
            *facts,
            normal(message),
            normal(copy.copy(message)),
            outcome(lambda: other.topic),
            outcome(lambda: setattr(message, "topic", "text") or message.topic),
            message == m.MQTTMessage(4),
            message == 3,
            outcome(lambda: m.MQTTMessage(1, "text").topic),
        ]

    assert result(mqtt) == result(paho)


def test_constants_and_enums(mqtt: ModuleType, paho: ModuleType) -> None:
    """Every upper-case name: same value, same type, same repr."""
    for name in [n for n in dir(paho) if n.isupper() and not n.startswith("_")]:
        expected, actual = getattr(paho, name), getattr(mqtt, name, "missing")
        assert (type(actual).__name__, repr(actual)) == (type(expected).__name__, repr(expected)), (
            name
        )
        if isinstance(expected, int):
            assert actual == int(expected)


def test_signatures(mqtt: ModuleType, paho: ModuleType) -> None:
    """Parameter names, order, kinds and defaults of every public callable of Client and the module."""

    def shape(owner: Any, name: str) -> Any:
        member = inspect.getattr_static(owner, name)
        if inspect.isdatadescriptor(member):
            return "property"
        try:
            signature = inspect.signature(getattr(owner, name))
        except (TypeError, ValueError) as error:
            return f"no signature: {error}"
        # a native method's self is positional only
        return [
            (parameter.name, str(parameter.kind), repr(parameter.default))
            for parameter in signature.parameters.values()
            if parameter.name != "self"
        ]

    wrong = {}
    for owner in ("Client", "MQTTMessageInfo", "MQTTMessage"):
        before, after = getattr(paho, owner), getattr(mqtt, owner)
        for name in [n for n in dir(before) if not n.startswith("_")]:
            if not callable(getattr(before, name)) and not isinstance(
                inspect.getattr_static(before, name), property
            ):
                continue
            expected = shape(before, name)
            actual = shape(after, name) if hasattr(after, name) else "missing"
            if actual != expected and (owner, name) not in EXTENDED:
                wrong[f"{owner}.{name}"] = (actual, expected)
    assert wrong == {}, "\n".join(
        f"{name}: {was} != {wanted}" for name, (was, wanted) in wrong.items()
    )


#: (class, name) whose signature is wider on purpose, with the reason.
EXTENDED: dict[tuple[str, str], str] = {
    ("Client", "loop"): "1.6-style loop(timeout, max_packets) works",
    ("Client", "loop_forever"): "1.6-style loop_forever(timeout, max_packets) works",
    ("Client", "loop_stop"): "1.6-style loop_stop(force) works",
    ("Client", "loop_write"): "1.6-style loop_write(max_packets) works",
    ("Client", "tls_set"): "takes server_hostname",
    ("Client", "tls_set_context"): "takes server_hostname",
    ("Client", "ws_set_options"): "another issue",
}
