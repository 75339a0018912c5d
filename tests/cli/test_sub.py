"""``oxmqtt sub``: what it prints of what mosquitto_pub sends, when it acknowledges, how it ends."""

from __future__ import annotations

import fcntl
import json
import re
import signal
import subprocess
import sys
import termios
import time
from typing import Any

import pytest
from support import packets
from support.mosquitto import Mosquitto, free_port
from support.peer import PeerConnection, ScriptedPeer
from support.waiting import eventually

from .conftest import Listen, at, command, on_terminal, run, start, tool


def send(broker: Mosquitto, topic: str, payload: bytes = b"x", *words: object) -> None:
    """By mosquitto_pub; returns when the broker has it."""
    arguments = tool("mosquitto_pub", *at(broker), "-t", topic, "-q", 1, "-s", *words)
    subprocess.run(arguments, input=payload, check=True)


@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mosquitto_pub_is_heard(talkative: Mosquitto, hear: Listen, qos: int, version: str) -> None:
    listener = hear("-t", "a/+", "-q", qos, "-V", version, "-C", 2, "-F", "%t %q %p")
    send(talkative, "a/ü", "hé llo".encode(), "-q", 2)
    send(talkative, "a/b", b"two", "-q", 2)
    assert listener.exit_code() == 0
    assert listener.output.items() == [f"a/ü {qos} hé llo", f"a/b {qos} two"]
    assert listener.error_text() == ""


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_nothing_is_lost_or_reordered(talkative: Mosquitto, hear: Listen, qos: int) -> None:
    count = 20_000
    listener = hear("-t", "many", "-q", qos, "-C", count)
    lines = "\n".join(map(str, range(count))).encode()
    arguments = tool("mosquitto_pub", *at(talkative), "-t", "many", "-q", qos, "-l")
    subprocess.run(arguments, input=lines, check=True)
    assert listener.exit_code(30) == 0
    assert listener.output.items() == [str(number) for number in range(count)]


def test_it_prints_at_once_when_piped(talkative: Mosquitto, hear: Listen) -> None:
    listener = hear("-t", "#", "-v")
    for number in range(3):
        send(talkative, "t", b"%d" % number)
        listener.output.wait_item(f"t {number}")


def test_binary_payloads_come_unchanged(broker: Mosquitto) -> None:
    payload = bytes(range(256)) * 1000
    send(broker, "binary", payload, "-r")
    assert run("sub", *at(broker), "-t", "binary", "-C", 1, "-N").raw == payload
    assert run("sub", *at(broker), "-t", "binary", "-C", 1).raw == payload + b"\n"


@pytest.mark.parametrize(
    "form",
    [
        "%t %p %q %r %l %m",
        "%x|%X",
        "100%% @@ a\\tb\\\\",
        "[%10t] [%-10t] [%010l] [%-12p] [%12p] [%5.2t]",
        "%C %R %P %F %D",
    ],
)
def test_formats_are_those_of_mosquitto_sub(broker: Mosquitto, form: str) -> None:
    properties = [
        *("-V", "mqttv5", "-D", "publish", "content-type", "text/x"),
        *("-D", "publish", "response-topic", "re/ply", "-D", "publish", "user-property", "a", "b"),
        *("-D", "publish", "payload-format-indicator", "1"),
        *("-D", "publish", "correlation-data", "c0de"),
    ]
    send(broker, "form/at", b"pay load", "-r", *properties)
    words = (*at(broker), "-t", "form/at", "-C", 1, "-V", "mqttv5", "-q", 1, "-F", form)
    theirs = subprocess.run(tool("mosquitto_sub", *words), capture_output=True, check=True)
    assert run("sub", *words).raw == theirs.stdout


def test_times(broker: Mosquitto) -> None:
    send(broker, "time", b"x", "-r")
    before = time.time()
    done = run("sub", *at(broker), "-t", "time", "-C", 1, "-F", "%I %U @Y-@m-@d")
    stamp, unix, date = done.output.split()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d{4}", stamp)
    assert before <= float(unix) <= time.time()
    assert stamp.startswith(date)


