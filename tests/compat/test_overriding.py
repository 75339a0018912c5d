"""Every public method can be overridden in a subclass, replaced on an instance, and mocked with its parameters.

The same runs on paho (`--client paho.mqtt.client`), so what is asserted is what programs know.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import threading
from types import ModuleType
from typing import Any
from unittest import mock

import oxmqtt.client
import pytest
from paho.mqtt import client as paho_client
from support import clients
from support.mosquitto import Mosquitto
from support.waiting import Mailbox


def methods_of(owner: type) -> list[str]:
    return [
        name
        for name, value in inspect.getmembers(owner, inspect.isroutine)
        if not name.startswith("_")
    ]


METHODS = methods_of(paho_client.Client)
OF_INFO = methods_of(paho_client.MQTTMessageInfo)
PROPERTIES = [
    name
    for name, value in inspect.getmembers(paho_client.Client)
    if isinstance(value, property) and not name.startswith("_")
]
FUNCTIONS = [
    name
    for name, value in inspect.getmembers(paho_client, inspect.isfunction)
    if not name.startswith("_") and value.__module__ == paho_client.__name__
]


def test_there_is_enough_to_look_at() -> None:
    assert len(METHODS) > 45 and len(PROPERTIES) > 25 and len(OF_INFO) == 3 and len(FUNCTIONS) >= 4


# Signatures


def parameters(function: Any) -> list[tuple[str, Any, str]]:
    return [
        (p.name, p.kind, str(p.default))  # both have enums of their own
        for p in inspect.signature(function).parameters.values()
        if p.name != "server_hostname" and p.name != "backend"  # added: tls_set, tls_set_context
    ]


@pytest.mark.parametrize("name", METHODS)
def test_signature_of_a_method(mqtt: ModuleType, name: str) -> None:
    """By the class, by an object, and by an object of a subclass; it looks like a function."""
    expected = parameters(getattr(paho_client.Client, name))
    assert parameters(getattr(mqtt.Client, name)) == expected
    assert inspect.isfunction(getattr(mqtt.Client, name))
    assert inspect.ismethod(getattr(clients.make(mqtt), name))
    assert parameters(getattr(clients.make(mqtt), name)) == expected[1:]
    assert getattr(mqtt.Client, name).__name__ == name


@pytest.mark.parametrize("name", OF_INFO)
def test_signature_of_a_method_of_an_info(mqtt: ModuleType, name: str) -> None:
    expected = parameters(getattr(paho_client.MQTTMessageInfo, name))
    assert parameters(getattr(mqtt.MQTTMessageInfo, name)) == expected
    assert inspect.isfunction(getattr(mqtt.MQTTMessageInfo, name))
    assert parameters(getattr(mqtt.MQTTMessageInfo(1), name)) == expected[1:]


@pytest.mark.parametrize("name", ["Client", "MQTTMessage", "MQTTMessageInfo"])
def test_signature_of_a_class(mqtt: ModuleType, name: str) -> None:
    assert parameters(getattr(mqtt, name)) == parameters(getattr(paho_client, name))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signature_of_a_function(mqtt: ModuleType, name: str) -> None:
    assert parameters(getattr(mqtt, name)) == parameters(getattr(paho_client, name))
    assert inspect.isfunction(getattr(mqtt, name))


def test_private_methods_that_programs_override(mqtt: ModuleType) -> None:
    names = (
        "_create_socket _create_socket_connection _create_unix_socket_connection _do_on_disconnect"
        " _do_on_publish _easy_log _handle_connack _handle_on_message _loop _mid_generate _packet_queue"
        " _reset_sockets _send_pingreq _sock_close _ssl_wrap_socket _thread_main"
    )
    for name in names.split():
        expected = parameters(getattr(paho_client.Client, name))
        assert parameters(getattr(mqtt.Client, name))[1:] == expected[1:], name


# Mocks


def wrong_calls(function: Any, skip: int) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Arguments that paho's signature refuses: an unknown keyword, too many, too few."""
    signature = inspect.signature(function)
    known = list(signature.parameters.values())[skip:]
    needed = [p for p in known if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in known)
    takes_keywords = any(p.kind is p.VAR_KEYWORD for p in known)
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    if not takes_keywords:
        calls.append((tuple("x" for _ in needed), {"nosuch": 1}))
    if not takes_any:
        calls.append((tuple("x" for _ in range(len(known) + 3)), {}))
    if needed:
        calls.append(((), {}))
    return calls


