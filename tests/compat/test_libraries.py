"""Libraries that stand on paho-mqtt, from the package index, on oxmqtt; paho-mqtt is not there."""

from __future__ import annotations

import pytest
from support.mosquitto import Mosquitto
from support.scratch import ScratchEnvironment

#: Their requirements would bring paho-mqtt along, so only Flask's are installed.
PACKAGES = {
    "flask": True,
    "Flask-MQTT==1.3.0": False,
    "aiomqtt==2.5.0": False,
    "asyncio-paho==0.6.0": False,
}

PROGRAMS = {
    "aiomqtt": """
import asyncio, aiomqtt

async def main():
    async with aiomqtt.Client("127.0.0.1", PORT) as client:
        await client.subscribe("library/aiomqtt", qos=1)
        for number in range(30):
            await client.publish("library/aiomqtt", str(number), qos=number % 3)
        seen = 0
        async for message in client.messages:
            seen += 1
            if seen == 30:
                return

asyncio.run(asyncio.wait_for(main(), 20))
""",
    "Flask-MQTT": """
import threading
from flask import Flask
from flask_mqtt import Mqtt

app, mqtt = Flask(__name__), Mqtt()
app.config.update(MQTT_BROKER_URL="127.0.0.1", MQTT_BROKER_PORT=PORT, MQTT_CLIENT_ID="flask")
connected, received = threading.Event(), threading.Event()

@mqtt.on_connect()
def on_connect(client, userdata, flags, rc):
    mqtt.subscribe("library/flask/#")

@mqtt.on_subscribe()
def on_subscribe(client, userdata, mid, granted_qos):
    mqtt.publish("library/flask/x", "hello")

@mqtt.on_topic("library/flask/+")
def on_topic(client, userdata, message):
    assert message.payload == b"hello"
    received.set()

mqtt.init_app(app)
assert received.wait(20)
assert mqtt.client._client_id == b"flask"
""",
    "asyncio-paho": """
import asyncio
from asyncio_paho import AsyncioPahoClient

async def main():
    received = asyncio.Event()
    async with AsyncioPahoClient() as client:
        async def on_message(client, userdata, message):
            received.set()

        client.asyncio_listeners.add_on_message(on_message)
        await client.asyncio_connect("127.0.0.1", PORT)
        await client.asyncio_subscribe("library/asyncio")
        await client.asyncio_publish("library/asyncio", "hello", qos=1)
        await received.wait()

asyncio.run(asyncio.wait_for(main(), 20))
""",
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> ScratchEnvironment:
    return ScratchEnvironment(tmp_path_factory.mktemp("libraries"), PACKAGES)


@pytest.mark.timeout(120)  # the first of them waits for pip
@pytest.mark.parametrize("library", PROGRAMS)
def test_library(environment: ScratchEnvironment, broker: Mosquitto, library: str) -> None:
    program = f"PORT = {broker.port}\n{PROGRAMS[library]}\nprint('done')"
    with environment.run("-W", "ignore::DeprecationWarning", "-c", program) as running:
        running.wait_line("done", 30)
