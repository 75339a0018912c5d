"""Wire cases of our own, written from the OASIS texts; `cases/*.txt` holds them.

`== group, version` starts a group, `-- name` a case; lines before the first case hold for the whole group:

- `with NAME VALUE`: a property of the CONNECT; `no connack`: the peer does not answer it by itself.
- `do publish QOS`, `do subscribe N`, `do unsubscribe N`: a call of the application.
- `> bytes`: peer to client; `< bytes`: the client must send exactly this next. The words are those of
  wire_language.py.
- `stay`: a QoS 1 message is still acknowledged. `close XX`: the client closes the connection, in MQTT 5.0 by
  DISCONNECT with this reason, before with nothing. `ends`: the server has ended it; the client just closes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import clients, packets
from support.peer import PeerConnection, ScriptedPeer

from .wire_language import encode

VERSIONS = {"3.1": packets.V31, "3.1.1": packets.V311, "5": packets.V5}
FILTERS = ("a", "b")


@dataclass
class OwnCase:
    group: str
    version: int
    name: str
    lines: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        return f"{self.group}, {self.name}"


def read(path: Path) -> Iterator[OwnCase]:
    shared: list[str] = []
    case: OwnCase | None = None
    group, version = "", 0
    for line in path.read_text().splitlines():
        mark, _, rest = line.partition(" ")
        if not line or mark == "#":
            continue
        if mark in ("==", "--") and case:
            yield case
            case = None
        if mark == "==":
            group, shared = rest, []
            version = VERSIONS[rest.rpartition(", ")[2]]
        elif mark == "--":
            case = OwnCase(group, version, rest, list(shared))
        else:
            (case.lines if case else shared).append(line)
    if case:
        yield case


CASES = [
    case for path in sorted((Path(__file__).parent / "cases").glob("*.txt")) for case in read(path)
]


class Play:
    """One case on its way: the client, and the peer's end of its connection."""

    def __init__(self, case: OwnCase, watched: clients.Watched, peer: ScriptedPeer) -> None:
        self.case, self.watched = case, watched
        named = dict(line.split()[1:] for line in case.lines if line.startswith("with "))
        if named:
            values = {name: int(value) for name, value in named.items()}
            wanted = clients.properties(watched.mqtt, "CONNECT", **values)
            watched.client.connect(peer.host, peer.port, properties=wanted)
        else:
            watched.client.connect(peer.host, peer.port)
        watched.client.loop_start()
        self.connection: PeerConnection = peer.accept()
        self.connection.expect(packets.CONNECT)
        if "no connack" not in case.lines:
            self.connection.send(packets.connack(case.version))
            watched.connects.wait_count(1)

    def step(self, word: str, rest: str) -> None:
        if word == ">":
            self.connection.send(encode(rest))
        elif word == "<":
            self.connection.expect_bytes(encode(rest))
        elif word == "do":
            self.call(*rest.split())
        elif word == "stay":
            self.connection.expect_alive()
        elif word == "close":
            self.connection.expect_refusal(*bytes.fromhex(rest))
        elif word == "ends":
            self.connection.expect_end()
        else:
            assert word in ("with", "no"), word

    def call(self, what: str, number: str) -> None:
        client = self.watched.client
        if what == "publish":
            client.publish("t", b"m", int(number))
        elif what == "subscribe":
            client.subscribe([(name, 0) for name in FILTERS[: int(number)]])
        else:
            client.unsubscribe(list(FILTERS[: int(number)]))


@pytest.fixture(scope="module")
def one_peer() -> Iterator[ScriptedPeer]:
    with ScriptedPeer() as running:
        yield running


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_own_case(case: OwnCase, one_peer: ScriptedPeer, watch: Any, mqtt: ModuleType) -> None:
    watched = watch(case.version, reconnect_on_failure=False)
    play = Play(case, watched, one_peer)
    for line in case.lines:
        word, _, rest = line.partition(" ")
        play.step(word, rest)
    verdict = case.lines[-1].split()[0]
    assert verdict in ("stay", "close", "ends"), "a case without a verdict"
    if verdict != "stay":
        watched.disconnects.wait_count(1)
        assert not watched.client.is_connected()


def test_every_kind_is_covered_in_both_versions() -> None:
    kinds = ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBACK", "UNSUBACK", "PUBLISH", "CONNACK")
    kinds += ("DISCONNECT", "AUTH", "PINGRESP", "before CONNACK", "never of a server")
    groups = {case.group for case in CASES}
    for kind in kinds:
        assert {f"{kind}, 3.1.1", f"{kind}, 5"} <= groups, kind
