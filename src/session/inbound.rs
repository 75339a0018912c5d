//! Packets of the server: what each does to the session.

use std::time::Instant;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::codec::{
    Ack, AckKind, ConnAck, Disconnect, Packet, PacketType, Properties, Publish, QoS, ReasonCode,
    Version, decode, parse_frame,
};

use super::error::PeerError;
use super::event::{Closed, Event, Message, Trace};
use super::ids::IdUse;
use super::limits::{ClientLimits, ServerLimits};
use super::{Phase, Session};

/// Bytes of acknowledgements that a server may leave unread. One that keeps to its packet
/// identifiers never has more than three answers for each on the way.
const MOST_UNREAD_ANSWERS: u64 = 2 << 20;

/// How far a QoS 2 message is between its PUBLISH and our PUBCOMP.
#[derive(Debug)]
enum Receiving {
    /// PUBREC is sent, PUBREL is due.
    Held(Message),
    /// Given to the application on that connection; its acknowledgement is due.
    Delivered { epoch: u32 },
    /// Acknowledged by the application while there was no PUBREL of the connection to answer.
    Acknowledged,
}

#[derive(Debug)]
struct Incoming {
    /// The connection whose Receive Maximum it takes a place of: that of its last PUBLISH.
    counted_on: u32,
    receiving: Receiving,
}

/// State of incoming messages.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    qos2: FxHashMap<u16, Incoming>,
    /// How many QoS 1 messages of this connection are to be acknowledged, by identifier.
    qos1: FxHashMap<u16, usize>,
    /// Messages of this connection that the server still counts [MQTT-4.9.0-1].
    unacknowledged: usize,
    aliases: FxHashMap<u16, Bytes>,
    /// Bytes of the messages that are held.
    held: usize,
    /// Bytes of the topics behind `aliases`.
    aliased: usize,
}

impl Inbound {
    pub(super) fn handle_connection_end(&mut self) {
        self.qos1 = FxHashMap::default();
        self.unacknowledged = 0;
        self.aliases = FxHashMap::default();
        self.aliased = 0;
    }

    /// Forgets the QoS 2 messages of a session that the server has lost.
    fn forget(&mut self) {
        self.qos2 = FxHashMap::default();
        self.held = 0;
    }

    /// Makes sure that `more` bytes can be held.
    fn admit(&self, more: usize, limit: usize) -> Result<(), PeerError> {
        let held = self.held + self.aliased + more;
        if held > limit { Err(PeerError::HoldsTooMuch) } else { Ok(()) }
    }

