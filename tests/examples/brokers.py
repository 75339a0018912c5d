"""The brokers that examples run against, mosquitto and the embedded one, each set up in six ways; and what a program has to know."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.certificates import Authority
from support.mosquitto import Mosquitto, needed

USER, PASSWORD = "user", "s3cret"
IDENTITY, KEY = "sensor-7", "0102030405060708090a0b0c0d0e0f10"
ACCOUNT = {"MQTT_USER": USER, "MQTT_PASSWORD": PASSWORD}

Environment = dict[str, str]


def address(port: int) -> Environment:
    # The name is what the certificates are for.
    return {"MQTT_HOST": "localhost", "MQTT_PORT": str(port)}


def account_file(folder: Path) -> tuple[str, ...]:
    accounts = folder / "accounts"
    done = subprocess.run(
        [needed("mosquitto_passwd"), "-b", "-c", str(accounts), USER, PASSWORD],
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return (f"password_file {accounts}", "allow_anonymous false")


@contextmanager
def mosquitto(kind: str, folder: Path) -> Iterator[Environment]:
    """A mosquitto set up in this way, and the variables for a program that connects to it."""
    extra: tuple[str, ...] = ()
    listener: list[str] = []
    known: Environment = {}
    folder.chmod(0o755)
    if kind.endswith("users"):
        extra = account_file(folder)
        known |= ACCOUNT
    if kind.startswith("tls"):
        authority = Authority(folder / "authority")
        server = authority.issue()
        listener = [
            f"cafile {authority.certificate}",
            f"certfile {server.certificate}",
            f"keyfile {server.key}",
        ]
        known |= {"MQTT_CA_CERTS": str(authority.certificate)}
        if kind == "tls-client":
            listener.append("require_certificate true")
            client = authority.issue("sensor", ("extendedKeyUsage=clientAuth",))
            known |= {"MQTT_CERTFILE": str(client.certificate), "MQTT_KEYFILE": str(client.key)}
    if kind == "psk":
        (folder / "keys").write_text(f"{IDENTITY}:{KEY}\n")
        listener = ["psk_hint hint", f"psk_file {folder / 'keys'}", "tls_version tlsv1.2"]
        known |= {"MQTT_PSK_IDENTITY": IDENTITY, "MQTT_PSK": KEY}
    with Mosquitto(folder / "mosquitto", extra=extra, listener=tuple(listener)) as running:
        yield {**address(running.port), **known}


@contextmanager
def embedded(kind: str, folder: Path) -> Iterator[Environment]:
    """The embedded broker set up in this way, and the variables for a program that connects to it."""
    testing = pytest.importorskip("oxmqtt.testing", reason="this oxmqtt has no embedded broker")
    if kind == "psk":
        pytest.skip("the embedded broker has no pre-shared keys")
    users = {USER: PASSWORD} if kind.endswith("users") else None
    known = dict(ACCOUNT) if users else {}
    secure = kind.startswith("tls")
    certified = kind == "tls-client"
    with testing.Broker(users=users, tls=secure, client_certificates=certified) as running:
        if secure:
            known["MQTT_CA_CERTS"] = running.ca_file
        if certified:
            known["MQTT_CERTFILE"], known["MQTT_KEYFILE"] = running.issue("sensor")
        yield {**address(running.tls_port if secure else running.port), **known}


BROKERS = {"mosquitto": mosquitto, "embedded": embedded}
