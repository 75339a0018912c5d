"""The examples of paho-mqtt's source distribution, unchanged, on oxmqtt, in an environment without paho-mqtt.

They connect to a public broker by name; a `sitecustomize` of the environment has that name mean a mosquitto here.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import pytest
from support import sdist
from support.mosquitto import Mosquitto
from support.process import Process
from support.renamed_host import resolving
from support.scratch import ScratchEnvironment

HOST = "mqtt.eclipseprojects.io"

#: Programs that go on until they are stopped, by a line that shows they work.
LASTING = {
    "client_sub.py": "$SYS/broker/version 0 b'mosquitto",
    "client_sub-class.py": "Received PUBLISH (d0, q0, r1, m0), '$SYS/broker/version'",
    "client_sub-multiple-callback.py": "MESSAGES: $SYS/broker/messages/",
    "client_logger.py": "DEBUG:__main__:Received PUBLISH (d0, q0, r1, m0), '$SYS/broker/version'",
    "subscribe_callback.py": "paho/test/single : b'boo'",
    "server_rpc_math.py": "Sending response 7.0 on 'replies/math/",
}

#: Programs that end, and a line that shows they worked.
ENDING = {
    "client_pub-wait.py": "mid: 2",
    "client_pub_opts.py -H 127.0.0.1 -P {port} -t paho/opts -q 1 -N 3 -S 0": "mid: 3",
    "client_session_present.py": "    Connection result: Success",
    "loop_select.py": "Finished",
    "loop_trio.py": "Finished",
    "publish_multiple.py": "",
    "publish_single.py": "",
    "publish_utf8-3.py": "",
    "subscribe_simple.py": "b'",
}
if sys.version_info < (3, 14):  # it asks for the loop of a thread that has none
    ENDING["loop_asyncio.py"] = "Finished"


#: It reads what its on_connect sets as soon as is_connected() is true, and waits for ever if it was too quick. So it
#: runs when the others are through, and again if need be.
RACING = "client_rpc_math.py add 3 4"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One that tells about itself under `$SYS`."""
    with Mosquitto(tmp_path_factory.mktemp("mosquitto"), extra=("sys_interval 1",)) as running:
        yield running


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> ScratchEnvironment:
    resolve = resolving(HOST, {1883: broker.port})
    return ScratchEnvironment(tmp_path_factory.mktemp("scratch"), {"trio": True}, resolve)


@pytest.mark.timeout(120)
def test_examples(environment: ScratchEnvironment, broker: Mosquitto) -> None:
    try:
        examples = sdist.PAHO.folder() / "examples"
    except sdist.NotAvailable as error:
        pytest.skip(f"no sdist of paho-mqtt: {error}")

    def start(line: str) -> Process:
        name, *arguments = line.format(port=broker.port).split()
        return environment.run(str(examples / name), *arguments)

    whose = environment.run("-c", "import paho.mqtt.client as m; print(m.Client.__mro__[-2])")
    with whose:
        assert "oxmqtt" in whose.wait_line("<class")
    with contextlib.ExitStack() as running:
        lasting = {line: running.enter_context(start(line)) for line in LASTING}
        lasting["server_rpc_math.py"].wait_line("Subscribing to math requests")
        ending = {line: running.enter_context(start(line)) for line in ENDING}
        for line, shown in ENDING.items():
            program = ending[line]
            assert program.exit_code(60) == 0, (line, program.error_text())
            if shown:
                program.wait_line(shown)
        for _ in range(3):
            with start(RACING) as racing, contextlib.suppress(AssertionError):
                racing.wait_line("Response: 7.0", 5)
                break
        for line, shown in LASTING.items():
            program = lasting[line]
            lines = program.errors if "logger" in line else program.output
            lines.wait_for(
                lambda seen, shown=shown: any(text.startswith(shown) for text in seen), line
            )