@pytest.mark.parametrize(
    ("payload", "key", "value"),
    [
        (
            b'{"a": [1.50, 12345678901234567890, null]}',
            "payload",
            {"a": [1.5, 12345678901234567890, None]},
        ),
        (b"21.5", "payload", 21.5),
        (b'{\n "a":\n 1}\n', "payload", {"a": 1}),
        (b"no json", "payload", "no json"),
        (b"NaN", "payload", "NaN"),
        (b"[" * 100_000, "payload", "[" * 100_000),
        (b"9" * 5_000, "payload", "9" * 5_000),
        ('h\u00e9 "\u2028'.encode(), "payload", 'h\u00e9 "\u2028'),
        (b"\xff\x00", "payload_base64", "/wA="),
    ],
    ids=["object", "number", "lines", "text", "NaN", "deep", "long", "unicode", "binary"],
)
def test_json(broker: Mosquitto, payload: bytes, key: str, value: Any) -> None:
    send(broker, "json", payload, "-r")
    done = run("sub", *at(broker), "-t", "json", "-C", 1, "-q", 1, "-F", "json")
    assert done.output.count("\n") == 1
    found = json.loads(done.output)
    assert found.pop("tst")
    expected = {"topic": "json", "qos": 1, "retain": 1, "payloadlen": len(payload), "mid": 1}
    assert found == {**expected, key: value}


def test_json_keeps_every_digit(broker: Mosquitto) -> None:
    text = '{"a":0.10000000000000000001,"b":1e400}'
    send(broker, "digits", text.encode(), "-r")
    done = run("sub", *at(broker), "-t", "digits", "-C", 1, "-F", "json")
    assert done.output.endswith(f'"payload":{text}}}\n')
    done = run("sub", *at(broker), "-t", "digits", "-C", 1, "-F", "%j")
    assert json.loads(done.output)["payload"] == text


def test_json_has_the_properties(broker: Mosquitto) -> None:
    words = ("-r", "-V", "mqttv5", "-D", "publish", "user-property", "a", "b")
    send(broker, "props", b"x", *words, "-D", "publish", "content-type", "t")
    done = run("sub", *at(broker), "-t", "props", "-C", 1, "-V", "mqttv5", "-F", "json")
    found = json.loads(done.output)["properties"]
    assert found == {"content-type": "t", "user-property": [["a", "b"]]}


def test_retained_messages(talkative: Mosquitto, hear: Listen) -> None:
    send(talkative, "kept/1", b"old", "-r")
    assert run("sub", *at(talkative), "-t", "kept/#", "-R", "-W", 0.5).output == ""
    listener = hear("-t", "kept/#", "--retained-only")
    listener.output.wait_item("old")
    send(talkative, "kept/2", b"fresh")
    assert listener.exit_code() == 0
    assert listener.output.items() == ["old"]


def test_the_fresh_message_that_ends_it_is_not_lost(broker: Mosquitto) -> None:
    keep = (*at(broker), "-t", "only", "-q", 1, "-i", "only", "-c")
    assert run("sub", *keep, "-E").code == 0
    send(broker, "only", b"fresh")
    assert run("sub", *keep, "--retained-only")[:2] == (0, "")
    assert run("sub", *keep, "-C", 1)[:2] == (0, "fresh\n")


def test_retain_as_published(talkative: Mosquitto, hear: Listen) -> None:
    words = ("-t", "rap", "-C", 1, "-F", "%r")
    plain = hear(*words, "-V", "mqttv5")
    published = hear(*words, "-V", "mqttv5", "--retain-as-published")
    send(talkative, "rap", b"x", "-r")
    assert (plain.exit_code(), published.exit_code()) == (0, 0)
    assert (plain.output.items(), published.output.items()) == (["0"], ["1"])


def test_filters(talkative: Mosquitto, hear: Listen) -> None:
    listener = hear("-t", "f/#", "-t", "g", "-T", "f/+/no", "-T", "f/x", "-C", 3, "-v")
    for topic in ("f/a/no", "f/a", "f/x", "g", "f/a/no/b"):
        send(talkative, topic)
    assert listener.exit_code() == 0
    assert listener.output.items() == ["f/a x", "g x", "f/a/no/b x"]


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_a_kept_session(broker: Mosquitto, version: str) -> None:
    keep = (*at(broker), "-i", f"kept-{version}", "-c", "-q", 1, "-V", version)
    assert run("sub", *keep, "-t", "s/#", "-t", "other", "-E").code == 0
    for number in range(3):
        send(broker, "s/a", b"%d" % number)
    assert run("sub", *keep, "-t", "other", "-C", 2).output == "0\n1\n"
    # What was printed is acknowledged; what came behind it is not.
    assert run("sub", *keep, "-t", "other", "-C", 1).output == "2\n"
    assert run("sub", *keep, "-t", "other", "-U", "s/#", "-E").code == 0
    send(broker, "s/a", b"later")
    assert run("sub", *keep, "-t", "other", "-W", 0.5)[:2] == (27, "")


