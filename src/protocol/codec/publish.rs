//! PUBLISH, the packet that carries messages: one slice of the receive buffer in, straight into the
//! out-buffer on the way out.

use bytes::Bytes;

use super::frame::packet_len;
use super::primitives::{Reader, keep, parse_variable, put_variable, variable_len};
use super::property_list::validate;
use super::{
    DecodeError, EncodeError, MAX_REMAINING_LENGTH, PacketType, Properties, PropertyContext,
    PropertyId, PropertyIter, PropertyValue, QoS, Version,
};

const DUP: u8 = 0b1000;
const RETAIN: u8 = 0b0001;
const CONTEXT: PropertyContext = PropertyContext::Packet(PacketType::Publish);

/// A received PUBLISH: its body and where things are in it, so one reference for each message.
#[derive(Clone, PartialEq, Eq)]
pub struct Publish {
    body: Bytes,
    properties_start: u32,
    payload_start: u32,
    topic_len: u16,
    packet_id: u16,
    qos: QoS,
    first: u8,
}

impl Publish {
    /// Decodes the body of a PUBLISH. `body` lies in `source`, which the result keeps alive.
    #[inline]
    pub fn decode(
        version: Version,
        first: u8,
        body: &[u8],
        source: &Bytes,
    ) -> Result<Self, DecodeError> {
        let qos = QoS::from_bits(first >> 1).ok_or(DecodeError::Malformed("QoS 3"))?; // [MQTT-3.3.1-4]
        if qos == QoS::AtMostOnce && first & DUP != 0 {
            return Err(DecodeError::Malformed("DUP with QoS 0")); // [MQTT-3.3.1-2]
        }
        let mut reader = Reader::new(body);
        let topic = reader.binary()?;
        check_topic_name(topic)?;
        let mut properties_start = 2 + topic.len();
        let mut packet_id = 0;
        if qos != QoS::AtMostOnce {
            packet_id = reader.packet_id()?;
            properties_start += 2;
        }
        let mut payload_start = properties_start;
        let mut list: &[u8] = &[];
        if version.has_properties() {
            list = reader.property_list()?;
            properties_start += variable_len(list.len());
            payload_start = properties_start + list.len();
            if !list.is_empty() {
                validate(CONTEXT, list)?;
            }
        }
        if topic.is_empty() && PropertyIter::new(list).find(PropertyId::TopicAlias).is_none() {
            return Err(DecodeError::Protocol("empty topic without a topic alias"));
        }
        // A body is at most MAX_REMAINING_LENGTH long, a topic at most 65,535: the casts are exact.
        Ok(Self {
            body: keep(body, source),
            properties_start: properties_start as u32,
            payload_start: payload_start as u32,
            topic_len: topic.len() as u16,
            packet_id,
            qos,
            first,
        })
    }

    /// Whether this may be a repeated delivery.
    pub fn dup(&self) -> bool {
        self.first & DUP != 0
    }

    /// The quality of service.
    pub fn qos(&self) -> QoS {
        self.qos
    }

    /// Whether it is a retained message, or is to be retained.
    pub fn retain(&self) -> bool {
        self.first & RETAIN != 0
    }

    /// The packet identifier; 0 for QoS 0, which has none.
    pub fn packet_id(&self) -> u16 {
        self.packet_id
    }

    /// The topic name, checked when it was decoded; empty when a topic alias stands in for it.
    pub fn topic_bytes(&self) -> &[u8] {
        self.part(2, 2 + usize::from(self.topic_len))
    }

    /// The topic name as text. Walks over the bytes again; a cache wants [`Self::topic_bytes`].
    pub fn topic(&self) -> &str {
        std::str::from_utf8(self.topic_bytes()).unwrap_or_default()
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        self.body.get(self.payload_start as usize..).unwrap_or_default()
    }

    /// The payload as a slice that shares the receive buffer.
    pub fn payload_bytes(&self) -> Bytes {
        keep(self.payload(), &self.body)
    }

    /// The encoded property list without its length.
    pub fn properties_bytes(&self) -> &[u8] {
        self.part(self.properties_start as usize, self.payload_start as usize)
    }

    /// The properties, shared.
    pub fn properties(&self) -> Properties {
        Properties::from_validated(keep(self.properties_bytes(), &self.body))
    }

    /// The properties in the order of the list, without taking a reference.
    pub fn iter_properties(&self) -> PropertyIter<'_> {
        PropertyIter::new(self.properties_bytes())
    }

    /// The Topic Alias among the properties.
    pub fn topic_alias(&self) -> Option<u16> {
        match self.iter_properties().find(PropertyId::TopicAlias) {
            Some(PropertyValue::TwoByte(alias)) => Some(alias),
            _ => None,
        }
    }

    /// The length of the packet behind its fixed header.
    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    /// The same message in an allocation of its own, so that the receive buffer can be freed.
    pub fn detach(&self) -> Self {
        Self { body: Bytes::copy_from_slice(&self.body), ..*self }
    }

    /// The message as the encoder takes it.
    pub fn parts(&self) -> PublishParts<'_> {
        PublishParts {
            dup: self.dup(),
            qos: self.qos,
            retain: self.retain(),
            topic: self.topic(),
            packet_id: self.packet_id,
            properties: self.properties_bytes(),
            payload: self.payload(),
        }
    }

    fn part(&self, start: usize, end: usize) -> &[u8] {
        self.body.get(start..end).unwrap_or_default()
    }
}