    /// The application acknowledged a QoS 1 message of the connection that stands. Whether PUBACK is
    /// due: once for each message.
    pub(super) fn handle_acknowledged_qos1(&mut self, packet_id: u16) -> bool {
        let Some(count) = self.qos1.get_mut(&packet_id) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.qos1.remove(&packet_id);
        }
        self.unacknowledged = self.unacknowledged.saturating_sub(1);
        true
    }

    /// The application acknowledged a QoS 2 message; `current` is its connection if that stands.
    /// Whether PUBCOMP is due now.
    pub(super) fn handle_acknowledged_qos2(
        &mut self,
        packet_id: u16,
        epoch: u32,
        current: Option<u32>,
    ) -> bool {
        let Some(incoming) = self.qos2.get_mut(&packet_id) else {
            return false;
        };
        match incoming.receiving {
            Receiving::Delivered { epoch: delivered } if Some(delivered) == current => {
                self.complete(packet_id, delivered);
                true
            }
            Receiving::Delivered { epoch: delivered } if delivered <= epoch => {
                incoming.receiving = Receiving::Acknowledged;
                false
            }
            _ => false,
        }
    }

    /// A server of MQTT 3.1 does not say whether it kept the session. What it sends as new is new:
    /// a kept message would have come with DUP.
    fn forget_qos2_before(&mut self, packet_id: u16, epoch: u32) {
        if self.qos2.get(&packet_id).is_some_and(|known| known.counted_on != epoch) {
            self.remove(packet_id);
        }
    }

    fn remove(&mut self, packet_id: u16) -> Option<Incoming> {
        let incoming = self.qos2.remove(&packet_id)?;
        if let Receiving::Held(message) = &incoming.receiving {
            self.held -= message.held();
        }
        Some(incoming)
    }

    fn complete(&mut self, packet_id: u16, epoch: u32) {
        if let Some(incoming) = self.remove(packet_id)
            && incoming.counted_on == epoch
        {
            self.unacknowledged = self.unacknowledged.saturating_sub(1);
        }
    }

    pub(super) fn held(&self) -> impl Iterator<Item = &Message> {
        self.qos2.values().filter_map(|incoming| match &incoming.receiving {
            Receiving::Held(message) => Some(message),
            Receiving::Delivered { .. } | Receiving::Acknowledged => None,
        })
    }

    /// The topic a PUBLISH means: its own, or the one its alias stands for [MQTT-3.3.2-10].
    fn resolve_alias(
        &mut self,
        publish: &Publish,
        limits: &ClientLimits,
    ) -> Result<Option<Bytes>, PeerError> {
        let Some(alias) = publish.properties().topic_alias() else {
            return Ok(None);
        };
        if alias > limits.topic_alias_maximum {
            return Err(PeerError::TopicAlias("topic alias above our maximum"));
        }
        if publish.topic_bytes().is_empty() {
            let topic = self.aliases.get(&alias);
            return topic
                .cloned()
                .map(Some)
                .ok_or(PeerError::Protocol("topic alias without a topic"));
        }
        let topic = Bytes::copy_from_slice(publish.topic_bytes());
        let size = topic.len();
        let before = self.aliases.insert(alias, topic).map_or(0, |topic| topic.len());
        self.aliased = self.aliased - before + size;
        self.admit(0, limits.held)?;
        Ok(None)
    }
}

impl Session {
    /// Takes bytes from the transport. A breach of the protocol ends the connection.
    pub fn handle_input(&mut self, chunk: Bytes, now: Instant) {
        if let Some(keep_alive) = &mut self.keep_alive {
            keep_alive.handle_received(now);
        }
        if !matches!(self.phase, Phase::AwaitConnAck { .. } | Phase::Online) {
            return;
        }
        let source = if self.partial.is_empty() {
            chunk
        } else {
            self.partial.extend_from_slice(&chunk);
            match self.complete_frame(&self.partial) {
                Ok(false) => return,
                Ok(true) => self.partial.split().freeze(),
                Err(error) => return self.fail(error, now),
            }
        };
        let before = self.events.len();
        let mut at = 0;
        while matches!(self.phase, Phase::AwaitConnAck { .. } | Phase::Online) {
            match self.handle_frame(&source, at, now) {
                Ok(Some(next)) => at = next,
                Ok(None) => {
                    self.partial.extend_from_slice(source.get(at..).unwrap_or_default());
                    break;
                }
                Err(error) => {
                    self.fail(error, now);
                    break;
                }
            }
        }
        self.free_input(before, &source);
        if self.is_online() && self.out.unread_answers() > MOST_UNREAD_ANSWERS {
            self.fail(PeerError::AnswersUnread, now);
        }
        self.pump();
    }

    /// Events keep slices of the bytes they came in. Few small ones must not keep a large chunk.
    fn free_input(&mut self, before: usize, source: &Bytes) {
        let events = self.events.get_mut(before..).unwrap_or_default();
        let kept: usize = events.iter().map(Event::held).sum();
        if kept > 0 && kept < source.len() / 2 {
            events.iter_mut().for_each(Event::detach);
        }
    }

    /// How many bytes more the packet at hand needs, if that is known.
    pub fn missing_input(&self) -> usize {
        match parse_frame(&self.partial) {
            Ok(Some(frame)) => {
                (frame.header_len + frame.remaining).saturating_sub(self.partial.len())
            }
            _ => 0,
        }
    }

    fn complete_frame(&self, bytes: &[u8]) -> Result<bool, PeerError> {
        let Some(frame) = parse_frame(bytes)? else {
            return Ok(false);
        };
        let size = frame.header_len + frame.remaining;
        if size > self.own.maximum_packet_size {
            return Err(PeerError::PacketTooLarge(size));
        }
        Ok(size <= bytes.len())
    }

