"""The judge: what MQTT lets a client send, checked packet by packet as the proxy sees them.

A reset swallows what it finds on its way, so the judge knows for certain only what it saw whole. Where the client may not yet
have known something, or may have sent something that nobody saw, both courses are allowed; where it must have known, one is.
The session outlives its connections. Its state is here twice: what lasts, and what begins anew with each connection.
"""

from __future__ import annotations

from collections import Counter, deque

from support.packets import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBSCRIBE,
    Packet,
)

from .plan import Message, number_of

#: PUBCOMP's reason for an identifier that the client does not hold any more [MQTT 5.0, 3.7.2.1].
NOT_FOUND = 0x92


class Rules:
    """What holds for both clients: CONNECT first, nothing before CONNACK, the session kept."""

    def __init__(self, version: int, messages: list[Message]) -> None:
        self.version = version
        self.messages = messages
        #: What the client did against the standard, and what the server did.
        self.violations: list[str] = []
        self.server_faults: list[str] = []
        self.connections = 0
        self.connected = 0
        self._begin_connection()

    def _begin_connection(self) -> None:
        self.greeted = False
        self.online = False

    def violation(self, what: str) -> None:
        self.violations.append(f"connection {self.connections}: {what}")

    def server_fault(self, what: str) -> None:
        self.server_faults.append(f"connection {self.connections}: {what}")

    def opened(self) -> None:
        self.connections += 1
        self._begin_connection()

    def closed(self, rest: bytes) -> None:
        pass

    def sent(self, packet: Packet) -> None:
        if packet.kind == CONNECT:
            if self.greeted:
                self.violation("a second CONNECT [MQTT-3.1.0-2]")
            if self.connections > 1 and packet.connect["clean"]:
                self.violation("CONNECT throws the session away")
            self.greeted = True
        elif not self.greeted:
            self.violation(f"{packet.name} before CONNECT [MQTT-3.1.0-1]")
        elif not self.online:
            # The standard allows packets here, but this client cannot know yet what the server keeps.
            self.violation(f"{packet.name} before CONNACK")
        elif packet.kind == DISCONNECT:
            if packet.reason:
                self.violation(f"the client gives up with reason {packet.reason:#x}")
        elif packet.kind != PINGREQ:
            self.judge(packet)

    def delivered(self, packet: Packet) -> None:
        if packet.kind != CONNACK:
            self.learn(packet)
            return
        self.online = packet.reason == 0
        if not self.online:
            self.server_fault(f"CONNACK with reason {packet.reason}")
            return
        self.connected += 1
        if self.connections > 1 and not packet.session_present:
            self.server_fault("the session is gone")
        self.handle_connack(packet)

    def judge(self, packet: Packet) -> None:
        raise NotImplementedError

    def learn(self, packet: Packet) -> None:
        raise NotImplementedError

    def handle_connack(self, packet: Packet) -> None:
        pass

    def check_content(self, packet: Packet) -> int | None:
        """The number of the message that this PUBLISH carries; None if nobody published such a one."""
        number = number_of(packet.payload)
        if Message(packet.qos, packet.topic, packet.payload) != self.messages[number]:
            return None
        return number


