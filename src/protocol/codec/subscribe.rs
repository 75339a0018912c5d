//! SUBSCRIBE and UNSUBSCRIBE with their acknowledgements.

use bytes::Bytes;
use bytestring::ByteString;

use super::frame::write_packet;
use super::primitives::{Reader, keep, keep_text, put_text};
use super::properties::{put_properties, read_properties};
use super::{DecodeError, EncodeError, PacketType, Properties, QoS, ReasonCode, Version};
use crate::topic;

/// When the server sends retained messages for a subscription.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RetainHandling {
    /// Whenever the client subscribes.
    #[default]
    SendOnSubscribe = 0,
    /// Only if the subscription did not exist before.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

impl TryFrom<u8> for RetainHandling {
    type Error = u8;

    fn try_from(value: u8) -> Result<Self, u8> {
        match value {
            0 => Ok(Self::SendOnSubscribe),
            1 => Ok(Self::SendIfNew),
            2 => Ok(Self::DoNotSend),
            other => Err(other),
        }
    }
}

/// What a subscription asks for. Before MQTT 5.0 there is only the QoS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SubscriptionOptions {
    /// The highest QoS with which the server sends messages.
    pub qos: QoS,
    /// Leave out messages that this client published.
    pub no_local: bool,
    /// Leave the RETAIN flag as it was published.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

impl SubscriptionOptions {
    /// The options byte of SUBSCRIBE; before MQTT 5.0 the QoS alone.
    pub const fn to_byte(self, version: Version) -> u8 {
        let qos = self.qos as u8;
        if !version.has_properties() {
            return qos;
        }
        qos | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << 4
    }

    /// Reads the options byte.
    pub fn from_byte(version: Version, byte: u8) -> Result<Self, DecodeError> {
        let reserved = if version.has_properties() { 0xc0 } else { 0xfc };
        if byte & reserved != 0 {
            // [MQTT-3.8.3-5]; [MQTT-3-8.3-4] of 3.1.1
            return Err(DecodeError::Malformed("reserved bits of the subscription options"));
        }
        let qos = QoS::from_bits(byte).ok_or(DecodeError::Protocol("subscription with QoS 3"))?;
        let retain_handling = RetainHandling::try_from(byte >> 4)
            .map_err(|_| DecodeError::Protocol("retain handling 3"))?;
        Ok(Self {
            qos,
            no_local: byte & 0x04 != 0,
            retain_as_published: byte & 0x08 != 0,
            retain_handling,
        })
    }
}

/// SUBSCRIBE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscribe {
    /// The packet identifier, which SUBACK repeats.
    pub packet_id: u16,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
    /// The topic filters, at least one, each with its options.
    pub filters: Vec<(ByteString, SubscriptionOptions)>,
}

impl Subscribe {
    /// Decodes the body.
    pub fn decode(version: Version, body: &[u8], source: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let properties =
            read_properties(&mut reader, version, PacketType::Subscribe.into(), source)?;
        if reader.is_empty() {
            return Err(DecodeError::Protocol("SUBSCRIBE without a topic filter")); // [MQTT-3.8.3-2]
        }
        let mut filters = Vec::new();
        while !reader.is_empty() {
            let filter = read_filter(&mut reader)?;
            let options = SubscriptionOptions::from_byte(version, reader.byte()?)?;
            if version.has_properties() && topic::is_shared(filter) {
                if topic::parse_shared(filter).is_none() {
                    // [MQTT-4.8.2-1, MQTT-4.8.2-2]
                    return Err(DecodeError::Malformed("shared subscription without its parts"));
                }
                if options.no_local {
                    return Err(DecodeError::Protocol("no local on a shared subscription")); // [MQTT-3.8.3-4]
                }
            }
            filters.push((keep_text(filter, source), options));
        }
        Ok(Self { packet_id, properties, filters })
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write_packet(out, PacketType::Subscribe.first_byte(), |body| {
            put_request(body, version, self.packet_id, &self.properties)?;
            if self.filters.is_empty() {
                return Err(EncodeError::EmptyList("SUBSCRIBE"));
            }
            for (filter, options) in &self.filters {
                put_filter(body, filter)?;
                body.push(options.to_byte(version));
            }
            Ok(())
        })
    }
}

/// UNSUBSCRIBE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The packet identifier, which UNSUBACK repeats.
    pub packet_id: u16,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
    /// The topic filters, at least one.
    pub filters: Vec<ByteString>,
}

