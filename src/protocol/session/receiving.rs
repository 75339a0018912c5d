//! Messages of the server on their way in: QoS 1 and 2, topic aliases, our Receive Maximum.

use crate::codec::{Ack, AckKind, Publish, QoS, ReasonCode, Version};

use super::Session;
use super::error::PeerError;
use super::event::{Event, Message, Trace};
use super::incoming::Answer;

impl Session {
    pub(super) fn handle_publish(&mut self, publish: Publish) -> Result<(), PeerError> {
        let aliased_topic = self.inbound.resolve_alias(&publish, &self.own)?.map(|t| t[..].into());
        if self.is_leaving() {
            return Ok(());
        }
        let (qos, packet_id) = (publish.qos(), publish.packet_id());
        let message = Message { publish, aliased_topic, epoch: self.epoch };
        match qos {
            QoS::AtMostOnce => self.events.push(Event::Message(message)),
            QoS::AtLeastOnce => {
                self.inbound.count_unacknowledged(&self.own)?;
                self.inbound.handle_publish_qos1(packet_id);
                self.events.push(Event::Message(message));
            }
            QoS::ExactlyOnce => {
                if self.config.version == Version::V31 && !message.publish.dup() {
                    self.inbound.forget_qos2_before(packet_id, self.epoch);
                }
                let (answer, counts) = self.inbound.handle_publish_qos2(packet_id, self.epoch);
                if counts {
                    self.inbound.count_unacknowledged(&self.own)?;
                }
                match answer {
                    Answer::Deliver => self.events.push(Event::Message(message)),
                    Answer::Wait => {}
                    Answer::PubRec => {
                        self.send_ack(AckKind::PubRec, packet_id, ReasonCode::SUCCESS);
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn handle_pubrel(&mut self, ack: Ack) {
        let packet_id = ack.packet_id;
        self.trace(|| Trace::ReceivedAck(AckKind::PubRel, packet_id));
        let reason = if self.inbound.handle_release(packet_id, self.epoch) {
            ReasonCode::SUCCESS
        } else {
            self.unknown_id_reason()
        };
        self.send_ack(AckKind::PubComp, packet_id, reason);
    }
}
