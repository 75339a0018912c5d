//! An application message on its way through the broker.

use std::time::{Duration, Instant};

use bytes::Bytes;
use bytestring::ByteString;

use super::memory::{Kept, Memory};
use oxmqtt_protocol::codec::{
    EncodeError, PacketType, Properties, PropertiesBuilder, PropertyId, PropertyValue, Publish,
    PublishParts, QoS, Version, encode_publish, parse_frame,
};

/// An application message. Its PUBLISH never has a topic alias.
#[derive(Clone, Debug)]
pub struct Message {
    pub publish: Publish,
    /// The client that sent it; empty for the broker's own.
    pub publisher: ByteString,
    /// The protocol version that it came by.
    pub version: Version,
    pub(super) expires: Option<Instant>,
    kept: Kept,
}

impl Message {
    pub(super) fn new(
        publish: Publish,
        publisher: ByteString,
        version: Version,
        memory: &Memory,
        now: Instant,
    ) -> Self {
        let kept = memory.keep(size_of::<Self>() + publish.body_len());
        let expires = match publish.iter_properties().find(PropertyId::MessageExpiryInterval) {
            Some(PropertyValue::FourByte(seconds)) => {
                now.checked_add(Duration::from_secs(seconds.into()))
            }
            _ => None,
        };
        Self { publish, publisher, version, expires, kept }
    }

    /// Bytes that it takes.
    pub(super) fn size(&self) -> usize {
        self.kept.bytes()
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    /// The same in an allocation of its own, for one that is kept for long.
    pub(super) fn detach(&self) -> Self {
        Self { publish: self.publish.detach(), ..self.clone() }
    }

    /// The property list for an MQTT 5.0 client: the rest of the expiry interval [MQTT-3.3.2-6], and
    /// the identifiers of its subscriptions [MQTT-3.3.4-3]. `None` when it is as it came.
    pub(super) fn rewritten_properties(&self, ids: &[u32], now: Instant) -> Option<Properties> {
        if ids.is_empty() && self.expires.is_none() {
            return None;
        }
        let mut list = PropertiesBuilder::new(PacketType::Publish);
        for (id, value) in self.publish.iter_properties() {
            let value = match (id, self.expires) {
                (PropertyId::MessageExpiryInterval, Some(at)) => {
                    let left = at.saturating_duration_since(now).as_secs_f64().ceil();
                    PropertyValue::FourByte(left as u32)
                }
                _ => value,
            };
            // What was decoded can be encoded.
            let _ = list.push(id, value);
        }
        for id in ids {
            let _ = list.push(PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(*id));
        }
        Some(list.build())
    }
}

/// A PUBLISH made of its parts, as if it had been received.
pub(super) fn make_publish(
    version: Version,
    parts: &PublishParts<'_>,
) -> Result<Publish, EncodeError> {
    let mut packet = Vec::new();
    encode_publish(&mut packet, version, parts)?;
    let packet = Bytes::from(packet);
    let frame = parse_frame(&packet).ok().flatten().ok_or(EncodeError::PacketTooLarge)?;
    let body = packet.get(frame.header_len..).unwrap_or_default();
    Publish::decode(version, frame.first, body, &packet).map_err(EncodeError::Properties)
}

/// The PUBLISH with the topic that its alias stands for.
pub(super) fn with_topic(publish: &Publish, topic: &str) -> Result<Publish, EncodeError> {
    let mut list = PropertiesBuilder::new(PacketType::Publish);
    for (id, value) in publish.iter_properties() {
        if id != PropertyId::TopicAlias {
            list.push(id, value)?;
        }
    }
    let properties = list.build();
    let parts = PublishParts { topic, properties: properties.as_bytes(), ..publish.parts() };
    make_publish(Version::V5, &parts)
}

/// The lower of what was published and what was subscribed to (3.8.4).
pub(super) fn lower(a: QoS, b: QoS) -> QoS {
    a.min(b)
}
