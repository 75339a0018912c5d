"""``oxmqtt doctor``: brokers that are ill in one way each, and whether it finds that, says so and knows a remedy."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from oxmqtt.testing import Broker
from support import packets
from support.certificates import LOCALHOST, SERVER_USAGE, Authority, Identity
from support.mosquitto import Mosquitto, free_port
from support.peer import ScriptedPeer

from .conftest import run, start


class Finding(NamedTuple):
    code: int
    steps: dict[str, dict[str, Any]]
    #: The step that failed.
    last: dict[str, Any]


def examine(*words: object) -> Finding:
    done = run("doctor", *words, "--json")
    found = json.loads(done.output)
    assert done.errors == ""
    assert found["exit_code"] == done.code and found["ok"] == (done.code == 0)
    steps = {step["name"]: step for step in found["steps"]}
    assert all(not step["code"] for step in list(steps.values())[:-1])
    return Finding(done.code, steps, found["steps"][-1])


def url(broker: Any, scheme: str = "mqtt", host: str = "localhost") -> str:
    return f"{scheme}://{host}:{broker.port}"


def test_all_is_well(broker: Mosquitto) -> None:
    found = examine(url(broker))
    assert found.code == 0
    assert list(found.steps) == ["name", "connection", "MQTT", "limits", "round trip"]
    assert "127.0.0.1" in found.steps["name"]["details"]["addresses"]
    assert found.steps["MQTT"]["details"] == {"version": "5.0"}
    limits = found.steps["limits"]["details"]
    assert limits["maximum QoS"] == 2 and limits["retained messages"] is True
    assert limits["receive maximum"] == 100
    assert limits["client identifier from the broker"].startswith("auto-")
    assert (
        0 < found.last["details"]["median_seconds"] <= found.last["details"]["slowest_seconds"] < 5
    )


def test_in_words(broker: Mosquitto) -> None:
    done = run("doctor", f"{url(broker)}/my/topic?version=3.1.1")
    assert done.code == 0
    assert done.output.startswith(f"{url(broker)}/my/topic\n  ok    name        localhost is ")
    assert "the broker speaks MQTT 3.1.1 and accepts" in done.output
    assert "MQTT 3 has no way to announce any" in done.output
    assert "a message of QoS 1 is back in" in done.output
    assert "\x1b" not in done.output


def test_announced_limits(tmp_path: Path) -> None:
    extra = ("max_packet_size 2000", "max_keepalive 30", "retain_available false")
    listener = ("max_qos 0", "max_topic_alias 3")
    with Mosquitto(tmp_path / "broker", extra=extra, listener=listener) as broker:
        found = examine(url(broker))
    assert found.code == 0
    limits = found.steps["limits"]["details"]
    assert limits["maximum QoS"] == 0 and limits["retained messages"] is False
    assert (limits["maximum packet size"], limits["topic alias maximum"]) == (2000, 3)
    assert limits["keep-alive of the broker's own"] == 30
    assert "a message of QoS 0 is back" in found.last["text"]


@pytest.mark.parametrize("scheme", ["unix", "ws"])
def test_other_transports(tmp_path: Path, scheme: str) -> None:
    port, path = free_port(), tmp_path / "socket"
    extra = (f"listener {port} 127.0.0.1", "protocol websockets")
    with Mosquitto(tmp_path / "broker", extra=extra, unix_path=str(path)):
        place = f"unix://{path}" if scheme == "unix" else f"ws://127.0.0.1:{port}"
        assert examine(place).code == 0


# name and connection


def test_unknown_name() -> None:
    found = examine("mqtt://nowhere.invalid")
    assert (found.code, found.last["name"]) == (3, "name")
    assert found.last["text"].startswith("nowhere.invalid cannot be resolved: ")


def test_nobody_listens() -> None:
    found = examine(f"mqtt://127.0.0.1:{free_port()}")
    assert (found.code, found.last["name"]) == (4, "connection")
    assert "nobody listens at port" in found.last["text"] and "8883" in found.last["remedy"]


def test_no_answer_to_dialling() -> None:
    """A listener whose queue is full lets connections wait."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        found = examine(f"mqtt://127.0.0.1:{port}?connect_timeout=0.5")
        for each in waiting:
            each.close()
    assert (found.code, found.last["name"]) == (4, "connection")
    assert "does not answer within 0.5 s" in found.last["text"]


def test_no_socket(tmp_path: Path) -> None:
    found = examine(f"unix://{tmp_path / 'none'}")
    assert (found.code, f"there is no {tmp_path / 'none'}" in found.last["text"]) == (4, True)


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "Our Root")


