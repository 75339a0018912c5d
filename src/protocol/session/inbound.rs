//! Packets of the server: what each does to the session.

use std::time::Instant;

use bytes::Bytes;

use crate::codec::{
    Ack, AckKind, ConnAck, Disconnect, Packet, PacketType, Properties, ReasonCode, Version, decode,
    parse_frame,
};

use super::error::PeerError;
use super::event::{Closed, Event, Trace};
use super::ids::IdUse;
use super::limits::ServerLimits;
use super::{Exchange, Phase, Session};

/// Bytes of acknowledgements that a server may leave unread. One that keeps to its packet
/// identifiers never has more than three answers for each on the way.
const MOST_UNREAD_ANSWERS: u64 = 2 << 20;

const PINGREQ_SIZE: usize = 2;
/// A packet type and a Remaining Length (2.1.1).
const MOST_FIXED_HEADER: usize = 5;

impl Session {
    /// Takes bytes from the transport. A breach of the protocol ends the connection.
    pub fn handle_input(&mut self, mut chunk: Bytes, now: Instant) {
        if let Some(keep_alive) = &mut self.keep_alive {
            keep_alive.handle_received(now);
        }
        if !self.is_receiving() {
            return;
        }
        if !self.partial.is_empty() {
            match self.complete_packet(&mut chunk) {
                Ok(false) => return,
                Ok(true) => {
                    let packet = self.partial.take();
                    self.handle_packets(&packet, now);
                }
                Err(error) => return self.fail(error, now),
            }
        }
        self.handle_packets(&chunk, now);
        if self.is_online() && self.out.unread_answers() > MOST_UNREAD_ANSWERS {
            self.fail(PeerError::AnswersUnread, now);
        }
        self.pump();
    }

    fn is_receiving(&self) -> bool {
        matches!(self.phase, Phase::AwaitConnAck { .. } | Phase::Online)
    }

    fn handle_packets(&mut self, source: &Bytes, now: Instant) {
        let before = self.events.len();
        let mut at = 0;
        while self.is_receiving() {
            match self.handle_frame(source, at, now) {
                Ok(Some(next)) => at = next,
                Ok(None) => {
                    if let Err(error) = self.partial.append(source.get(at..).unwrap_or_default()) {
                        self.fail(error.into(), now);
                    }
                    break;
                }
                Err(error) => {
                    self.fail(error, now);
                    break;
                }
            }
        }
        self.free_input(before, source);
    }

    /// Events keep slices of the bytes they came in, and all of those with them: an eighth more than their
    /// packets at the most.
    fn free_input(&mut self, before: usize, source: &Bytes) {
        let events = self.events.get_mut(before..).unwrap_or_default();
        let kept: usize = events.iter().map(Event::held).sum();
        let packets = kept + events.len() * MOST_FIXED_HEADER;
        if kept > 0 && packets < source.len() - source.len() / 8 {
            events.iter_mut().for_each(Event::detach);
        }
    }

    /// Adds to the packet at hand what belongs to it of the chunk; whether it is complete then.
    fn complete_packet(&mut self, chunk: &mut Bytes) -> Result<bool, PeerError> {
        loop {
            let missing = match parse_frame(&self.partial)? {
                Some(frame) if frame.packet_len() > self.own.maximum_packet_size => {
                    return Err(PeerError::PacketTooLarge(frame.packet_len()));
                }
                Some(frame) => frame.packet_len().saturating_sub(self.partial.len()),
                None => 1,
            };
            if missing == 0 || chunk.is_empty() {
                return Ok(missing == 0);
            }
            self.partial.append(&chunk.split_to(missing.min(chunk.len())))?;
        }
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
        let listed = packet.properties_len();
        if listed > self.own.properties {
            return Err(PeerError::PropertiesTooLarge(listed));
        }
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
                Packet::Auth(auth) if self.config.accepts_auth => self.handle_auth(auth, now),
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
            Packet::Auth(auth) => self.handle_auth(auth, now),
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
            self.clean_start_unanswered = self.was_clean_start_unanswered;
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
            if self.server.maximum_packet_size < PINGREQ_SIZE
                && let Some(keep_alive) = &mut self.keep_alive
            {
                // Nothing can be asked, so silence says nothing.
                keep_alive.set_interval(0);
            }
        }
        self.settle_session(session_present);
        if std::mem::take(&mut self.clean_start_unanswered) {
            self.inbound.forget(); // [MQTT-3.1.2-4]
        }
        self.phase = Phase::Online;
        self.exchange = Exchange::Idle;
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

    pub(super) fn unknown_id_reason(&self) -> ReasonCode {
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
