//! Messages on their way out: who gets one, in which shape, and when there is room.

use std::sync::Arc;
use std::time::Instant;

use super::broker::Broker;
use super::connection::Connection;
use super::ids::{ConnectionId, SessionId};
use super::message::{Message, lower};
use super::session::{InFlight, Outgoing};
use super::settings::HIGH_WATER;
use super::subscriptions::Subscription;
use oxmqtt_protocol::codec::{
    Ack, AckKind, PublishParts, QoS, ReasonCode, Version, encode_ack, encode_publish, publish_size,
};

/// A delivery to one session.
struct Delivery<'a> {
    message: &'a Arc<Message>,
    qos: QoS,
    retain: bool,
    ids: &'a [u32],
}

impl Broker {
    /// Passes a message on to everybody who subscribed to it; whether there was anybody.
    pub(super) fn route(
        &mut self,
        message: &Arc<Message>,
        from: Option<SessionId>,
        now: Instant,
    ) -> bool {
        let publish = &message.publish;
        if publish.retain() && !self.retained.store(message, &self.memory) {
            self.counters.dropped += 1;
        }
        let matches = self.subscriptions.matches(publish.topic());
        let mut matched = false;
        // One delivery for each session, however many of its filters match (3.3.4).
        for group in matches.subscriptions.chunk_by(|a, b| a.session == b.session) {
            matched |= self.deliver_to(message, group, from, now);
        }
        for key in &matches.shares {
            if let Some(member) = self.next_of_share(key) {
                matched |= self.deliver_to(message, &[member], None, now);
            }
        }
        matched
    }

    /// Whose turn it is: the next member that is connected, or the next.
    fn next_of_share(&mut self, key: &super::subscriptions::ShareKey) -> Option<Subscription> {
        let sessions = &self.sessions;
        let share = self.subscriptions.shares.get_mut(key)?;
        let count = share.members.len();
        let is_connected = |at: &usize| {
            let session = share.members.get(at % count).and_then(|m| sessions.get(&m.session));
            session.is_some_and(|session| session.connection.is_some())
        };
        let turn = share.turn % count.max(1);
        let chosen = (turn..turn + count).find(is_connected).unwrap_or(turn);
        share.turn = chosen + 1;
        share.members.get(chosen % count.max(1)).copied()
    }

    fn deliver_to(
        &mut self,
        message: &Arc<Message>,
        group: &[Subscription],
        from: Option<SessionId>,
        now: Instant,
    ) -> bool {
        let mut chosen: Option<(SessionId, QoS, bool)> = None;
        let mut ids = Vec::new();
        for subscription in group {
            let options = subscription.options;
            if options.no_local && from == Some(subscription.session) {
                continue; // [MQTT-3.8.3-3]
            }
            let (_, qos, retain) = chosen.unwrap_or((subscription.session, options.qos, false));
            let retain = retain || options.retain_as_published;
            chosen = Some((subscription.session, qos.max(options.qos), retain));
            if subscription.id != 0 {
                ids.push(subscription.id);
            }
        }
        let Some((session, qos, retain_as_published)) = chosen else { return false };
        let publish = &message.publish;
        let retain = publish.retain() && retain_as_published;
        let qos = lower(publish.qos(), qos);
        self.deliver(session, &Delivery { message, qos, retain, ids: &ids }, now);
        true
    }

    /// Sends a retained message for a new subscription.
    pub(super) fn deliver_retained(
        &mut self,
        subscription: &Subscription,
        message: &Arc<Message>,
        now: Instant,
    ) {
        let qos = lower(message.publish.qos(), subscription.options.qos);
        let ids: &[u32] = if subscription.id == 0 { &[] } else { &[subscription.id] };
        self.deliver(subscription.session, &Delivery { message, qos, retain: true, ids }, now);
    }