class SenderRules(Rules):
    """Outgoing QoS 1 and 2: quota, order, DUP, identifiers, PUBREC before PUBREL."""

    def __init__(self, version: int, messages: list[Message], max_inflight: int) -> None:
        self.max_inflight = max_inflight
        self.quota = max_inflight
        #: Messages before this number were seen; those before the other one may have been sent unseen.
        self.seen = 0
        self.perhaps_sent = 0
        self.unfinished: set[int] = set()
        self.id_of: dict[int, int] = {}
        self.number_of_id: dict[int, int] = {}
        #: Identifiers in PUBLISHes of which only the beginning was seen.
        self.begun: set[int] = set()
        #: By message: PUBREC delivered, PUBREL seen, the last acknowledgement delivered, on_publish called.
        self.received: set[int] = set()
        self.released: set[int] = set()
        self.finished: set[int] = set()
        self.reported: set[int] = set()
        #: The server has answered for the message: how many of an identifier's messages, so far.
        self.owned: set[int] = set()
        self.owned_of_id: Counter[int] = Counter()
        self.quota_violations = 0
        self.most_in_flight = 0
        self.resent = 0
        super().__init__(version, messages)

    def _begin_connection(self) -> None:
        super()._begin_connection()
        self.in_flight: set[int] = set()
        #: To be sent again, in this order, before anything new.
        self.due = deque(sorted(self.unfinished))
        self.last = -1
        #: PUBRECs of this connection that PUBREL has yet to answer.
        self.to_release: deque[int] = deque()

    def handle_connack(self, packet: Packet) -> None:
        maximum = packet.properties.get("receive_maximum", 65535)
        self.quota = min(self.max_inflight, maximum)

    def closed(self, rest: bytes) -> None:
        if self.online:
            room = self.quota - len(self.in_flight)
            self.perhaps_sent = max(self.perhaps_sent, self.seen + max(room, 0))
        if len(rest) > 8 and rest[0] >> 4 == PUBLISH:
            at = next(i for i in range(1, 5) if rest[i] < 0x80) + 1
            at += 2 + int.from_bytes(rest[at : at + 2], "big")
            if len(rest) >= at + 2:
                self.begun.add(int.from_bytes(rest[at : at + 2], "big"))

    def judge(self, packet: Packet) -> None:
        if packet.kind == PUBLISH:
            self._judge_publish(packet)
        elif packet.kind == PUBREL:
            self._judge_pubrel(packet)
        else:
            self.violation(f"unexpected {packet}")

    def _judge_publish(self, packet: Packet) -> None:
        number = self.check_content(packet)
        if number is None:
            self.violation(f"{packet} was never published so")
            return
        known = self.number_of_id.get(packet.mid)
        if packet.mid == 0:
            self.violation(f"message {number} with packet identifier 0 [MQTT-2.2.1-3]")
        if number < self.seen:
            self._judge_resend(packet, number)
        else:
            if number > self.seen:
                self.violation(f"message {number} before {self.seen} [MQTT-4.6.0-1]")
            if known is not None and known not in self.finished:
                self.violation(f"message {number} under the identifier of {known} [MQTT-2.2.1-3]")
            if packet.dup and number >= self.perhaps_sent:
                self.violation(f"DUP on the first copy of message {number} [MQTT-3.3.1-1]")
            if not packet.dup and packet.mid in self.begun:
                self.violation(f"no DUP on message {number}, begun before [MQTT-3.3.1-1]")
            self.seen = number + 1
            self.unfinished.add(number)
            self.id_of[number] = packet.mid
            self.number_of_id[packet.mid] = number
        self.begun.discard(packet.mid)
        self._occupy(number)

    def _judge_resend(self, packet: Packet, number: int) -> None:
        self.resent += 1
        if packet.mid != self.id_of[number]:
            self.violation(f"message {number} again under another identifier [MQTT-4.4.0-1]")
        if not packet.dup:
            self.violation(f"message {number} again without DUP [MQTT-3.3.1-1]")
        if number in self.released:
            self.violation(f"message {number} again after its PUBREL [MQTT-4.3.3-6]")
        if number in self.reported:
            self.violation(f"message {number} again after on_publish")

    def _judge_pubrel(self, packet: Packet) -> None:
        number = self.number_of_id.get(packet.mid)
        if number is None or number not in self.received:
            self.violation(f"{packet} without PUBREC [MQTT-4.3.3-4]")
            return
        if self.to_release and self.to_release[0] == number:
            self.to_release.popleft()
        elif number in self.to_release:
            self.violation(f"PUBREL of message {number} out of turn [MQTT-4.6.0-4]")
            self.to_release.remove(number)
        elif number in self.in_flight:
            self.violation(f"PUBREL of message {number} twice on one connection [MQTT-4.4.0-1]")
        else:
            self.resent += 1
            self._occupy(number)
        self.released.add(number)

    def _occupy(self, number: int) -> None:
        """A PUBLISH, or a PUBREL sent again, takes its place in the order and in the quota."""
        if number <= self.last:
            self.violation(f"message {number} after {self.last} [MQTT-4.6.0-1]")
        while self.due and self.due[0] < number:
            skipped = self.due.popleft()
            if skipped not in self.finished:
                self.violation(f"message {number} before {skipped} was resent [MQTT-4.4.0-1]")
        if self.due and self.due[0] == number:
            self.due.popleft()
        self.last = max(self.last, number)
        self.in_flight.add(number)
        self.most_in_flight = max(self.most_in_flight, len(self.in_flight))
        if len(self.in_flight) > self.quota:
            self.quota_violations += 1
            self.violation(f"{len(self.in_flight)} in flight of {self.quota} [MQTT-3.3.4-7]")

    def learn(self, packet: Packet) -> None:
        number = self.number_of_id.get(packet.mid)
        if packet.kind not in (PUBACK, PUBREC, PUBCOMP) or packet.reason >= 0x80:
            self.server_fault(f"unexpected {packet}")
            return
        if number is None or self.messages[number].qos != (1 if packet.kind == PUBACK else 2):
            self.server_fault(f"{packet} for nothing")
            return
        if number not in self.owned:
            self.owned.add(number)
            self.owned_of_id[packet.mid] += 1
        if packet.kind == PUBREC:
            self.received.add(number)
            if number not in self.in_flight or number in self.released:
                self.server_fault(f"{packet} once more")
            else:
                self.to_release.append(number)
        else:
            self.finished.add(number)
            self.unfinished.discard(number)
            self.in_flight.discard(number)


