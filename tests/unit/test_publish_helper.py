"""publish.single and publish.multiple: what they ask of a client, step by step, without a network."""

from __future__ import annotations

import ssl
from typing import Any

import oxmqtt
import pytest
from oxmqtt import publish
from oxmqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from oxmqtt.packettypes import PacketTypes
from oxmqtt.reasoncodes import ReasonCode
from support.fake_client import FakeClient, install


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> type[FakeClient]:
    return install(monkeypatch)


def test_single(client: type[FakeClient]) -> None:
    publish.single("t", "payload", qos=1, retain=True)
    (made,) = client.made
    assert made.arguments == (
        (CallbackAPIVersion.VERSION2,),
        {"client_id": "", "protocol": MQTTProtocolVersion.MQTTv311, "transport": "tcp"},
    )
    assert made.calls == [
        ("enable_logger", (), {}),
        ("connect", ("localhost", 1883, 60), {}),
        ("publish", (), {"topic": "t", "payload": "payload", "qos": 1, "retain": True}),
        ("disconnect", (), {}),
    ]


def test_each_message_follows_the_one_before(client: type[FakeClient]) -> None:
    messages = [{"topic": "a"}, ("b", b"2", 1), ["c"]]
    publish.multiple(messages, "host", 1884, "id", 7, protocol=MQTTProtocolVersion.MQTTv5)
    (made,) = client.made
    assert made.arguments[1]["client_id"] == "id"
    assert made.calls[1:] == [
        ("connect", ("host", 1884, 7), {}),
        ("publish", (), {"topic": "a"}),
        ("publish", ("b", b"2", 1), {}),
        ("publish", ("c",), {}),
        ("disconnect", (), {}),
    ]
    assert len(messages) == 3, "the caller's list is left alone"


def test_a_reconnect_goes_on_with_the_next_message(client: type[FakeClient]) -> None:
    client.connects = 2
    publish.multiple([("a",), ("b",), ("c",)])
    assert client.made[0].published() == [("a",), ("b",), ("c",)]


def test_messages_may_come_from_a_generator(client: type[FakeClient]) -> None:
    publish.multiple((name,) for name in "ab")
    assert client.made[0].published() == [("a",), ("b",)]


def test_options(client: type[FakeClient]) -> None:
    tls = {"ca_certs": "ca.pem", "insecure": True}
    publish.single(
        "t",
        will={"topic": "gone", "qos": 1},
        auth={"username": "user", "password": "secret"},
        tls=tls,
        proxy_args={"proxy_addr": "proxy"},
        transport="websockets",
    )
    (made,) = client.made
    assert made.arguments[1]["transport"] == "websockets"
    assert made.calls[:7] == [
        ("enable_logger", (), {}),
        ("proxy_set", (), {"proxy_addr": "proxy"}),
        ("username_pw_set", ("user", "secret"), {}),
        ("will_set", (), {"topic": "gone", "qos": 1}),
        ("tls_set", (), {"ca_certs": "ca.pem"}),
        ("tls_insecure_set", (True,), {}),
        ("connect", ("localhost", 1883, 60), {}),
    ]
    assert tls == {"ca_certs": "ca.pem", "insecure": True}, "the caller's dict is left alone"


def test_tls_context(client: type[FakeClient]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    publish.single("t", tls=context)
    assert ("tls_set_context", (context,), {}) in client.made[0].calls


def test_a_user_name_alone(client: type[FakeClient]) -> None:
    publish.single("t", auth={"username": "user"})
    assert ("username_pw_set", ("user", None), {}) in client.made[0].calls


@pytest.mark.parametrize("auth", [{"password": "secret"}, {"username": ""}])
def test_auth_needs_a_user_name(client: type[FakeClient], auth: Any) -> None:
    with pytest.raises(KeyError, match="'username' key was not found, this is required for auth"):
        publish.single("t", auth=auth)
    assert "connect" not in [name for name, _args, _kwargs in client.made[0].calls]


@pytest.mark.parametrize(
    ("messages", "error", "text"),
    [
        (5, TypeError, "msgs must be an iterable"),
        ([], ValueError, "msgs is empty"),
        ([5], TypeError, "message must be a dict, tuple, or list"),
    ],
)
def test_wrong_messages(
    client: type[FakeClient], messages: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        publish.multiple(messages)


def test_a_refused_connection_raises_its_reason(client: type[FakeClient]) -> None:
    client.reason = ReasonCode(PacketTypes.CONNACK, "Not authorized")
    with pytest.raises(oxmqtt.MQTTException, match=r"^Not authorized$"):
        publish.single("t")