def tls(folder: Path, server: Identity, *options: str) -> Mosquitto:
    listener = (f"certfile {server.chain}", f"keyfile {server.key}", *options)
    return Mosquitto(folder, listener=listener)


def when(days: float) -> str:
    return time.strftime("%y%m%d%H%M%SZ", time.gmtime(time.time() + days * 86_400))


def test_good_certificate(tmp_path: Path, authority: Authority) -> None:
    with tls(
        tmp_path / "broker", authority.issue("the broker", (LOCALHOST, SERVER_USAGE))
    ) as broker:
        found = examine(f"{url(broker, 'mqtts')}?ca_certs={authority.certificate}")
    assert found.code == 0
    details = found.steps["TLS"]["details"]
    assert (details["subject"], details["issuer"]) == ("the broker", "Our Root")
    assert details["names"] == ["localhost", "127.0.0.1", "0:0:0:0:0:0:0:1"]
    assert details["days_left"] in (29, 30)
    assert details["version"] == "TLSv1.3"
    assert "it names localhost" in found.steps["TLS"]["text"]


def test_websocket_within_tls(tmp_path: Path, authority: Authority) -> None:
    port, server = free_port(), authority.issue()
    files = (f"certfile {server.chain}", f"keyfile {server.key}")
    extra = (f"listener {port} 127.0.0.1", "protocol websockets", *files)
    with Mosquitto(tmp_path / "broker", extra=extra):
        found = examine(f"wss://localhost:{port}?ca_certs={authority.certificate}")
    assert found.code == 0
    assert list(found.steps) == ["name", "connection", "TLS", "MQTT", "limits", "round trip"]


def test_a_certificate_that_ends_soon(tmp_path: Path, authority: Authority) -> None:
    server = authority.issue(days=(when(-1), when(3.5)))
    with tls(tmp_path / "broker", server) as broker:
        found = examine(f"{url(broker, 'mqtts')}?ca_certs={authority.certificate}")
    assert found.code == 0
    assert found.steps["TLS"]["text"].endswith("3 days: renew it soon")


@pytest.mark.parametrize("ill", ["expired", "early", "untrusted", "self-signed", "name"])
def test_ill_certificate(tmp_path: Path, authority: Authority, ill: str) -> None:
    ca = f"?ca_certs={authority.certificate}"
    extensions: tuple[str, ...] = (LOCALHOST, SERVER_USAGE)
    server: Identity
    if ill == "expired":
        server = authority.issue(days=(when(-40), when(-9.5)))
    elif ill == "early":
        server = authority.issue(days=(when(9), when(40)))
    elif ill == "name":
        server = authority.issue("other", ("subjectAltName=DNS:other.example,DNS:third.example",))
    elif ill == "self-signed":
        own = Authority(tmp_path / "own", "localhost")
        server = Identity(own.certificate, own.key, own.certificate)
    else:
        server, ca = authority.issue(extensions=extensions), ""
    with tls(tmp_path / "broker", server) as broker:
        found = examine(url(broker, "mqtts") + ca)
    assert (found.code, found.last["name"]) == (5, "TLS")
    text, remedy = {
        "expired": (", 10 days ago", "Renew"),
        "early": ("not yet valid", "clock"),
        "untrusted": ("the authority of Our Root that signed", "ca_certs"),
        "self-signed": ("signed by itself", "ca_certs"),
        "name": ("is for other.example, third.example, not for localhost", "server_hostname"),
    }[ill]
    assert text in found.last["text"]
    assert remedy in found.last["remedy"]


def test_it_wants_a_certificate(tmp_path: Path, authority: Authority) -> None:
    options = (f"cafile {authority.certificate}", "require_certificate true")
    with tls(tmp_path / "broker", authority.issue(), *options) as broker:
        place = f"{url(broker, 'mqtts')}?ca_certs={authority.certificate}"
        found = examine(place)
        assert (found.code, found.last["name"]) == (5, "TLS")
        assert "asks for a client's certificate" in found.last["text"]
        assert "certfile" in found.last["remedy"]
        stranger = Authority(tmp_path / "strangers", "Strangers").issue(
            "me", ("extendedKeyUsage=clientAuth",)
        )
        found = examine(f"{place}&certfile={stranger.certificate}&keyfile={stranger.key}")
        assert (found.code, "does not accept the client's certificate" in found.last["text"]) == (
            5,
            True,
        )
        mine = authority.issue("me", ("extendedKeyUsage=clientAuth",))
        assert examine(f"{place}&certfile={mine.certificate}&keyfile={mine.key}").code == 0


