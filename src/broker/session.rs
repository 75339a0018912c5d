//! A session: what the broker knows of a client beyond its connection (4.1).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use rustc_hash::FxHashSet;

use super::ids::ConnectionId;
use super::memory::{Kept, Memory};
use super::message::Message;
use super::settings::{MAX_QUEUED, MAX_QUEUED_BYTES};
use oxmqtt_protocol::codec::{QoS, SubscriptionOptions, Will};

/// A QoS 1 or 2 message to the client.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) message: Arc<Message>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// The identifiers of the subscriptions that it matched.
    pub(super) ids: Vec<u32>,
    pub(super) _kept: Kept,
}

impl Outgoing {
    /// A queue has up to twice as many places as messages.
    pub(super) const SIZE: usize = 2 * size_of::<InFlight>();
}

/// A subscription of the session.
#[derive(Debug)]
pub(super) struct Subscribed {
    pub(super) options: SubscriptionOptions,
    pub(super) _kept: Kept,
}

/// One that has a packet identifier.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    pub(super) packet_id: u16,
    pub(super) outgoing: Outgoing,
    /// PUBREC is here, PUBCOMP is due.
    pub(super) released: bool,
    /// It was sent on this connection or an earlier one.
    pub(super) was_sent: bool,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) client_id: ByteString,
    pub(super) connection: Option<ConnectionId>,
    /// How long it outlives its connection; `None` is for ever.
    pub(super) expiry: Option<Duration>,
    pub(super) will: Option<Will>,
    /// Of the session itself, and of its will.
    pub(super) kept: Kept,
    pub(super) subscriptions: BTreeMap<ByteString, Subscribed>,
    /// Those in flight, in the order of sending; the first `sent` were sent on this connection.
    pub(super) in_flight: VecDeque<InFlight>,
    pub(super) sent: usize,
    queue: VecDeque<Outgoing>,
    queued_bytes: usize,
    /// Packet identifiers of QoS 2 messages from the client that it has not released.
    pub(super) unreleased: FxHashSet<u16>,
    used_ids: FxHashSet<u16>,
    last_id: u16,
}

impl Session {
    pub(super) fn new(client_id: ByteString, memory: &Memory) -> Self {
        Self {
            kept: memory.keep(size_of::<Self>() + 2 * client_id.len()),
            client_id,
            connection: None,
            expiry: None,
            will: None,
            subscriptions: BTreeMap::new(),
            in_flight: VecDeque::new(),
            sent: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
            unreleased: FxHashSet::default(),
            used_ids: FxHashSet::default(),
            last_id: 0,
        }
    }

    /// Has a message wait; false when there is no room.
    pub(super) fn queue(&mut self, outgoing: Outgoing) -> bool {
        let size = outgoing.message.publish.body_len();
        if self.queue.len() >= MAX_QUEUED || self.queued_bytes + size > MAX_QUEUED_BYTES {
            return false;
        }
        self.queued_bytes += size;
        self.queue.push_back(outgoing);
        true
    }

    pub(super) fn pop_queued(&mut self) -> Option<Outgoing> {
        let outgoing = self.queue.pop_front()?;
        self.queued_bytes -= outgoing.message.publish.body_len();
        Some(outgoing)
    }

    /// Puts a message in flight; `None` when every packet identifier is in use.
    pub(super) fn put_in_flight(&mut self, outgoing: Outgoing) -> Option<&mut InFlight> {
        if self.used_ids.len() >= usize::from(u16::MAX) {
            return None;
        }
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.used_ids.insert(self.last_id) {
                break;
            }
        }
        let packet_id = self.last_id;
        self.in_flight.push_back(InFlight {
            packet_id,
            outgoing,
            released: false,
            was_sent: false,
        });
        self.in_flight.back_mut()
    }

    /// The message in flight with this packet identifier, of this QoS.
    pub(super) fn find_in_flight(&mut self, packet_id: u16, qos: QoS) -> Option<&mut InFlight> {
        self.in_flight
            .iter_mut()
            .find(|entry| entry.packet_id == packet_id && entry.outgoing.qos == qos)
    }

    /// Ends the delivery of a message; false when there is no such.
    pub(super) fn complete(&mut self, packet_id: u16, qos: QoS) -> bool {
        let position = self
            .in_flight
            .iter()
            .position(|entry| entry.packet_id == packet_id && entry.outgoing.qos == qos);
        let Some(position) = position else { return false };
        self.in_flight.remove(position);
        self.used_ids.remove(&packet_id);
        if position < self.sent {
            self.sent -= 1;
        }
        true
    }
}
