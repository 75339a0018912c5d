//! Messages of the server on their way in: QoS 1 and 2, topic aliases, our Receive Maximum.

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::codec::{Ack, AckKind, Publish, QoS, ReasonCode, Version};

use super::Session;
use super::error::PeerError;
use super::event::{Event, Message, Trace};
use super::limits::ClientLimits;

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
    pub(super) fn forget(&mut self) {
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
        match self.own.receive_maximum {
            Some(maximum) if self.inbound.unacknowledged > maximum.into() => {
                Err(PeerError::ReceiveMaximumExceeded)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn handle_pubrel(&mut self, ack: Ack) {
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
}