    /// Handles the packet at `at`; returns where the next one starts, `None` for want of bytes.
    fn handle_frame(
        &mut self,
        source: &Bytes,
        at: usize,
        now: Instant,
    ) -> Result<Option<usize>, PeerError> {
        let rest = source.get(at..).unwrap_or_default();
        let Some(frame) = parse_frame(rest)? else {
            return Ok(None);
        };
        let size = frame.header_len + frame.remaining;
        if size > self.own.maximum_packet_size {
            return Err(PeerError::PacketTooLarge(size));
        }
        let version = self.config.version;
        if !PacketType::from_first_byte(frame.first).is_some_and(|t| t.is_sent_by_server(version)) {
            return Err(PeerError::Protocol("packet that a server may not send"));
        }
        let Some(body) = rest.get(frame.header_len..size) else {
            return Ok(None);
        };
        if self.is_refusal_of_v5(frame.first, body) {
            self.handle_connack(
                ConnAck {
                    session_present: false,
                    reason: ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
                    properties: Properties::default(),
                },
                now,
            );
            return Ok(Some(at + size));
        }
        let packet = decode(version, frame.first, body, source)?;
        self.handle_packet(packet, now)?;
        Ok(Some(at + size))
    }

    /// A server that knows MQTT 3.x only refuses MQTT 5.0 in its own words.
    fn is_refusal_of_v5(&self, first: u8, body: &[u8]) -> bool {
        self.config.version == Version::V5
            && matches!(self.phase, Phase::AwaitConnAck { .. })
            && first == PacketType::ConnAck.first_byte()
            && body == [0, 1]
    }

    fn handle_packet(&mut self, packet: Packet, now: Instant) -> Result<(), PeerError> {
        if let Phase::AwaitConnAck { .. } = self.phase {
            return match packet {
                Packet::ConnAck(connack) => {
                    self.handle_connack(connack, now);
                    Ok(())
                }
                Packet::Disconnect(_) | Packet::Auth(_) if self.config.version == Version::V5 => {
                    Err(PeerError::Protocol("packet before CONNACK that was not asked for"))
                }
                _ => Err(PeerError::Protocol("packet before CONNACK")),
            };
        }
        match &packet {
            Packet::PubAck(ack)
            | Packet::PubRec(ack)
            | Packet::PubRel(ack)
            | Packet::PubComp(ack) => self.own.check_problem_information(&ack.properties)?,
            Packet::SubAck(answer) => self.own.check_problem_information(&answer.properties)?,
            Packet::UnsubAck(answer) => self.own.check_problem_information(&answer.properties)?,
            _ => {}
        }
        match packet {
            Packet::Publish(publish) => self.handle_publish(publish),
            Packet::PubAck(ack) => self.handle_ack(AckKind::PubAck, ack),
            Packet::PubRec(ack) => self.handle_ack(AckKind::PubRec, ack),
            Packet::PubComp(ack) => self.handle_ack(AckKind::PubComp, ack),
            Packet::PubRel(ack) => {
                self.handle_pubrel(ack);
                Ok(())
            }
            Packet::SubAck(answer) => self.handle_request_answer(
                true,
                answer.packet_id,
                answer.reasons,
                answer.properties,
            ),
            Packet::UnsubAck(answer) => self.handle_request_answer(
                false,
                answer.packet_id,
                answer.reasons,
                answer.properties,
            ),
            Packet::PingResp => {
                self.trace(|| Trace::ReceivedPingResp);
                Ok(())
            }
            Packet::Disconnect(disconnect) => {
                let Disconnect { reason, properties } = disconnect;
                if properties.as_ref().is_some_and(|p| p.session_expiry_interval().is_some()) {
                    return Err(PeerError::Protocol("session expiry of the server")); // [MQTT-3.14.2-2]
                }
                self.phase = Phase::Ended { closed: Closed::ByServer { reason, properties } };
                Ok(())
            }
            Packet::ConnAck(_) => Err(PeerError::Protocol("second CONNACK")),
            Packet::Auth(_) => Err(PeerError::Protocol("AUTH without an authentication method")),
            Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq => Err(PeerError::Protocol("packet that a server may not send")),
        }
    }

