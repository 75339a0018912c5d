//! The reference model of a server: QoS 1 and 2 both ways as the standard has them, a session that
//! is kept or lost, and complaints about a client that breaks a rule.

use std::collections::{BTreeMap, BTreeSet};

use oxmqtt_protocol::codec::Version;

use super::link::{Note, Packet};
use super::violation::{Property, ensure, violated};
use crate::session_wire::{
    Deliver, PINGRESP, PUBACK, PUBCOMP, PUBREC, PUBREL, Sent, ack, ack_with, answer, parse_whole,
};

/// A packet of the client that waits for its answer.
#[derive(Clone, Copy, Debug)]
enum Question {
    Publish { qos: u8, id: u16, seq: u32 },
    Release { id: u16 },
    Subscribe { id: u16, filters: u8 },
    Unsubscribe { id: u16 },
}

/// A message to the client that is not acknowledged.
#[derive(Clone, Copy, Debug)]
struct Outgoing {
    seq: u32,
    qos: u8,
    released: bool,
    /// Second copies on this connection, which are answered too.
    copies: usize,
}

/// How the server names the topic of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Naming {
    Topic,
    /// By an alias; with the topic as well when the alias is new on this connection.
    Alias,
}

#[derive(Debug)]
pub(crate) struct Server {
    version: Version,
    receive_maximum: usize,
    alias_maximum: u16,
    questions: Vec<Question>,
    input: Vec<u8>,
    /// QoS 2 messages taken and not released, by identifier.
    held: BTreeMap<u16, u32>,
    /// QoS 2 messages taken by the session that stands.
    taken: BTreeSet<u32>,
    /// Messages it ever took the responsibility for.
    owned: BTreeSet<u32>,
    /// Messages it passed on: QoS 1 with PUBACK, QoS 2 when it was released.
    forwarded: BTreeSet<u32>,
    pub(crate) qos_0: BTreeSet<u32>,
    outgoing: BTreeMap<u16, Outgoing>,
    /// Identifiers that count against the client's Receive Maximum on this connection.
    counted: BTreeSet<u16>,
    aliases: BTreeMap<u16, u32>,
    next_seq: u32,
    /// Messages that the client took over since the last look.
    pub(crate) handed_over: Vec<u32>,
    /// PUBRELs are held back.
    pub(crate) withholding: bool,
    withheld: Vec<u16>,
    /// Answers to packets that the server sent without a reason: (first byte, identifier).
    strays: BTreeMap<(u8, u16), usize>,
    /// How many filters each SUBSCRIBE has.
    pub(crate) filters: BTreeMap<u16, u8>,
}

/// A message carries its number in its first four bytes.
pub(crate) fn seq_of(payload: &[u8]) -> u32 {
    let number = payload.get(..4).expect("messages of the simulation carry a number");
    u32::from_be_bytes(number.try_into().unwrap())
}

/// The topic that the server's message with that number has.
pub(crate) fn topic_of(seq: u32) -> String {
    format!("t{}", seq % 4)
}

impl Server {
    pub(crate) fn new(version: Version, receive_maximum: usize, alias_maximum: u16) -> Self {
        Self {
            version,
            receive_maximum,
            alias_maximum,
            questions: Vec::new(),
            input: Vec::new(),
            held: BTreeMap::new(),
            taken: BTreeSet::new(),
            owned: BTreeSet::new(),
            forwarded: BTreeSet::new(),
            qos_0: BTreeSet::new(),
            outgoing: BTreeMap::new(),
            counted: BTreeSet::new(),
            aliases: BTreeMap::new(),
            next_seq: 0,
            handed_over: Vec::new(),
            withholding: false,
            withheld: Vec::new(),
            strays: BTreeMap::new(),
            filters: BTreeMap::new(),
        }
    }

    pub(crate) fn handle_cut(&mut self) {
        self.questions.clear();
        self.input.clear();
        self.counted.clear();
        self.aliases.clear();
        self.withheld.clear();
        self.strays.clear();
        self.filters.clear();
        for out in self.outgoing.values_mut() {
            out.copies = 0;
        }
    }

    pub(crate) fn lose_session(&mut self) {
        self.held.clear();
        self.taken.clear();
        self.outgoing.clear();
    }

    /// Whether it passed the message on, or at least took it.
    pub(crate) fn has_forwarded(&self, seq: u32) -> bool {
        self.forwarded.contains(&seq)
    }

    pub(crate) fn has_owned(&self, seq: u32) -> bool {
        self.owned.contains(&seq)
    }

    pub(crate) fn holds_unreleased(&self) -> bool {
        !self.held.is_empty()
    }

    pub(crate) fn unacknowledged(&self) -> usize {
        self.outgoing.len()
    }

    pub(crate) fn questions(&self) -> usize {
        self.questions.len()
    }

