"""The pytest plugin beside those that run coroutines and processes: pytest-asyncio, anyio, pytest-xdist."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

#: `{mark}` and `{fixture}` say who runs the coroutines.
ASYNC_TESTS = """
import asyncio

import pytest
from oxmqtt import aio
{imports}

@{fixture}
async def connected(aio_mqtt_client):
    async with aio_mqtt_client as client:
        yield client


{mark}async def test_client(aio_mqtt_client, mqtt_broker):
    async with aio_mqtt_client as client:
        await client.subscribe("a", qos=1)
        await client.publish("a", "x", qos=1)
        assert (await client.messages.__anext__()).payload == b"x"
        assert (await mqtt_broker.async_wait_for("a")).payload == b"x"


{mark}async def test_own_fixture(connected, mqtt_messages):
    await connected.publish("a", "x", qos=1)
    assert len(mqtt_messages("a")) == 1


{mark}@pytest.mark.mqtt_broker(users={{"ann": "secret"}})
async def test_options(aio_mqtt_client):
    with pytest.raises(aio.MqttConnectError):
        async with aio_mqtt_client:
            pass


{mark}@pytest.mark.mqtt_faults(lose_acks=1)
async def test_faults(aio_mqtt_client, mqtt_broker):
    async with aio_mqtt_client as client:
        publish = asyncio.ensure_future(client.publish("a", "x", qos=1))
        await mqtt_broker.async_wait_for("a")
        assert not publish.done()
        publish.cancel()


{mark}async def test_callbacks(mqtt_broker, mqtt_client):
    mqtt_client.publish("a", "x", qos=1)
    assert (await mqtt_broker.async_wait_for("a")).payload == b"x"


def test_without_a_coroutine(mqtt_client, mqtt_messages):
    mqtt_client.publish("a", "x", qos=1)
    assert len(mqtt_messages("a")) == 1


def test_run(aio_mqtt_client, mqtt_messages):
    async def main():
        async with aio_mqtt_client as client:
            await client.publish("a", "x", qos=1)

    asyncio.run(main())
    assert len(mqtt_messages("a")) == 1
"""

#: The brokers of both processes are apart.
DISTRIBUTED = """
import pytest


@pytest.mark.parametrize("number", range(40))
def test_one(number, mqtt_broker, mqtt_client, mqtt_messages, testrun_uid):
    mqtt_client.publish("a", f"{testrun_uid} {number}", qos=1)
    assert [message.payload.decode() for message in mqtt_messages("a")] == [f"{testrun_uid} {number}"]
    assert len(mqtt_broker.messages) == len(mqtt_broker.clients) == 1
"""

#: A program that was written for paho-mqtt, with its tests.
PAHO_PROGRAM = """
import paho.mqtt.client as mqtt
import paho.mqtt.publish
import paho.mqtt.subscribe
import pytest


class Echo:
    def __init__(self, host, port, version):
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "echo", protocol=version)
        self.client.on_connect = lambda client, userdata, flags, reason, properties: client.subscribe("say", 1)
        self.client.on_message = self.on_message
        self.client.reconnect_delay_set(1, 1)
        self.client.connect(host, port)
        self.client.loop_start()

    def on_message(self, client, userdata, message):
        client.publish("echo", message.payload, message.qos)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture(params=[mqtt.MQTTv31, mqtt.MQTTv311, mqtt.MQTTv5])
def echo(request, mqtt_broker):
    echo = Echo(mqtt_broker.host, mqtt_broker.port, request.param)
    mqtt_broker.wait_for_subscription("say", client_id="echo")
    yield echo
    echo.close()


def test_it_is_paho():
    assert mqtt.Client.__module__ == "paho.mqtt.client"
    assert "oxmqtt" not in mqtt.__file__


def test_echo(echo, mqtt_broker, mqtt_messages):
    mqtt_broker.publish("say", "hello", qos=1)
    (message,) = mqtt_messages("echo")
    assert (message.payload, message.client_id) == (b"hello", "echo")


