"""Reading the URL of a broker: what it means, what is refused, and that no secret gets out."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest
from oxmqtt.enums import MQTTProtocolVersion
from oxmqtt.url import BrokerUrl, from_environment, parse

V31, V311, V5 = (
    MQTTProtocolVersion.MQTTv31,
    MQTTProtocolVersion.MQTTv311,
    MQTTProtocolVersion.MQTTv5,
)

PLACES = [
    ("mqtt://broker", "mqtt", "broker", 1883),
    ("mqtts://broker", "mqtts", "broker", 8883),
    ("ws://broker", "ws", "broker", 80),
    ("wss://broker", "wss", "broker", 443),
    ("MQTT://broker", "mqtt", "broker", 1883),
    ("mqtt://broker/", "mqtt", "broker", 1883),
    ("mqtt://broker:", "mqtt", "broker", 1883),
    ("mqtt://broker:1", "mqtt", "broker", 1),
    ("mqtt://broker:65535/", "mqtt", "broker", 65535),
    ("mqtt://broker.example.com:1884", "mqtt", "broker.example.com", 1884),
    ("mqtt://192.0.2.7:1884", "mqtt", "192.0.2.7", 1884),
    ("mqtt://[::1]", "mqtt", "::1", 1883),
    ("mqtts://[2001:db8::7]:8884", "mqtts", "2001:db8::7", 8884),
    ("mqtt://[fe80::1%25eth0]:1884", "mqtt", "fe80::1%eth0", 1884),
    ("mqtt://br%C3%BCcke", "mqtt", "brücke", 1883),
    ("unix:///run/mosquitto.sock", "unix", "/run/mosquitto.sock", 0),
    ("unix:/run/mosquitto.sock", "unix", "/run/mosquitto.sock", 0),
    ("unix:///run/a%20b%3F.sock", "unix", "/run/a b?.sock", 0),
    ("unix://user@/run/mosquitto.sock", "unix", "/run/mosquitto.sock", 0),
]


@pytest.mark.parametrize(("text", "scheme", "host", "port"), PLACES)
def test_where_the_broker_is(text: str, scheme: str, host: str, port: int) -> None:
    url = parse(text)
    assert (url.scheme, url.host, url.port) == (scheme, host, port)


@pytest.mark.parametrize(
    ("text", "username", "password"),
    [
        ("mqtt://broker", None, None),
        ("mqtt://user@broker", "user", None),
        ("mqtt://user:@broker", "user", ""),
        ("mqtt://user:pw@broker", "user", "pw"),
        ("mqtt://:pw@broker", "", "pw"),
        ("mqtt://user:p:w@broker", "user", "p:w"),
        ("mqtt://user:p@w@broker", "user", "p@w"),
        ("mqtt://us%40er:p%2Fw%3A%3F%23%25@broker", "us@er", "p/w:?#%"),
        ("mqtt://%C3%BC:%E2%82%AC@[::1]:1884", "ü", "€"),
        ("mqtt://a+b:c+d@broker", "a+b", "c+d"),
        ("unix://user:pw@/run/mosquitto.sock", "user", "pw"),
    ],
)
def test_credentials(text: str, username: str | None, password: str | None) -> None:
    url = parse(text)
    assert (url.username, url.password) == (username, password)


@pytest.mark.parametrize(
    ("text", "path", "topic"),
    [
        ("ws://broker", "/mqtt", ""),
        ("ws://broker/", "/", ""),
        ("wss://broker/a/b%20c", "/a/b%20c", ""),
        ("mqtt://broker", "", ""),
        ("mqtt://broker/sensors/kitchen", "", "sensors/kitchen"),
        ("mqtts://broker//a", "", "/a"),
        ("mqtt://broker/a%2Fb/%2B/%23", "", "a/b/+/#"),
        ("mqtt://broker/+/a?keepalive=1", "", "+/a"),
    ],
)
def test_path_and_topic(text: str, path: str, topic: str) -> None:
    url = parse(text)
    assert (url.path, url.topic) == (path, topic)


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ("client_id=sensor-7", "client_id", "sensor-7"),
        ("client_id=", "client_id", ""),
        ("client_id=a%26b%3Dc", "client_id", "a&b=c"),
        ("client_id=a=b", "client_id", "a=b"),
        ("client_id=a+b", "client_id", "a+b"),
        ("client_id=a@b", "client_id", "a@b"),
        ("client_id=a/b?c", "client_id", "a/b?c"),
        ("keepalive=30", "keepalive", 30),
        ("keepalive=0", "keepalive", 0),
        ("keepalive=65535", "keepalive", 65535),
        ("version=3.1", "version", V31),
        ("version=3.1.1", "version", V311),
        ("version=5", "version", V5),
        ("version=5.0", "version", V5),
        ("clean_start=true", "clean_start", True),
        ("clean_start=FALSE", "clean_start", False),
        ("clean_start=0", "clean_start", False),
        ("session_expiry=4294967295", "session_expiry", 4294967295),
        ("connect_timeout=2.5", "connect_timeout", 2.5),
        ("ca_certs=/etc/ca.crt", "ca_certs", "/etc/ca.crt"),
        ("certfile=/etc/my%20own.crt", "certfile", "/etc/my own.crt"),
        ("certfile=a&keyfile=b", "keyfile", "b"),
        ("server_hostname=other", "server_hostname", "other"),
        ("insecure=1", "insecure", True),
        ("&keepalive=30&", "keepalive", 30),
    ],
)
@pytest.mark.parametrize("base", ["mqtts://broker", "wss://u:p@[::1]:9001/mqtt"])
def test_settings(base: str, query: str, name: str, value: Any) -> None:
    url = parse(f"{base}?{query}")
    assert getattr(url, name) == value
    unset = parse(base)
    others = set(vars(url)) - {name, "certfile"}
    assert {key: getattr(url, key) for key in others} == {
        key: getattr(unset, key) for key in others
    }


REFUSED = [
    ("", "begins with one of mqtt, mqtts, ws, wss, unix"),
    ("broker", "begins with one of"),
    ("broker:1883", "scheme of the URL must be one of"),
    ("http://broker", "scheme of the URL must be one of mqtt, mqtts, ws, wss, unix"),
    ("mqtt:broker", "must be followed by //"),
    ("mqtt://", "lacks a host"),
    ("mqtt://:1883", "lacks a host"),
    ("mqtt://user:pw@", "lacks a host"),
    ("mqtt:///topic", "lacks a host"),
    ("mqtt://broker:0", "number from 1 to 65535"),
    ("mqtt://broker:65536", "number from 1 to 65535"),
    ("mqtt://broker:-1", "number from 1 to 65535"),
    ("mqtt://broker:1883x", "number from 1 to 65535"),
    ("mqtt://broker:١٢", "number from 1 to 65535"),
    ("mqtt://::1", "needs brackets"),
    ("mqtt://fe80::1:1883", "needs brackets"),
    ("mqtt://[::1", "is written as [address]"),
    ("mqtt://[::1]1883", "is written as [address]"),
    ("mqtt://[broker]", "is written as [address]"),
    ("mqtt://[]", "is written as [address]"),
    ("mqtt://a b", "spaces or control characters"),
    ("mqtt://broker\r\n", "spaces or control characters"),
    ("mqtt://bro%0Aker", "spaces or control characters"),
    ("mqtt://bro%00ker", "spaces or control characters"),
    ("mqtt://user:50%@broker", "two hexadecimal digits"),
    ("mqtt://user:%zz@broker", "two hexadecimal digits"),
    ("mqtt://%FF@broker", "user name in the URL is not UTF-8"),
    ("mqtt://user:%FF@broker", "password in the URL is not UTF-8"),
    ("mqtt://broker#x", "has a #"),
    ("unix://", "lacks the path"),
    ("unix:///", "lacks the path"),
    ("unix://run/mosquitto.sock", "unix:///path/of/socket"),
    (
        "mqtt://broker?keep_alive=30",
        "unknown key keep_alive behind ?; the keys are client_id, keepalive",
    ),
    ("mqtt://broker?=30", "unknown key behind ?"),
    ("mqtt://broker?KEEPALIVE=30", "unknown key KEEPALIVE"),
    ("mqtt://broker?keepalive=1&keepalive=2", "keepalive stands twice"),
    ("mqtt://broker?keepalive", "keepalive: must be a number of seconds from 0 to 65535"),
    ("mqtt://broker?keepalive=-1", "keepalive: must be a number"),
    ("mqtt://broker?keepalive=65536", "keepalive: must be a number"),
    ("mqtt://broker?keepalive=1.5", "keepalive: must be a number"),
    ("mqtt://broker?session_expiry=4294967296", "session_expiry: must be a number"),
    ("mqtt://broker?version=4", "version: must be one of 3.1, 3.1.1, 5"),
    ("mqtt://broker?clean_start=maybe", "clean_start: must be one of true, 1, false, 0"),
    ("mqtt://broker?connect_timeout=0", "connect_timeout: must be a number of seconds above 0"),
    ("mqtt://broker?connect_timeout=nan", "connect_timeout: must be a number"),
    ("mqtt://broker?client_id=%FF", "client_id in the URL is not UTF-8"),
    ("mqtt://broker?ca_certs=/ca.crt", "ca_certs is for TLS"),
    ("ws://broker?insecure=true", "insecure is for TLS"),
    ("unix:///s?server_hostname=h", "server_hostname is for TLS"),
    ("mqtts://broker?ca_certs=", "ca_certs: needs a value"),
    ("mqtts://broker?keyfile=/my.key", "keyfile needs certfile"),
    ("mqtt://broker?version=3.1.1&session_expiry=60", "session_expiry is for version=5"),
]


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        parse(text)


# A password with characters that cut the URL elsewhere, as people paste them.
@pytest.mark.parametrize(
    "password",
    [
        "hunter2/x",
        "hunter2?x",
        "hunter2#x",
        "hun ter2",
        "hunter2%",
        "1?x&hunter2=y",
        "hunter2:x",
        "%FFhunter2",
        "a/hunter2?b",
        "hunter2[x",
    ],
)
@pytest.mark.parametrize("scheme", ["mqtt", "mqtts", "ws", "unix", "http"])
def test_no_secret_in_an_error(scheme: str, password: str) -> None:
    text = f"{scheme}://user:{password}@broker:1883x?nokey=hunter2"
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert "hunter2" not in str(caught.value) and "ter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.__context__) or caught.value.__suppress_context__


def test_no_secret_is_shown() -> None:
    url = parse("mqtts://token-of-user:hunter2@broker/a?client_id=c")
    for shown in (repr(url), str(url), f"{url}"):
        assert "hunter2" not in shown and "token-of-user" not in shown
    assert str(url) == "mqtts://broker:8883/a"
    assert str(parse("ws://[::1]/path?keepalive=3")) == "ws://[::1]:80/path"
    assert str(parse("unix://u:p@/run/s")) == "unix:///run/s"


def test_it_is_a_value() -> None:
    text = "mqtts://user:pw@broker/a?version=5"
    url = parse(text)
    assert url == parse(text) and hash(url) == hash(parse(text))
    assert pickle.loads(pickle.dumps(url)) == url
    with pytest.raises(AttributeError):
        url.host = "other"  # type: ignore[misc]
    assert (url.tls, url.transport) == (True, "tcp")
    assert (parse("wss://b").tls, parse("wss://b").transport) == (True, "websockets")
    assert (parse("ws://b").tls, parse("unix:/s").transport) == (False, "unix")


def test_environment() -> None:
    found = from_environment(environment={"MQTT_URL": "mqtt://user:pw@broker"})
    assert found == parse("mqtt://user:pw@broker")
    assert from_environment("B", {"B": "ws://broker"}) == parse("ws://broker")


def test_credentials_in_variables_of_their_own() -> None:
    own = {"MQTT_USERNAME": "us/er", "MQTT_PASSWORD": "p@%"}
    found = from_environment(environment={"MQTT_URL": "mqtt://broker", **own})
    assert (found.username, found.password) == ("us/er", "p@%")
    found = from_environment(environment={"MQTT_URL": "mqtt://u@broker", **own})
    assert (found.username, found.password) == ("u", "p@%")
    found = from_environment(environment={"MQTT_URL": "mqtt://u:p@broker", **own})
    assert (found.username, found.password) == ("u", "p")
    found = from_environment("SITE_URL", {"SITE_URL": "mqtt://broker", "SITE_USERNAME": "u", **own})
    assert (found.username, found.password) == ("u", None)


@pytest.mark.parametrize("value", [None, ""])
def test_environment_without_the_variable(value: str | None) -> None:
    environment = {} if value is None else {"MQTT_URL": value}
    with pytest.raises(ValueError, match="environment variable MQTT_URL is not set"):
        from_environment(environment=environment)


def test_environment_names_the_variable() -> None:
    with pytest.raises(ValueError, match=r"^BROKER_URL: the URL lacks a host$"):
        from_environment("BROKER_URL", {"BROKER_URL": "mqtt://"})


def test_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OXMQTT_TEST_URL", "mqtt://broker:1")
    assert from_environment("OXMQTT_TEST_URL") == BrokerUrl("mqtt", "broker", 1)