    fn handle_connack(&mut self, connack: ConnAck, now: Instant) {
        let ConnAck { session_present, reason, properties } = connack;
        if session_present && self.clean_start {
            return self.fail(PeerError::Protocol("session present on a clean start"), now);
        }
        let assigned = properties.assigned_client_identifier();
        if reason == ReasonCode::SUCCESS && assigned.is_some_and(|id| !self.may_be_assigned(id)) {
            let error = PeerError::Protocol("assigned client identifier that was not asked for");
            return self.fail(error, now);
        }
        if reason == ReasonCode::SUCCESS
            && properties.authentication_method() != self.own.authentication_method.as_deref()
        {
            // [MQTT-4.12.0-5], [MQTT-4.12.0-6]
            let error = PeerError::Protocol("authentication method other than that of CONNECT");
            return self.fail(error, now);
        }
        let event = Event::ConnAck { session_present, reason, properties: properties.clone() };
        self.events.push(event);
        if reason != ReasonCode::SUCCESS {
            self.phase = Phase::Ended { closed: Closed::Refused(reason) };
            return;
        }
        if self.config.version == Version::V5 {
            self.server = ServerLimits::from_connack(&properties);
            if let Some(assigned) = properties.assigned_client_identifier() {
                self.assigned_client_id = Some(assigned.into());
            }
            if let (Some(keep_alive), Some(seconds)) =
                (&mut self.keep_alive, properties.server_keep_alive())
            {
                keep_alive.set_interval(seconds);
            }
        }
        self.settle_session(session_present);
        self.phase = Phase::Online;
        self.pump();
        if let Some((reason, properties)) = self.deferred_disconnect.take() {
            self.drain_with(reason, properties, Closed::Requested, now);
        }
    }

    /// Only a client that named no identifier is given one (3.2.2.3.7); to hear its own is no harm.
    fn may_be_assigned(&self, assigned: &str) -> bool {
        self.client_id.is_empty() || self.client_id == assigned
    }

    /// Drops what belonged to a session that the server does not have any more [MQTT-3.2.2-5].
    /// A persistent MQTT 3.x session keeps its receipts: PUBREC made the server the owner, and
    /// PUBREL to a server that forgot it is answered all the same.
    fn settle_session(&mut self, session_present: bool) {
        if session_present || (self.config.version == Version::V31 && !self.clean_start) {
            return;
        }
        self.inbound.forget();
        self.ids.release_dropped();
        if self.config.version == Version::V5 || self.clean_start {
            self.ledger.forget_receipts();
        }
    }

    fn handle_publish(&mut self, publish: Publish) -> Result<(), PeerError> {
        let aliased_topic = self.inbound.resolve_alias(&publish, &self.own)?.map(|t| t[..].into());
        let (qos, packet_id) = (publish.qos(), publish.packet_id());
        let message = Message { publish, aliased_topic, epoch: self.epoch };
        match qos {
            QoS::AtMostOnce => self.events.push(Event::Message(message)),
            QoS::AtLeastOnce => {
                self.count_unacknowledged()?;
                *self.inbound.qos1.entry(packet_id).or_default() += 1;
                self.events.push(Event::Message(message));
            }
            QoS::ExactlyOnce => {
                let epoch = self.epoch;
                if self.config.version == Version::V31 && !message.publish.dup() {
                    self.inbound.forget_qos2_before(packet_id, epoch);
                }
                // A second PUBLISH with the identifier is the same message [MQTT-4.3.3-10].
                let counted = match self.inbound.qos2.get_mut(&packet_id) {
                    Some(known) => std::mem::replace(&mut known.counted_on, epoch) == epoch,
                    None => {
                        let size = message.held();
                        self.inbound.admit(size, self.own.held)?;
                        self.inbound.held += size;
                        let publish = message.publish.detach();
                        let receiving = Receiving::Held(Message { publish, ..message });
                        let incoming = Incoming { counted_on: epoch, receiving };
                        self.inbound.qos2.insert(packet_id, incoming);
                        false
                    }
                };
                if !counted {
                    self.count_unacknowledged()?;
                }
                self.send_ack(AckKind::PubRec, packet_id, ReasonCode::SUCCESS);
            }
        }
        Ok(())
    }

