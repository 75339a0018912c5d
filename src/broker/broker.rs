//! The broker's state machine: connections, sessions, and what a driver does with them.
//!
//! After each call the driver empties [`Broker::poll_ready`]: those connections have output, or are
//! to be closed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use bytestring::ByteString;
use rustc_hash::FxHashMap;

use super::connection::{Connection, Phase};
use super::faults::Faults;
use super::ids::{ConnectionId, SessionId};
use super::memory::Memory;
use super::record::Record;
use super::retained::Retained;
use super::session::Session;
use super::settings::{CONNECT_SECONDS, Settings};
use super::subscriptions::Subscriptions;
use super::timers::{Timer, Timers};
use oxmqtt_protocol::codec::{
    AckKind, DecodeError, Packet, PacketType, Publish, ReasonCode, decode, parse_frame,
};

const MISPLACED: DecodeError = DecodeError::Protocol("a packet that a client does not send now");

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that were published to the broker.
    pub received: u64,
    /// Deliveries that were given up: the client read too slowly, or had too many waiting.
    pub dropped: u64,
}

/// The server's side of MQTT 3.1, 3.1.1 and 5.0.
#[derive(Debug)]
pub struct Broker {
    pub(super) settings: Settings,
    pub(super) connections: FxHashMap<ConnectionId, Connection>,
    pub(super) sessions: FxHashMap<SessionId, Session>,
    pub(super) by_client_id: HashMap<ByteString, SessionId>,
    pub(super) subscriptions: Subscriptions,
    pub(super) retained: Retained,
    pub(super) timers: Timers,
    pub(super) faults: Faults,
    pub(super) record: Record,
    pub(super) counters: Counters,
    pub(super) memory: Memory,
    /// Clients that came, went or subscribed; messages that were recorded.
    pub(super) changes: u64,
    ready: Vec<ConnectionId>,
    last_connection: u64,
    last_session: u64,
    pub(super) last_assigned: u64,
}

impl Broker {
    pub fn new(settings: Settings) -> Self {
        Self {
            record: Record::new(settings.record),
            memory: Memory::new(settings.max_kept),
            settings,
            connections: FxHashMap::default(),
            sessions: FxHashMap::default(),
            by_client_id: HashMap::new(),
            subscriptions: Subscriptions::default(),
            retained: Retained::default(),
            timers: Timers::default(),
            faults: Faults::default(),
            counters: Counters::default(),
            changes: 0,
            ready: Vec::new(),
            last_connection: 0,
            last_session: 0,
            last_assigned: 0,
        }
    }

    /// A client connected from this address.
    pub fn open(&mut self, address: String, now: Instant) -> ConnectionId {
        self.last_connection += 1;
        let id = ConnectionId(self.last_connection);
        self.connections.insert(id, Connection::new(address, now));
        self.timers.set(Timer::Connect(id), now + Duration::from_secs(CONNECT_SECONDS));
        id
    }

    /// Bytes came from the client.
    pub fn handle_input(&mut self, id: ConnectionId, bytes: &[u8], now: Instant) {
        let maximum = self.settings.maximum_packet_size as usize;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.is_closing() {
            return;
        }
        connection.last_received = now;
        if connection.out.len() > 2 * self.settings.max_unsent {
            // It asks and asks, and does not read the answers.
            return self.disconnect(id, ReasonCode::QUOTA_EXCEEDED, now);
        }
        let (bytes, is_cut) = self.faults.cut_input(connection, bytes);
        match connection.receive(bytes, maximum) {
            Ok(Some(source)) => self.handle_packets(id, &source, now),
            Ok(None) => {}
            Err(error) => self.fail(id, error, now),
        }
        if is_cut {
            self.drop_connection(id, now);
        }
    }

