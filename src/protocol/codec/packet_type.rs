//! The packet types of the fixed header, and sets of them.

use super::Version;

/// The packet type in the high nibble of the first byte.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PacketType {
    /// CONNECT.
    Connect = 1,
    /// CONNACK.
    ConnAck = 2,
    /// PUBLISH.
    Publish = 3,
    /// PUBACK.
    PubAck = 4,
    /// PUBREC.
    PubRec = 5,
    /// PUBREL.
    PubRel = 6,
    /// PUBCOMP.
    PubComp = 7,
    /// SUBSCRIBE.
    Subscribe = 8,
    /// SUBACK.
    SubAck = 9,
    /// UNSUBSCRIBE.
    Unsubscribe = 10,
    /// UNSUBACK.
    UnsubAck = 11,
    /// PINGREQ.
    PingReq = 12,
    /// PINGRESP.
    PingResp = 13,
    /// DISCONNECT.
    Disconnect = 14,
    /// AUTH (MQTT 5.0).
    Auth = 15,
}

impl PacketType {
    /// The type in the first byte of a packet; `None` for the forbidden type 0.
    pub fn from_first_byte(first: u8) -> Option<Self> {
        Self::try_from(first >> 4).ok()
    }

    /// The first byte of a packet of this type, with the reserved flags of [MQTT-2.1.3-1];
    /// a PUBLISH adds its own flags.
    pub const fn first_byte(self) -> u8 {
        let flags = match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        };
        (self as u8) << 4 | flags
    }

    /// Whether a server may send this type to a client (table 2.1 of the standards). A client can
    /// refuse the others by their first byte, before it decodes them.
    pub const fn is_sent_by_server(self, version: Version) -> bool {
        match self {
            Self::Connect | Self::Subscribe | Self::Unsubscribe | Self::PingReq => false,
            Self::Disconnect | Self::Auth => version.has_properties(),
            _ => true,
        }
    }

    /// Whether a client may send this type to a server.
    pub const fn is_sent_by_client(self, version: Version) -> bool {
        match self {
            Self::ConnAck | Self::SubAck | Self::UnsubAck | Self::PingResp => false,
            Self::Auth => version.has_properties(),
            _ => true,
        }
    }
}

impl TryFrom<u8> for PacketType {
    type Error = u8;

    fn try_from(nibble: u8) -> Result<Self, u8> {
        Ok(match nibble {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            other => return Err(other),
        })
    }
}

/// A set of packet types; bit 0 stands for the will inside CONNECT, which has properties of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketSet(pub u16);

impl PacketSet {
    /// The set that holds only the will.
    pub const WILL: Self = Self(1);

    /// The set of these packet types.
    pub const fn of(types: &[PacketType]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < types.len() {
            bits |= 1 << types[i] as u16;
            i += 1;
        }
        Self(bits)
    }

    /// This set and the will.
    pub const fn and_will(self) -> Self {
        Self(self.0 | Self::WILL.0)
    }

    /// Whether the set holds this packet type.
    pub const fn contains(self, packet: PacketType) -> bool {
        self.0 & 1 << packet as u16 != 0
    }

    /// Whether the set holds the will.
    pub const fn contains_will(self) -> bool {
        self.0 & Self::WILL.0 != 0
    }
}
