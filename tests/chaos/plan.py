"""What a run sends and where it cuts. Everything random is here, and all of it comes from one seed.

Each connection of each client has its own plan, drawn from the seed, the client's part and the connection's number, so that
a replay makes the same cuts whatever the threads do in between.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from support.packets import (
    CONNACK,
    CONNECT,
    NAMES,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
)

UP, DOWN = "to the server", "to the client"

SENDER, RECEIVER = "sender", "receiver"

BEFORE, MIDDLE, AFTER = "before", "in the middle of", "after"

#: The packets that a cut may wait for: (direction, packet type), with weights.
STATES: dict[str, dict[tuple[str, int], int]] = {
    SENDER: {
        (UP, CONNECT): 1,
        (DOWN, CONNACK): 1,
        (UP, PUBLISH): 5,
        (DOWN, PUBACK): 4,
        (DOWN, PUBREC): 4,
        (UP, PUBREL): 4,
        (DOWN, PUBCOMP): 4,
    },
    RECEIVER: {
        (UP, CONNECT): 1,
        (DOWN, CONNACK): 1,
        (DOWN, PUBLISH): 5,
        (UP, PUBACK): 4,
        (UP, PUBREC): 4,
        (DOWN, PUBREL): 4,
        (UP, PUBCOMP): 4,
    },
}


@dataclass(frozen=True)
class Message:
    """What the program publishes; the payload begins with its number."""

    qos: int
    topic: str
    payload: bytes


def messages(seed: int, count: int) -> list[Message]:
    """As many of QoS 1 as of QoS 2, mixed; one in 200 is larger than any socket takes at once."""
    draw = random.Random(f"{seed}/messages")
    levels = [1, 2] * (count // 2)
    draw.shuffle(levels)
    made = []
    for number, qos in enumerate(levels):
        size = draw.randint(80_000, 200_000) if draw.random() < 0.005 else draw.randint(0, 200)
        payload = b"%d:" % number + draw.randbytes(size)
        # Order is promised among messages of one topic and one QoS.
        made.append(Message(qos, f"chaos/{qos}/{draw.randint(1, 3)}", payload))
    return made


def number_of(payload: bytes) -> int:
    return int(payload.split(b":", 1)[0])


@dataclass
class Cut:
    """Where one connection is cut, and how. It counts what passes, so it serves one connection."""

    direction: str
    #: The packet type that it waits for; 0 to count bytes.
    kind: int
    #: How many of these packets, or bytes, pass before.
    count: int
    moment: str
    #: The share of the packet that still passes, when the moment is its middle.
    share: float
    #: Which end is reset first: the client's, the server's, or "" for both at once.
    first: str
    #: Seconds until the other end is reset too.
    lag: float
    #: Seconds after which the connection is reset wherever it stands.
    patience: float

    @property
    def name(self) -> str:
        if not self.kind:
            return f"byte {self.direction}"
        return f"{self.moment} {NAMES[self.kind]}"

    def passes(self, direction: str, kind: int, size: int) -> int | None:
        """How many bytes of this packet are the last to pass; None while the connection goes on."""
        if direction != self.direction:
            return None
        if not self.kind:
            self.count -= size
            return size + self.count if self.count <= 0 else None
        if kind != self.kind:
            return None
        self.count -= 1
        if self.count > 0:
            return None
        if self.moment == MIDDLE:
            return max(1, min(size - 1, int(size * self.share)))
        return 0 if self.moment == BEFORE else size


def cut(seed: int, part: str, connection: int) -> Cut:
    draw = random.Random(f"{seed}/{part}/{connection}")
    states = STATES[part]
    direction, kind = draw.choices(list(states), list(states.values()))[0]
    count = 1 if kind in (CONNECT, CONNACK) else draw.choice((1, 1, 2, 3, 4, 6))
    if draw.random() < 0.25:
        direction, kind, count = draw.choice((UP, DOWN)), 0, int(draw.expovariate(1 / 300)) + 1
    return Cut(
        direction=direction,
        kind=kind,
        count=count,
        moment=draw.choice((BEFORE, MIDDLE, AFTER)),
        share=draw.random(),
        first=draw.choice(("", "client", "server")),
        lag=draw.choice((0.0, 0.0, 0.0, draw.uniform(0.0, 0.004))),
        patience=draw.uniform(0.003, 0.02),
    )