impl std::fmt::Debug for Publish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publish")
            .field("dup", &self.dup())
            .field("qos", &self.qos)
            .field("retain", &self.retain())
            .field("topic", &self.topic())
            .field("packet_id", &self.packet_id)
            .field("properties", &self.properties())
            .field("payload_len", &self.payload().len())
            .finish()
    }
}

/// A PUBLISH to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishParts<'a> {
    /// Whether this may be a repeated delivery.
    pub dup: bool,
    /// The quality of service.
    pub qos: QoS,
    /// Whether it is a retained message, or is to be retained.
    pub retain: bool,
    /// The topic name; may be empty if the properties have a Topic Alias.
    pub topic: &'a str,
    /// Ignored for QoS 0.
    pub packet_id: u16,
    /// The encoded property list without its length; empty before MQTT 5.0.
    pub properties: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

impl PublishParts<'_> {
    #[inline]
    fn remaining(&self, version: Version) -> usize {
        let packet_id = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let properties = if version.has_properties() {
            variable_len(self.properties.len()) + self.properties.len()
        } else {
            0
        };
        2 + self.topic.len() + packet_id + properties + self.payload.len()
    }
}

/// How many bytes [`encode_publish`] writes.
#[inline]
pub fn publish_size(version: Version, parts: &PublishParts<'_>) -> usize {
    packet_len(parts.remaining(version))
}

/// Appends a PUBLISH to `out`; on an error `out` stays as it was.
///
/// The characters of the topic are the caller's to check, with
/// [`topic::is_valid_name`](crate::topic::is_valid_name).
#[inline]
pub fn encode_publish(
    out: &mut Vec<u8>,
    version: Version,
    parts: &PublishParts<'_>,
) -> Result<(), EncodeError> {
    let remaining = parts.remaining(version);
    if remaining > MAX_REMAINING_LENGTH {
        return Err(EncodeError::PacketTooLarge);
    }
    let Ok(topic_len) = u16::try_from(parts.topic.len()) else {
        return Err(EncodeError::FieldTooLong("topic"));
    };
    if topic_len == 0 {
        check_alias(version, parts)?;
    }
    if !version.has_properties() && !parts.properties.is_empty() {
        return Err(EncodeError::NotInVersion("properties"));
    }
    let with_id = parts.qos != QoS::AtMostOnce;
    if with_id && parts.packet_id == 0 {
        return Err(EncodeError::PacketIdentifierZero);
    }
    out.try_reserve(packet_len(remaining))?;
    out.push(
        PacketType::Publish.first_byte()
            | u8::from(parts.dup && with_id) << 3
            | (parts.qos as u8) << 1
            | u8::from(parts.retain),
    );
    put_variable(out, remaining);
    out.extend_from_slice(&topic_len.to_be_bytes());
    out.extend_from_slice(parts.topic.as_bytes());
    if with_id {
        out.extend_from_slice(&parts.packet_id.to_be_bytes());
    }
    if version.has_properties() {
        put_variable(out, parts.properties.len());
        out.extend_from_slice(parts.properties);
    }
    out.extend_from_slice(parts.payload);
    Ok(())
}

/// An empty topic needs a topic alias, which MQTT 5.0 brought (3.3.2.3.4).
#[cold]
fn check_alias(version: Version, parts: &PublishParts<'_>) -> Result<(), EncodeError> {
    let aliased = version.has_properties()
        && PropertyIter::new(parts.properties).find(PropertyId::TopicAlias).is_some();
    if aliased { Ok(()) } else { Err(EncodeError::EmptyTopic) }
}

/// The Topic Alias of an encoded PUBLISH of MQTT 5.0 whose property length stands at `at`.
pub fn encoded_topic_alias(packet: &[u8], at: usize) -> Option<u16> {
    let rest = packet.get(at..)?;
    if rest.first() == Some(&0) {
        return None;
    }
    let (len, start) = parse_variable(rest).ok()??;
    let list = rest.get(start..start + len as usize)?;
    match PropertyIter::new(list).find(PropertyId::TopicAlias) {
        Some(PropertyValue::TwoByte(alias)) => Some(alias),
        _ => None,
    }
}

/// A topic name is UTF-8 without U+0000 and without wildcards [MQTT-3.3.2-1, MQTT-3.3.2-2].
#[inline]
fn check_topic_name(topic: &[u8]) -> Result<(), DecodeError> {
    let mut special = false;
    let mut ascii = true;
    for &byte in topic {
        special |= matches!(byte, 0 | b'+' | b'#');
        ascii &= byte.is_ascii();
    }
    if special {
        return Err(DecodeError::Malformed("wildcard or U+0000 in the topic name"));
    }
    if !ascii && std::str::from_utf8(topic).is_err() {
        return Err(DecodeError::Malformed("topic name is not well-formed UTF-8"));
    }
    Ok(())
}
