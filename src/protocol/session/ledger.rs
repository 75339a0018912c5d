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
/// Empty slots that are not worth the work of taking them out.
const FEW: usize = 64;
/// Slots from which on memory is given back.
const MANY: usize = 1024;

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
    /// The encoded PUBLISH; kept until the end, for a session that the server loses. Empty once the
    /// message was dropped: it then only keeps its place until the server or the connection ends it.
    packet: Box<[u8]>,
    /// Where in `packet` the packet identifier stands.
    id_at: u32,
    qos: QoS,
    stage: Stage,
    sent_before: bool,
}

/// The place of a message; empty once it came to its end.
#[derive(Debug)]
struct Slot {
    /// No two messages have the same number; they ascend.
    seq: u64,
    entry: Option<Entry>,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Empty slots go when they are at the front, or more than the others.
    slots: VecDeque<Slot>,
    empty: usize,
    /// Number of the next message to be accepted.
    end: u64,
    /// Messages before this number were sent on this connection.
    next: u64,
    unfinished: usize,
    in_flight: usize,
    /// Messages without an identifier; all later ones have none either.
    unnamed: usize,
}

/// A message that came to its end.
pub(super) struct Ended {
    pub(super) ticket: Arc<Ticket>,
    /// The application dropped it before and is not told.
    pub(super) dropped: bool,
    /// A QoS 2 message that was sent: the server may hold it, unless it has just said otherwise.
    pub(super) may_be_held: bool,
}

/// Where an unfinished message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has not been sent on this connection.
    Queued,
    /// QoS 1, sent; PUBACK is due.
    AwaitsPubAck,
    /// QoS 2, sent; PUBREC is due.
    AwaitsPubRec,
    /// QoS 2, released; PUBCOMP is due.
    AwaitsPubComp,
}

/// An unfinished message, for inspection: its ticket, its PUBLISH, and where it stands.
pub type Unfinished<'a> = (&'a Arc<Ticket>, &'a [u8], Progress);

/// What the ledger wants sent.
pub(super) enum Dispatch<'a> {
    /// The packet identifier stands at `id_at`; under MQTT 5.0 the properties follow.
    Publish {
        packet: &'a [u8],
        id_at: usize,
        resend: bool,
    },
    Release {
        packet_id: u16,
    },
}

impl Ledger {
    /// Messages not finished, in flight or waiting.
    pub(super) fn len(&self) -> usize {
        self.unfinished
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Where the slot with this number stands, or the first behind it.
    fn position(&self, seq: u64) -> usize {
        // No slot has gone from among the last ones, as a rule.
        let from_end = self.end.saturating_sub(seq) as usize;
        match self.slots.len().checked_sub(from_end) {
            Some(at) if self.slots.get(at).is_none_or(|slot| slot.seq == seq) => at,
            _ => self.slots.partition_point(|slot| slot.seq < seq),
        }
    }

    /// The messages not finished, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Unfinished<'_>> {
        self.slots.iter().filter_map(|slot| {
            let entry = slot.entry.as_ref().filter(|entry| !entry.is_dropped())?;
            let progress = match (entry.stage, entry.qos) {
                _ if slot.seq >= self.next => Progress::Queued,
                (Stage::Release, _) => Progress::AwaitsPubComp,
                (Stage::Publish, QoS::ExactlyOnce) => Progress::AwaitsPubRec,
                (Stage::Publish, _) => Progress::AwaitsPubAck,
            };
            Some((&entry.ticket, &*entry.packet, progress))
        })
    }

    /// Whether there is memory for the place of one message more.
    pub(super) fn has_room(&mut self) -> bool {
        self.slots.try_reserve(1).is_ok()
    }

    /// Accepts a message whose packet still lacks an identifier; gives it one if one is free.
    pub(super) fn push(
        &mut self,
        ids: &mut PacketIds,
        packet: Box<[u8]>,
        id_at: u32,
        qos: QoS,
    ) -> Arc<Ticket> {
        let seq = self.end;
        // Nobody overtakes a message that waits for an identifier: were all of them given to later
        // ones, it would wait for ever.
        let packet_id = match self.unnamed {
            0 => ids.reserve(IdUse::Publish(seq)).unwrap_or(0),
            _ => 0,
        };
        self.unnamed += usize::from(packet_id == 0);
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
        self.slots.push_back(Slot { seq, entry: Some(entry) });
        self.end += 1;
        self.unfinished += 1;
        ticket
    }

