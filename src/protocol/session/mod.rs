//! The client's state machine: packets and time in, packets and events out.
//!
//! Nothing here knows sockets, threads, clocks or Python. A driver feeds received bytes to
//! [`Session::handle_input`], takes encoded packets with [`Session::take_output`], reports progress
//! with [`Session::handle_written`], asks [`Session::poll_timeout`] when to call
//! [`Session::handle_timeout`], and moves [`Session::drain_events`] to the application.
//! A session outlives its connections; each [`Session::connect`] starts the next one.

mod authentication;
mod config;
mod connection;
mod error;
mod event;
mod ids;
mod inbound;
mod incoming;
mod keep_alive;
mod leaving;
mod ledger;
mod limits;
mod outbound;
mod outbox;
mod own_aliases;
mod own_packets;
mod receiving;
mod stall;
mod ticket;

use std::time::{Duration, Instant};

use bytes::Bytes;
use bytestring::ByteString;

use crate::codec::{EncodeError, Packet, Partial, Properties, ReasonCode};

pub use config::{ConnectOptions, SessionConfig};
pub use error::{LocalError, PeerError};
pub use event::{Closed, Event, Message, Trace};
pub use ledger::{Progress, Unfinished};
pub use limits::ServerLimits;
pub use outbound::{Outgoing, Receipt, RefusedPublish, RequestError, SubscriptionRequest};
pub use outbox::Handover;
pub use stall::StallWatch;
pub use ticket::Ticket;

use ids::PacketIds;
use incoming::Inbound;
use keep_alive::KeepAlive;
use ledger::Ledger;
use limits::ClientLimits;
use outbox::Outbox;
use own_aliases::OwnAliases;

/// Where the current connection stands.
#[derive(Debug)]
enum Phase {
    Idle,
    AwaitConnAck {
        deadline: Instant,
        timeout: Duration,
    },
    Online,
    /// The last packet is in the out-buffer; the connection ends when it is written.
    Draining {
        closed: Closed,
        watch: StallWatch,
    },
    /// Nothing more is to be written or read.
    Ended {
        closed: Closed,
    },
}

/// Whose turn it is in an exchange of AUTH packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Exchange {
    /// None is under way.
    #[default]
    Idle,
    Server,
    Application,
}

/// How a session goes on whose application has gone.
#[derive(Debug)]
struct Leaving {
    latest: Instant,
    progressed: Instant,
    look_at: Instant,
    /// The progress that it saw last.
    seen: (u64, usize, bool),
}

/// A client's side of MQTT, over any number of connections, one after the other.
///
/// Four kinds of methods:
///
/// - *Requests* of the application: [`publish`](Self::publish), [`request`](Self::request) for
///   subscriptions, [`acknowledge`](Self::acknowledge), [`authenticate`](Self::authenticate),
///   [`disconnect`](Self::disconnect). They never wait. What cannot be sent yet is queued or refused.
/// - *Input* of the driver: [`connect`](Self::connect), [`handle_input`](Self::handle_input),
///   [`handle_written`](Self::handle_written), [`handle_timeout`](Self::handle_timeout),
///   [`handle_closed`](Self::handle_closed).
/// - *Output* for the driver: [`take_output`](Self::take_output), [`drain_events`](Self::drain_events),
///   [`poll_timeout`](Self::poll_timeout), [`wants_close`](Self::wants_close).
/// - *Looking*: whatever takes `&self` changes nothing.
///
/// A driver repeats this: hand over one input, then drain the output. It writes the packets, passes the
/// events on in their order, and sleeps until [`poll_timeout`](Self::poll_timeout). Both may change with every
/// input and with every request. When [`wants_close`](Self::wants_close) says so, it closes the transport. It
/// calls [`handle_closed`](Self::handle_closed) once for each connection, however that ended; exactly one
/// [`Event::Closed`] then tells why, and no event of that connection follows.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    phase: Phase,
    epoch: u32,
    out: Outbox,
    ids: PacketIds,
    ledger: Ledger,
    inbound: Inbound,
    own_aliases: OwnAliases,
    partial: Partial,
    events: Vec<Event>,
    keep_alive: Option<KeepAlive>,
    server: ServerLimits,
    own: ClientLimits,
    exchange: Exchange,
    clean_start: bool,
    /// The server keeps the session when the connection ends, as far as it was asked to.
    server_keeps_session: bool,
    /// A clean start has not been answered: the server may have a new session or the old one.
    clean_start_unanswered: bool,
    /// The same before this connection.
    was_clean_start_unanswered: bool,
    /// The identifier in CONNECT.
    client_id: ByteString,
    assigned_client_id: Option<ByteString>,
    /// DISCONNECT that waits for CONNACK, so that the messages accepted before it go first.
    deferred_disconnect: Option<(ReasonCode, Properties)>,
    /// Bytes of CONNECT.
    connect_size: u64,
    /// The application has gone.
    leaving: Option<Leaving>,
}

