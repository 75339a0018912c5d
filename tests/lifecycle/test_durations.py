"""Durations that no clock can tell end in an ordinary exception, wherever a program can say one."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, Callable

import pytest
from oxmqtt import _native
from oxmqtt.testing import Broker
from support import clients

ABSURD = [1e19, 1e300, math.nan]
ERRORS = (ValueError, OverflowError)

pytestmark = pytest.mark.better_than_paho("its durations go to Python's own calls")


@pytest.mark.parametrize("seconds", [*ABSURD, math.inf, -1.0])
def test_of_connecting(mqtt: ModuleType, seconds: float) -> None:
    with Broker() as broker:
        client = clients.make(mqtt, "absurd")
        with pytest.raises(ERRORS):
            client.connect_timeout = seconds
            client.connect(broker.host, broker.port)
        clients.dispose(client)


@pytest.mark.parametrize("seconds", ABSURD)
def test_of_waiting(mqtt: ModuleType, seconds: float) -> None:
    with Broker() as broker:
        client = clients.make(mqtt, "absurd")
        client.connect(broker.host, broker.port)
        waits: list[Callable[[float], Any]] = [
            client.publish("t", b"x", 1).wait_for_publish,
            client._ox_engine.flush,
            _native.flush_all,
            broker.delay_acks,
            lambda seconds: broker.wait_for("t", timeout=seconds),
        ]
        for wait in waits:
            with pytest.raises(ERRORS):
                wait(seconds)
        broker.wait_for_client("absurd")
        clients.dispose(client)


def test_an_endless_wait_is_none_at_all(mqtt: ModuleType) -> None:
    with Broker() as broker:
        client = clients.make(mqtt, "endless")
        client.connect(broker.host, broker.port)
        client.loop_start()
        client.publish("t", b"x", 1).wait_for_publish(math.inf)
        assert client._ox_engine.flush(math.inf)
        assert broker.wait_for("t", timeout=math.inf).payload == b"x"
        client._ox_engine.flush(-1.0)
        clients.dispose(client)
