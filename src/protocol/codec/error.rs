//! What can be wrong: with bytes of the peer ([`DecodeError`]), with a call ([`EncodeError`]).

use std::collections::TryReserveError;

use super::{PacketType, PropertyId, REASON_CODES, ReasonCode};

/// Bytes of the peer that the standard forbids. The connection must be closed; in MQTT 5.0 a
/// DISCONNECT with [`reason_code`](Self::reason_code) goes first [MQTT-4.13.1-1].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The packet cannot be parsed.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// The packet can be parsed and breaks a rule.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// The topic alias is zero [MQTT-3.3.2-8].
    #[error("topic alias invalid")]
    TopicAliasInvalid,
    /// The packet is larger than the receiver allows.
    #[error("packet too large")]
    PacketTooLarge,
    /// CONNECT names a protocol this codec does not speak [MQTT-3.1.2-2].
    #[error("unsupported protocol version")]
    UnsupportedProtocolVersion,
}

impl DecodeError {
    /// The reason code that tells the peer.
    pub const fn reason_code(self) -> ReasonCode {
        match self {
            Self::Malformed(_) => ReasonCode::MALFORMED_PACKET,
            Self::Protocol(_) => ReasonCode::PROTOCOL_ERROR,
            Self::TopicAliasInvalid => ReasonCode::TOPIC_ALIAS_INVALID,
            Self::PacketTooLarge => ReasonCode::PACKET_TOO_LARGE,
            Self::UnsupportedProtocolVersion => ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
        }
    }
}

/// A packet that cannot be written as asked: the caller's fault. The out-buffer is left as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The remaining length would exceed 268,435,455.
    #[error("packet too large")]
    PacketTooLarge,
    /// A string or binary field is longer than 65,535 bytes.
    #[error("{0} is longer than 65,535 bytes")]
    FieldTooLong(&'static str),
    /// A string contains U+0000 [MQTT-1.5.4-2].
    #[error("{0} contains U+0000")]
    NulCharacter(&'static str),
    /// The packet identifier is zero [MQTT-2.2.1-3].
    #[error("packet identifier is zero")]
    PacketIdentifierZero,
    /// The topic is empty, and no topic alias stands in for it.
    #[error("empty topic")]
    EmptyTopic,
    /// SUBSCRIBE, UNSUBSCRIBE or SUBACK without an entry.
    #[error("{0} is empty")]
    EmptyList(&'static str),
    /// Before MQTT 5.0 a password needs a user name [MQTT-3.1.2-22 of 3.1.1].
    #[error("password without user name")]
    PasswordWithoutUsername,
    /// The protocol version has no such thing.
    #[error("{0} not available in this protocol version")]
    NotInVersion(&'static str),
    /// The property does not belong to this packet.
    #[error("property {0:?} is not allowed here")]
    PropertyNotAllowed(PropertyId),
    /// The property may be given only once.
    #[error("property {0:?} is given twice")]
    PropertyRepeated(PropertyId),
    /// The value has another type than the property.
    #[error("property {0:?} has a value of the wrong type")]
    PropertyKind(PropertyId),
    /// The value is outside the range of the property.
    #[error("property {0:?} has a value out of range")]
    PropertyValue(PropertyId),
    /// Encoded properties that do not hold what they should.
    #[error("properties: {0}")]
    Properties(DecodeError),
    /// There is no memory for the packet.
    #[error("out of memory")]
    OutOfMemory,
}

impl From<TryReserveError> for EncodeError {
    fn from(_: TryReserveError) -> Self {
        Self::OutOfMemory
    }
}

impl ReasonCode {
    /// The code, if a received packet of this type may carry it: one of the standard that belongs
    /// elsewhere is a protocol error, any other cannot be understood.
    pub(super) fn checked(self, packet: PacketType) -> Result<Self, DecodeError> {
        if self == Self::SUCCESS || self.is_known(packet) {
            Ok(self)
        } else if REASON_CODES.iter().any(|row| row.value == self.0) {
            Err(DecodeError::Protocol("reason code of another packet"))
        } else {
            Err(DecodeError::Malformed("unknown reason code"))
        }
    }
}
