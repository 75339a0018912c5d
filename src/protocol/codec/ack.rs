//! PUBACK, PUBREC, PUBREL and PUBCOMP: a packet identifier and, in MQTT 5.0, a reason.

use bytes::Bytes;

use super::frame::packet_len;
use super::primitives::{Reader, put_variable, variable_len};
use super::{
    DecodeError, MAX_REMAINING_LENGTH, PacketType, Properties, PropertyContext, ReasonCode, Version,
};

/// Which of the four acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AckKind {
    /// PUBACK, the answer to PUBLISH with QoS 1.
    PubAck,
    /// PUBREC, the first answer to PUBLISH with QoS 2.
    PubRec,
    /// PUBREL, the sender's answer to PUBREC.
    PubRel,
    /// PUBCOMP, the answer to PUBREL.
    PubComp,
}

impl AckKind {
    /// The packet type of this acknowledgement.
    pub const fn packet_type(self) -> PacketType {
        match self {
            Self::PubAck => PacketType::PubAck,
            Self::PubRec => PacketType::PubRec,
            Self::PubRel => PacketType::PubRel,
            Self::PubComp => PacketType::PubComp,
        }
    }
}

/// An acknowledgement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ack {
    /// Which packet it acknowledges.
    pub packet_id: u16,
    /// Success, or why the message was refused; always success before MQTT 5.0.
    pub reason: ReasonCode,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
}

impl Ack {
    /// An acknowledgement that says success.
    pub fn new(packet_id: u16) -> Self {
        Self { packet_id, ..Self::default() }
    }

    /// Decodes the body. In MQTT 5.0 the reason may be missing, which means success, and so may the
    /// property length (3.4.2.1, 3.4.2.2.1).
    #[inline]
    pub fn decode(
        version: Version,
        kind: AckKind,
        body: &[u8],
        source: &Bytes,
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let mut ack = Self::new(reader.packet_id()?);
        if version.has_properties() && !reader.is_empty() {
            // [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1]
            ack.reason = ReasonCode(reader.byte()?).checked(kind.packet_type())?;
            if !reader.is_empty() {
                let context = PropertyContext::Packet(kind.packet_type());
                ack.properties = Properties::decode(context, reader.property_list()?, source)?;
            }
        }
        reader.finish()?;
        Ok(ack)
    }
}

/// Appends an acknowledgement: four bytes before MQTT 5.0 and for a success without properties.
///
/// `properties` is an encoded list without its length. The reason and the properties have no place
/// before MQTT 5.0 and are left out there.
#[inline]
pub fn encode_ack(
    out: &mut Vec<u8>,
    version: Version,
    kind: AckKind,
    packet_id: u16,
    reason: ReasonCode,
    properties: &[u8],
) {
    let first = kind.packet_type().first_byte();
    let [high, low] = packet_id.to_be_bytes();
    if !version.has_properties() || (reason == ReasonCode::SUCCESS && properties.is_empty()) {
        out.extend_from_slice(&[first, 2, high, low]);
    } else {
        encode_reasoned(out, [first, high, low], reason, properties);
    }
}

#[cold]
fn encode_reasoned(
    out: &mut Vec<u8>,
    [first, high, low]: [u8; 3],
    reason: ReasonCode,
    properties: &[u8],
) {
    let remaining = 3 + variable_len(properties.len()) + properties.len();
    if properties.is_empty() || remaining > MAX_REMAINING_LENGTH {
        out.extend_from_slice(&[first, 3, high, low, reason.0]);
        return;
    }
    out.reserve(packet_len(remaining));
    out.push(first);
    put_variable(out, remaining);
    out.extend_from_slice(&[high, low, reason.0]);
    put_variable(out, properties.len());
    out.extend_from_slice(properties);
}