def test_url_with_topic(broker: Mosquitto) -> None:
    send(broker, "url/a", b"1", "-r")
    url = f"mqtt://{broker.host}:{broker.port}/url/%23?version=5"
    assert run("sub", "-L", url, "-C", 1, "-v").output == "url/a 1\n"


def test_reconnect(own_broker: Mosquitto) -> None:
    with start("sub", *at(own_broker), "-t", "#", "-v", "-d") as listener:

        def subscribed(times: int) -> None:
            listener.errors.wait_for(lambda lines: lines.count("Received SUBACK") >= times)

        subscribed(1)
        send(own_broker, "a", b"before")
        listener.output.wait_item("a before")
        own_broker.restart()
        subscribed(2)
        send(own_broker, "a", b"after")
        listener.output.wait_item("a after")
        assert any("connection lost" in line for line in listener.errors)


# acknowledged after it is printed


def subscribe_at(peer: ScriptedPeer) -> PeerConnection:
    connection = peer.accept()
    connection.accept_client()
    asked = connection.expect(packets.SUBSCRIBE)
    connection.send(packets.suback(packets.V311, asked.mid, [1]))
    return connection


def unread(stream: Any) -> int:
    """Bytes that wait in a pipe."""
    size = bytearray(4)
    fcntl.ioctl(stream.fileno(), termios.FIONREAD, size)
    return int.from_bytes(size, sys.byteorder)


def test_it_acknowledges_what_is_printed(peer: ScriptedPeer) -> None:
    words = command("sub", "-h", peer.host, "-p", peer.port, "-t", "a", "-q", 1, "-N")
    with subprocess.Popen(words, stdout=subprocess.PIPE) as listener:
        assert listener.stdout is not None
        connection = subscribe_at(peer)
        payload = b"x" * 200_000
        connection.send(packets.publish(packets.V311, "a", payload, qos=1, mid=7))
        eventually(lambda: unread(listener.stdout) >= 65_536, "a full pipe")
        connection.expect_nothing(0.2)
        assert listener.stdout.read(len(payload)) == payload
        connection.expect(packets.PUBACK, mid=7)
        listener.send_signal(signal.SIGTERM)
        connection.expect(packets.DISCONNECT)
        assert listener.wait(10) == 143


def test_a_lost_connection_acknowledges_nothing_twice(peer: ScriptedPeer) -> None:
    with start("sub", "-h", peer.host, "-p", peer.port, "-t", "a", "-q", 1) as listener:
        connection = subscribe_at(peer)
        connection.send(packets.publish(packets.V311, "a", b"1", qos=1, mid=1))
        connection.expect(packets.PUBACK, mid=1)
        connection.reset()
        connection = subscribe_at(peer)
        connection.send(packets.publish(packets.V311, "a", b"2", qos=1, mid=1))
        connection.expect(packets.PUBACK, mid=1)
        listener.interrupt()
        connection.expect(packets.DISCONNECT)
        assert listener.exit_code() == 130
        assert listener.output.items() == ["1", "2"]


# how it ends


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal(talkative: Mosquitto, hear: Listen, sent: int, code: int) -> None:
    listener = hear("-t", "a", "-i", f"ended-by-{code}")
    listener.process.send_signal(sent)
    assert listener.exit_code() == code
    assert listener.error_text() == ""
    eventually(lambda: f"Received DISCONNECT from ended-by-{code}" in talkative.log(), "DISCONNECT")


def test_a_signal_while_it_connects(peer: ScriptedPeer) -> None:
    with start("sub", "-h", peer.host, "-p", peer.port, "-t", "a") as listener:
        connection = peer.accept()
        connection.expect(packets.CONNECT)
        listener.interrupt()
        assert listener.exit_code() == 130
        assert listener.error_text() == ""


