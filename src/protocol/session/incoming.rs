//! State of incoming messages: which are to be acknowledged, and the topics behind the server's aliases.

use std::collections::hash_map::Entry;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::codec::Publish;

use super::error::PeerError;
use super::limits::ClientLimits;

/// How far the application is with a QoS 2 message.
#[derive(Debug)]
enum Stage {
    /// It is to be given to it, with the next PUBLISH.
    Undelivered,
    /// It was given to it on that connection; PUBREC waits for its acknowledgement.
    Delivered { on: u32 },
    /// It is through: PUBREC answers each PUBLISH, PUBREL is due.
    Acknowledged,
}

/// A QoS 2 message between its PUBLISH and its PUBREL. What is kept of it is its identifier, so that a
/// second PUBLISH is known as the same message [MQTT-4.3.3-10].
#[derive(Debug)]
struct Incoming {
    stage: Stage,
    /// The connection of its last PUBLISH: that one's Receive Maximum it takes a place of.
    counted_on: u32,
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
    /// Bytes of the topics behind `aliases`.
    aliased: usize,
}

/// What is due on a PUBLISH of QoS 2.
pub(super) enum Answer {
    /// It is new: the application gets it, and its acknowledgement is PUBREC.
    Deliver,
    /// The application has it, and PUBREC follows when that acknowledges it.
    Wait,
    PubRec,
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
    }

    /// One more message that the server counts [MQTT-3.3.4-9].
    pub(super) fn count_unacknowledged(&mut self, limits: &ClientLimits) -> Result<(), PeerError> {
        self.unacknowledged += 1;
        match limits.receive_maximum {
            Some(maximum) if self.unacknowledged > maximum.into() => {
                Err(PeerError::ReceiveMaximumExceeded)
            }
            _ => Ok(()),
        }
    }

    /// PUBLISH of QoS 1 came: it is to be acknowledged.
    pub(super) fn handle_publish_qos1(&mut self, packet_id: u16) {
        *self.qos1.entry(packet_id).or_default() += 1;
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

    /// The application acknowledged a QoS 2 message that it got on connection `epoch` or earlier;
    /// `current` is the connection that stands. Whether PUBREC is due now: not before the
    /// PUBLISH has come on that connection.
    pub(super) fn handle_acknowledged_qos2(
        &mut self,
        packet_id: u16,
        epoch: u32,
        current: Option<u32>,
    ) -> bool {
        match self.qos2.get_mut(&packet_id) {
            Some(Incoming { stage: stage @ Stage::Delivered { .. }, counted_on }) => {
                if matches!(stage, Stage::Delivered { on } if *on > epoch) {
                    return false;
                }
                *stage = Stage::Acknowledged;
                Some(*counted_on) == current
            }
            _ => false,
        }
    }

    /// The application failed at a QoS 2 message: the next PUBLISH of it is delivered again.
    pub(super) fn handle_failed_qos2(&mut self, packet_id: u16, epoch: u32) {
        if let Some(Incoming { stage, .. }) = self.qos2.get_mut(&packet_id)
            && matches!(stage, Stage::Delivered { on } if *on == epoch)
        {
            *stage = Stage::Undelivered;
        }
    }

    /// The messages that the application has not acknowledged never got to it.
    pub(super) fn forget_unacknowledged(&mut self) {
        self.qos2.retain(|_, known| matches!(known.stage, Stage::Acknowledged));
    }

    /// PUBLISH of QoS 2 came on connection `epoch`: what is due, and whether it counts.
    pub(super) fn handle_publish_qos2(&mut self, packet_id: u16, epoch: u32) -> (Answer, bool) {
        let mut counts = true;
        let known = match self.qos2.entry(packet_id) {
            Entry::Vacant(entry) => {
                entry.insert(Incoming { stage: Stage::Undelivered, counted_on: epoch })
            }
            Entry::Occupied(entry) => {
                let known = entry.into_mut();
                counts = std::mem::replace(&mut known.counted_on, epoch) != epoch;
                known
            }
        };
        let answer = match known.stage {
            Stage::Undelivered => {
                known.stage = Stage::Delivered { on: epoch };
                Answer::Deliver
            }
            Stage::Delivered { .. } => Answer::Wait,
            Stage::Acknowledged => Answer::PubRec,
        };
        (answer, counts)
    }

    /// A server of MQTT 3.1 does not say whether it kept the session. What it sends as new is new:
    /// a kept message would have come with DUP.
    pub(super) fn forget_qos2_before(&mut self, packet_id: u16, epoch: u32) {
        if self.qos2.get(&packet_id).is_some_and(|known| known.counted_on != epoch) {
            self.qos2.remove(&packet_id);
        }
    }

    /// PUBREL came on connection `epoch`: whether the message is known. It is over.
    pub(super) fn handle_release(&mut self, packet_id: u16, epoch: u32) -> bool {
        let Some(released) = self.qos2.remove(&packet_id) else {
            return false;
        };
        if released.counted_on == epoch {
            self.unacknowledged = self.unacknowledged.saturating_sub(1);
        }
        true
    }

    /// Identifiers of the QoS 2 messages that the server has not released, and whether the application
    /// has acknowledged them.
    pub(super) fn unreleased(&self) -> impl Iterator<Item = (u16, bool)> {
        let through = |known: &Incoming| matches!(known.stage, Stage::Acknowledged);
        self.qos2.iter().map(move |(packet_id, known)| (*packet_id, through(known)))
    }

    /// The topic a PUBLISH means: its own, or the one its alias stands for [MQTT-3.3.2-10].
    pub(super) fn resolve_alias(
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
        if self.aliased > limits.held { Err(PeerError::HoldsTooMuch) } else { Ok(None) }
    }
}
