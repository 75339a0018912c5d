//! What both sides allow each other on the current connection.

use bytestring::ByteString;

use crate::codec::{Properties, QoS, ReasonCode};

use super::error::{LocalError, PeerError};

/// What the session may hold of topics behind the server's aliases: this much, or four of the largest
/// packets.
const LEAST_HELD: usize = 16 << 20;
/// What the properties of a packet may take: this much, or a sixteenth of the largest packet.
const LEAST_PROPERTIES: usize = 128 << 10;

/// Limits the server announced in CONNACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// QoS 1 and 2 messages that may be unacknowledged.
    pub receive_maximum: u16,
    /// The highest QoS that the server supports.
    pub maximum_qos: QoS,
    /// Whether the server supports retained messages.
    pub retain_available: bool,
    /// The largest packet that the server accepts, in bytes.
    pub maximum_packet_size: usize,
    /// The largest topic alias that the server accepts; 0 means none.
    pub topic_alias_maximum: u16,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            receive_maximum: u16::MAX,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            maximum_packet_size: usize::MAX,
            topic_alias_maximum: u16::MAX,
        }
    }
}

impl ServerLimits {
    /// Absent properties stand for their defaults [MQTT-3.2.2.3].
    pub fn from_connack(properties: &Properties) -> Self {
        Self {
            receive_maximum: properties.receive_maximum().unwrap_or(u16::MAX),
            maximum_qos: properties.maximum_qos().unwrap_or(QoS::ExactlyOnce),
            retain_available: properties.retain_available().unwrap_or(true),
            maximum_packet_size: properties
                .maximum_packet_size()
                .map_or(usize::MAX, |size| size as usize),
            topic_alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
        }
    }

    /// Whether a PUBLISH with this Topic Alias may go to this server
    /// [MQTT-3.2.2-17], [MQTT-3.2.2-18].
    pub fn admit_alias(&self, alias: Option<u16>) -> Result<(), LocalError> {
        if alias > Some(self.topic_alias_maximum) {
            Err(LocalError::TopicAliasInvalid)
        } else {
            Ok(())
        }
    }

    /// Whether a PUBLISH of these traits may go to this server
    /// [MQTT-3.2.2-11], [MQTT-3.2.2-14], [MQTT-3.2.2-15].
    pub fn admit(&self, qos: QoS, retain: bool, size: usize) -> Result<(), LocalError> {
        if qos > self.maximum_qos {
            Err(LocalError::QosNotSupported)
        } else if retain && !self.retain_available {
            Err(LocalError::RetainNotSupported)
        } else if size > self.maximum_packet_size {
            Err(LocalError::PacketTooLarge)
        } else {
            Ok(())
        }
    }
}

impl LocalError {
    /// The reason code that a server would have answered with.
    pub fn reason_code(self) -> ReasonCode {
        match self {
            Self::QosNotSupported => ReasonCode::QOS_NOT_SUPPORTED,
            Self::RetainNotSupported => ReasonCode::RETAIN_NOT_SUPPORTED,
            Self::PacketTooLarge => ReasonCode::PACKET_TOO_LARGE,
            Self::TopicAliasInvalid => ReasonCode::TOPIC_ALIAS_INVALID,
            Self::QueueFull => ReasonCode::QUOTA_EXCEEDED,
            Self::NotConnected | Self::NoPacketIdentifier | Self::OutOfMemory => {
                ReasonCode::UNSPECIFIED_ERROR
            }
        }
    }
}

/// What this client announced in CONNECT; the server must keep to it.
#[derive(Clone, Debug)]
pub(super) struct ClientLimits {
    /// Without one only the server's identifiers have an end, and mosquitto with
    /// `max_inflight_messages 65535` uses them again before they are free.
    pub receive_maximum: Option<u16>,
    pub topic_alias_maximum: u16,
    pub maximum_packet_size: usize,
    /// Bytes of the properties of one packet: as Python objects they take up to sixteen times that.
    pub properties: usize,
    /// Bytes of topics behind aliases.
    pub held: usize,
    /// Whether Reason Strings and User Properties are welcome everywhere.
    pub problem_information: bool,
    pub authentication_method: Option<ByteString>,
}

impl ClientLimits {
    /// Whether a packet with these properties may come: without Request Problem Information it has
    /// neither Reason String nor User Property [MQTT-3.1.2-29].
    pub(super) fn check_problem_information(
        &self,
        properties: &Properties,
    ) -> Result<(), PeerError> {
        if self.problem_information
            || properties.reason_string().is_none() && properties.user_properties().next().is_none()
        {
            Ok(())
        } else {
            Err(PeerError::Protocol("problem information that was not asked for"))
        }
    }

    /// `maximum_packet_size` holds where CONNECT announces none.
    pub(super) fn from_connect(properties: &Properties, maximum_packet_size: usize) -> Self {
        let announced = properties.maximum_packet_size().map(|size| size as usize);
        let maximum_packet_size = announced.unwrap_or(maximum_packet_size);
        Self {
            receive_maximum: properties.receive_maximum(),
            topic_alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
            maximum_packet_size,
            properties: (maximum_packet_size / 16).max(LEAST_PROPERTIES),
            held: maximum_packet_size.saturating_mul(4).max(LEAST_HELD),
            problem_information: properties.request_problem_information().unwrap_or(true),
            authentication_method: properties.authentication_method().map(ByteString::from),
        }
    }
}