def test_a_closed_pipe_is_quiet(talkative: Mosquitto) -> None:
    words = command("sub", *at(talkative), "-t", "kept/pipe", "-q", 1)
    send(talkative, "kept/pipe", b"first", "-r")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reader:
        assert reader.stdout is not None and reader.stderr is not None
        assert reader.stdout.readline() == b"first\n"
        reader.stdout.close()
        send(talkative, "kept/pipe", b"second")
        assert reader.wait(10) == 141
        assert reader.stderr.read() == b""


def test_time_is_over(broker: Mosquitto) -> None:
    done = run("sub", *at(broker), "-t", "silence", "-W", 0.3)
    assert done[:3] == (27, "", "oxmqtt: the time is over\n")


def test_failures(strict: Mosquitto) -> None:
    done = run("sub", "-h", "127.0.0.1", "-p", free_port(), "-t", "a")
    assert (done.code, "nobody listens" in done.errors) == (4, True)
    done = run("sub", *at(strict), "-t", "a", "-u", "user", "-P", "wrong")
    assert (done.code, "Not authorized" in done.errors) == (6, True)
    with_rights = (*at(strict), "-u", "user", "-P", "s3cret", "-V", "mqttv5")
    assert run("sub", *with_rights, "-t", "open/a", "-E").code == 0


def test_refused_subscription(peer: ScriptedPeer) -> None:
    def script(peer: ScriptedPeer) -> None:
        for reasons in ([0x80], [0, 0x80]):
            connection = peer.accept()
            connection.accept_client()
            asked = connection.expect(packets.SUBSCRIBE)
            connection.send(packets.suback(packets.V311, asked.mid, reasons))
            connection.expect(packets.DISCONNECT)

    peer.converse(script)
    place = ("-h", peer.host, "-p", peer.port)
    done = run("sub", *place, "-t", "a")
    assert done.code == 8
    assert "refused the subscription to a: Unspecified error" in done.errors
    done = run("sub", *place, "-t", "a", "-t", "b", "-E")
    assert (done.code, "subscription to b" in done.errors) == (8, True)
    peer.finish()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "-t TOPIC"),
        (("-t", "a", "-v", "-F", "%t"), "-v and -F do not go together"),
        (("-t", "a", "-R", "--retained-only"), "-R and --retained-only do not go together"),
        (("-t", "a", "-F", "%y"), "%y is none of"),
        (("-t", "a", "-F", "100%"), "ends in %"),
        (("-t", "a", "-F", "\\q"), "\\q is none of"),
        (("-t", "a", "-C", "0"), "-C"),
        (("-t", "a/#/b"), "Invalid subscription filter"),
    ],
)
def test_wrong_arguments(words: tuple[str, ...], why: str, broker: Mosquitto) -> None:
    done = run("sub", *at(broker), *words)
    assert (done.code, done.output) == (2, "")
    assert why in " ".join(done.errors.split())


# on a terminal


def test_colours(broker: Mosquitto) -> None:
    send(broker, "tty/a", b"caf\xc3\xa9 \x1b[2J\x07\x9b end", "-r")
    words = command("sub", *at(broker), "-t", "tty/a", "-v")
    shown = on_terminal(words, b"end", TERM="xterm")
    assert re.search(rb"\x1b\[\d+mtty/a\x1b\[0m caf\xc3\xa9 \\x1b\[2J\\x07\\x9b end", shown)
    for environment in ({"NO_COLOR": "1", "TERM": "xterm"}, {"TERM": "dumb"}):
        shown = on_terminal(words, b"end", **environment)
        assert b"\x1b" not in shown and b"tty/a caf\xc3\xa9" in shown
    piped = run("sub", *at(broker), "-t", "tty/a", "-v", "-C", 1)
    assert piped.raw == b"tty/a caf\xc3\xa9 \x1b[2J\x07\x9b end\n"


def test_rate(talkative: Mosquitto, hear: Listen) -> None:
    listener = hear("-t", "rate", "--rate")
    lines = b"0123456789\n" * 500
    subprocess.run(
        tool("mosquitto_pub", *at(talkative), "-t", "rate", "-l"), input=lines, check=True
    )
    shown = listener.output.wait_for(lambda lines: lines and lines[-1].endswith(" 500 in all"))
    line = re.compile(r"[\d,]+ msg/s, [\d.]+ MB/s, [\d,]+ in all")
    assert all(line.fullmatch(each) for each in shown)