impl Unsubscribe {
    /// Decodes the body.
    pub fn decode(version: Version, body: &[u8], source: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let properties =
            read_properties(&mut reader, version, PacketType::Unsubscribe.into(), source)?;
        if reader.is_empty() {
            return Err(DecodeError::Protocol("UNSUBSCRIBE without a topic filter")); // [MQTT-3.10.3-2]
        }
        let mut filters = Vec::new();
        while !reader.is_empty() {
            filters.push(keep_text(read_filter(&mut reader)?, source));
        }
        Ok(Self { packet_id, properties, filters })
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write_packet(out, PacketType::Unsubscribe.first_byte(), |body| {
            put_request(body, version, self.packet_id, &self.properties)?;
            if self.filters.is_empty() {
                return Err(EncodeError::EmptyList("UNSUBSCRIBE"));
            }
            self.filters.iter().try_for_each(|filter| put_filter(body, filter))
        })
    }
}

/// SUBACK: one reason code for each topic filter, in the order of the SUBSCRIBE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubAck {
    /// The packet identifier of the SUBSCRIBE.
    pub packet_id: u16,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
    /// The reason codes, one byte each.
    pub reasons: Bytes,
}

impl SubAck {
    /// Decodes the body.
    pub fn decode(version: Version, body: &[u8], source: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let properties = read_properties(&mut reader, version, PacketType::SubAck.into(), source)?;
        let reasons = reader.remainder();
        if reasons.is_empty() {
            return Err(DecodeError::Protocol("SUBACK without a reason code"));
        }
        if !version.has_properties() && !reasons.iter().all(|code| matches!(code, 0..=2 | 0x80)) {
            return Err(DecodeError::Malformed("reserved return code in SUBACK")); // [MQTT-3.9.3-2] of 3.1.1
        }
        if version.has_properties() {
            for code in reasons {
                ReasonCode(*code).checked(PacketType::SubAck)?; // [MQTT-3.9.3-2]
            }
        }
        Ok(Self { packet_id, properties, reasons: keep(reasons, source) })
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.reasons.is_empty() {
            return Err(EncodeError::EmptyList("SUBACK"));
        }
        write_packet(out, PacketType::SubAck.first_byte(), |body| {
            put_request(body, version, self.packet_id, &self.properties)?;
            body.extend_from_slice(&self.reasons);
            Ok(())
        })
    }

    /// The reason codes, one for each topic filter.
    pub fn reason_codes(&self) -> impl ExactSizeIterator<Item = ReasonCode> + '_ {
        self.reasons.iter().copied().map(ReasonCode)
    }
}

/// UNSUBACK. Before MQTT 5.0 it has no reason codes; whether their number fits the UNSUBSCRIBE is
/// for the session to say. Codes that the standard does not know are kept: nothing depends on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnsubAck {
    /// The packet identifier of the UNSUBSCRIBE.
    pub packet_id: u16,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
    /// The reason codes, one byte each.
    pub reasons: Bytes,
}

impl UnsubAck {
    /// Decodes the body.
    pub fn decode(version: Version, body: &[u8], source: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let properties =
            read_properties(&mut reader, version, PacketType::UnsubAck.into(), source)?;
        let mut reasons = Bytes::new();
        if version.has_properties() {
            reasons = keep(reader.remainder(), source);
        }
        reader.finish()?;
        Ok(Self { packet_id, properties, reasons })
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write_packet(out, PacketType::UnsubAck.first_byte(), |body| {
            put_request(body, version, self.packet_id, &self.properties)?;
            if version.has_properties() {
                body.extend_from_slice(&self.reasons);
            }
            Ok(())
        })
    }

    /// The reason codes, one for each topic filter; none before MQTT 5.0.
    pub fn reason_codes(&self) -> impl ExactSizeIterator<Item = ReasonCode> + '_ {
        self.reasons.iter().copied().map(ReasonCode)
    }
}

/// What all four packets begin with.
fn put_request(
    body: &mut Vec<u8>,
    version: Version,
    packet_id: u16,
    properties: &Properties,
) -> Result<(), EncodeError> {
    if packet_id == 0 {
        return Err(EncodeError::PacketIdentifierZero);
    }
    body.extend_from_slice(&packet_id.to_be_bytes());
    put_properties(body, version, properties.as_bytes())
}

fn put_filter(body: &mut Vec<u8>, filter: &str) -> Result<(), EncodeError> {
    if filter.is_empty() {
        return Err(EncodeError::EmptyTopic);
    }
    put_text(body, filter, "topic filter")
}

fn read_filter<'a>(reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let filter = reader.text()?;
    if topic::is_valid_filter(filter) {
        Ok(filter)
    } else {
        Err(DecodeError::Malformed("not a topic filter")) // [MQTT-4.7.1-1 to 4.7.3-1]
    }
}
