//! The reference model of the client's duties: what was accepted, which identifier stands for what,
//! what was delivered. It knows nothing of how the session does it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use oxmqtt_protocol::codec::QoS;
use oxmqtt_protocol::session::{Session, Ticket};

use super::link::Grant;
use super::server::{Server, topic_of};
use super::violation::ensure;

#[derive(Debug)]
pub(crate) enum Fate {
    Mark(u64),
    Ticket(Arc<Ticket>),
}

/// A message that the session accepted; its place in the list is its number.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) fate: Fate,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) size: usize,
    /// Where it is to go, and by which alias.
    pub(crate) topic: String,
    pub(crate) alias: Option<u8>,
    pub(crate) sent: bool,
    /// PUBREC came.
    pub(crate) received: bool,
    pub(crate) outcome: Option<u8>,
    pub(crate) dropped: bool,
    /// The answer of the server that ended it.
    pub(crate) answered: Option<u8>,
}

impl Accepted {
    /// The reason with which it has to be refused under these limits.
    pub(crate) fn refusal(&self, grant: &Grant) -> Option<u8> {
        refusal(self.qos, self.retain, self.size, grant)
            .or((self.alias > Some(grant.aliases)).then_some(0x94))
    }
}

pub(crate) fn refusal(qos: u8, retain: bool, size: usize, grant: &Grant) -> Option<u8> {
    if qos > grant.maximum_qos {
        Some(0x9B)
    } else if retain && !grant.retain {
        Some(0x9A)
    } else if grant.packet != u16::MAX && size > usize::from(grant.packet) {
        Some(0x95)
    } else {
        None
    }
}

/// What a packet identifier stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Message(u32),
    Request { filters: u8, subscribe: bool },
}

/// Where each ticket is; equal runs need not have them at equal places.
#[derive(Default)]
struct Addresses(BTreeMap<usize, u32>);

impl fmt::Debug for Addresses {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Client {
    pub(crate) accepted: Vec<Accepted>,
    tickets: Addresses,
    pub(crate) unfinished: usize,
    pub(crate) ids: BTreeMap<u16, Use>,
    /// How often each message of the server's session came.
    delivered: BTreeMap<u32, usize>,
    /// The last new message of each QoS.
    last: [u32; 3],
    /// The topics that the application has given to its aliases.
    pub(crate) meant: BTreeMap<u8, String>,
    /// Identifier, QoS, connection and number.
    pub(crate) to_acknowledge: Vec<(u16, QoS, u32, u32)>,
    /// Messages that the application is through with.
    acknowledged: BTreeSet<u32>,
    /// QoS 2 messages at which the application failed: they may come again.
    failed: BTreeSet<u32>,
}

impl Client {
    pub(crate) fn accept(
        &mut self,
        fate: Fate,
        (qos, retain, size): (u8, bool, usize),
        topic: &str,
        alias: Option<u8>,
    ) {
        if let Some(alias) = alias {
            self.meant.insert(alias, topic.to_owned());
        }
        if let Fate::Ticket(ticket) = &fate {
            let address = Arc::as_ptr(ticket).addr();
            self.tickets.0.insert(address, self.accepted.len() as u32);
            self.unfinished += 1;
        }
        self.accepted.push(Accepted {
            fate,
            qos,
            retain,
            size,
            topic: topic.to_owned(),
            alias,
            sent: false,
            received: false,
            outcome: None,
            dropped: false,
            answered: None,
        });
    }

    pub(crate) fn seq_of(&self, ticket: &Arc<Ticket>) -> u32 {
        *self.tickets.0.get(&Arc::as_ptr(ticket).addr()).expect("an accepted message")
    }

    pub(crate) fn of(&mut self, seq: u32) -> &mut Accepted {
        &mut self.accepted[seq as usize]
    }

    /// The server answered to the end: the identifier is free.
    pub(crate) fn handle_end(&mut self, id: u16, reason: u8) {
        if let Some(Use::Message(seq)) = self.ids.remove(&id) {
            self.of(seq).answered = Some(reason);
        }
    }