@pytest.mark.parametrize("name", METHODS)
def test_autospec_of_the_class(mqtt: ModuleType, name: str) -> None:
    made = mock.create_autospec(mqtt.Client, instance=True)
    for args, kwargs in wrong_calls(getattr(paho_client.Client, name), 1):
        with pytest.raises(TypeError):
            getattr(made, name)(*args, **kwargs)


@pytest.mark.parametrize("name", METHODS)
def test_patched_with_autospec(mqtt: ModuleType, name: str) -> None:
    """`self` arrives, wrong arguments do not, and afterwards all is as before."""
    before = getattr(mqtt.Client, name)
    signature = inspect.signature(getattr(paho_client.Client, name))
    needed = [p for p in signature.parameters.values() if p.default is p.empty and p.kind < 2]
    with mock.patch.object(mqtt.Client, name, autospec=True) as patched:
        client = clients.make(mqtt)
        arguments = ["x"] * (len(needed) - 1)
        getattr(client, name)(*arguments)
        patched.assert_called_once_with(client, *arguments)
        for args, kwargs in wrong_calls(getattr(paho_client.Client, name), 1):
            with pytest.raises(TypeError):
                getattr(client, name)(*args, **kwargs)
    assert getattr(mqtt.Client, name) is before or getattr(mqtt.Client, name) == before


@pytest.mark.parametrize("name", METHODS)
def test_mock_on_an_instance(mqtt: ModuleType, name: str) -> None:
    client = clients.make(mqtt)
    with mock.patch.object(client, name, autospec=True) as patched:
        for args, kwargs in wrong_calls(getattr(paho_client.Client, name), 1):
            with pytest.raises(TypeError):
                getattr(client, name)(*args, **kwargs)
        patched.return_value = "mocked"
    with mock.patch.object(client, name) as patched:
        patched.return_value = "mocked"
        assert getattr(client, name)("any", thing=1) == "mocked"
    assert inspect.ismethod(getattr(client, name))


@pytest.mark.parametrize("name", OF_INFO)
def test_autospec_of_an_info(mqtt: ModuleType, name: str) -> None:
    made = mock.create_autospec(mqtt.MQTTMessageInfo, instance=True)
    getattr(made, name)()
    for args, kwargs in wrong_calls(getattr(paho_client.MQTTMessageInfo, name), 1):
        with pytest.raises(TypeError):
            getattr(made, name)(*args, **kwargs)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_autospec_of_a_function(mqtt: ModuleType, name: str) -> None:
    with mock.patch.object(mqtt, name, autospec=True):
        for args, kwargs in wrong_calls(getattr(paho_client, name), 0):
            with pytest.raises(TypeError):
                getattr(mqtt, name)(*args, **kwargs)


def test_keywords_and_positions_are_the_same_call(mqtt: ModuleType) -> None:
    made = mock.create_autospec(mqtt.Client, instance=True)
    made.publish("t", "p", qos=1)
    made.publish.assert_called_with(topic="t", payload="p", qos=1)
    made.subscribe("t", 1)
    made.subscribe.assert_called_with(topic="t", qos=1)
    made.ack(1, qos=2)
    made.ack.assert_called_with(mid=1, qos=2)


@pytest.mark.parametrize("name", PROPERTIES)
def test_mocked_property(mqtt: ModuleType, name: str) -> None:
    client = clients.make(mqtt)
    with mock.patch.object(mqtt.Client, name, new_callable=mock.PropertyMock) as patched:
        patched.return_value = "mocked"
        assert getattr(client, name) == "mocked"


# Subclasses


