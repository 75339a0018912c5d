//! The model of a server for the property test: it owns messages, keeps or loses its session and
//! breaks no rule, and it complains when the client breaks one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use oxmqtt::codec::Version;

use crate::session_wire::{
    Deliver, PUBACK, PUBCOMP, PUBREC, PUBREL, Sent, ack, ack_with, answer, parse_whole,
};

/// A packet of the client that waits for its answer.
#[derive(Clone, Copy, Debug)]
enum Question {
    Publish { qos: u8, id: u16, seq: u32 },
    Release { id: u16 },
    Subscribe { id: u16 },
}

/// A message to the client that is not acknowledged.
#[derive(Clone, Copy, Debug)]
struct Outgoing {
    seq: u32,
    qos: u8,
    released: bool,
}

/// An answer on its way, and the identifier that it sets free.
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) frees: Option<u16>,
}

impl Answer {
    fn step(bytes: Vec<u8>) -> Self {
        Self { bytes, frees: None }
    }

    fn end(bytes: Vec<u8>, id: u16) -> Self {
        Self { bytes, frees: Some(id) }
    }
}

#[derive(Debug)]
pub(crate) struct Broker {
    version: Version,
    receive_maximum: usize,
    questions: Vec<Question>,
    input: Vec<u8>,
    /// QoS 2 messages taken and not released, by identifier.
    held: HashMap<u16, u32>,
    /// How often each message was taken by the session that stands.
    taken: HashMap<u32, usize>,
    /// Messages it ever was the owner of.
    pub(crate) owned: BTreeSet<u32>,
    pub(crate) qos_0: BTreeSet<u32>,
    outgoing: BTreeMap<u16, Outgoing>,
    /// Identifiers that count against the client's Receive Maximum on this connection.
    counted: BTreeSet<u16>,
    next_seq: u32,
    /// Messages that the client took over since the last look.
    pub(crate) handed_over: Vec<u32>,
}

pub(crate) fn seq_of(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload.try_into().unwrap())
}

impl Broker {
    pub(crate) fn new(version: Version, receive_maximum: usize) -> Self {
        Self {
            version,
            receive_maximum,
            questions: Vec::new(),
            input: Vec::new(),
            held: HashMap::new(),
            taken: HashMap::new(),
            owned: BTreeSet::new(),
            qos_0: BTreeSet::new(),
            outgoing: BTreeMap::new(),
            counted: BTreeSet::new(),
            next_seq: 0,
            handed_over: Vec::new(),
        }
    }

    pub(crate) fn handle_cut(&mut self) {
        self.questions.clear();
        self.input.clear();
        self.counted.clear();
    }

    pub(crate) fn lose_session(&mut self) {
        self.held.clear();
        self.taken.clear();
        self.outgoing.clear();
    }

    /// What is sent again when a kept session resumes.
    pub(crate) fn resume(&mut self) -> Vec<u8> {
        let mut unfinished: Vec<_> = self.outgoing.iter().map(|(id, out)| (*id, *out)).collect();
        unfinished.sort_by_key(|(_, out)| out.seq);
        let mut bytes = Vec::new();
        for (id, out) in unfinished {
            if out.released {
                bytes.extend(ack(PUBREL, id));
            } else {
                self.counted.insert(id);
                bytes.extend(self.publish(id, out, true));
            }
        }
        bytes
    }

    fn publish(&self, id: u16, out: Outgoing, dup: bool) -> Vec<u8> {
        let publish = Deliver {
            dup,
            qos: out.qos,
            topic: "t",
            id,
            payload: &out.seq.to_be_bytes(),
            ..Deliver::default()
        };
        publish.bytes(self.version)
    }

    /// A new message for the client, if its Receive Maximum allows one.
    pub(crate) fn send(&mut self, qos: u8) -> Option<Vec<u8>> {
        if qos > 0 && self.counted.len() >= self.receive_maximum {
            return None;
        }
        self.next_seq += 1;
        let out = Outgoing { seq: self.next_seq, qos, released: false };
        if qos == 0 {
            return Some(self.publish(0, out, false));
        }
        let id = (1..).find(|id| !self.outgoing.contains_key(id))?;
        self.outgoing.insert(id, out);
        self.counted.insert(id);
        Some(self.publish(id, out, false))
    }

