//! The ledger of outgoing QoS > 0 messages: the only sender of them, resends included.
//!
//! Messages stand in the order they were accepted. Those before `next` were sent on the current
//! connection; the others wait for the quota, whether they are new or left over from an earlier
//! connection. So "never more than the quota in flight" and "in order" hold by construction.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::codec::{AckKind, QoS, ReasonCode};

use super::error::PeerError;
use super::ids::{IdUse, PacketIds};
use super::ticket::Ticket;

const DUP: u8 = 0x08;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// PUBACK or PUBREC is due.
    Publish,
    /// PUBREC came: PUBREL is to be sent, PUBCOMP is due.
    Release,
}

#[derive(Debug)]
struct Entry {
    ticket: Arc<Ticket>,
    /// The encoded PUBLISH; kept until the end, for a session that the server loses.
    packet: Box<[u8]>,
    /// Where in `packet` the packet identifier stands.
    id_at: u32,
    qos: QoS,
    stage: Stage,
    sent_before: bool,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Finished entries in the middle are `None` until those before them finish.
    entries: VecDeque<Option<Entry>>,
    /// Number of `entries[0]`; numbers are never reused.
    first: u64,
    /// Number of the first entry not sent on this connection.
    next: u64,
    unfinished: usize,
    in_flight: usize,
}

/// What the ledger wants sent.
pub(super) enum Dispatch<'a> {
    Publish { packet: &'a [u8], resend: bool },
    Release { packet_id: u16 },
}

impl Ledger {
    /// Messages not finished, in flight or waiting.
    pub(super) fn len(&self) -> usize {
        self.unfinished
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Accepts a message whose packet still lacks an identifier; gives it one if one is free.
    pub(super) fn push(
        &mut self,
        ids: &mut PacketIds,
        packet: Box<[u8]>,
        id_at: u32,
        qos: QoS,
    ) -> Arc<Ticket> {
        let seq = self.end();
        let packet_id = ids.reserve(IdUse::Publish(seq)).unwrap_or(0);
        let ticket = Arc::new(Ticket::new(packet_id));
        let mut entry = Entry {
            ticket: Arc::clone(&ticket),
            packet,
            id_at,
            qos,
            stage: Stage::Publish,
            sent_before: false,
        };
        entry.stamp(packet_id);
        self.entries.push_back(Some(entry));
        self.unfinished += 1;
        ticket
    }

    /// Hands the next message that the quota allows to `send`; false when there is none.
    pub(super) fn dispatch(
        &mut self,
        quota: usize,
        ids: &mut PacketIds,
        mut send: impl FnMut(Dispatch<'_>),
    ) -> bool {
        while self.in_flight < quota && self.next < self.end() {
            let seq = self.next;
            let index = (seq - self.first) as usize;
            let Some(entry) = self.entries.get_mut(index).and_then(Option::as_mut) else {
                self.next += 1;
                continue;
            };
            if entry.ticket.packet_id() == 0 {
                let Some(packet_id) = ids.reserve(IdUse::Publish(seq)) else { return false };
                entry.ticket.assign(packet_id);
                entry.stamp(packet_id);
            }
            self.next += 1;
            self.in_flight += 1;
            match entry.stage {
                Stage::Publish => {
                    let resend = entry.sent_before;
                    entry.sent_before = true;
                    send(Dispatch::Publish { packet: &entry.packet, resend });
                }
                Stage::Release => {
                    send(Dispatch::Release { packet_id: entry.ticket.packet_id() });
                }
            }
            return true;
        }
        false
    }

    /// Takes an acknowledgement from the server. `Ok(Some)` is the end of that message,
    /// `Ok(None)` a step of it.
    pub(super) fn handle_ack(
        &mut self,
        kind: AckKind,
        seq: u64,
        reason: ReasonCode,
    ) -> Result<Option<Arc<Ticket>>, PeerError> {
        let index = (seq - self.first) as usize;
        let entry = match self.entries.get_mut(index).and_then(Option::as_mut) {
            Some(entry) if seq < self.next => entry,
            _ => return Err(PeerError::Protocol("acknowledgement of a message that was not sent")),
        };
        let ended = match (kind, entry.qos, entry.stage) {
            (AckKind::PubAck, QoS::AtLeastOnce, _) => true,
            (AckKind::PubRec, QoS::ExactlyOnce, Stage::Publish) if reason.is_failure() => true,
            (AckKind::PubRec, QoS::ExactlyOnce, _) => {
                entry.stage = Stage::Release;
                false
            }
            (AckKind::PubComp, QoS::ExactlyOnce, Stage::Release) => true,
            _ => return Err(PeerError::Protocol("acknowledgement of the wrong kind")),
        };
        if ended { Ok(self.remove(seq)) } else { Ok(None) }
    }

    /// Takes a message that was dispatched last out again, unsent.
    pub(super) fn withdraw_last(&mut self) -> Option<Arc<Ticket>> {
        self.remove(self.next - 1)
    }

    fn remove(&mut self, seq: u64) -> Option<Arc<Ticket>> {
        let index = (seq - self.first) as usize;
        let entry = self.entries.get_mut(index)?.take()?;
        self.unfinished -= 1;
        if seq < self.next {
            self.in_flight -= 1;
        }
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.first += 1;
        }
        self.next = self.next.max(self.first);
        Some(entry.ticket)
    }

    /// A new connection: everything is to be sent again, from the oldest.
    pub(super) fn rewind(&mut self) {
        self.next = self.first;
        self.in_flight = 0;
    }

    /// The server lost the session: what it had received but not released is published again.
    pub(super) fn forget_receipts(&mut self) {
        for entry in self.entries.iter_mut().flatten() {
            entry.stage = Stage::Publish;
        }
    }

    /// Empties the ledger; the packets in order, with their identifiers and QoS.
    pub(super) fn drain(&mut self) -> Vec<(Arc<Ticket>, Bytes)> {
        let end = self.end();
        let drained = self
            .entries
            .drain(..)
            .flatten()
            .map(|entry| (entry.ticket, Bytes::from(entry.packet)))
            .collect();
        *self = Self { first: end, next: end, ..Self::default() };
        drained
    }
}

impl Entry {
    fn stamp(&mut self, packet_id: u16) {
        let at = self.id_at as usize;
        if let Some(field) = self.packet.get_mut(at..at + 2) {
            field.copy_from_slice(&packet_id.to_be_bytes());
        }
    }
}

/// Sets DUP on the PUBLISH that starts at `first` [MQTT-3.3.1-1].
pub(super) fn set_dup(first: &mut u8) {
    *first |= DUP;
}
