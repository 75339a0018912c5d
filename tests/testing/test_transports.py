"""TLS and WebSocket of the embedded broker, and mosquitto's own clients."""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from oxmqtt.testing import Broker
from support.certificates import Authority
from support.mosquitto import needed
from support.process import Program

from .conftest import MakeClient, start, subscribe

#: Python 3.12 and later warn of forks beside threads.
FORKS = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)"


@pytest.mark.parametrize("layers", ["tls", "websocket", "secure_websocket"])
@pytest.mark.parametrize("size", [1, 200_000])
def test_a_message_through_the_layers(
    client: MakeClient, version: int, layers: str, size: int
) -> None:
    with Broker(tls=True, websockets=True) as broker:
        one = client("one", transport="websockets" if "websocket" in layers else "tcp")
        if layers != "websocket":
            one.tls_set(broker.ca_file)
        start(one, getattr(broker, f"{layers}_port"))
        subscribe(one, broker, "a", 1)
        for _ in range(3):
            one.publish("a", bytes(size), 1)
        assert [len(m.payload) for m in one.received.wait_count(3)] == [size] * 3
        path = Path(broker.ca_file)
        assert path.read_text() == broker.ca_pem
    assert not path.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() here")
def test_the_files_stay_when_a_forked_child_ends() -> None:
    source = """
    from oxmqtt.testing import Broker
    broker = Broker(tls=True)
    path = broker.ca_file
    child = os.fork()
    if child == 0:
        sys.exit(0)
    os.waitpid(child, 0)
    say("stays", os.path.exists(path), path)
    del broker
    """
    with Program(source, "oxmqtt.client", first=FORKS) as program:
        _, stays, path = program.wait_line("stays").split()
        assert program.exit_code() == 0
    assert stays == "True"
    assert not Path(path).exists()


def test_rustls_trusts_it_too() -> None:
    import oxmqtt.client as mqtt

    with Broker(tls=True, client_certificates=True) as broker:
        one = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "one")
        one.tls_set(broker.ca_file, *broker.issue("sensor-7"), backend="rustls")
        one.connect("localhost", broker.tls_port)
        one.loop_start()
        broker.wait_for_client("one")
        one.disconnect()
        one.loop_stop()


def test_own_certificates(tmp_path: Path, client: MakeClient) -> None:
    authority = Authority(tmp_path)
    identity = authority.issue()
    with Broker(tls=(identity.certificate, identity.key)) as broker:
        one = client("one")
        one.tls_set(str(authority.certificate))
        start(one, broker.tls_port)
        broker.wait_for_client("one")
    with pytest.raises(ValueError):
        Broker(tls=(identity.key, identity.key))


def test_clients_need_a_certificate(client: MakeClient) -> None:
    with Broker(tls=True, client_certificates=True) as broker, Broker(tls=True) as stranger:
        files = broker.issue("sensor-7")
        assert files != broker.issue("sensor-7")
        one = client("one")
        one.tls_set(broker.ca_file, *files)
        start(one, broker.tls_port)
        for identity in ((), stranger.issue("sensor-7")):
            other = client("other")
            other.tls_set(broker.ca_file, *identity)
            try:  # by TLS 1.3 the refusal may come behind the handshake
                other.connect("127.0.0.1", broker.tls_port)
            except ssl.SSLError:
                continue
            other.loop_start()
            other.ended.wait_count(1)
            other.disconnect()
        assert [each.client_id for each in broker.clients] == ["one"]
    assert not any(map(os.path.exists, files))