def overriding(mqtt: ModuleType, name: str, calls: list[Any]) -> Any:
    """A subclass whose method notes the call and hands it on."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append((args, kwargs))
        return getattr(super(own, self), name)(*args, **kwargs)

    own: Any = type("Own", (mqtt.Client,), {name: method})
    return own


@pytest.mark.parametrize("name", METHODS)
def test_overridden_in_a_subclass(mqtt: ModuleType, name: str) -> None:
    """A client without a connection: the method is the program's, and super() the library's."""
    calls: list[Any] = []
    client = clients.make(mqtt, "own", factory=overriding(mqtt, name, calls))
    plain = clients.make(mqtt, "own")
    before = len(calls)
    assert answer(client, name) == answer(plain, name)
    assert len(calls) > before


def answer(client: Any, name: str) -> Any:
    """What a call without a connection comes to."""
    arguments: dict[str, tuple[Any, ...]] = {
        "connect": ("127.0.0.1", 1),
        "connect_async": ("127.0.0.1", 1),
        "message_callback_add": ("a", print),
        "message_callback_remove": ("a",),
        "topic_callback": ("a",),
        "publish": ("a", "b"),
        "subscribe": ("a",),
        "unsubscribe": ("a",),
        "ack": (1, 1),
        "will_set": ("a",),
        "username_pw_set": ("a", "b"),
        "user_data_set": ("a",),
        "reconnect_delay_set": (1, 2),
        "manual_ack_set": (True,),
        "max_inflight_messages_set": (5,),
        "max_queued_messages_set": (5,),
        "tls_insecure_set": (True,),
        "tls_set_context": (None,),
        "proxy_set": (),
    }
    try:
        result = getattr(client, name)(*arguments.get(name, ()))
    except Exception as error:
        return type(error)
    finally:
        client.loop_stop()
    if isinstance(result, (int, str, bool, type(None))):
        return result
    if name in ("subscribe", "unsubscribe"):
        return tuple(result)
    return "itself" if result is client else type(result).__name__


def test_reconnect_is_called_by_connect(mqtt: ModuleType, broker: Mosquitto) -> None:
    calls: list[Any] = []
    client = clients.make(mqtt, "own", factory=overriding(mqtt, "reconnect", calls))
    client.connect(broker.host, broker.port)
    clients.dispose(client)
    assert calls == [((), {})]


def test_loop_forever_is_called_by_loop_start(mqtt: ModuleType, broker: Mosquitto) -> None:
    calls: list[Any] = []
    client = clients.make(mqtt, "own", factory=overriding(mqtt, "loop_forever", calls))
    client.connect(broker.host, broker.port)
    client.loop_start()
    clients.dispose(client)
    assert calls == [((), {"retry_first_connection": True})]


def test_tls_set_context_is_called_by_tls_set(mqtt: ModuleType) -> None:
    calls: list[Any] = []
    client = clients.make(mqtt, "own", factory=overriding(mqtt, "tls_set_context", calls))
    client.tls_set()
    assert len(calls) == 1


@pytest.mark.parametrize("replaced", ["subclass", "instance", "class"])
def test_callbacks_as_methods_properties_and_attributes(
    mqtt: ModuleType, broker: Mosquitto, replaced: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a program puts `on_connect`, `on_message` and the like, they are found when they are due."""
    seen: Mailbox[str] = Mailbox()

    def on_connect(self: Any, client: Any, *_: Any) -> None:
        client.subscribe("where/#", 1)

    def on_subscribe(self: Any, client: Any, *_: Any) -> None:
        client.publish("where/x", b"1", 1)

    def on_message(self: Any, client: Any, userdata: Any, message: Any) -> None:
        seen.put("message")

    def on_publish(self: Any, client: Any, *_: Any) -> None:
        seen.put("publish")

    methods = {f.__name__: f for f in (on_connect, on_subscribe, on_message, on_publish)}
    own: Any = type("Own", (mqtt.Client,), methods if replaced == "subclass" else {})
    client = clients.make(mqtt, "where", factory=own)
    for name, function in methods.items():
        if replaced == "instance":
            setattr(client, name, function.__get__(client))
        elif replaced == "class":
            monkeypatch.setattr(mqtt.Client, name, function)
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        assert sorted(seen.wait_count(2)) == ["message", "publish"]
    finally:
        client.disconnect()
        client.loop_stop()
        client._reset_sockets()