    fn deliver(&mut self, session: SessionId, delivery: &Delivery<'_>, now: Instant) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        if delivery.qos == QoS::AtMostOnce {
            let Some(id) = state.connection else { return };
            let Some(connection) = self.connections.get_mut(&id) else { return };
            if connection.out.len() > self.settings.max_unsent {
                self.counters.dropped += 1;
                return;
            }
            put_publish(connection, delivery, 0, false, now);
            return self.signal(id);
        }
        let outgoing = Outgoing {
            message: Arc::clone(delivery.message),
            qos: delivery.qos,
            retain: delivery.retain,
            ids: delivery.ids.to_vec(),
            _kept: self.memory.keep(Outgoing::SIZE + size_of_val(delivery.ids)),
        };
        if self.memory.has_room() && state.queue(outgoing) {
            self.pump(session, now);
        } else {
            self.counters.dropped += 1;
        }
    }

    /// Sends what waits, as far as the client's window and the out-buffer have room.
    pub(super) fn pump(&mut self, session: SessionId, now: Instant) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let Some(id) = state.connection else { return };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let before = connection.out.len();
        while connection.out.len() < HIGH_WATER && state.sent < usize::from(connection.window) {
            if let Some(entry) = state.in_flight.get_mut(state.sent) {
                resend(connection, entry, now);
                state.sent += 1;
                continue;
            }
            let Some(outgoing) = state.pop_queued() else { break };
            if outgoing.message.is_expired(now) {
                continue; // [MQTT-3.3.2-5]
            }
            if !fits(connection, &delivery_of(&outgoing), now) {
                continue; // [MQTT-3.1.2-25]
            }
            // There are more identifiers than places in the window.
            let Some(entry) = state.put_in_flight(outgoing) else { break };
            put_publish(connection, &delivery_of(&entry.outgoing), entry.packet_id, false, now);
            entry.was_sent = true;
            state.sent += 1;
        }
        if connection.out.len() > before {
            self.signal(id);
        }
    }

    /// PUBACK, PUBREC or PUBCOMP of a client.
    pub(super) fn handle_ack(
        &mut self,
        id: ConnectionId,
        session: SessionId,
        kind: AckKind,
        ack: &Ack,
        now: Instant,
    ) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let known = match kind {
            AckKind::PubAck => state.complete(ack.packet_id, QoS::AtLeastOnce),
            AckKind::PubRec if ack.reason.is_failure() => {
                state.complete(ack.packet_id, QoS::ExactlyOnce)
            }
            AckKind::PubRec => match state.find_in_flight(ack.packet_id, QoS::ExactlyOnce) {
                Some(entry) => {
                    entry.released = true;
                    self.release(id, ack.packet_id, ReasonCode::SUCCESS);
                    return;
                }
                None => false,
            },
            _ => {
                let is_released = state
                    .find_in_flight(ack.packet_id, QoS::ExactlyOnce)
                    .is_some_and(|entry| entry.released);
                is_released && state.complete(ack.packet_id, QoS::ExactlyOnce)
            }
        };
        if known {
            self.pump(session, now);
        } else if kind == AckKind::PubRec {
            self.release(id, ack.packet_id, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND);
        }
    }

    fn release(&mut self, id: ConnectionId, packet_id: u16, reason: ReasonCode) {
        if let Some(connection) = self.connections.get_mut(&id) {
            let version = connection.version;
            encode_ack(&mut connection.out, version, AckKind::PubRel, packet_id, reason, &[]);
            self.signal(id);
        }
    }
}

fn delivery_of(outgoing: &Outgoing) -> Delivery<'_> {
    Delivery {
        message: &outgoing.message,
        qos: outgoing.qos,
        retain: outgoing.retain,
        ids: &outgoing.ids,
    }
}

/// Sends a message of an earlier connection again, or the PUBREL that follows it.
fn resend(connection: &mut Connection, entry: &mut InFlight, now: Instant) {
    if entry.released {
        let (version, reason) = (connection.version, ReasonCode::SUCCESS);
        encode_ack(&mut connection.out, version, AckKind::PubRel, entry.packet_id, reason, &[]);
    } else {
        let delivery = delivery_of(&entry.outgoing);
        put_publish(connection, &delivery, entry.packet_id, entry.was_sent, now);
        entry.was_sent = true;
    }
}

/// Whether the client takes a packet of this size.
fn fits(connection: &Connection, delivery: &Delivery<'_>, now: Instant) -> bool {
    with_parts(connection.version, delivery, 1, false, now, |parts| {
        publish_size(connection.version, parts) <= connection.maximum_packet_size
    })
}

/// Appends the PUBLISH, unless it is too large for the client [MQTT-3.1.2-24].
#[inline]
fn put_publish(
    connection: &mut Connection,
    delivery: &Delivery<'_>,
    packet_id: u16,
    dup: bool,
    now: Instant,
) {
    let (version, maximum) = (connection.version, connection.maximum_packet_size);
    with_parts(version, delivery, packet_id, dup, now, |parts| {
        if maximum == usize::MAX || publish_size(version, parts) <= maximum {
            // It was decoded, so it can be encoded.
            let _ = encode_publish(&mut connection.out, version, parts);
        }
    });
}

#[inline]
fn with_parts<T>(
    version: Version,
    delivery: &Delivery<'_>,
    packet_id: u16,
    dup: bool,
    now: Instant,
    then: impl FnOnce(&PublishParts<'_>) -> T,
) -> T {
    let publish = &delivery.message.publish;
    let mut parts = PublishParts {
        dup,
        qos: delivery.qos,
        retain: delivery.retain,
        topic: publish.topic(),
        packet_id,
        properties: &[],
        payload: publish.payload(),
    };
    if version != Version::V5 {
        return then(&parts);
    }
    let rewritten = delivery.message.rewritten_properties(delivery.ids, now);
    parts.properties = match &rewritten {
        Some(list) => list.as_bytes(),
        None => publish.properties_bytes(),
    };
    then(&parts)
}
