"""What needs no broker: names, signatures, topics, exceptions, settings."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import logging
import pickle
import re
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
from support.mosquitto import Mosquitto

from .conftest import Module

TOPICS = ["a", "a/b", "a/b/c", "/", "/a", "a/", "a//b", "ü/é", "a b", "a/b/c/d/e/f", "a" * 65_535]
FILTERS = [
    *TOPICS,
    *("#", "+", "+/+", "+/#", "a/#", "a/+", "a/+/c", "/+", "+/", "/#", "a/b/c/#", "+/b/#"),
    *("$share/g/a", "$share/g/a/+", "$share/g/#", "$share/g/+/b", "$SYS/#", "$test/a"),
]
SHARE = re.compile(r"^\$share/[^/]*/")
NO_TOPICS = ["", "#", "+", "a/#", "a/+/c", "a+", "a#b", "a" * 65_536]
NO_FILTERS = ["", "a/#/c", "#/a", "a/b+/c", "a/b/#c", "a+", "+a", "a#", "##", "++", "a" * 65_536]
NO_TEXTS: list[Any] = [True, 1.0, None, [], b"a", 1]


def test_public_names(oracle: ModuleType) -> None:
    """oxmqtt.aio has all but the version."""
    ours = importlib.import_module("oxmqtt.aio")
    assert {name for name in oracle.__all__ if not hasattr(ours, name)} == {
        "__version__",
        "__version_tuple__",
    }
    for name in set(oracle.__all__) & set(ours.__all__):
        theirs, own = getattr(oracle, name), getattr(ours, name)
        if inspect.isclass(theirs):
            public = {n for n in dir(theirs) if not n.startswith("_")}
            assert not {n for n in public if not hasattr(own, n)}, name


@pytest.mark.parametrize(
    "name",
    [
        *("Client", "Message", "ProxySettings", "TLSParameters", "Topic", "Wildcard", "Will"),
        *("Client.publish", "Client.subscribe", "Client.unsubscribe", "Topic.matches"),
        *("MqttCodeError", "Client.__aexit__"),
    ],
)
def test_signatures(oracle: ModuleType, name: str) -> None:
    """Each parameter has its name, place and default; there may be more behind them."""

    def parameters(module: ModuleType) -> list[tuple[str, Any, Any]]:
        found: Any = module
        for part in name.split("."):
            found = getattr(found, part)
        return [
            (parameter.name, parameter.kind, parameter.default)
            for parameter in inspect.signature(found).parameters.values()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]

    ours = parameters(importlib.import_module("oxmqtt.aio"))
    theirs = parameters(oracle)
    assert ours[: len(theirs)] == theirs


def test_inheritance(aiomqtt: ModuleType) -> None:
    assert issubclass(aiomqtt.MqttError, Exception)
    assert issubclass(aiomqtt.MqttCodeError, aiomqtt.MqttError)
    assert issubclass(aiomqtt.MqttReentrantError, aiomqtt.MqttError)
    assert issubclass(aiomqtt.Topic, aiomqtt.Wildcard)
    assert {version.name: int(version) for version in aiomqtt.ProtocolVersion} == {
        "V31": 3,
        "V311": 4,
        "V5": 5,
    }


@pytest.mark.parametrize("kind", ["Topic", "Wildcard"])
def test_validation(aiomqtt: ModuleType, kind: str) -> None:
    make = getattr(aiomqtt, kind)
    for good in TOPICS if kind == "Topic" else FILTERS:
        assert str(make(good)) == make(value=good).value == good
        assert make(good) == make(good)
        assert hash(make(good)) == hash(make(good))
        assert repr(make(good)) == f"{kind}(value={good!r})"
    for bad in NO_TOPICS if kind == "Topic" else NO_FILTERS:
        with pytest.raises(ValueError, match=f"^Invalid {kind.lower()}: ") as caught:
            make(bad)
        assert str(caught.value) == f"Invalid {kind.lower()}: {bad}"
    for strange in NO_TEXTS:
        with pytest.raises(TypeError, match=f"^{kind} must be of type str$"):
            make(strange)
    with pytest.raises(dataclasses.FrozenInstanceError):
        make("a").value = "b"
    assert aiomqtt.Topic("a") != aiomqtt.Wildcard("a")
    assert pickle.loads(pickle.dumps(make("a/b"))) == make("a/b")


@pytest.mark.parametrize("topic", [*TOPICS, "$SYS/x"])
def test_matching(oracle: ModuleType, topic: str) -> None:
    """As there, but for topics that begin with `$`, which no leading wildcard matches [MQTT-4.7.2-1]."""
    ours = importlib.import_module("oxmqtt.aio")
    for each in FILTERS:
        theirs = oracle.Topic(topic).matches(each)
        if topic.startswith("$") and SHARE.sub("", each)[:1] in ("+", "#"):
            theirs = False
        assert ours.Topic(topic).matches(each) is theirs, each
        assert ours.Topic(topic).matches(ours.Wildcard(each)) is theirs, each


def test_matching_nonsense(aiomqtt: ModuleType) -> None:
    with pytest.raises(ValueError):
        aiomqtt.Topic("a").matches("a/#/b")
    with pytest.raises(TypeError):
        aiomqtt.Topic("a").matches(None)


def test_texts_of_exceptions(aiomqtt: ModuleType, module: Module) -> None:
    client = module("client")
    for rc in (0, 1, 4, 5, 7, 14, 15, -1, 99):
        error = aiomqtt.MqttCodeError(rc, "Could not publish message")
        assert str(error) == f"[code:{rc}] {client.error_string(rc)}"
        assert error.args == ("Could not publish message",)
        assert error.rc == rc
    assert str(aiomqtt.MqttCodeError(client.MQTT_ERR_NO_CONN)) == (
        "[code:4] The client is not currently connected."
    )
    assert str(aiomqtt.MqttCodeError(None)) == "[code:None] "
    assert str(aiomqtt.MqttCodeError(None, "text")) == "[code:None] text"
    assert str(aiomqtt.MqttError("text")) == "text"
    reason_code = module("reasoncodes").ReasonCode
    connack = module("packettypes").PacketTypes.CONNACK
    refused = reason_code(connack, "Not authorized")
    assert str(aiomqtt.MqttCodeError(refused)) == "[code:135] Not authorized"


def test_settings(aiomqtt: ModuleType) -> None:
    will = aiomqtt.Will("a")
    assert dataclasses.astuple(will) == ("a", None, 0, False, None)
    assert will == aiomqtt.Will(topic="a", payload=None, qos=0, retain=False, properties=None)
    assert dataclasses.astuple(aiomqtt.TLSParameters())[:7] == (None,) * 7
    for frozen in (will, aiomqtt.TLSParameters()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            frozen.qos = 1
    proxy = aiomqtt.ProxySettings(proxy_type=2, proxy_addr="host")
    assert proxy.proxy_args == {
        "proxy_type": 2,
        "proxy_addr": "host",
        "proxy_rdns": True,
        "proxy_username": None,
        "proxy_password": None,
        "proxy_port": None,
    }


async def test_attributes_of_a_client(aiomqtt: ModuleType) -> None:
    client = aiomqtt.Client("127.0.0.1")
    assert client.timeout == 10
    assert client.pending_calls_threshold == 10
    assert isinstance(client.messages, aiomqtt.MessagesIterator)
    assert aiomqtt.Client("127.0.0.1", timeout=3.5).timeout == 3.5


async def test_logger(aiomqtt: ModuleType, broker: Mosquitto) -> None:
    """The client beneath logs to it."""
    own = logging.getLogger("a.program.s")
    async with aiomqtt.Client(broker.host, broker.port, logger=own) as client:
        assert client._client.logger is own
    async with aiomqtt.Client(broker.host, broker.port) as client:
        assert client._client.logger is logging.getLogger("mqtt")


@pytest.mark.parametrize("name", ["oxmqtt.aio", "aiomqtt"])
def test_level_of_the_usual_logger(name: str) -> None:
    """A program that logs everything does not log each packet, unless it asks for that."""
    pytest.importorskip(name)
    program = f"""if True:
        import logging
        logging.basicConfig(level=logging.DEBUG)
        import {name}
        print(logging.getLogger("mqtt").getEffectiveLevel())
    """
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert shown.stdout == f"{logging.WARNING}\n", shown.stderr