    /// The session says that a message ended.
    pub(crate) fn handle_acked(
        &mut self,
        ticket: &Arc<Ticket>,
        reason: u8,
        grant: Option<&Grant>,
        server: &Server,
        strict: bool,
    ) {
        let seq = self.seq_of(ticket);
        let accepted = self.of(seq);
        ensure!(Ticket, accepted.outcome.is_none(), "{seq} ended twice");
        ensure!(Ticket, !accepted.dropped, "{seq} was dropped");
        accepted.outcome = Some(reason);
        let said = ticket.outcome().map(|reason| reason.0);
        ensure!(Ticket, said == Some(reason), "{seq}: ticket {said:?}, event {reason:02x}");
        match accepted.answered {
            Some(answered) => {
                ensure!(Ticket, answered == reason, "{seq}: {answered:02x} became {reason:02x}");
            }
            None => {
                let local = grant.and_then(|grant| accepted.refusal(grant));
                ensure!(Ticket, local == Some(reason), "{seq} ended by nobody: {reason:02x}");
                let id = ticket.packet_id();
                self.ids.remove(&id);
            }
        }
        self.unfinished -= 1;
        if reason < 0x80 {
            let has = if strict { server.has_forwarded(seq) } else { server.has_owned(seq) };
            ensure!(Loss, has, "{seq} is not published");
        }
    }

    pub(crate) fn handle_message(&mut self, seq: u32, qos: QoS, topic: &[u8]) {
        ensure!(Reaction, topic == topic_of(seq).as_bytes(), "{seq} came as {topic:?}");
        let count = self.delivered.entry(seq).or_default();
        *count += 1;
        if self.failed.remove(&seq) {
            return;
        }
        if *count == 1 {
            let last = &mut self.last[qos as usize];
            ensure!(Order, *last < seq, "{qos:?} message {seq} came after {last}");
            *last = seq;
        } else {
            ensure!(Duplicate, qos == QoS::AtLeastOnce, "{qos:?} message {seq} came again");
        }
    }

    pub(crate) fn check_handed_over(&self, seq: u32) {
        let through = self.acknowledged.contains(&seq);
        ensure!(Loss, through, "{seq} was acknowledged before the application was through");
    }

    pub(crate) fn handle_acknowledged(&mut self, seq: u32) {
        self.acknowledged.insert(seq);
    }

    pub(crate) fn handle_failed(&mut self, seq: u32) {
        self.failed.insert(seq);
    }

    /// The server has a new session: its numbers go on, its memory does not.
    pub(crate) fn handle_new_session(&mut self) {
        self.delivered.clear();
        self.failed.clear();
    }

    pub(crate) fn drop_unfinished(&mut self, tickets: &[Arc<Ticket>]) {
        for ticket in tickets {
            let seq = self.seq_of(ticket);
            let accepted = self.of(seq);
            ensure!(Ticket, accepted.outcome.is_none() && !accepted.dropped, "{seq} dropped twice");
            accepted.dropped = true;
        }
        ensure!(Loss, self.unfinished == tickets.len(), "{} kept", self.unfinished);
        self.unfinished = 0;
    }

    /// A connection ended: requests are forgotten, and what was dropped as well.
    pub(crate) fn handle_cut(&mut self) {
        let accepted = &self.accepted;
        self.ids.retain(|_, usage| match usage {
            Use::Message(seq) => !accepted[*seq as usize].dropped,
            Use::Request { .. } => false,
        });
    }

    /// Every ticket says what the events said, and nothing more.
    pub(crate) fn check_tickets(&self) {
        for (seq, accepted) in self.accepted.iter().enumerate() {
            if let Fate::Ticket(ticket) = &accepted.fate
                && !accepted.dropped
            {
                let said = ticket.outcome().map(|reason| reason.0);
                let told = accepted.outcome;
                ensure!(Ticket, said == told, "{seq}: ticket {said:?}, event {told:?}");
            }
        }
    }

    /// All is finished, and what did not fail is with the server.
    pub(crate) fn check_finished(&self, session: &Session, server: &Server, strict: bool) {
        ensure!(Loss, session.unfinished() == 0, "{} are not finished", session.unfinished());
        ensure!(Loss, session.in_flight() == 0, "{} are in flight", session.in_flight());
        ensure!(Memory, self.ids.is_empty(), "identifiers in use: {:?}", self.ids);
        for (seq, accepted) in self.accepted.iter().enumerate() {
            if matches!(accepted.fate, Fate::Mark(_)) || accepted.dropped {
                continue;
            }
            let outcome = accepted.outcome;
            ensure!(Loss, outcome.is_some(), "{seq} has no outcome");
            let seq = seq as u32;
            let has = if strict { server.has_forwarded(seq) } else { server.has_owned(seq) };
            ensure!(Loss, has || outcome >= Some(0x80), "{seq} is lost");
        }
    }
}
