"""subscribe.callback and subscribe.simple: what they ask of a client, without a network."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import oxmqtt
import pytest
from oxmqtt import subscribe
from oxmqtt.enums import MQTTProtocolVersion
from oxmqtt.packettypes import PacketTypes
from oxmqtt.reasoncodes import ReasonCode
from support.fake_client import FakeClient, install


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> type[FakeClient]:
    return install(monkeypatch)


def message(number: int, retain: bool = False) -> Any:
    return SimpleNamespace(payload=number, retain=retain)


def test_callback(client: type[FakeClient]) -> None:
    seen = []

    def on_message(who: Any, userdata: Any, received: Any) -> None:
        seen.append((userdata, received.payload))
        if received.payload == 2:
            who.disconnect()

    client.messages = [message(1), message(2), message(3)]
    subscribe.callback(on_message, "t", qos=1, userdata="mine", hostname="host", keepalive=9)
    assert seen == [("mine", 1), ("mine", 2)]
    (made,) = client.made
    assert made.arguments[1]["clean_session"] is True
    assert made.calls == [
        ("enable_logger", (), {}),
        ("connect", ("host", 1883, 9), {}),
        ("subscribe", ("t", 1), {}),
        ("disconnect", (), {}),
    ]


def test_each_topic_is_subscribed_after_every_connect(client: type[FakeClient]) -> None:
    client.connects = 2
    subscribe.callback(print, ["a", "b"], auth={"username": "user"}, clean_session=False)
    (made,) = client.made
    assert [args for name, args, _kwargs in made.calls if name == "subscribe"] == [
        ("a", 0),
        ("b", 0),
        ("a", 0),
        ("b", 0),
    ]
    assert made.arguments[1]["clean_session"] is False
    assert ("username_pw_set", ("user", None), {}) in made.calls


def test_simple_returns_one_message(client: type[FakeClient]) -> None:
    client.messages = [message(1), message(2)]
    assert subscribe.simple("t") is client.messages[0]
    assert client.made[0].calls[-1] == ("disconnect", (), {})


def test_simple_returns_a_list_of_several(client: type[FakeClient]) -> None:
    client.messages = [message(1), message(2), message(3)]
    assert subscribe.simple("t", msg_count=2) == client.messages[:2]


def test_simple_passes_over_retained_messages(client: type[FakeClient]) -> None:
    client.messages = [message(1, retain=True), message(2)]
    assert subscribe.simple("t", retained=False) is client.messages[1]
    assert subscribe.simple("t") is client.messages[0]


def test_messages_after_the_last_one_are_ignored(client: type[FakeClient]) -> None:
    client.stops_at_disconnect = False
    client.messages = [message(1), message(2), message(3)]
    assert subscribe.simple("t") is client.messages[0]
    assert subscribe.simple("t", msg_count=2) == client.messages[:2]


@pytest.mark.parametrize("clean_session", [True, False, None])
def test_simple_drops_clean_session_for_mqtt_5(
    client: type[FakeClient], clean_session: bool | None
) -> None:
    client.messages = [message(1)]
    subscribe.simple("t", protocol=MQTTProtocolVersion.MQTTv5, clean_session=clean_session)
    subscribe.simple("t", clean_session=clean_session)
    assert client.made[0].arguments[1]["clean_session"] is None
    assert client.made[1].arguments[1]["clean_session"] is clean_session


def test_wrong_arguments(client: type[FakeClient]) -> None:
    for qos in (-1, 3):
        with pytest.raises(ValueError, match="qos must be in the range 0-2"):
            subscribe.callback(print, "t", qos=qos)
    with pytest.raises(ValueError, match="msg_count must be > 0"):
        subscribe.simple("t", msg_count=0)
    assert client.made == []


def test_a_refused_connection_raises_its_reason(client: type[FakeClient]) -> None:
    client.reason = ReasonCode(PacketTypes.CONNACK, "Banned")
    with pytest.raises(oxmqtt.MQTTException, match=r"^Banned$"):
        subscribe.simple("t")
