"""What type checkers may import from `oxmqtt.client`; `make lint` asks pyright for the rest."""

from __future__ import annotations

import subprocess
import sys

import oxmqtt.client
from oxmqtt._client import types


def test_names_for_annotations_are_exported() -> None:
    """A name that is not in `__all__` counts as private for pyright."""
    assert set(types.__all__) <= set(oxmqtt.client.__all__)
    assert len(set(oxmqtt.client.__all__)) == len(oxmqtt.client.__all__)


def test_star_import_gives_them_too() -> None:
    """As with paho, which has no `__all__`."""
    script = (
        "from oxmqtt.client import *; print(Client, CallbackOnMessage, MQTTv5, MQTT_ERR_SUCCESS)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_every_exported_name_is_there() -> None:
    for name in oxmqtt.client.__all__:
        assert hasattr(oxmqtt.client, name), name
