//! Messages on their way in: PUBLISH and PUBREL of the clients, and the broker's own messages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytestring::ByteString;

use super::broker::Broker;
use super::ids::{ConnectionId, SessionId};
use super::message::{Message, make_publish, with_topic};
use super::settings::TOPIC_ALIASES;
use super::timers::Timer;
use oxmqtt_protocol::codec::{
    AckKind, DecodeError, EncodeError, PropertyId, Publish, PublishParts, QoS, ReasonCode, Version,
    encode_ack,
};

impl Broker {
    pub(super) fn handle_publish(
        &mut self,
        id: ConnectionId,
        session: SessionId,
        mut publish: Publish,
        now: Instant,
    ) -> Result<(), DecodeError> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let Some(state) = self.sessions.get_mut(&session) else { return Ok(()) };
        let version = connection.version;
        if !publish.properties_bytes().is_empty() {
            if publish.iter_properties().find(PropertyId::SubscriptionIdentifier).is_some() {
                // [MQTT-3.3.4-6]
                return Err(DecodeError::Protocol("subscription identifier from a client"));
            }
            if let Some(alias) = publish.topic_alias() {
                if alias > TOPIC_ALIASES {
                    return Err(DecodeError::TopicAliasInvalid); // [MQTT-3.3.2-9]
                }
                if publish.topic_bytes().is_empty() {
                    let topic = connection.aliases.get(&alias);
                    let topic = topic.ok_or(DecodeError::Protocol("unknown topic alias"))?;
                    publish = with_topic(&publish, topic)
                        .map_err(|_| DecodeError::Protocol("topic alias of no use"))?;
                } else {
                    let topic = ByteString::from(publish.topic());
                    publish = with_topic(&publish, &topic)
                        .map_err(|_| DecodeError::Protocol("topic alias of no use"))?;
                    connection.aliases.insert(alias, topic);
                }
            }
        }
        let packet_id = publish.packet_id();
        let qos = publish.qos();
        if qos == QoS::ExactlyOnce && state.unreleased.contains(&packet_id) {
            // It was published when it came first; this is the repetition [MQTT-4.3.3-10].
            self.acknowledge(id, AckKind::PubRec, packet_id, ReasonCode::SUCCESS, now);
            return Ok(());
        }
        // An acknowledgement that is held back may be for an unreleased message.
        let unacknowledged = state.unreleased.len().max(connection.late.len());
        let is_v5 = version == Version::V5;
        let maximum = if is_v5 { self.settings.receive_maximum } else { u16::MAX };
        if qos != QoS::AtMostOnce && unacknowledged >= usize::from(maximum) {
            self.disconnect(id, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED, now); // [MQTT-3.3.4-9]
            return Ok(());
        }
        if qos == QoS::ExactlyOnce {
            state.unreleased.insert(packet_id);
        }
        let publisher = state.client_id.clone();
        let message = Arc::new(Message::new(publish, publisher, version, &self.memory, now));
        let matched = self.publish_recorded(&message, Some(session), now);
        let reason = if matched || !is_v5 {
            ReasonCode::SUCCESS
        } else {
            ReasonCode::NO_MATCHING_SUBSCRIBERS
        };
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.acknowledge(id, AckKind::PubAck, packet_id, reason, now),
            QoS::ExactlyOnce => self.acknowledge(id, AckKind::PubRec, packet_id, reason, now),
        }
        Ok(())
    }

    pub(super) fn handle_release(
        &mut self,
        id: ConnectionId,
        session: SessionId,
        packet_id: u16,
        now: Instant,
    ) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let reason = if state.unreleased.remove(&packet_id) {
            ReasonCode::SUCCESS
        } else {
            ReasonCode::PACKET_IDENTIFIER_NOT_FOUND
        };
        self.acknowledge(id, AckKind::PubComp, packet_id, reason, now);
    }

    /// Records a message and passes it on; whether anybody subscribed to it.
    pub(super) fn publish_recorded(
        &mut self,
        message: &Arc<Message>,
        from: Option<SessionId>,
        now: Instant,
    ) -> bool {
        self.counters.received += 1;
        self.changes += 1;
        self.record.push(message);
        self.route(message, from, now)
    }

    /// Publishes a message of the broker's own. It is not recorded.
    ///
    /// # Errors
    /// The parts cannot be a PUBLISH of MQTT 5.0.
    pub fn publish(&mut self, parts: &PublishParts<'_>, now: Instant) -> Result<bool, EncodeError> {
        let parts = PublishParts { packet_id: 1, ..*parts };
        let publish = make_publish(Version::V5, &parts)?;
        let message = Message::new(publish, ByteString::new(), Version::V5, &self.memory, now);
        Ok(self.route(&Arc::new(message), None, now))
    }

    /// Sends an acknowledgement of a message, unless a fault is to happen to it.
    fn acknowledge(
        &mut self,
        id: ConnectionId,
        kind: AckKind,
        packet_id: u16,
        reason: ReasonCode,
        now: Instant,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if self.faults.take_lost_ack() {
            return;
        }
        let delay = self.faults.ack_delay;
        if delay == Duration::ZERO && connection.late.is_empty() {
            encode_ack(&mut connection.out, connection.version, kind, packet_id, reason, &[]);
            return self.signal(id);
        }
        let due = now + delay;
        let mut packet = Vec::new();
        encode_ack(&mut packet, connection.version, kind, packet_id, reason, &[]);
        if connection.late.is_empty() {
            self.timers.set(Timer::Late(id), due);
        }
        connection.late.push_back((due, packet));
    }

    /// Sends the acknowledgements whose time has come.
    pub(super) fn send_late(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        while let Some((due, packet)) = connection.late.front() {
            if *due > now {
                self.timers.set(Timer::Late(id), *due);
                break;
            }
            connection.out.extend_from_slice(packet);
            connection.late.pop_front();
        }
        self.signal(id);
    }
}