def test_no_tls_there(broker: Mosquitto) -> None:
    with Broker() as embedded:
        for each in (broker, embedded):
            found = examine(url(each, "mqtts"))
            assert (found.code, found.last["name"]) == (5, "TLS")
            assert "mqtt://" in found.last["remedy"]


def test_only_tls_there(tmp_path: Path, authority: Authority) -> None:
    with tls(tmp_path / "broker", authority.issue()) as broker:
        found = examine(url(broker))
    assert (found.code, found.last["name"]) == (7, "MQTT")
    assert found.last["remedy"] == "The port speaks TLS: use mqtts://."


def test_files_that_are_not_there(tmp_path: Path, authority: Authority) -> None:
    with tls(tmp_path / "broker", authority.issue()) as broker:
        found = examine(f"{url(broker, 'mqtts')}?ca_certs={tmp_path / 'none'}")
    assert (found.code, found.last["name"]) == (2, "TLS")


# MQTT


def test_credentials(strict: Mosquitto) -> None:
    found = examine(url(strict))
    assert (found.code, found.last["name"]) == (6, "MQTT")
    assert "mqtt://user:password@host" in found.last["remedy"]
    done = run("doctor", f"mqtt://user:hunter2@localhost:{strict.port}")
    assert done.code == 6 and "hunter2" not in done.output + done.errors
    assert "the broker refuses MQTT 5.0: Not authorized" in done.output
    assert "Check user name and password" in done.output


def test_permissions(strict: Mosquitto) -> None:
    place = f"mqtt://user:s3cret@localhost:{strict.port}"
    assert examine(place, "-t", "open/here").code == 0
    found = examine(place)
    assert (found.code, found.last["name"]) == (8, "round trip")
    assert "does not let this user publish to oxmqtt/doctor/" in found.last["text"]
    assert "--topic" in found.last["remedy"]
    found = examine(f"{place}?version=3.1.1&connect_timeout=1")
    # MQTT 3.1.1 has no word for it: brokers drop the message, or the connection as mosquitto does.
    assert found.code in (7, 9) and found.last["name"] == "round trip"
    assert "permi" in found.last["remedy"]


@pytest.mark.parametrize(
    "refusal", [packets.connack(packets.V311, 1), packets.connack(packets.V5, 0x84), b""]
)
def test_only_the_older_version(peer: ScriptedPeer, refusal: bytes) -> None:
    """Brokers of MQTT 3.1.1 answer MQTT 5.0 in the form of either, or close the connection."""

    def script(peer: ScriptedPeer) -> None:
        peer.accept().expect_end()  # the step before only connects
        connection = peer.accept()
        connection.expect(packets.CONNECT)
        connection.send(refusal)
        connection.close()
        received = peer.accept().serve()
        assert received[0].connect["level"] == packets.V311

    peer.converse(script)
    done = run("doctor", f"mqtt://127.0.0.1:{peer.port}?connect_timeout=1")
    peer.finish()
    assert "the broker speaks MQTT 3.1.1 and accepts" in done.output
    assert "; MQTT 5.0 is not understood" in done.output
    assert done.code == 9  # this broker passes no message on


def test_no_mqtt_there(peer: ScriptedPeer) -> None:
    found = examine(f"mqtt://127.0.0.1:{peer.port}?connect_timeout=0.5")
    assert (found.code, found.last["name"]) == (7, "MQTT")
    assert "no answer to CONNECT" in found.last["text"]
    found = examine(f"ws://127.0.0.1:{peer.port}?connect_timeout=0.5")
    assert (found.code, found.last["name"]) == (4, "MQTT")


def test_wrong_path(tmp_path: Path) -> None:
    port = free_port()

    def answer(listener: socket.socket) -> None:
        for _ in range(2):
            connection, _address = listener.accept()
            with connection:
                if connection.recv(10_000):
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        found = examine(f"ws://127.0.0.1:{port}/wrong")
        thread.join(10)
    assert (found.code, found.last["name"]) == (4, "WebSocket")
    assert "Is /wrong the path?" in found.last["remedy"]


# the command


def test_environment(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_URL", url(broker))
    assert examine().code == 0
    monkeypatch.delenv("MQTT_URL")
    done = run("doctor")
    assert (done.code, "environment variable MQTT_URL is not set" in done.errors) == (2, True)
    assert run("doctor", "http://h").code == 2


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a listener that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_interrupt(silent: int) -> None:
    with start("doctor", f"mqtt://127.0.0.1:{silent}?connect_timeout=30") as doctor:
        doctor.wait_line("  ok    connection")
        doctor.interrupt()
        assert doctor.exit_code() == 130
        assert doctor.error_text() == ""