    fn handle_packets(&mut self, id: ConnectionId, source: &Bytes, now: Instant) {
        let maximum = self.settings.maximum_packet_size as usize;
        let mut rest: &[u8] = source;
        loop {
            let frame = match parse_frame(rest) {
                Ok(Some(frame)) if frame.packet_len() > maximum => {
                    return self.fail(id, DecodeError::PacketTooLarge, now);
                }
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return self.fail(id, error, now),
            };
            let Some((packet, behind)) = rest.split_at_checked(frame.packet_len()) else { break };
            let body = packet.get(frame.header_len..).unwrap_or_default();
            if let Err(error) = self.handle_packet(id, frame.first, body, source, now) {
                return self.fail(id, error, now);
            }
            if self.connections.get(&id).is_none_or(Connection::is_closing) {
                return;
            }
            rest = behind;
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let Err(error) = connection.give_back(rest) {
            self.fail(id, error, now);
        }
    }

    fn handle_packet(
        &mut self,
        id: ConnectionId,
        first: u8,
        body: &[u8],
        source: &Bytes,
        now: Instant,
    ) -> Result<(), DecodeError> {
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        let version = connection.version;
        let packet_type = PacketType::from_first_byte(first);
        let session = match connection.phase {
            Phase::New => {
                return self.handle_first_packet(id, packet_type, first, body, source, now);
            }
            Phase::Authenticating(..) => {
                return match decode(version, first, body, source)? {
                    Packet::Auth(auth) => self.handle_auth(id, &auth, now),
                    Packet::Disconnect(_) => {
                        self.drop_connection(id, now);
                        Ok(())
                    }
                    // [MQTT-3.1.2-30]
                    _ => Err(DecodeError::Protocol("not AUTH while authenticating")),
                };
            }
            Phase::Online(session) => session,
            Phase::Closing => return Ok(()),
        };
        if packet_type == Some(PacketType::Publish) {
            let publish = Publish::decode(version, first, body, source)?;
            // A small message that is kept must not keep the bytes that came with it.
            let is_small = publish.body_len() < source.len() / 2;
            let publish = if is_small { publish.detach() } else { publish };
            return self.handle_publish(id, session, publish, now);
        }
        let is_due = |kind: PacketType| {
            kind != PacketType::Connect && kind.is_sent_by_client(version) // [MQTT-3.1.0-2]
        };
        if !packet_type.is_none_or(is_due) {
            return Err(MISPLACED);
        }
        match decode(version, first, body, source)? {
            Packet::PubAck(ack) => self.handle_ack(id, session, AckKind::PubAck, &ack, now),
            Packet::PubRec(ack) => self.handle_ack(id, session, AckKind::PubRec, &ack, now),
            Packet::PubComp(ack) => self.handle_ack(id, session, AckKind::PubComp, &ack, now),
            Packet::PubRel(ack) => self.handle_release(id, session, ack.packet_id, now),
            Packet::Subscribe(packet) => self.handle_subscribe(id, session, &packet, now),
            Packet::Unsubscribe(packet) => self.handle_unsubscribe(id, session, &packet),
            Packet::PingReq => self.send(id, &Packet::PingResp),
            Packet::Disconnect(packet) => return self.handle_disconnect(id, &packet, now),
            Packet::Auth(auth) => return self.handle_auth(id, &auth, now),
            _ => return Err(MISPLACED),
        }
        Ok(())
    }

    /// The connection is closed, by the client or because [`Self::wants_close`] said so.
    pub fn handle_closed(&mut self, id: ConnectionId, now: Instant) {
        self.leave(id, true, now);
        self.forget_connection(id);
    }

    pub(super) fn forget_connection(&mut self, id: ConnectionId) {
        self.timers.cancel(Timer::Connect(id));
        self.timers.cancel(Timer::KeepAlive(id));
        self.timers.cancel(Timer::Late(id));
        self.connections.remove(&id);
    }

    /// Exchanges what is to be sent for the empty buffer.
    pub fn take_output(&mut self, id: ConnectionId, buffer: &mut Vec<u8>, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.signalled = false;
        std::mem::swap(&mut connection.out, buffer);
        if self.faults.cut_output(connection, buffer) {
            self.drop_connection(id, now);
        } else if let Some(session) = connection.session() {
            self.pump(session, now);
        }
    }

    /// Whether the connection is to be closed once its output was sent.
    pub fn wants_close(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_none_or(Connection::is_closing)
    }

    /// The next connection that has output or is to be closed.
    pub fn poll_ready(&mut self) -> Option<ConnectionId> {
        self.ready.pop()
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Connect(id) => self.drop_connection(id, now),
                Timer::KeepAlive(id) => self.check_keep_alive(id, now),
                Timer::Late(id) => self.send_late(id, now),
                Timer::Will(session) => self.publish_will(session, now),
                Timer::Expiry(session) => self.end_session(session, now),
            }
        }
    }

    fn check_keep_alive(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.connections.get(&id) else { return };
        let Some(patience) = connection.patience() else { return };
        let due = connection.last_received + patience;
        if due > now {
            self.timers.set(Timer::KeepAlive(id), due);
        } else {
            self.disconnect(id, ReasonCode::KEEP_ALIVE_TIMEOUT, now); // [MQTT-3.1.2-22]
        }
    }

    /// The record of what was published to the broker.
    pub fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    /// Moves with everything that somebody may wait for.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn new_session(&mut self, client_id: ByteString) -> SessionId {
        self.last_session += 1;
        let id = SessionId(self.last_session);
        self.by_client_id.insert(client_id.clone(), id);
        self.sessions.insert(id, Session::new(client_id, &self.memory));
        id
    }

    /// Appends a packet to what is to be sent.
    pub(super) fn send(&mut self, id: ConnectionId, packet: &Packet) {
        if let Some(connection) = self.connections.get_mut(&id) {
            // What the broker makes can be encoded; what it passes on was decoded.
            let _ = packet.encode(connection.version, &mut connection.out);
            signal(&mut self.ready, id, connection);
        }
    }

    /// Tells the driver to look at a connection.
    pub(super) fn signal(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            signal(&mut self.ready, id, connection);
        }
    }
}

fn signal(ready: &mut Vec<ConnectionId>, id: ConnectionId, connection: &mut Connection) {
    if !connection.signalled {
        connection.signalled = true;
        ready.push(id);
    }
}
