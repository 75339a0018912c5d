"""``oxmqtt broker``: the embedded broker as a program."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
from pathlib import Path

import pytest

from .conftest import run, start, tool

HAS_BROKER = importlib.util.find_spec("oxmqtt.testing") is not None
needs_broker = pytest.mark.skipif(not HAS_BROKER, reason="this build has no oxmqtt.testing")


@needs_broker
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_serves_until_a_signal(sent: int, code: int) -> None:
    with start("broker", "-p", 0, "-v") as broker:
        line = broker.wait_line("listening at mqtt://127.0.0.1:")
        port = line.rpartition(":")[2]
        place = ("-p", port, "-t", "a", "-q", 1)
        assert run("pub", *place, "-m", "kept", "-r", "-i", "me").code == 0
        words = tool("mosquitto_sub", *place, "-C", 1)
        assert subprocess.run(words, capture_output=True, timeout=20).stdout == b"kept\n"
        with start("sub", *place, "-i", "somebody") as listener:
            listener.output.wait_item("kept")
            broker.output.wait_for(lambda lines: any("somebody" in each for each in lines))
        broker.output.wait_for(lambda lines: any(each.startswith("- ") for each in lines))
        broker.process.send_signal(sent)
        assert broker.exit_code() == code
        assert broker.error_text() == ""


@needs_broker
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_broker_for_everybody_warns(host: str) -> None:
    with start("broker", "-h", host, "-p", 0) as broker:
        broker.wait_line("listening at")
        broker.errors.wait_for(lambda lines: "warning: whoever reaches" in "".join(lines))


@needs_broker
@pytest.mark.parametrize("host", ["localhost", "127.0.0.2"])
def test_a_broker_for_this_machine_does_not_warn(host: str) -> None:
    with start("broker", "-h", host, "-p", 0) as broker:
        broker.wait_line("listening at")
        broker.process.send_signal(signal.SIGINT)
        broker.exit_code()
        assert broker.error_text() == ""


@needs_broker
def test_users(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("# who may\n\nann:se:cret\nbob:\n")
    with start("broker", "-h", "0.0.0.0", "-p", 0, "--users", users) as broker:
        port = broker.wait_line("listening at").rpartition(":")[2]
        place = ("-p", port, "-t", "a", "-m", "x")
        assert run("pub", *place, "-u", "ann", "-P", "se:cret").code == 0
        assert run("pub", *place, "-u", "ann", "-P", "wrong").code == 6
        assert run("pub", *place).code == 6
        assert broker.error_text() == ""
    users.write_text("ann:secret\nbob\n")
    done = run("broker", "-p", 0, "--users", users)
    assert (done.code, done.errors) == (2, f"oxmqtt: {users} line 2: not NAME:PASSWORD\n")


@needs_broker
def test_a_port_that_is_taken() -> None:
    with start("broker", "-p", 0) as broker:
        port = broker.wait_line("listening at").rpartition(":")[2]
        done = run("broker", "-p", port)
    assert (done.code, done.output) == (1, "")
    assert done.errors.startswith(f"oxmqtt: cannot listen at 127.0.0.1 port {port}: ")


@needs_broker
def test_bench_needs_no_other_broker() -> None:
    done = run("bench", "-n", 100)
    assert done.code == 0, done.errors
    assert "the embedded broker, QoS 0, 64 bytes" in done.output


@pytest.mark.skipif(HAS_BROKER, reason="this build has oxmqtt.testing")
@pytest.mark.parametrize("command", ["broker", "bench"])
def test_a_build_without_it(command: str) -> None:
    done = run(command)
    assert (done.code, done.output) == (2, "")
    assert done.errors.startswith("oxmqtt: this build has no embedded broker: ")