impl Session {
    /// A session that has not been connected.
    pub fn new(config: SessionConfig) -> Self {
        Self {
            config,
            phase: Phase::Idle,
            epoch: 0,
            out: Outbox::default(),
            ids: PacketIds::default(),
            ledger: Ledger::default(),
            inbound: Inbound::default(),
            own_aliases: OwnAliases::default(),
            partial: Partial::default(),
            events: Vec::new(),
            keep_alive: None,
            server: ServerLimits::default(),
            own: ClientLimits::from_connect(&Properties::default(), usize::MAX),
            exchange: Exchange::Idle,
            clean_start: true,
            server_keeps_session: false,
            clean_start_unanswered: false,
            was_clean_start_unanswered: false,
            client_id: ByteString::new(),
            assigned_client_id: None,
            deferred_disconnect: None,
            connect_size: 0,
            leaving: None,
        }
    }

    /// The settings that hold now.
    pub fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// Settings for what comes next; the version has [`Self::set_version`].
    pub fn config_mut(&mut self) -> &mut SessionConfig {
        &mut self.config
    }

    /// Running number of the current or last connection.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether CONNACK came and the connection still stands.
    pub fn is_online(&self) -> bool {
        matches!(self.phase, Phase::Online)
    }

    /// Whether a disconnect is under way.
    pub fn is_disconnecting(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. }) || self.deferred_disconnect.is_some()
    }

    /// Whether packets can be sent.
    fn is_open(&self) -> bool {
        let open = match self.phase {
            Phase::Online => true,
            // Nothing but AUTH and DISCONNECT may precede it then [MQTT-3.1.2-30].
            Phase::AwaitConnAck { .. } => self.own.authentication_method.is_none(),
            _ => false,
        };
        open && self.deferred_disconnect.is_none()
    }

    /// The identifier the server chose for a client that named none [MQTT-3.2.2-16].
    pub fn assigned_client_id(&self) -> Option<&ByteString> {
        self.assigned_client_id.as_ref()
    }

    /// QoS > 0 messages that are not finished.
    pub fn unfinished(&self) -> usize {
        self.ledger.len()
    }

    /// QoS > 0 messages sent on this connection that are not finished.
    pub fn in_flight(&self) -> usize {
        self.ledger.in_flight()
    }

    /// Bytes encoded and not yet taken by the transport.
    pub fn unsent(&self) -> usize {
        self.out.unsent()
    }

    /// Stream offset up to which the peer has everything, when it has yet to acknowledge `held` of the
    /// bytes that the transport took.
    pub fn taken(&self, held: usize) -> u64 {
        self.out.written().saturating_sub(held as u64)
    }

    /// QoS 0 messages not yet taken by the transport; all other packets count as one.
    pub fn unsent_packets(&self) -> usize {
        self.out.waiting_marks().max(usize::from(self.unsent() > 0))
    }

    /// When bytes were last received and sent on the current or last connection.
    pub fn last_moves(&self) -> Option<(Instant, Instant)> {
        self.keep_alive.as_ref().map(KeepAlive::last_moves)
    }

    /// The packet identifier handed out last.
    pub fn last_packet_id(&self) -> u16 {
        self.ids.last()
    }

    /// The next free packet identifier, not reserved: as much as a QoS 0 message uses up.
    pub fn next_packet_id(&mut self) -> Option<u16> {
        self.ids.next()
    }

    /// Identifiers go on after `last`.
    pub fn continue_after(&mut self, last: u16) {
        self.ids.continue_after(last);
    }

    /// The QoS > 0 messages that are not finished, oldest first.
    pub fn unfinished_messages(&self) -> impl Iterator<Item = Unfinished<'_>> {
        self.ledger.iter()
    }

    /// What became of a QoS 0 message, by the mark in its [`Receipt`].
    pub fn handover(&self, mark: u64) -> Handover {
        self.out.handover(mark)
    }

    /// Forgets the identifier the server had assigned and all messages not finished.
    pub fn reset(&mut self) {
        self.drop_unfinished();
        let config = self.config.clone();
        let epoch = self.epoch;
        *self = Self::new(config);
        self.epoch = epoch;
    }

    fn send(&mut self, packet: &Packet) -> Result<(), EncodeError> {
        let before = self.out.bytes.len();
        if let Err(error) = packet.encode(self.config.version, &mut self.out.bytes) {
            self.out.bytes.truncate(before);
            return Err(error);
        }
        self.out.appended(before);
        Ok(())
    }

    /// As [`Self::send`]; a packet larger than the server takes is left out [MQTT-3.1.2-24].
    fn send_within_limit(&mut self, packet: &Packet) {
        let before = self.out.bytes.len();
        let _ = self.send(packet);
        let size = self.out.bytes.len() - before;
        if size > self.server.maximum_packet_size {
            self.out.withdraw(size);
        }
    }

    /// Swaps the encoded packets for the driver's empty buffer.
    pub fn take_output(&mut self, buffer: &mut Vec<u8>) {
        debug_assert!(buffer.is_empty());
        std::mem::swap(&mut self.out.bytes, buffer);
    }

    /// Whether encoded packets wait to be taken.
    pub fn has_output(&self) -> bool {
        !self.out.bytes.is_empty()
    }

    /// Encoded packets, for a direct write; [`Self::handle_sent_directly`] tells how far it got.
    pub fn output(&self) -> &[u8] {
        &self.out.bytes
    }

    /// A direct write took `count` bytes from the front of the output.
    pub fn handle_sent_directly(&mut self, count: usize, now: Instant) {
        self.remove_output(count);
        self.handle_written(count, now);
    }

    /// The first half of [`Self::handle_sent_directly`], where the second comes later.
    pub fn remove_output(&mut self, count: usize) {
        self.out.bytes.drain(..count);
    }

    /// The transport took `count` bytes more of the output.
    pub fn handle_written(&mut self, count: usize, now: Instant) {
        let mut sent = Vec::new();
        let report = self.config.report_sent;
        self.out.handle_written(count, |packet_id| {
            if report {
                sent.push(packet_id);
            }
        });
        if !sent.is_empty() {
            let through = self.out.first_mark();
            self.events.push(Event::Sent { packet_ids: sent.into_boxed_slice(), through });
        }
        if let Some(keep_alive) = &mut self.keep_alive {
            keep_alive.handle_sent(now);
        }
    }

    fn trace(&mut self, what: impl FnOnce() -> Trace) {
        if self.config.trace {
            self.events.push(Event::Trace(what()));
        }
    }

    /// Moves out what happened since the last call.
    pub fn drain_events(&mut self) -> std::vec::Drain<'_, Event> {
        if self.is_leaving() {
            self.events.clear();
        }
        self.events.drain(..)
    }

    /// Whether events wait for [`Self::drain_events`].
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Identifiers of the QoS 2 messages received and not released, and whether the application has
    /// acknowledged them; in no particular order.
    pub fn unreleased(&self) -> impl Iterator<Item = (u16, bool)> {
        self.inbound.unreleased()
    }

    /// The messages that the application has not acknowledged are lost to it: they are delivered again when
    /// the server sends them again.
    pub fn forget_unacknowledged(&mut self) {
        self.inbound.forget_unacknowledged();
    }

    /// Packets of unfinished messages, oldest first, taken out of the session for good.
    pub fn drop_unfinished(&mut self) -> Vec<(std::sync::Arc<Ticket>, Bytes)> {
        self.ledger.drain(&mut self.ids)
    }
}
