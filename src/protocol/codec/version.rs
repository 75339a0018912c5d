//! The protocol versions and the quality of service levels.

/// A protocol version this codec speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// MQTT 3.1
    V31,
    /// MQTT 3.1.1
    V311,
    /// MQTT 5.0
    V5,
}

impl Version {
    /// The protocol level of CONNECT.
    pub const fn level(self) -> u8 {
        match self {
            Self::V31 => 3,
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }

    /// The version of a protocol level (without the bridge bit 0x80).
    pub const fn from_level(level: u8) -> Option<Self> {
        match level {
            3 => Some(Self::V31),
            4 => Some(Self::V311),
            5 => Some(Self::V5),
            _ => None,
        }
    }

    /// The protocol name of CONNECT.
    pub const fn protocol_name(self) -> &'static str {
        match self {
            Self::V31 => "MQIsdp",
            Self::V311 | Self::V5 => "MQTT",
        }
    }

    /// Whether packets carry properties and reason codes.
    pub const fn has_properties(self) -> bool {
        matches!(self, Self::V5)
    }
}

/// Quality of service: how often a message may arrive.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QoS {
    /// QoS 0: it may be lost.
    #[default]
    AtMostOnce = 0,
    /// QoS 1: it arrives, perhaps more than once.
    AtLeastOnce = 1,
    /// QoS 2: it arrives exactly once.
    ExactlyOnce = 2,
}

impl QoS {
    /// The level of the two low bits; `None` for 3, which no packet may carry [MQTT-3.3.1-4].
    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 3 {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

impl TryFrom<u8> for QoS {
    type Error = u8;

    fn try_from(value: u8) -> Result<Self, u8> {
        match value {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            other => Err(other),
        }
    }
}

impl From<QoS> for u8 {
    fn from(qos: QoS) -> u8 {
        qos as u8
    }
}
