"""A slice of the chaos runs, and proof that judge and count can find what they look for.

`make chaos` has the whole runs. `-m "not chaos"` leaves the slice out.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any, Callable

import pytest
from support import packets
from support.packets import (
    PUBACK,
    PUBCOMP,
    PUBREC,
    PUBREL,
    V5,
    V311,
    acknowledge,
    connack,
    connect,
    parse,
)

from . import plan, run
from .plan import RECEIVER, SENDER, Message
from .rules import ReceiverRules, Rules, SenderRules

#: Messages and resets of the slice, for each version.
SLICE = (16_000, 8_000)


@pytest.mark.chaos
@pytest.mark.timeout(300)
@pytest.mark.better_than_paho("it resends more than the quota, and stops for good")
@pytest.mark.parametrize("version", [V311, V5])
def test_nothing_lost_and_qos_2_exactly_once(
    mqtt: ModuleType, tmp_path: Path, version: int
) -> None:
    result = run.Run(mqtt, tmp_path, 1, version, *SLICE).run()
    assert not result.faults, result.report()
    assert result.reset_count >= SLICE[1]
    assert result.published == SLICE[0]


@pytest.mark.timeout(120)
def test_count_finds_a_lost_and_a_doubled_message(
    mqtt: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = [message.qos for message in plan.messages(1, 40)]
    lost, doubled = levels.index(1), levels.index(2)

    class Forgetful(run.Receiver):
        def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
            number = plan.number_of(message.payload)
            for _ in range({lost: 0, doubled: 2}.get(number, 1)):
                super()._on_message(client, userdata, message)

    monkeypatch.setattr(run, "Receiver", Forgetful)
    monkeypatch.setattr(run, "PATIENCE", 2.0)
    result = run.Run(mqtt, tmp_path, 1, V311, 40, 20).run()
    assert (result.lost[1], result.lost[2], result.duplicated[2]) == (1, 0, 1), result.report()
    assert "replay: " in result.report()


def test_count_finds_a_message_published_too_early() -> None:
    rules = sender_rules()

    class Client:
        on_publish: Any = None

    client = Client()
    sender = run.Sender(client, rules)
    sender._numbers[1].append(0)

    class Reason:
        is_failure = False

    feed(rules, [UP_CONNECT, DOWN_CONNACK, publish(0)])
    client.on_publish(client, None, 1, Reason, None)
    sender.settle()
    assert rules.violations == ["connection 1: on_publish of message 0, which the server lacks"]


def test_cuts_come_from_the_seed() -> None:
    def cuts(seed: int, part: str) -> list[plan.Cut]:
        return [plan.cut(seed, part, number) for number in range(50)]

    assert cuts(1, SENDER) == cuts(1, SENDER)
    assert cuts(1, SENDER) != cuts(2, SENDER)
    assert cuts(1, SENDER) != cuts(1, RECEIVER)
    assert plan.messages(1, 100) == plan.messages(1, 100) != plan.messages(2, 100)


# The judge: one conversation for each rule; each breaks it with its last packet.

UP, DOWN = "up", "down"
RESET = ("reset", b"")
UP_CONNECT = (UP, connect(V311, "judged", clean=False))
DOWN_CONNACK = (DOWN, connack(V311))
RESUMED = [UP_CONNECT, (DOWN, connack(V311, session_present=True))]
#: QoS of the messages 0 to 5.
LEVELS = [1, 2, 2, 1, 2, 1]
MESSAGES = [Message(qos, f"t/{qos}", b"%d:" % n) for n, qos in enumerate(LEVELS)]
QUOTA = 3

Step = tuple[str, bytes]


def publish(number: int, mid: int = 0, dup: bool = False, direction: str = UP) -> Step:
    qos, topic, payload = LEVELS[number], MESSAGES[number].topic, MESSAGES[number].payload
    return (
        direction,
        packets.publish(V311, topic, payload, qos, mid or number + 1, dup=dup),
    )


def up(kind: int, number: int) -> Step:
    return (UP, acknowledge(V311, kind, number + 1))


def down(kind: int, number: int) -> Step:
    return (DOWN, acknowledge(V311, kind, number + 1))


def sender_rules() -> SenderRules:
    return SenderRules(V311, MESSAGES, QUOTA)


def receiver_rules() -> ReceiverRules:
    """`on_message` was through with all but the last message."""
    rules = ReceiverRules(V311, MESSAGES)
    rules.taken.update(range(len(MESSAGES) - 1))
    return rules


def feed(rules: Rules, steps: list[Step]) -> None:
    rules.opened()
    for direction, raw in steps:
        if direction == "reset":
            rules.closed(raw)
            rules.opened()
        else:
            (rules.sent if direction == UP else rules.delivered)(parse(raw, V311))


FIRST = [UP_CONNECT, DOWN_CONNACK]
THREE_SENT = [*FIRST, publish(0), publish(1), publish(2)]
RELEASED = [*FIRST, publish(0), publish(1), down(PUBREC, 1), up(PUBREL, 1)]


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        pytest.param([publish(0)], "before CONNECT", id="no CONNECT"),
        pytest.param([UP_CONNECT, publish(0)], "before CONNACK", id="no CONNACK"),
        pytest.param([*FIRST, publish(1)], "message 1 before 0", id="first sends out of order"),
        pytest.param([*FIRST, publish(0, dup=True)], "DUP on the first copy", id="DUP too early"),
        pytest.param([*THREE_SENT, publish(3)], "4 in flight of 3", id="quota"),
        pytest.param(
            [*THREE_SENT, RESET, *RESUMED]
            + [publish(n, dup=True) for n in range(3)]
            + [publish(3, dup=True)],
            "4 in flight of 3",
            id="quota with resends",
        ),
        pytest.param(
            [
                *RELEASED,
                RESET,
                *RESUMED,
                publish(0, dup=True),
                up(PUBREL, 1),
                publish(2),
                publish(3),
            ],
            "4 in flight of 3",
            id="quota with PUBREL",
        ),
        pytest.param(
            [*THREE_SENT, RESET, *RESUMED, publish(0)], "again without DUP", id="resend without DUP"
        ),
        pytest.param(
            [*THREE_SENT, RESET, *RESUMED, publish(0, mid=9, dup=True)],
            "under another identifier",
            id="resend with another identifier",
        ),
        pytest.param(
            [*THREE_SENT, RESET, *RESUMED, publish(1, dup=True)],
            "before 0 was resent",
            id="resend left out",
        ),
        pytest.param(
            [*THREE_SENT, RESET, *RESUMED, publish(0, dup=True), publish(0, dup=True)],
            "message 0 after 0",
            id="resent twice",
        ),
        pytest.param(
            [*RELEASED, RESET, *RESUMED, publish(0, dup=True), publish(1, dup=True)],
            "again after its PUBREL",
            id="PUBLISH after PUBREL",
        ),
        pytest.param([*THREE_SENT, up(PUBREL, 1)], "without PUBREC", id="PUBREL without PUBREC"),
        pytest.param([*RELEASED, up(PUBREL, 1)], "twice on one connection", id="PUBREL twice"),
        pytest.param(
            [*THREE_SENT, down(PUBREC, 1), down(PUBREC, 2), up(PUBREL, 2)],
            "out of turn",
            id="PUBRELs out of order",
        ),
        pytest.param(
            [*THREE_SENT, publish(3, mid=1)], "under the identifier of 0", id="identifier in use"
        ),
        pytest.param(
            [*FIRST, ("reset", publish(0)[1][:-1]), *RESUMED, publish(0)],
            "begun before",
            id="no DUP after half a PUBLISH",
        ),
        pytest.param([*FIRST, up(PUBACK, 0)], "unexpected PUBACK", id="a packet of a receiver"),
    ],
)
def test_judge_of_the_sender(steps: list[Step], complaint: str) -> None:
    assert_only_last(sender_rules, steps, complaint)


#: PUBCOMP of message 1 as MQTT 5.0 has it: packet identifier not found.
DENIAL = (UP, acknowledge(V5, PUBCOMP, 2, 0x92))


def given(number: int, dup: bool = False) -> Step:
    return publish(number, dup=dup, direction=DOWN)


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        pytest.param([*FIRST, up(PUBACK, 0)], "for nothing", id="PUBACK of nothing"),
        pytest.param([*FIRST, given(1), up(PUBACK, 1)], "for nothing", id="PUBACK for QoS 2"),
        pytest.param(
            [*FIRST, given(5), up(PUBACK, 5)], "before on_message", id="acknowledged too soon"
        ),
        pytest.param(
            [*FIRST, given(0), up(PUBACK, 0), up(PUBACK, 0)], "for nothing", id="PUBACK twice"
        ),
        pytest.param(
            [*FIRST, given(0), RESET, *RESUMED, up(PUBACK, 0)],
            "for nothing",
            id="PUBACK of a former connection",
        ),
        pytest.param(
            [*FIRST, given(0), given(3), up(PUBACK, 3)], "out of turn", id="PUBACKs out of order"
        ),
        pytest.param(
            [*FIRST, given(1), given(2), up(PUBREC, 2)], "out of turn", id="PUBRECs out of order"
        ),
        pytest.param(
            [*FIRST, given(1), up(PUBREC, 1), up(PUBCOMP, 1)],
            "for nothing",
            id="PUBCOMP without PUBREL",
        ),
        pytest.param(
            [*FIRST, given(1), up(PUBREC, 1), down(PUBREL, 1), DENIAL],
            "denies a message",
            id="PUBCOMP denies a message",
        ),
    ],
)
def test_judge_of_the_receiver(steps: list[Step], complaint: str) -> None:
    assert_only_last(receiver_rules, steps, complaint)


def assert_only_last(rules: Callable[[], Rules], steps: list[Step], complaint: str) -> None:
    """Nothing is wrong up to the last packet, which is."""
    before, whole = rules(), rules()
    feed(before, steps[:-1])
    assert before.violations == []
    feed(whole, steps)
    assert any(complaint in violation for violation in whole.violations), whole.violations