    fn count_unacknowledged(&mut self) -> Result<(), PeerError> {
        self.inbound.unacknowledged += 1;
        if self.inbound.unacknowledged > usize::from(self.own.receive_maximum) {
            return Err(PeerError::ReceiveMaximumExceeded);
        }
        Ok(())
    }

    fn handle_pubrel(&mut self, ack: Ack) {
        let packet_id = ack.packet_id;
        self.trace(|| Trace::ReceivedAck(AckKind::PubRel, packet_id));
        let delivered = Receiving::Delivered { epoch: self.epoch };
        let Some(incoming) = self.inbound.qos2.get_mut(&packet_id) else {
            let reason = self.unknown_id_reason();
            return self.send_ack(AckKind::PubComp, packet_id, reason);
        };
        match &mut incoming.receiving {
            receiving @ Receiving::Held(_) => {
                if let Receiving::Held(mut message) = std::mem::replace(receiving, delivered) {
                    self.inbound.held -= message.held();
                    message.epoch = self.epoch;
                    self.events.push(Event::Message(message));
                }
            }
            Receiving::Delivered { epoch } if *epoch == self.epoch => {}
            Receiving::Delivered { epoch } if self.config.manual_ack => *epoch = self.epoch,
            Receiving::Delivered { .. } | Receiving::Acknowledged => {
                self.inbound.complete(packet_id, self.epoch);
                self.send_ack(AckKind::PubComp, packet_id, ReasonCode::SUCCESS);
            }
        }
    }

    fn unknown_id_reason(&self) -> ReasonCode {
        match self.config.version {
            Version::V5 => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
            Version::V31 | Version::V311 => ReasonCode::SUCCESS,
        }
    }

    fn handle_ack(&mut self, kind: AckKind, ack: Ack) -> Result<(), PeerError> {
        let Ack { packet_id, reason, properties } = ack;
        self.trace(|| Trace::ReceivedAck(kind, packet_id));
        let usage = self.ids.usage(packet_id);
        if let Some(IdUse::Subscribe(_) | IdUse::Unsubscribe(_)) = usage {
            return Err(PeerError::Protocol("acknowledgement of the wrong kind"));
        }
        let Some(IdUse::Publish(seq)) = usage else {
            // A failure has ended the message on the server too [MQTT-4.3.3-4].
            if kind == AckKind::PubRec && !reason.is_failure() {
                let reason = self.unknown_id_reason();
                self.send_ack(AckKind::PubRel, packet_id, reason);
            }
            return Ok(());
        };
        match self.ledger.handle_ack(kind, seq, reason)? {
            Some(ended) => {
                // PUBREC made the server the owner. That it does not know the identifier any more
                // means that an earlier PUBCOMP was lost, which is no error (3.7.2.1).
                let reason = match (kind, reason) {
                    (AckKind::PubComp, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND) => {
                        ReasonCode::SUCCESS
                    }
                    _ => reason,
                };
                self.finish(ended, kind, reason, properties);
            }
            None => self.send_ack(AckKind::PubRel, packet_id, ReasonCode::SUCCESS),
        }
        Ok(())
    }

    fn handle_request_answer(
        &mut self,
        subscribed: bool,
        packet_id: u16,
        reasons: Bytes,
        properties: Properties,
    ) -> Result<(), PeerError> {
        let filters = match (self.ids.usage(packet_id), subscribed) {
            (Some(IdUse::Subscribe(filters)), true) => filters,
            (Some(IdUse::Unsubscribe(filters)), false) => filters,
            (None | Some(IdUse::Dropped), _) => return Ok(()),
            _ => return Err(PeerError::Protocol("acknowledgement of the wrong kind")),
        };
        // An UNSUBACK without any reason code, as of MQTT 3.x, still says that the server did it.
        let has_reasons = subscribed || !reasons.is_empty();
        if has_reasons && reasons.len() != filters {
            return Err(PeerError::Protocol("one reason code per filter is due"));
        }
        self.ids.release(packet_id);
        self.events.push(if subscribed {
            Event::SubAck { packet_id, reasons, properties }
        } else {
            Event::UnsubAck { packet_id, reasons, properties }
        });
        Ok(())
    }
}