    /// Bytes of the client; returns what is answered at once.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.input.extend_from_slice(bytes);
        let (packets, rest) = parse_whole(self.version, &self.input);
        self.input.drain(..self.input.len() - rest);
        packets.into_iter().flat_map(|packet| self.handle(packet)).collect()
    }

    fn handle(&mut self, packet: Sent) -> Vec<u8> {
        match packet {
            Sent::Publish { qos, id, payload, .. } => {
                let seq = seq_of(&payload);
                match qos {
                    0 => assert!(self.qos_0.insert(seq), "QoS 0 message {seq} came twice"),
                    _ => self.questions.push(Question::Publish { qos, id, seq }),
                }
            }
            Sent::PubRel(id, reason) => {
                assert_eq!(reason, 0);
                self.questions.push(Question::Release { id });
            }
            Sent::Subscribe(id) => self.questions.push(Question::Subscribe { id }),
            Sent::PubAck(id, reason) => {
                assert_eq!(reason, 0);
                let out = self.outgoing.remove(&id).expect("PUBACK of a message");
                assert_eq!(out.qos, 1, "PUBACK of a QoS 2 message");
                self.handed_over.push(out.seq);
                assert!(self.counted.remove(&id), "PUBACK of an earlier connection");
            }
            Sent::PubRec(id, reason) => {
                assert_eq!(reason, 0);
                let out = self.outgoing.get_mut(&id).expect("PUBREC of a message");
                assert!(out.qos == 2 && !out.released, "PUBREC of {out:?}");
                out.released = true;
                return ack(PUBREL, id);
            }
            Sent::PubComp(id, reason) => {
                assert!(reason == 0 || reason == 0x92, "PUBCOMP with {reason:02x}");
                let out = self.outgoing.remove(&id).expect("PUBCOMP of a message");
                assert!(out.released, "PUBCOMP before PUBREL");
                self.counted.remove(&id);
                self.handed_over.push(out.seq);
            }
            Sent::PingReq => return crate::session_wire::PINGRESP.to_vec(),
            Sent::Disconnect(reason) => assert_eq!(reason, 0, "the server broke no rule"),
            Sent::Connect(_) | Sent::Unsubscribe(_) => panic!("not sent in this test"),
        }
        Vec::new()
    }

    pub(crate) fn questions(&self) -> usize {
        self.questions.len()
    }

    pub(crate) fn unacknowledged(&self) -> usize {
        self.outgoing.len()
    }

    /// Answers one of the questions, in whatever order it is asked for.
    pub(crate) fn answer(&mut self, index: usize, refuse: bool) -> Option<Answer> {
        if self.questions.is_empty() {
            return None;
        }
        let question = self.questions.remove(index % self.questions.len());
        let refuse = refuse && self.version == Version::V5;
        Some(match question {
            Question::Publish { qos: 1, id, .. } if refuse => {
                Answer::end(ack_with(PUBACK, id, 0x97), id)
            }
            Question::Publish { qos: 1, id, seq } => {
                self.owned.insert(seq);
                Answer::end(ack(PUBACK, id), id)
            }
            Question::Publish { id, seq, .. } => {
                let known = self.held.get(&id) == Some(&seq);
                if refuse && !known {
                    return Some(Answer::end(ack_with(PUBREC, id, 0x97), id));
                }
                assert!(
                    known || !self.held.contains_key(&id),
                    "identifier {id} is in use for another message"
                );
                if !known {
                    let taken = self.taken.entry(seq).or_default();
                    *taken += 1;
                    assert_eq!(*taken, 1, "QoS 2 message {seq} came twice in a session");
                    self.held.insert(id, seq);
                    self.owned.insert(seq);
                }
                Answer::step(ack(PUBREC, id))
            }
            Question::Release { id } => match (self.held.remove(&id), self.version) {
                (None, Version::V5) => Answer::end(ack_with(PUBCOMP, id, 0x92), id),
                _ => Answer::end(ack(PUBCOMP, id), id),
            },
            Question::Subscribe { id } => Answer::end(answer(self.version, 0x90, id, &[0]), id),
        })
    }
}
