"""The pytest plugin, in runs of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
import asyncio
import time

import pytest


@pytest.mark.parametrize("attempt", range(10))
def test_the_client_is_connected(mqtt_broker, mqtt_client, attempt):
    assert mqtt_client.is_connected()
    assert len(mqtt_broker.clients) == 1


@pytest.mark.mqtt_faults(refuse=0x88)
def test_the_client_is_refused(mqtt_broker, mqtt_client):
    assert not mqtt_client.is_connected()
    mqtt_broker.refuse(None)
    mqtt_client.publish("a", "x", 1).wait_for_publish(10)


@pytest.mark.mqtt_faults(cut_after=1)
def test_the_client_is_cut_off(mqtt_broker, mqtt_client):
    mqtt_client.publish("a", "x", 1).wait_for_publish(10)
    assert len(mqtt_broker.messages) == 1


def test_client_and_messages(mqtt_client, mqtt_messages):
    for text in ("1", "2"):
        mqtt_client.publish("a", text, 1)
    assert [message.payload for message in mqtt_messages("a", 2)] == [b"1", b"2"]


def test_paho(mqtt_broker, mqtt_messages):
    import paho.mqtt.publish

    paho.mqtt.publish.single("a", "x", hostname=mqtt_broker.host, port=mqtt_broker.port)
    assert mqtt_messages()[0].payload == b"x"


def test_aio(aio_mqtt_client, mqtt_messages):
    async def main():
        async with aio_mqtt_client as client:
            await client.publish("a", "x", qos=1)

    asyncio.run(main())
    assert len(mqtt_messages("a")) == 1


@pytest.mark.mqtt_broker(tls=True, client_certificates=True)
def test_certificates(mqtt_broker, mqtt_client, aio_mqtt_client, mqtt_messages):
    async def main():
        async with aio_mqtt_client as client:
            await client.publish("a", "x", qos=1)

    asyncio.run(main())
    mqtt_client.publish("a", "y", 1)
    assert [message.payload for message in mqtt_messages("a", 2)] == [b"x", b"y"]


@pytest.mark.mqtt_faults(delay_acks=0.2)
@pytest.mark.mqtt_broker(max_messages=1)
def test_markers(mqtt_broker, mqtt_client):
    started = time.monotonic()
    mqtt_client.publish("a", "x", 1).wait_for_publish(5)
    mqtt_client.publish("a", "y", 1).wait_for_publish(5)
    assert time.monotonic() - started >= 0.4
    assert len(mqtt_broker.messages) == 1
"""
WITHOUT_FIXTURES = """
import sys


def test_nothing_is_imported():
    assert "pytest_oxmqtt" in sys.modules
    assert "oxmqtt" not in sys.modules
"""


WITHOUT = ("-p", "no:cacheprovider", "-p", "no:asyncio")


def run(folder: Path, source: str, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(source)
    command = ["-m", "pytest", "-q", "--strict-markers"]
    return subprocess.run(
        [sys.executable, *command, *WITHOUT, *words, "test_it.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
    )


def test_the_fixtures(tmp_path: Path) -> None:
    done = run(tmp_path, TESTS, "-W", "error")
    assert "17 passed" in done.stdout, done.stdout + done.stderr


def test_a_run_without_the_fixtures_pays_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, WITHOUT_FIXTURES)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_an_unknown_fault(tmp_path: Path) -> None:
    source = "import pytest\n\n@pytest.mark.mqtt_faults(explode=1)\ndef test(mqtt_broker): ...\n"
    assert "'explode' is not one of" in run(tmp_path, source).stdout
