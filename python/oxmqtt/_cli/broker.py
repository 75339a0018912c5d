"""``oxmqtt broker``: the embedded broker as a program, for tests and demonstrations."""

from __future__ import annotations

import importlib
from typing import Any

from .exits import USAGE, Failure


def embedded_broker(instead: str, **arguments: Any) -> Any:
    """A broker that runs as a context manager.

    :param instead: what to do where there is none.
    :raises Failure: this build has none.
    """
    try:
        testing = importlib.import_module("..testing", __package__)
    except ImportError:
        raise Failure(USAGE, f"this build has no embedded broker: {instead}") from None
    return testing.Broker(**arguments)