    /// Hands the next message that the quota allows to `send`; false when there is none, or when
    /// `send` has no room for it.
    pub(super) fn dispatch(
        &mut self,
        quota: usize,
        ids: &mut PacketIds,
        send: impl FnOnce(Dispatch<'_>) -> bool,
    ) -> bool {
        while self.in_flight < quota && self.next < self.end {
            let at = self.position(self.next);
            let Some(Slot { seq, entry }) = self.slots.get_mut(at) else {
                return false;
            };
            let seq = *seq;
            let Some(entry) = entry else {
                self.next = seq + 1;
                continue;
            };
            if entry.ticket.packet_id() == 0 {
                let Some(packet_id) = ids.reserve(IdUse::Publish(seq)) else {
                    return false;
                };
                entry.ticket.assign(packet_id);
                entry.stamp(packet_id);
                self.unnamed -= 1;
            }
            let (resend, id_at) = (entry.sent_before, entry.id_at as usize);
            let is_sent = match entry.stage {
                Stage::Publish => send(Dispatch::Publish { packet: &entry.packet, id_at, resend }),
                Stage::Release => send(Dispatch::Release { packet_id: entry.ticket.packet_id() }),
            };
            if is_sent {
                entry.sent_before |= entry.stage == Stage::Publish;
                self.next = seq + 1;
                self.in_flight += 1;
            }
            return is_sent;
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
    ) -> Result<Option<Ended>, PeerError> {
        let at = self.position(seq);
        let entry = match self.slots.get_mut(at) {
            Some(Slot { seq: found, entry: Some(entry) }) if *found == seq && seq < self.next => {
                entry
            }
            _ => {
                return Err(PeerError::Protocol("acknowledgement of a message that was not sent"));
            }
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
        if ended { Ok(self.remove_at(at)) } else { Ok(None) }
    }

    /// Takes a message that was dispatched last out again, unsent.
    pub(super) fn withdraw_last(&mut self) -> Option<Ended> {
        self.remove_at(self.position(self.next - 1))
    }

    fn remove_at(&mut self, at: usize) -> Option<Ended> {
        let Slot { seq, entry } = self.slots.get_mut(at)?;
        let (seq, entry) = (*seq, entry.take()?);
        self.empty += 1;
        let dropped = entry.is_dropped();
        let may_be_held = entry.may_be_held();
        self.unfinished -= usize::from(!dropped);
        if seq < self.next {
            self.in_flight -= 1;
        }
        self.trim();
        Some(Ended { ticket: entry.ticket, dropped, may_be_held })
    }

    fn trim(&mut self) {
        while let Some(Slot { entry: None, .. }) = self.slots.front() {
            self.slots.pop_front();
            self.empty -= 1;
        }
        if self.empty > FEW || self.slots.capacity() > MANY {
            self.compact();
        }
    }

    /// One message that the server never acknowledges must not keep the slots of all later ones.
    #[cold]
    fn compact(&mut self) {
        if self.empty > FEW && self.empty > self.slots.len() / 2 {
            self.slots.retain(|slot| slot.entry.is_some());
            self.empty = 0;
        }
        if self.slots.capacity() > MANY && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
        }
    }

    /// A new connection: everything is to be sent again, from the oldest.
    pub(super) fn rewind(&mut self, ids: &mut PacketIds) {
        for slot in &mut self.slots {
            if let Some(dropped) = slot.entry.take_if(|entry| entry.is_dropped()) {
                dropped.leave(ids);
                self.empty += 1;
            }
        }
        self.trim();
        self.next = self.slots.front().map_or(self.end, |slot| slot.seq);
        self.in_flight = 0;
    }

    /// Replaces the packets by what `encode` makes of them: the packet, and where its identifier
    /// stands. Returns the messages of which it makes nothing.
    pub(super) fn reencode(
        &mut self,
        encode: impl Fn(&[u8]) -> Option<(Box<[u8]>, u32)>,
    ) -> Vec<Ended> {
        let mut unfit = Vec::new();
        for Slot { seq, entry } in &mut self.slots {
            let Some(entry) = entry.as_mut().filter(|entry| !entry.is_dropped()) else { continue };
            entry.stamp(1); // no packet without an identifier can be read
            match encode(&entry.packet) {
                Some((packet, id_at)) => (entry.packet, entry.id_at) = (packet, id_at),
                None => unfit.push(*seq),
            }
            entry.stamp(entry.ticket.packet_id());
        }
        unfit.into_iter().filter_map(|seq| self.remove_at(self.position(seq))).collect()
    }

    /// The server lost the session: what it had received but not released is published again.
    pub(super) fn forget_receipts(&mut self) {
        for entry in self.slots.iter_mut().filter_map(|slot| slot.entry.as_mut()) {
            entry.stage = Stage::Publish;
        }
    }

    /// Takes out the unfinished messages, oldest first. Those in flight keep their identifier and
    /// their place in the quota until the server or the connection ends them.
    pub(super) fn drain(&mut self, ids: &mut PacketIds) -> Vec<(Arc<Ticket>, Bytes)> {
        let mut drained = Vec::with_capacity(self.unfinished);
        let sent = self.position(self.next);
        let entries = self.slots.iter_mut().take(sent).filter_map(|slot| slot.entry.as_mut());
        for entry in entries.filter(|entry| !entry.is_dropped()) {
            let packet = std::mem::take(&mut entry.packet);
            drained.push((Arc::clone(&entry.ticket), Bytes::from(packet)));
        }
        for slot in self.slots.drain(sent..) {
            let Some(entry) = slot.entry else {
                self.empty -= 1;
                continue;
            };
            entry.leave(ids);
            drained.push((entry.ticket, Bytes::from(entry.packet)));
        }
        for (ticket, _) in &drained {
            ticket.drop_message();
        }
        self.unfinished = 0;
        self.unnamed = 0;
        self.trim();
        drained
    }
}

impl Entry {
    fn is_dropped(&self) -> bool {
        self.packet.is_empty()
    }

    fn may_be_held(&self) -> bool {
        self.sent_before && self.qos == QoS::ExactlyOnce
    }

    /// Gives the identifier back, if the server cannot hold the message under it.
    fn leave(&self, ids: &mut PacketIds) {
        let packet_id = self.ticket.packet_id();
        if self.may_be_held() {
            ids.drop_publish(packet_id);
        } else {
            ids.release(packet_id);
        }
    }

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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A message of QoS 1 that is sent at once; its number.
    fn send(ledger: &mut Ledger, ids: &mut PacketIds) -> u64 {
        ledger.push(ids, vec![0x32, 5, 0, 1, b't', 0, 0].into_boxed_slice(), 5, QoS::AtLeastOnce);
        assert!(ledger.dispatch(usize::MAX, ids, |_| true));
        ledger.end - 1
    }

    fn acknowledge(ledger: &mut Ledger, ids: &mut PacketIds, seq: u64) {
        let ended = ledger.handle_ack(AckKind::PubAck, seq, ReasonCode::SUCCESS).unwrap();
        ids.release(ended.unwrap().ticket.packet_id());
    }

    #[test]
    fn a_message_that_is_never_acknowledged_keeps_no_slot_but_its_own() {
        let (mut ledger, mut ids) = (Ledger::default(), PacketIds::default());
        let stuck = send(&mut ledger, &mut ids);
        for _ in 0..200_000 {
            let window: Vec<_> = (0..3).map(|_| send(&mut ledger, &mut ids)).collect();
            acknowledge(&mut ledger, &mut ids, window[1]);
            acknowledge(&mut ledger, &mut ids, window[2]);
            acknowledge(&mut ledger, &mut ids, window[0]);
        }
        assert_eq!((ledger.len(), ledger.in_flight()), (1, 1));
        assert!(ledger.slots.capacity() <= 4 * FEW, "{}", ledger.slots.capacity());
        ledger.rewind(&mut ids);
        assert!(ledger.dispatch(usize::MAX, &mut ids, |_| true));
        assert!(!ledger.dispatch(usize::MAX, &mut ids, |_| true), "nothing else is left");
        acknowledge(&mut ledger, &mut ids, stuck);
        assert_eq!((ledger.len(), ledger.in_flight(), ledger.slots.len()), (0, 0, 0));
    }

    #[test]
    fn a_queue_that_was_long_is_given_back() {
        let (mut ledger, mut ids) = (Ledger::default(), PacketIds::default());
        let all: Vec<_> = (0..50_000).map(|_| send(&mut ledger, &mut ids)).collect();
        for seq in all.into_iter().rev() {
            acknowledge(&mut ledger, &mut ids, seq);
        }
        assert!(ledger.slots.capacity() <= MANY, "{}", ledger.slots.capacity());
    }
}
