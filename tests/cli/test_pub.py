"""``oxmqtt pub``: what arrives at mosquitto_sub, what it says when it fails, how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import packets
from support.certificates import Authority
from support.mosquitto import Mosquitto, free_port
from support.peer import ScriptedPeer
from support.waiting import eventually

from .conftest import Listen, at, command, run, start, tool


@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mosquitto_sub_gets_it(talkative: Mosquitto, hear: Listen, qos: int, version: str) -> None:
    listener = hear("-t", "a/#", "-q", 2, "-C", 1, "-F", "%t %q %p", by="mosquitto_sub")
    done = run("pub", *at(talkative), "-t", "a/b", "-m", "hé llo", "-q", qos, "-V", version)
    assert done == (0, "", "", b"")
    assert listener.exit_code() == 0
    assert listener.output.items() == [f"a/b {qos} hé llo"]


def test_retained_and_removed(broker: Mosquitto) -> None:
    look = tool("mosquitto_sub", *at(broker), "-t", "kept", "-C", 1, "-W", 1, "-F", "%r %p")
    assert run("pub", *at(broker), "-t", "kept", "-m", "v", "-r", "-q", 1).code == 0
    assert subprocess.run(look, capture_output=True, text=True).stdout == "1 v\n"
    assert run("pub", *at(broker), "-t", "kept", "-n", "-r", "-q", 1).code == 0
    assert subprocess.run(look, capture_output=True, text=True).stdout == ""


def test_properties(talkative: Mosquitto, hear: Listen) -> None:
    form = "%C|%P|%R|%E"
    listener = hear("-t", "p", "-V", "mqttv5", "-C", 1, "-F", form, by="mosquitto_sub")
    properties = [
        *("-D", "PUBLISH", "content-type", "text/plain"),
        *("-D", "publish", "user-property", "colour", "-D"),
        *("--property", "PUBLISH", "response-topic", "answer/here"),
        *("-D", "PUBLISH", "message-expiry-interval", "60"),
        *("-D", "CONNECT", "session-expiry-interval", "10"),
        *("-D", "DISCONNECT", "session-expiry-interval", "0"),
    ]
    done = run("pub", *at(talkative), "-V", "mqttv5", "-t", "p", "-m", "x", *properties)
    assert done.code == 0, done.errors
    listener.exit_code()
    assert listener.output.items() == ["text/plain|colour:-D|answer/here|60"]


def test_file_and_standard_input(talkative: Mosquitto, hear: Listen, tmp_path: Path) -> None:
    payload = bytes(range(256)) * 300
    (tmp_path / "file").write_bytes(payload)
    listener = hear("-t", "f", "-C", 2, "-F", "%x", by="mosquitto_sub")
    assert run("pub", *at(talkative), "-t", "f", "-q", 1, "-f", tmp_path / "file").code == 0
    assert run("pub", *at(talkative), "-t", "f", "-q", 1, "-s", given=payload).code == 0
    listener.exit_code()
    assert listener.output.items() == [payload.hex()] * 2


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_lines(talkative: Mosquitto, hear: Listen, qos: int) -> None:
    lines = [f"line {number}" for number in range(7_000)]
    given = "\n\n".join(lines).encode() + b"\r\n\nlast, without an end"
    listener = hear("-t", "l", "-q", 2, "-C", len(lines) + 1, by="mosquitto_sub")
    assert run("pub", *at(talkative), "-t", "l", "-q", qos, "-l", given=given).code == 0
    assert listener.exit_code() == 0
    assert listener.output.items() == [*lines, "last, without an end"]


def test_a_line_is_published_at_once(talkative: Mosquitto, hear: Listen) -> None:
    listener = hear("-t", "once", by="mosquitto_sub")
    words = command("pub", *at(talkative), "-t", "once", "-l")
    with subprocess.Popen(words, stdin=subprocess.PIPE) as publisher:
        assert publisher.stdin is not None
        for line in ("first", "second"):
            publisher.stdin.write(f"{line}\n".encode())
            publisher.stdin.flush()
            listener.output.wait_item(line)
        publisher.stdin.close()
        assert publisher.wait(10) == 0


def test_lines_outlive_a_lost_connection(own_broker: Mosquitto) -> None:
    """Each line of QoS 1 is at the broker in the end, in order, however often that was away."""
    keep = ["-i", "keeper", "-c", "-q", 1, "-t", "l"]
    assert run("sub", *at(own_broker), *keep, "-E").code == 0

    def connects() -> int:
        return own_broker.log().count("as sender")

    words = command("pub", *at(own_broker), "-t", "l", "-q", 1, "-l", "-i", "sender")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as publisher:
        assert publisher.stdin is not None and publisher.stderr is not None
        for number in range(300):
            publisher.stdin.write(f"{number}\n".encode())
            publisher.stdin.flush()
            if number % 100 == 50:
                eventually(lambda n=number: connects() > n // 100, "it connected")
                own_broker.restart()
        publisher.stdin.close()
        errors = publisher.stderr.read().decode()
        assert publisher.wait(30) == 0, errors
    assert "connection lost" in errors and "connecting again" in errors
    done = run("sub", *at(own_broker), *keep, "-W", 2)
    arrived = list(dict.fromkeys(done.output.split()))  # QoS 1: one may come twice
    assert arrived == [str(number) for number in range(300)]


def test_repeat(talkative: Mosquitto, hear: Listen) -> None:
    listener = hear("-t", "r", "-C", 3, by="mosquitto_sub")
    words = ("-t", "r", "-m", "x", "--repeat", 3, "--repeat-delay", 0.01)
    assert run("pub", *at(talkative), *words).code == 0
    assert listener.exit_code() == 0


def test_url_with_topic_and_environment(
    talkative: Mosquitto, hear: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = hear("-t", "u/#", "-v", "-C", 2, by="mosquitto_sub")
    address = f"{talkative.host}:{talkative.port}"
    assert run("pub", "-L", f"mqtt://{address}/u/%C3%BC", "-m", "1", "-q", 1).code == 0
    monkeypatch.setenv("MQTT_URL", f"mqtt://{address}?version=5")
    assert run("pub", "-t", "u/env", "-m", "2", "-D", "PUBLISH", "content-type", "x").code == 0
    listener.exit_code()
    assert listener.output.items() == ["u/ü 1", "u/env 2"]


def test_will(talkative: Mosquitto, hear: Listen) -> None:
    listener = hear("-t", "will", "-C", 1, "-F", "%q %p", "-q", 1, by="mosquitto_sub")
    will = ["--will-topic", "will", "--will-payload", "gone", "--will-qos", 1]
    publisher = start("sub", *at(talkative), "-t", "x", *will, "-d")
    with publisher:
        publisher.errors.wait_for(lambda lines: any("SUBACK" in line for line in lines))
        publisher.process.kill()
    assert listener.exit_code() == 0
    assert listener.output.items() == ["1 gone"]


# what it says when it fails


def test_nobody_listens() -> None:
    port = free_port()
    done = run("pub", "-h", "127.0.0.1", "-p", port, "-t", "a", "-m", "x")
    assert done[:3] == (4, "", f"oxmqtt: nobody listens at mqtt://127.0.0.1:{port}\n")


def test_unknown_name() -> None:
    done = run("pub", "-h", "nowhere.invalid", "-t", "a", "-m", "x")
    assert done.code == 3
    assert done.errors.startswith("oxmqtt: cannot resolve nowhere.invalid: ")


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_refused_credentials(strict: Mosquitto, version: str) -> None:
    words = ("-u", "user", "-P", "wr0ng", "-t", "open/a", "-m", "x", "-V", version)
    done = run("pub", *at(strict), *words)
    assert done.code == 6
    assert done.errors == "oxmqtt: the broker refused the connection: Not authorized\n"


def test_denied_topic(strict: Mosquitto) -> None:
    words = ("-u", "user", "-P", "s3cret", "-m", "x", "-q", 1, "-V", "mqttv5")
    assert run("pub", *at(strict), *words, "-t", "open/a").code == 0
    done = run("pub", *at(strict), *words, "-t", "closed/a")
    assert done.code == 8
    assert "Not authorized" in done.errors


def test_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    server = authority.issue("elsewhere", ("subjectAltName=DNS:elsewhere",))
    listener = (f"certfile {server.certificate}", f"keyfile {server.key}")
    with Mosquitto(tmp_path / "broker", listener=listener) as broker:
        words = (*at(broker), "-t", "a", "-m", "x", "-q", 1)
        trust = ("--cafile", authority.certificate)
        assert run("pub", *words, *trust, "--insecure").code == 0
        url = f"mqtts://{broker.host}:{broker.port}/a?server_hostname=elsewhere"
        assert run("pub", "-L", url, *trust, "-m", "x").code == 0
        done = run("pub", *words, *trust)
        assert (done.code, "IP address mismatch" in done.errors) == (5, True)
        done = run("pub", *words, "--tls-use-os-certs")
        assert (done.code, "local issuer certificate" in done.errors) == (5, True)


def test_lost_connection(peer: ScriptedPeer) -> None:
    def script(peer: ScriptedPeer) -> None:
        connection = peer.accept()
        connection.accept_client()
        connection.expect(packets.PUBLISH, qos=1)
        connection.reset()

    peer.converse(script)
    done = run("pub", "-h", peer.host, "-p", peer.port, "-t", "a", "-m", "x", "-q", 1)
    peer.finish()
    assert done.code == 7
    assert done.errors.startswith("oxmqtt: the connection was lost: ")


def test_time_is_over(peer: ScriptedPeer) -> None:
    """The broker takes the message and says nothing."""
    peer.converse(lambda peer: (peer.accept().accept_client(), None)[1])
    words = ("-t", "a", "-m", "x", "-q", 1, "-W", 0.5)
    done = run("pub", "-h", peer.host, "-p", peer.port, *words)
    assert done[:3] == (27, "", "oxmqtt: the time is over\n")


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_it_waits(peer: ScriptedPeer, sent: int, code: int) -> None:
    with start("pub", "-h", peer.host, "-p", peer.port, "-t", "a", "-m", "x", "-q", 1) as publisher:
        connection = peer.accept()
        connection.accept_client()
        connection.expect(packets.PUBLISH)
        publisher.process.send_signal(sent)
        connection.expect(packets.DISCONNECT)
        assert publisher.exit_code() == code
        assert publisher.error_text() == ""


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("-t", "a"), "one of -m, -f, -n, -s and -l"),
        (("-t", "a", "-m", "x", "-n"), "one of -m, -f, -n, -s and -l"),
        (("-m", "x"), "-t TOPIC"),
        (("-t", "a", "-m", "x", "-q", "3"), "--qos"),
        (("-t", "a", "-f", "/nonexistent"), "/nonexistent"),
        (("-t", "a", "-m", "x", "-L", "http://h"), "scheme of the URL must be one of"),
        (("-t", "a", "-m", "x", "-L", "mqtt://h", "-p", "1"), "-h and -p do not go with it"),
        (("-t", "a", "-m", "x", "-L", "mqtt://h", "--insecure"), "do not go with the scheme mqtt"),
        (("-t", "a", "-m", "x", "-c"), "add -i"),
        (("-t", "a", "-m", "x", "-x", "5"), "add -V mqttv5"),
        (("-t", "a", "-m", "x", "-D", "PUBLISH", "content-type", "y"), "add -V mqttv5"),
        (("-t", "a", "-m", "x", "-D", "PING", "content-type", "y"), "'PING' is none of CONNECT"),
        (("-t", "a", "-m", "x", "-D", "PUBLISH", "colour", "y"), "content-type"),
        (("-t", "a", "-m", "x", "-D", "PUBLISH", "user-property", "y"), "needs a value"),
        (("-t", "a", "-m", "x", "-D", "PUBLISH"), "has none called ''"),
        (("-t", "a", "-m", "x", "-D"), "is none of"),
        (("-t", "a", "-m", "x", "-D", "CONNECT", "receive-maximum", "0"), "range 1-65535"),
        (("-t", "a", "-m", "x", "-D", "CONNECT", "receive-maximum", "x"), "needs a number"),
        (
            ("-t", "a", "-m", "x", "-D", "CONNECT", "session-expiry-interval", "4294967296"),
            "session-expiry-interval",
        ),
        (("-t", "a", "-m", "x", "--will-payload", "x"), "a will needs --will-topic"),
        (("-t", "a", "-m", "x", "--will-topic", "a/#"), "wildcards"),
    ],
)
def test_wrong_arguments(words: tuple[str, ...], why: str) -> None:
    done = run("pub", *words)
    assert (done.code, done.output) == (2, "")
    assert why in " ".join(done.errors.split())


def test_invalid_topic(broker: Mosquitto) -> None:
    done = run("pub", *at(broker), "-t", "a/#", "-m", "x")
    assert (done.code, "not published" in done.errors) == (8, True)


def test_password_is_not_shown(strict: Mosquitto) -> None:
    url = f"mqtt://user:s3cret-wrong@{strict.host}:{strict.port}/open/a"
    done = run("pub", "-L", url, "-m", "x", "-d")
    assert done.code == 6 and "s3cret" not in done.errors


def test_memory_is_bounded(broker: Mosquitto) -> None:
    """A long input of QoS 1 is not kept: five times the lines take no more memory."""

    def peak(lines: int) -> int:
        words = command("pub", *at(broker), "-t", "m", "-q", 1, "-l")
        with subprocess.Popen(words, stdin=subprocess.PIPE) as publisher:
            assert publisher.stdin is not None
            for _ in range(lines // 100):
                publisher.stdin.write((b"x" * 99 + b"\n") * 100)
            publisher.stdin.flush()
            status = Path(f"/proc/{publisher.pid}/status")
            if not status.exists():
                pytest.skip("no /proc here")
            text = status.read_text()
            publisher.stdin.close()
            assert publisher.wait(60) == 0
        return int(text.partition("VmHWM:")[2].split()[0])

    assert peak(100_000) < peak(20_000) + 10_000  # KiB; kept, 80,000 lines take 12 MB more


def test_help_tells_the_exit_codes() -> None:
    done = run("--help")
    assert done.code == 0
    for code in (0, 1, 2, 3, 4, 5, 6, 7, 8, 27, 130, 141, 143):
        assert f"\n  {code} " in done.output
    assert run("--version").output.startswith("oxmqtt ")
    assert run("nosuch").code == 2


def test_without_click() -> None:
    source = "import sys; sys.modules['click'] = None\nfrom oxmqtt._cli import main\nmain()"
    words = [sys.executable, "-c", source]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "oxmqtt: click is missing: pip install 'oxmqtt[cli]'\n"
