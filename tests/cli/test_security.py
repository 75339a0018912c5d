"""The options of TLS, against a mosquitto that speaks it, and the address that a connection comes from."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support.certificates import Authority
from support.mosquitto import Mosquitto
from support.tls_peer import TlsPeer, server_context

from .conftest import at, run

MESSAGE = ("-t", "a", "-m", "x", "-q", 1)
KEY = "0102030405060708"


class Secured(NamedTuple):
    broker: Mosquitto
    authority: Authority


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """By TLS 1.2 it speaks AES with 256 bits only."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    server = authority.issue()
    listener = (
        f"certfile {server.certificate}",
        f"keyfile {server.key}",
        "ciphers ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384",
    )
    with Mosquitto(tmp_path_factory.mktemp("broker"), listener=listener) as broker:
        yield Secured(broker, authority)


def test_capath(secured: Secured, tmp_path: Path) -> None:
    """It names the only authorities; a certificate counts by the name that OpenSSL looks for."""
    words = (*at(secured.broker), *MESSAGE, "--capath", tmp_path)
    done = run("pub", *words)
    assert (done.code, "certificate" in done.errors) == (5, True)
    certificate = str(secured.authority.certificate)
    named = subprocess.run(
        ["openssl", "x509", "-noout", "-hash", "-in", certificate],
        capture_output=True,
        text=True,
        check=True,
    )
    (tmp_path / f"{named.stdout.strip()}.0").symlink_to(certificate)
    assert run("pub", *words).code == 0


def test_version(secured: Secured) -> None:
    words = (*at(secured.broker), *MESSAGE, "--cafile", secured.authority.certificate)
    assert run("pub", *words, "--tls-version", "tlsv1.3").code == 0
    context = server_context(secured.authority.issue())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with TlsPeer(context) as peer:
        words = ("-h", peer.host, "-p", peer.port, *MESSAGE, *words[-2:])
        assert run("pub", *words, "--tls-version", "tlsv1.3").code == 5


def test_ciphers(secured: Secured) -> None:
    words = (*at(secured.broker), *MESSAGE, "--cafile", secured.authority.certificate)
    words = (*words, "--tls-version", "tlsv1.2")
    assert run("pub", *words, "--ciphers", "AES256").code == 0
    assert run("pub", *words, "--ciphers", "AES128").code == 5
    done = run("pub", *words, "--ciphers", "nonsense")
    assert (done.code, "OpenSSL knows none of 'nonsense'" in done.errors) == (2, True)


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_shared_key(tmp_path: Path, version: str) -> None:
    (tmp_path / "keys").write_text(f"sensor:{KEY}\n")
    listener = ("psk_hint hint", f"psk_file {tmp_path / 'keys'}", "tls_version tlsv1.2")
    with Mosquitto(tmp_path / "broker", listener=listener) as broker:
        words = (*at(broker), *MESSAGE, "-V", version, "--psk-identity", "sensor", "--psk")
        done = run("pub", *words, KEY)
        if sys.version_info < (3, 13):
            assert (done.code, "Python 3.13" in done.errors) == (2, True)
            return
        assert (done.code, done.errors) == (0, "")
        assert run("pub", *words, "ffff").code == 5


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--psk", KEY), "--psk and --psk-identity go together"),
        (("--psk", "xyz", "--psk-identity", "a"), "hexadecimal"),
        (
            ("--psk", KEY, "--psk-identity", "a", "--cafile", __file__),
            "does not go with certificates",
        ),
        (("--cafile", __file__, "--capath", "/"), "--cafile and --capath do not go together"),
        (("--cafile", __file__), "certificates:"),
        (("--tls-version", "tlsv1.1"), "'tlsv1.2', 'tlsv1.3'"),
        (("--ciphers", "ALL", "-L", "mqtt://h"), "do not go with the scheme mqtt"),
    ],
)
def test_wrong_options(words: tuple[str, ...], why: str) -> None:
    done = run("pub", *MESSAGE, *words)
    assert done.code == 2
    assert why in " ".join(done.errors.split())


@pytest.mark.skipif(sys.platform != "linux", reason="all of 127/8 is this machine on Linux only")
def test_bind_address(broker: Mosquitto) -> None:
    assert run("pub", *at(broker), *MESSAGE, "-A", "127.0.0.5").code == 0
    assert "127.0.0.5" in broker.log()
    assert run("pub", *at(broker), *MESSAGE, "-A", "192.0.2.1").code == 4
