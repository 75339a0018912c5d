//! Properties: one table says what each is called, its type, and where it may stand (table 2-4).

use super::PacketType::{
    self, Auth, ConnAck, Connect, Disconnect, PubAck, PubComp, PubRec, PubRel, Publish, SubAck,
    Subscribe, UnsubAck, Unsubscribe,
};
use super::packet_type::PacketSet;

/// The data type of a property's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyKind {
    /// One byte.
    Byte,
    /// Two Byte Integer.
    TwoByteInteger,
    /// Four Byte Integer.
    FourByteInteger,
    /// Variable Byte Integer.
    VariableByteInteger,
    /// Binary Data: bytes with a length in front.
    BinaryData,
    /// UTF-8 Encoded String.
    Utf8String,
    /// UTF-8 String Pair.
    Utf8StringPair,
}

/// One property of the standard.
#[derive(Clone, Copy, Debug)]
pub struct PropertyRow {
    /// The identifier.
    pub id: u8,
    /// The name without spaces, as in `PayloadFormatIndicator`.
    pub name: &'static str,
    /// The data type of its value.
    pub kind: PropertyKind,
    /// The packets it may stand in.
    pub packets: PacketSet,
    /// Whether it may be given more than once (a subscription identifier only in PUBLISH).
    pub multiple: bool,
}

/// Where a property list stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PropertyContext {
    /// In this packet.
    Packet(PacketType),
    /// In the will of CONNECT.
    Will,
}

impl PropertyContext {
    const fn allows(self, packets: PacketSet) -> bool {
        match self {
            Self::Packet(packet) => packets.contains(packet),
            Self::Will => packets.contains_will(),
        }
    }
}

impl From<PacketType> for PropertyContext {
    fn from(packet: PacketType) -> Self {
        Self::Packet(packet)
    }
}

/// A value, borrowed from the encoded list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyValue<'a> {
    /// One byte.
    Byte(u8),
    /// Two Byte Integer.
    TwoByte(u16),
    /// Four Byte Integer.
    FourByte(u32),
    /// Variable Byte Integer.
    VarInt(u32),
    /// Binary Data.
    Binary(&'a [u8]),
    /// UTF-8 Encoded String.
    Text(&'a str),
    /// UTF-8 String Pair: name and value.
    Pair(&'a str, &'a str),
}

impl PropertyValue<'_> {
    /// The data type of this value.
    pub const fn kind(&self) -> PropertyKind {
        match self {
            Self::Byte(_) => PropertyKind::Byte,
            Self::TwoByte(_) => PropertyKind::TwoByteInteger,
            Self::FourByte(_) => PropertyKind::FourByteInteger,
            Self::VarInt(_) => PropertyKind::VariableByteInteger,
            Self::Binary(_) => PropertyKind::BinaryData,
            Self::Text(_) => PropertyKind::Utf8String,
            Self::Pair(..) => PropertyKind::Utf8StringPair,
        }
    }
}

macro_rules! properties {
    ($($id:literal $name:ident $kind:ident [$($packet:ident)*] $(and $will:ident)? $(, $multiple:ident)?;)*) => {
        /// The identifier of a property.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum PropertyId {
            $(#[doc = concat!("Property ", stringify!($id), ".")] $name = $id,)*
        }

        impl PropertyId {
            /// The property with this identifier, if the standard has one.
            pub const fn from_id(id: u32) -> Option<Self> {
                match id {
                    $($id => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The row of [`PROPERTIES`].
            pub const fn row(self) -> &'static PropertyRow {
                match self {
                    $(Self::$name => const { &PropertyRow {
                        id: $id,
                        name: stringify!($name),
                        kind: PropertyKind::$kind,
                        packets: PacketSet::of(&[$($packet),*])$(.$will())?,
                        multiple: properties!(@multiple $($multiple)?),
                    } },)*
                }
            }
        }

        /// Every property of the standard, in the order of the identifiers.
        pub const PROPERTIES: &[PropertyRow] = &[$(*PropertyId::$name.row(),)*];
    };
    (@multiple) => { false };
    (@multiple multiple) => { true };
}

properties! {
    0x01 PayloadFormatIndicator Byte [Publish] and and_will;
    0x02 MessageExpiryInterval FourByteInteger [Publish] and and_will;
    0x03 ContentType Utf8String [Publish] and and_will;
    0x08 ResponseTopic Utf8String [Publish] and and_will;
    0x09 CorrelationData BinaryData [Publish] and and_will;
    0x0B SubscriptionIdentifier VariableByteInteger [Publish Subscribe], multiple;
    0x11 SessionExpiryInterval FourByteInteger [Connect ConnAck Disconnect];
    0x12 AssignedClientIdentifier Utf8String [ConnAck];
    0x13 ServerKeepAlive TwoByteInteger [ConnAck];
    0x15 AuthenticationMethod Utf8String [Connect ConnAck Auth];
    0x16 AuthenticationData BinaryData [Connect ConnAck Auth];
    0x17 RequestProblemInformation Byte [Connect];
    0x18 WillDelayInterval FourByteInteger [] and and_will;
    0x19 RequestResponseInformation Byte [Connect];
    0x1A ResponseInformation Utf8String [ConnAck];
    0x1C ServerReference Utf8String [ConnAck Disconnect];
    0x1F ReasonString Utf8String [ConnAck PubAck PubRec PubRel PubComp SubAck UnsubAck Disconnect Auth];
    0x21 ReceiveMaximum TwoByteInteger [Connect ConnAck];
    0x22 TopicAliasMaximum TwoByteInteger [Connect ConnAck];
    0x23 TopicAlias TwoByteInteger [Publish];
    0x24 MaximumQoS Byte [ConnAck];
    0x25 RetainAvailable Byte [ConnAck];
    0x26 UserProperty Utf8StringPair [Connect ConnAck Publish PubAck PubRec PubRel PubComp Subscribe SubAck Unsubscribe UnsubAck Disconnect Auth] and and_will, multiple;
    0x27 MaximumPacketSize FourByteInteger [Connect ConnAck];
    0x28 WildcardSubscriptionAvailable Byte [ConnAck];
    0x29 SubscriptionIdentifierAvailable Byte [ConnAck];
    0x2A SharedSubscriptionAvailable Byte [ConnAck];
}

impl PropertyId {
    /// The name without spaces, as in `PayloadFormatIndicator`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The data type of the value.
    pub const fn kind(self) -> PropertyKind {
        self.row().kind
    }

    /// Whether the property may stand here.
    pub const fn is_allowed_in(self, context: PropertyContext) -> bool {
        context.allows(self.row().packets)
    }

    /// Whether the property may stand here more than once. A SUBSCRIBE has one subscription
    /// identifier at most (3.8.2.1.2), a PUBLISH one for each subscription that matched.
    pub const fn is_repeatable_in(self, context: PropertyContext) -> bool {
        self.row().multiple
            && !matches!(
                (self, context),
                (Self::SubscriptionIdentifier, PropertyContext::Packet(Subscribe))
            )
    }
}

impl TryFrom<u8> for PropertyId {
    type Error = u8;

    fn try_from(id: u8) -> Result<Self, u8> {
        Self::from_id(id.into()).ok_or(id)
    }
}