def test_the_client_of_the_plugin(echo, mqtt_client, mqtt_messages):
    mqtt_client.publish("say", "hello", qos=1)
    assert mqtt_messages("echo")[0].payload == b"hello"


def test_a_lost_connection(echo, mqtt_broker, mqtt_messages):
    mqtt_broker.drop_connections("echo")
    mqtt_broker.wait_for_subscription("say", client_id="echo")
    mqtt_broker.publish("say", "hello", qos=1)
    mqtt_messages("echo")


@pytest.mark.mqtt_faults(lose_acks=1)
def test_a_lost_acknowledgement(echo, mqtt_broker, mqtt_messages):
    info = echo.client.publish("a", "x", qos=1)
    mqtt_messages("a")
    assert not info.is_published()
    mqtt_broker.drop_connections()
    mqtt_messages("a")


def test_the_calls_without_a_client(mqtt_broker, mqtt_messages):
    where = {"hostname": mqtt_broker.host, "port": mqtt_broker.port}
    paho.mqtt.publish.single("a", "x", retain=True, **where)
    assert mqtt_messages("a")[0].retain
    assert paho.mqtt.subscribe.simple("a", **where).payload == b"x"
"""


#: Lines to import, the decorator of a fixture, that of a test, and pytest.ini.
RUNNERS = {
    "pytest-asyncio, strict": (
        "import pytest_asyncio\n",
        "pytest_asyncio.fixture",
        "@pytest.mark.asyncio\n",
        "asyncio_mode = strict\nasyncio_default_fixture_loop_scope = function",
    ),
    "pytest-asyncio, auto": (
        "",
        "pytest.fixture",
        "",
        "asyncio_mode = auto\nasyncio_default_fixture_loop_scope = function",
    ),
    "anyio": (
        "\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n",
        "pytest.fixture",
        "@pytest.mark.anyio\n",
        "addopts = -p no:asyncio",
    ),
}


def needs(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed (requirements-dev.txt)")


def passes(folder: Path, source: str, count: int, *words: str) -> str:
    """Runs these tests, warnings being errors; the output."""
    (folder / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-W", "error", "--strict-markers"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"= {count} passed in" in done.stdout, done.stdout
    return done.stdout


def coroutine_tests(runner: str, folder: Path) -> str:
    """The tests as this runner wants them; writes its configuration."""
    imports, fixture, mark, configuration = RUNNERS[runner]
    (folder / "pytest.ini").write_text(f"[pytest]\n{configuration}\n")
    return ASYNC_TESTS.format(imports=imports, fixture=fixture, mark=mark)


@pytest.mark.parametrize("runner", RUNNERS)
def test_coroutines(tmp_path: Path, runner: str) -> None:
    needs("anyio" if runner == "anyio" else "pytest_asyncio")
    source = coroutine_tests(runner, tmp_path)
    if sys.version_info < (3, 10) and runner != "anyio":
        # There pytest-asyncio does not close the loop that asyncio.run() makes everybody forget.
        passes(tmp_path, source.partition("def test_run")[0], 6)
    else:
        passes(tmp_path, source, 7)


def test_processes(tmp_path: Path) -> None:
    needs("xdist")
    output = passes(tmp_path, DISTRIBUTED, 40, "-p", "no:asyncio", "-n", "2", "-v")
    for worker in ("[gw0]", "[gw1]"):
        assert f"{worker} [" in output


def test_coroutines_in_processes(tmp_path: Path) -> None:
    needs("xdist", "pytest_asyncio")
    source = coroutine_tests("pytest-asyncio, auto", tmp_path)
    passes(tmp_path, source, 7, "-n", "2")


def test_a_program_that_uses_paho(tmp_path: Path) -> None:
    passes(tmp_path, PAHO_PROGRAM, 14, "-p", "no:asyncio")
