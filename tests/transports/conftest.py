"""One authority and one broker with TLS for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.certificates import Authority, Identity
from support.mosquitto import Mosquitto


class TlsMosquitto(Mosquitto):
    """Listens on 127.0.0.1, and its certificate names localhost."""

    host = "localhost"

    def __init__(self, folder: Path, server: Identity, *listener: str) -> None:
        options = (f"certfile {server.chain}", f"keyfile {server.key}", *listener)
        super().__init__(folder, listener=options)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def server(authority: Authority) -> Identity:
    """A good certificate for localhost."""
    return authority.issue()


@pytest.fixture(scope="session")
def tls_broker(
    tmp_path_factory: pytest.TempPathFactory, server: Identity
) -> Iterator[TlsMosquitto]:
    """A mosquitto that only speaks TLS; do not stop it."""
    with TlsMosquitto(tmp_path_factory.mktemp("mosquitto-tls"), server) as running:
        yield running
