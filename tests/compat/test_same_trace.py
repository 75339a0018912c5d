"""The same program on paho and on oxmqtt gives the same trace of callbacks: against a broker in 3.1, 3.1.1 and 5.

Compared per thread, in order: names of the callbacks, types and values of their arguments, return values, the kind and
name of the thread.
"""

from __future__ import annotations

import difflib
import warnings
from types import ModuleType
from typing import Any, Callable

import pytest
from support.clients import dispose
from support.mosquitto import Mosquitto

from . import connection_programs, helper_programs  # noqa: F401  (register their programs)
from .programs import PROGRAMS, Stage

VERSION_NAMES = {3: "mqtt31", 4: "mqtt311", 5: "mqtt5"}


#: program -> (reason, what paho's lines of the program's thread become). Everything else must be equal.
DELIBERATE: dict[str, tuple[str, Callable[[list[str]], list[str]]]] = {}

#: Programs that get messages of QoS 2 among other callbacks. paho calls `on_message` at their PUBREL, oxmqtt at
#: their PUBLISH (docs/decisions/0015-qos2-acknowledgement.md): sooner than other messages and
#: than `on_publish` of the same client. So each kind of line is compared by itself.
QOS_2_COMES_SOONER = {
    "wildcards_and_filters",
    "payloads",
    "loop_forever_from_callbacks",
    "manual_loop",
    "session_kept",
    "external_loop",
    "properties_of_messages",
}

#: program -> what it relies on that only mosquitto does.
MOSQUITTO: dict[str, str] = {
    "loop_forever_from_callbacks": "a QoS 2 message is handed on at its PUBREL, so that its PUBCOMP never comes with the PUBREL of the delivery",
}

CASES = [
    pytest.param(
        *(name, version, api),
        id=f"{name}-{VERSION_NAMES[version]}-v{api}",
        marks=[pytest.mark.needs_mosquitto(MOSQUITTO[name])] if name in MOSQUITTO else [],
    )
    for name, program in PROGRAMS.items()
    for version in program.versions
    for api in (1, 2)
]


def streams(mqtt: ModuleType, broker: Mosquitto, name: str, version: int, api: int) -> Any:
    stage = Stage(mqtt, broker, version, api)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            PROGRAMS[name].run(stage)
    finally:
        for client in stage.closing:
            dispose(client)
    return stage.trace.streams()


def as_oxmqtt(name: str, paho_lines: dict[Any, list[str]]) -> dict[Any, list[str]]:
    """paho's trace with the deliberate differences applied."""
    if name not in DELIBERATE:
        return paho_lines
    _reason, change = DELIBERATE[name]
    return {**paho_lines, "program": change(paho_lines["program"])}


def by_kind(traced: dict[Any, list[str]]) -> dict[Any, list[str]]:
    """QoS 2 messages, `on_publish` and everything else of each thread, each in its order."""
    kinds: dict[Any, list[str]] = {}
    for thread, lines in traced.items():
        for line in lines:
            if line.startswith("on_publish"):
                kind = "on_publish"
            elif "('MQTTMessage'," in line and "('qos', 2)" in line:
                kind = "QoS 2"
            else:
                kind = "others"
            kinds.setdefault((thread, kind), []).append(line)
    return kinds


# paho leaves its socket pairs to the garbage collector
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name, version, api", CASES)
def test_same_trace(
    mqtt: ModuleType, paho: ModuleType, broker: Mosquitto, name: str, version: int, api: int
) -> None:
    expected = streams(paho, broker, name, version, api)
    actual = streams(mqtt, broker, name, version, api)
    if mqtt is not paho:
        expected = as_oxmqtt(name, expected)
    if mqtt is not paho and name in QOS_2_COMES_SOONER:
        expected, actual = by_kind(expected), by_kind(actual)
    if actual != expected:
        pytest.fail("traces differ (- paho, + under test)\n" + difference(expected, actual))


def difference(expected: dict[Any, list[str]], actual: dict[Any, list[str]]) -> str:
    lines = []
    for thread in sorted({*expected, *actual}, key=str):
        before, after = expected.get(thread, []), actual.get(thread, [])
        if before != after:
            lines.append(f"thread {thread}:")
            lines += difflib.unified_diff(before, after, "paho", "under test", lineterm="", n=1)
    return "\n".join(lines)