    /// Bytes that came and are no whole packet yet.
    pub(crate) fn partial_input(&self) -> &[u8] {
        &self.input
    }

    /// What is sent again when a kept session resumes.
    pub(crate) fn resume(&mut self) -> Vec<Packet> {
        let mut unfinished: Vec<_> = self.outgoing.iter().map(|(id, out)| (*id, *out)).collect();
        unfinished.sort_by_key(|(_, out)| out.seq);
        let mut packets = Vec::new();
        for (id, out) in unfinished {
            if out.released {
                packets.push(Packet::new(ack(PUBREL, id), Note::PubRel { id }));
            } else {
                self.counted.insert(id);
                packets.push(self.publish(id, out, true, Naming::Topic));
            }
        }
        packets
    }

    fn publish(&mut self, id: u16, out: Outgoing, dup: bool, naming: Naming) -> Packet {
        let mut topic = topic_of(out.seq);
        let mut list = Vec::new();
        if naming == Naming::Alias && self.version == Version::V5 && self.alias_maximum > 0 {
            let alias = 1 + (out.seq % u32::from(self.alias_maximum)) as u16;
            list = [&[0x23][..], &alias.to_be_bytes()].concat();
            if self.aliases.insert(alias, out.seq % 4) == Some(out.seq % 4) {
                topic.clear();
            }
        }
        let payload = out.seq.to_be_bytes();
        let (topic, list, payload) = (&topic[..], &list[..], &payload[..]);
        let publish = Deliver { dup, qos: out.qos, retain: false, topic, id, list, payload };
        Packet::new(publish.bytes(self.version), Note::Publish { id: dup.then_some(id) })
    }

    /// A new message for the client, if its Receive Maximum allows one.
    pub(crate) fn send(&mut self, qos: u8, naming: Naming) -> Option<Packet> {
        if qos > 0 && self.counted.len() >= self.receive_maximum {
            return None;
        }
        let out = Outgoing { seq: self.next_seq + 1, qos, released: false, copies: 0 };
        let mut id = 0;
        if qos > 0 {
            id = (1..50_000).find(|id| !self.outgoing.contains_key(id))?;
            self.outgoing.insert(id, out);
            self.counted.insert(id);
        }
        self.next_seq += 1;
        Some(self.publish(id, out, false, naming))
    }

    /// A second copy of a QoS 2 message that was not received yet.
    pub(crate) fn send_copy(&mut self) -> Option<Packet> {
        let counted = &self.counted;
        let waiting = |(id, out): &(&u16, &mut Outgoing)| {
            out.qos == 2 && !out.released && counted.contains(id)
        };
        let (&id, out) = self.outgoing.iter_mut().find(waiting)?;
        out.copies += 1;
        let out = *out;
        Some(self.publish(id, out, true, Naming::Topic))
    }

    /// The PUBRELs that were held back.
    pub(crate) fn release_withheld(&mut self) -> Vec<Packet> {
        self.withholding = false;
        let release = |id| Packet::new(ack(PUBREL, id), Note::PubRel { id });
        std::mem::take(&mut self.withheld).into_iter().map(release).collect()
    }

    /// An acknowledgement of nothing; the answer, if one is due, is no surprise.
    pub(crate) fn stray(&mut self, first: u8, id: u16) -> Packet {
        let due = match first {
            PUBREC => Some(PUBREL),
            PUBREL => Some(PUBCOMP),
            _ => None,
        };
        if let Some(due) = due {
            *self.strays.entry((due, id)).or_default() += 1;
        }
        let bytes = match first {
            0xB0 if self.version != Version::V5 => ack(first, id),
            0x90 | 0xB0 => answer(self.version, first, id, &[0]),
            _ => ack(first, id),
        };
        Packet::new(bytes, Note::Nothing)
    }

    fn is_answer_to_stray(&mut self, first: u8, id: u16, reason: u8) -> bool {
        let Some(due) = self.strays.get_mut(&(first, id)) else {
            return false;
        };
        let expected = if self.version == Version::V5 { 0x92 } else { 0 };
        ensure!(Reaction, reason == expected, "{first:02x} {id} with {reason:02x} to a stray");
        *due -= 1;
        if *due == 0 {
            self.strays.remove(&(first, id));
        }
        true
    }