class ReceiverRules(Rules):
    """Incoming QoS 1 and 2: each copy answered once, on its connection, in order, behind `on_message`."""

    def __init__(self, version: int, messages: list[Message]) -> None:
        #: By message: PUBREL delivered. Any PUBLISH of it after that is a new one for the client.
        self.released: set[int] = set()
        self.number_of_id: dict[int, int] = {}
        #: Messages that `on_message` was through with.
        self.taken: set[int] = set()
        #: By topic, the highest number so far; and the messages that the server sent behind a higher one.
        self.highest: dict[str, int] = {}
        self.misordered: set[int] = set()
        self.delivered_before: set[int] = set()
        super().__init__(version, messages)

    def _begin_connection(self) -> None:
        super()._begin_connection()
        #: What the client has yet to answer, in the order in which it came.
        self.to_answer: dict[int, deque[int]] = {PUBACK: deque(), PUBREC: deque(), PUBCOMP: deque()}
        #: Identifiers in PUBRELs that had come before; the client may have forgotten them.
        self.released_again: set[int] = set()
        self.highest_here: dict[tuple[str, int], int] = {}

    def judge(self, packet: Packet) -> None:
        if packet.kind == SUBSCRIBE:
            return
        waiting = self.to_answer.get(packet.kind)
        if waiting is None or packet.mid not in waiting:
            self.violation(f"{packet} for nothing [MQTT-4.3.2-4, 4.3.3-8, 4.3.3-11]")
            return
        if packet.reason and (packet.kind, packet.reason) != (PUBCOMP, NOT_FOUND):
            self.violation(f"{packet} with reason {packet.reason}")
        if packet.reason and packet.mid not in self.released_again:
            self.violation(f"{packet} denies a message that the client has")
        if packet.kind != PUBCOMP and self.number_of_id[packet.mid] not in self.taken:
            self.violation(f"{packet} before on_message was through")
        if waiting[0] != packet.mid and packet.kind != PUBCOMP:
            self.violation(f"{packet} out of turn [MQTT-4.6.0-2, 4.6.0-3]")
        waiting.remove(packet.mid)

    def learn(self, packet: Packet) -> None:
        if packet.kind == PUBREL:
            number = self.number_of_id.get(packet.mid)
            if number is None:
                self.server_fault(f"{packet} for nothing")
                return
            if number in self.released:
                self.released_again.add(packet.mid)
            self.to_answer[PUBCOMP].append(packet.mid)
            self.released.add(number)
            self._check_server_order(PUBREL, number)
        elif packet.kind == PUBLISH:
            number = self.check_content(packet)
            if number is None:
                self.server_fault(f"{packet} was never published so")
                return
            if packet.qos == 2 and number in self.released:
                self.server_fault(f"message {number} delivered again after its PUBREL")
            self.number_of_id[packet.mid] = number
            self.to_answer[PUBREC if packet.qos == 2 else PUBACK].append(packet.mid)
            self._check_server_order(PUBLISH, number)
            self.delivered_before.add(number)

    def _check_server_order(self, kind: int, number: int) -> None:
        """First copies ascend in each topic [MQTT-4.6.0-5]; with QoS 2 whatever is sent on a connection does.

        A second copy of QoS 1 may come at any time: where the sender repeated it, the server has two.
        """
        message = self.messages[number]
        highest = -1
        if message.qos == 2:
            highest = self.highest_here.get((message.topic, kind), -1)
            self.highest_here[message.topic, kind] = max(highest, number)
        if kind == PUBLISH and number not in self.delivered_before:
            highest = max(highest, self.highest.get(message.topic, -1))
            self.highest[message.topic] = max(highest, number)
        if number < highest:
            self.misordered.add(number)