def test_no_port_lets_in_who_has_no_certificate() -> None:
    """Unless it is asked for."""
    with Broker(tls=True, client_certificates=True, websockets=True) as broker:
        assert broker.url == f"mqtts://127.0.0.1:{broker.tls_port}"
        assert broker.secure_websocket_port != broker.tls_port
        for port in ("port", "websocket_port"):
            with pytest.raises(RuntimeError, match=r"without .*plain=True"):
                getattr(broker, port)
        wanted = broker.tls_port
    with Broker(tls=True, client_certificates=True, port=wanted) as broker:
        assert broker.tls_port == wanted
    with Broker(tls=True, client_certificates=True, plain=True, websockets=True) as broker:
        assert broker.url == f"mqtt://127.0.0.1:{broker.port}"
        assert len({broker.port, broker.tls_port, broker.websocket_port}) == 3
    with Broker(tls=True, plain=False) as broker:
        assert broker.url == f"mqtts://127.0.0.1:{broker.tls_port}"
    with pytest.raises(ValueError, match="needs tls"):
        Broker(plain=False)


def test_clients_of_authorities_of_their_own(tmp_path: Path, client: MakeClient) -> None:
    authority = Authority(tmp_path)
    sensor = authority.issue("sensor", ("extendedKeyUsage=clientAuth",))
    with Broker(tls=True, client_certificates=authority.certificate) as broker:
        one = client("one")
        one.tls_set(broker.ca_file, str(sensor.certificate), str(sensor.key))
        start(one, broker.tls_port)


def test_client_certificates_of_nobody(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    identity = authority.issue()
    with pytest.raises(ValueError, match="needs tls"):
        Broker(client_certificates=True)
    with pytest.raises(ValueError, match="needs the path of an authority"):
        Broker(tls=(identity.certificate, identity.key), client_certificates=True)
    with pytest.raises(ValueError, match="no certificate"):
        Broker(tls=True, client_certificates=identity.key)
    with Broker() as broker, pytest.raises(RuntimeError, match="no authority"):
        broker.issue("sensor-7")


def mosquitto(name: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [needed(name), "-h", "localhost", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("version", ["31", "311", "5"])
@pytest.mark.parametrize("qos", ["0", "1", "2"])
@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
def test_mosquitto_clients(version: str, qos: str, tls: bool) -> None:
    with Broker(tls=tls, users={"ann": "secret"}) as broker:
        where = ["-p", str(broker.tls_port if tls else broker.port), "-V", version, "-q", qos]
        where += ["-u", "ann", "-P", "secret", *(["--cafile", broker.ca_file] if tls else [])]
        # -W: it gives up after so many seconds
        subscriber = mosquitto("mosquitto_sub", *where, "-t", "a/#", "-C", "3", "-W", "20")
        broker.wait_for_subscription("a/#")
        for text in ("1", "2", "3"):
            publisher = mosquitto("mosquitto_pub", *where, "-t", f"a/{text}", "-m", text)
            assert (publisher.wait(20), *publisher.communicate()) == (0, "", "")
        out, err = subscriber.communicate(timeout=20)
        assert (subscriber.returncode, out, err) == (0, "1\n2\n3\n", "")
        assert [message.topic for message in broker.messages] == ["a/1", "a/2", "a/3"]


def test_mosquitto_waits_as_a_shared_and_persistent_client() -> None:
    with Broker() as broker:
        where = ["-p", str(broker.port), "-V", "311", "-q", "1", "-i", "keeper", "-c"]
        first = mosquitto("mosquitto_sub", *where, "-t", "$share/g/a", "-E")
        assert first.wait(20) == 0
        first.communicate()
        broker.wait_for_client("keeper", connected=False)
        assert broker.publish("a", "waited", 1)
        second = mosquitto("mosquitto_sub", *where, "-t", "$share/g/a", "-C", "1", "-W", "20")
        out, _ = second.communicate(timeout=20)
        assert out == "waited\n"


def test_certificates_for_several_threads() -> None:
    """All that ask at the same time get a file that is there, and whole."""
    with Broker(tls=True) as broker:
        barrier = threading.Barrier(8)

        def ask(number: int) -> str:
            barrier.wait()
            return Path(broker.ca_file or "").read_text()

        with ThreadPoolExecutor(8) as executor:
            texts = set(executor.map(ask, range(8)))
    assert len(texts) == 1
    assert "-----END CERTIFICATE-----" in texts.pop()