    /// Bytes of the client; returns what is answered at once.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Vec<Packet> {
        self.input.extend_from_slice(bytes);
        let (packets, rest) = parse_whole(self.version, &self.input);
        self.input.drain(..self.input.len() - rest);
        packets.into_iter().filter_map(|packet| self.handle(packet)).collect()
    }

    fn handle(&mut self, packet: Sent) -> Option<Packet> {
        match packet {
            Sent::Publish { qos, id, payload, .. } => {
                let seq = seq_of(&payload);
                match qos {
                    0 => ensure!(Duplicate, self.qos_0.insert(seq), "QoS 0 message {seq} again"),
                    _ => self.questions.push(Question::Publish { qos, id, seq }),
                }
            }
            Sent::PubRel(id, reason) => {
                if !self.is_answer_to_stray(PUBREL, id, reason) {
                    ensure!(Reaction, reason == 0, "PUBREL {id} with {reason:02x}");
                    self.questions.push(Question::Release { id });
                }
            }
            Sent::Subscribe(id) => {
                let filters = self.filters.remove(&id).expect("a request of the application");
                self.questions.push(Question::Subscribe { id, filters });
            }
            Sent::Unsubscribe(id) => self.questions.push(Question::Unsubscribe { id }),
            Sent::PubAck(id, reason) => {
                ensure!(Reaction, reason == 0, "PUBACK with {reason:02x}");
                let out = self.outgoing.remove(&id);
                ensure!(Identifier, out.is_some_and(|out| out.qos == 1), "PUBACK {id} of {out:?}");
                self.handed_over.extend(out.map(|out| out.seq));
                let current = self.counted.remove(&id);
                ensure!(Silence, current, "PUBACK {id} of an earlier connection");
            }
            Sent::PubRec(id, reason) => {
                ensure!(Reaction, reason == 0, "PUBREC with {reason:02x}");
                let Some(out) = self.outgoing.get_mut(&id) else {
                    violated(Property::Identifier, format!("PUBREC {id} of nothing"))
                };
                if out.released && out.copies > 0 {
                    out.copies -= 1;
                    return None;
                }
                ensure!(Identifier, out.qos == 2 && !out.released, "PUBREC of {out:?}");
                out.released = true;
                self.handed_over.push(out.seq);
                let current = self.counted.contains(&id);
                ensure!(Silence, current, "PUBREC {id} of an earlier connection");
                if self.withholding {
                    self.withheld.push(id);
                    return None;
                }
                return Some(Packet::new(ack(PUBREL, id), Note::PubRel { id }));
            }
            Sent::PubComp(id, reason) => {
                if !self.is_answer_to_stray(PUBCOMP, id, reason) {
                    let known = reason == 0 || reason == 0x92 && self.version == Version::V5;
                    ensure!(Reaction, known, "PUBCOMP with {reason:02x}");
                    let out = self.outgoing.remove(&id);
                    ensure!(Identifier, out.is_some_and(|out| out.released), "PUBCOMP of {out:?}");
                    self.counted.remove(&id);
                }
            }
            Sent::PingReq => return Some(Packet::new(PINGRESP.to_vec(), Note::Nothing)),
            Sent::Disconnect(_) | Sent::Connect(_) | Sent::Auth(..) => {}
        }
        None
    }

    /// Answers one of the questions, in whatever order it is asked for.
    pub(crate) fn answer(&mut self, index: usize, refuse: bool) -> Option<Packet> {
        if self.questions.is_empty() {
            return None;
        }
        let question = self.questions.remove(index % self.questions.len());
        let refuse = refuse && self.version == Version::V5;
        let end = |bytes, id, reason| Some(Packet::new(bytes, Note::Ends { id, reason }));
        match question {
            Question::Publish { qos: 1, id, .. } if refuse => {
                end(ack_with(PUBACK, id, 0x97), id, 0x97)
            }
            Question::Publish { qos: 1, id, seq } => {
                self.owned.insert(seq);
                self.forwarded.insert(seq);
                end(ack(PUBACK, id), id, 0)
            }
            Question::Publish { id, seq, .. } => {
                let held = self.held.get(&id).copied();
                if refuse && held != Some(seq) {
                    return end(ack_with(PUBREC, id, 0x97), id, 0x97);
                }
                ensure!(Identifier, held.is_none_or(|held| held == seq), "{id} is {held:?}'s");
                if held.is_none() {
                    let first = self.taken.insert(seq);
                    ensure!(Duplicate, first, "QoS 2 message {seq} came twice in a session");
                    self.held.insert(id, seq);
                    self.owned.insert(seq);
                }
                Some(Packet::new(ack(PUBREC, id), Note::PubRec { id }))
            }
            Question::Release { id } => match (self.held.remove(&id), self.version) {
                (None, Version::V5) => end(ack_with(PUBCOMP, id, 0x92), id, 0),
                (released, _) => {
                    self.forwarded.extend(released);
                    end(ack(PUBCOMP, id), id, 0)
                }
            },
            Question::Subscribe { id, filters } => {
                end(answer(self.version, 0x90, id, &vec![0; filters.into()]), id, 0)
            }
            Question::Unsubscribe { id } => {
                let reasons: &[u8] = if self.version == Version::V5 { &[0] } else { &[] };
                end(answer(self.version, 0xB0, id, reasons), id, 0)
            }
        }
    }
}