def test_publish_overridden_by_wrappers(mqtt: ModuleType, broker: Mosquitto) -> None:
    """Encoders override `publish` with parameters of their own, and call the library's by position and by name."""

    class Own(mqtt.Client):  # type: ignore[misc,name-defined]
        def publish(self, topic: str, value: Any, **options: Any) -> Any:  # type: ignore[override]
            by_name = super().publish(topic=topic, payload=repr(value), **options)
            by_position = mqtt.Client.publish(
                self, topic, repr(value), options.get("qos", 0), False
            )
            assert type(by_name) is type(by_position)
            return by_name

    with clients.Watched(mqtt, "encoder", factory=Own) as watched:
        watched.start(broker).subscribe("encoder/#", 1)
        bound = watched.client.publish
        bound("encoder/x", {"a": 1}, qos=1)
        messages = watched.messages.wait_count(2)
        assert [message.payload for message in messages] == [b"{'a': 1}"] * 2


def test_wrapped_by_a_library_that_instruments(mqtt: ModuleType, broker: Mosquitto) -> None:
    """Tracing libraries put a wrapper into the class, for all objects there are."""
    spans: list[Any] = []
    original = mqtt.Client.publish

    def publish(self: Any, *args: Any, **kwargs: Any) -> Any:
        spans.append(threading.current_thread())
        return original(self, *args, **kwargs)

    with clients.Watched(mqtt, "traced") as watched:
        watched.start(broker).subscribe("traced/#", 1)
        with mock.patch.object(mqtt.Client, "publish", publish):
            watched.client.publish("traced/x", b"1", 1)
        watched.client.publish("traced/x", b"2", 1)
        watched.messages.wait_count(2)
    assert len(spans) == 1


def test_the_fast_call_is_the_described_one() -> None:
    """A method taken apart, as decorators do, does the same."""
    client = clients.make(oxmqtt.client)
    taken: Any = oxmqtt.client.Client.publish
    for call in (taken, taken.__call__, taken.__get__(client).__func__, client.publish.__func__):
        assert call(client, "t", b"", qos=1).rc == oxmqtt.client.MQTT_ERR_NO_CONN
    assert len(client._out_messages) == 4
    with pytest.raises(TypeError):
        taken(client)
    with pytest.raises(TypeError):
        client.publish("t", nosuch=1)
    assert repr(taken).startswith("<function ClientBase.publish") and callable(taken)


def test_attributes_of_a_subclass(mqtt: ModuleType, broker: Mosquitto) -> None:
    """Words that programs use for state of their own mean nothing to the library."""
    words = "running url connected connected_at attempt attempts looping topic topics broker queue lock closed ready"

    class Own(mqtt.Client):  # type: ignore[misc,name-defined]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            for word in words.split():
                setattr(self, "_" + word, word)

    with clients.Watched(mqtt, "words", factory=Own) as watched:
        watched.start(broker).subscribe("words", 1)
        watched.client.publish("words", b"1", 1)
        watched.messages.wait_count(1)
        watched.client.reconnect()
        watched.connects.wait_count(2)
        assert all(getattr(watched.client, "_" + word) == word for word in words.split())


def test_a_subclass_without_a_hash(mqtt: ModuleType, broker: Mosquitto) -> None:
    """As dataclasses are."""

    @dataclasses.dataclass
    class Own(mqtt.Client):  # type: ignore[misc,name-defined]
        name: str = "dataclass"

        def __post_init__(self) -> None:
            super().__init__(mqtt.CallbackAPIVersion.VERSION2, self.name)

    client = Own()
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.connect(broker.host, broker.port)
    client.loop_start()
    assert connected.wait(30)
    client.disconnect()
    client.loop_stop()


class Kept(oxmqtt.client.Client):
    """Can be pickled, because it says how."""

    def __getstate__(self) -> bytes:
        return self._client_id

    def __setstate__(self, client_id: bytes) -> None:
        Kept.__init__(self, oxmqtt.client.CallbackAPIVersion.VERSION2, client_id)


def test_copying() -> None:
    kept = Kept(oxmqtt.client.CallbackAPIVersion.VERSION2, "kept")
    for again in (copy.copy(kept), pickle.loads(pickle.dumps(kept))):
        assert again is not kept and again._client_id == b"kept"
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        copy.copy(oxmqtt.client.Client(oxmqtt.client.CallbackAPIVersion.VERSION2))
