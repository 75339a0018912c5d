"""``oxmqtt bench``: that its figures are there and hang together; how fast it is says `make bench`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from typing import Any

import pytest
from support import packets
from support.mosquitto import Mosquitto, free_port
from support.peer import ScriptedPeer
from support.waiting import eventually

from .conftest import command, on_terminal, run, start


def url(broker: Mosquitto) -> str:
    return f"mqtt://{broker.host}:{broker.port}"


def measured(*words: object) -> dict[str, Any]:
    done = run("bench", *words, "--json", seconds=60)
    assert done.code == 0, done.errors
    assert done.errors == ""
    found: dict[str, Any] = json.loads(done.output)
    return found


def check(figures: dict[str, dict[str, Any]], count: int) -> None:
    assert figures["publish"]["messages"] == count
    assert figures["receive"]["messages"] == count
    assert figures["receive"]["lost"] == 0
    for measure in ("publish", "receive"):
        assert figures[measure]["per_second"] > 100
        assert 0 < figures[measure]["cpu_seconds_per_million"] < 10_000
    echo = figures["echo"]
    assert echo["messages"] == count
    assert 1 < echo["p50"] <= echo["p90"] <= echo["p99"] <= echo["p99.9"] < 1e7


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_figures(broker: Mosquitto, qos: int, version: str) -> None:
    found = measured(f"{url(broker)}?version={version}", "-n", 250, "-q", qos, "-s", 10)
    assert (found["qos"], found["size"], found["count"], found["rounds"]) == (qos, 10, 250, 1)
    assert found["broker"] == url(broker)
    assert found["results"].keys() == {"oxmqtt"}
    assert found["ratios"] == {}
    check(found["results"]["oxmqtt"], 250)


def test_seconds(broker: Mosquitto) -> None:
    figures = measured(url(broker), "--seconds", 0.3)["results"]["oxmqtt"]
    for measure in ("publish", "receive"):
        rate, messages = figures[measure]["per_second"], figures[measure]["messages"]
        assert 0.25 < messages / rate < 5
    assert figures["echo"]["messages"] > 50


def test_beside_paho(broker: Mosquitto) -> None:
    found = measured(url(broker), "-n", 200, "--compare", "--rounds", 2)
    assert found["rounds"] == 2
    assert found["versions"]["paho"] == "2.2.0"
    for client in ("oxmqtt", "paho"):
        check(found["results"][client], 200)
    ours, theirs = (found["results"][each]["publish"] for each in ("oxmqtt", "paho"))
    ratio = found["ratios"]["publish per_second"]
    assert ratio == pytest.approx(ours["per_second"] / theirs["per_second"])


def test_table(broker: Mosquitto) -> None:
    done = run("bench", url(broker), "-n", 100)
    assert done.code == 0 and done.errors == ""
    assert f"{url(broker)}, QoS 0, 64 bytes" in done.output
    for row in ("publish ", "publish and receive", "echo p50", "echo p99.9"):
        assert re.search(rf"│ {row}.*│ +[\d,.]+ │", done.output), row
    assert "\x1b" not in done.output


def test_progress_on_a_terminal(broker: Mosquitto) -> None:
    words = command("bench", url(broker), "--seconds", 0.5)
    shown = on_terminal(words, b"p99.9", TERM="xterm")
    assert b"oxmqtt: publish" in shown and "━".encode() in shown


# how it fails


def test_no_broker() -> None:
    done = run("bench", f"mqtt://127.0.0.1:{free_port()}")
    assert (done.code, done.output) == (4, "")
    assert done.errors.startswith("oxmqtt: nobody listens at mqtt://127.0.0.1:")
    assert run("bench", "http://h").code == 2


def test_refused(strict: Mosquitto) -> None:
    place = f"{strict.host}:{strict.port}"
    done = run("bench", f"mqtt://user:hunter2@{place}", "-n", 10)
    assert (done.code, "hunter2" in done.errors) == (6, False)
    words = ("-n", 1, "-q", 1, "-t", "closed")
    done = run("bench", f"mqtt://user:s3cret@{place}?version=5", *words)
    assert (done.code, done.errors) == (
        8,
        "oxmqtt: not published: Message publish failed: Not authorized\n",
    )


def test_lost_connection(peer: ScriptedPeer) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        connection.expect(packets.PUBLISH)
        peer.close()

    peer.converse(script)
    done = run("bench", f"mqtt://{peer.host}:{peer.port}", "-n", 10)
    assert (done.code, done.output) == (7, "")
    assert done.errors.startswith("oxmqtt: the connection was lost")


def test_no_echo(peer: ScriptedPeer) -> None:
    """A broker that takes every message, and passes none on."""

    for _ in range(3):  # one connection to publish, two to publish and receive
        peer.converse(lambda peer: peer.accept().serve(30))
    done = run("bench", f"mqtt://{peer.host}:{peer.port}", "-n", 10)
    assert (done.code, done.errors) == (9, "oxmqtt: no message came back\n")


def children(pid: int) -> list[str]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return found.stdout.split()


def is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_processes(broker: Mosquitto, sent: int, code: int) -> None:
    with start("bench", url(broker), "--seconds", 30) as measuring:
        own = eventually(lambda: children(measuring.process.pid), "a process that measures")
        measuring.process.send_signal(sent)
        assert measuring.exit_code() == code
        assert measuring.error_text() == ""
    eventually(lambda: not any(map(is_running, own)), "the end of that process")
