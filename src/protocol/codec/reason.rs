//! Reason codes: one table for all packets (table 2.6 of the standard).

use super::PacketType::{
    self, Auth, ConnAck, Disconnect, PubAck, PubComp, PubRec, PubRel, SubAck, UnsubAck,
};
use super::packet_type::PacketSet;

/// A reason code of MQTT 5.0, or the return code of an MQTT 3 CONNACK or SUBACK. A code that the
/// standard does not know stays readable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReasonCode(pub u8);

/// One reason code: the packets that may carry it, and what it is called there.
#[derive(Clone, Copy, Debug)]
pub struct ReasonCodeRow {
    /// The code.
    pub value: u8,
    /// What the standard calls it in these packets.
    pub name: &'static str,
    /// The packets that may carry it by this name.
    pub packets: PacketSet,
}

impl ReasonCode {
    /// Whether the code says that something failed.
    pub const fn is_failure(self) -> bool {
        self.0 >= 0x80
    }

    /// What the code is called in this packet; `None` when the standard does not know it there.
    pub fn name(self, packet: PacketType) -> Option<&'static str> {
        REASON_CODES
            .iter()
            .find(|row| row.value == self.0 && row.packets.contains(packet))
            .map(|row| row.name)
    }

    /// Whether the standard allows the code in this packet.
    pub fn is_known(self, packet: PacketType) -> bool {
        self.name(packet).is_some()
    }
}

macro_rules! reason_codes {
    ($($value:literal $constant:ident $name:literal [$($packet:ident)*];)*) => {
        impl ReasonCode {
            $(#[doc = $name] pub const $constant: Self = Self($value);)*
        }

        /// Every reason code of the standard, in the order of the values. Zero has three names.
        pub const REASON_CODES: &[ReasonCodeRow] = &[
            $(ReasonCodeRow { value: $value, name: $name, packets: PacketSet::of(&[$($packet),*]) },)*
        ];
    };
}

reason_codes! {
    0x00 SUCCESS "Success" [ConnAck PubAck PubRec PubRel PubComp UnsubAck Auth];
    0x00 NORMAL_DISCONNECTION "Normal disconnection" [Disconnect];
    0x00 GRANTED_QOS_0 "Granted QoS 0" [SubAck];
    0x01 GRANTED_QOS_1 "Granted QoS 1" [SubAck];
    0x02 GRANTED_QOS_2 "Granted QoS 2" [SubAck];
    0x04 DISCONNECT_WITH_WILL_MESSAGE "Disconnect with will message" [Disconnect];
    0x10 NO_MATCHING_SUBSCRIBERS "No matching subscribers" [PubAck PubRec];
    0x11 NO_SUBSCRIPTION_EXISTED "No subscription found" [UnsubAck];
    0x18 CONTINUE_AUTHENTICATION "Continue authentication" [Auth];
    0x19 RE_AUTHENTICATE "Re-authenticate" [Auth];
    0x80 UNSPECIFIED_ERROR "Unspecified error" [ConnAck PubAck PubRec SubAck UnsubAck Disconnect];
    0x81 MALFORMED_PACKET "Malformed packet" [ConnAck Disconnect];
    0x82 PROTOCOL_ERROR "Protocol error" [ConnAck Disconnect];
    0x83 IMPLEMENTATION_SPECIFIC_ERROR "Implementation specific error" [ConnAck PubAck PubRec SubAck UnsubAck Disconnect];
    0x84 UNSUPPORTED_PROTOCOL_VERSION "Unsupported protocol version" [ConnAck];
    0x85 CLIENT_IDENTIFIER_NOT_VALID "Client identifier not valid" [ConnAck];
    0x86 BAD_USER_NAME_OR_PASSWORD "Bad user name or password" [ConnAck];
    0x87 NOT_AUTHORIZED "Not authorized" [ConnAck PubAck PubRec SubAck UnsubAck Disconnect];
    0x88 SERVER_UNAVAILABLE "Server unavailable" [ConnAck];
    0x89 SERVER_BUSY "Server busy" [ConnAck Disconnect];
    0x8A BANNED "Banned" [ConnAck];
    0x8B SERVER_SHUTTING_DOWN "Server shutting down" [Disconnect];
    0x8C BAD_AUTHENTICATION_METHOD "Bad authentication method" [ConnAck Disconnect];
    0x8D KEEP_ALIVE_TIMEOUT "Keep alive timeout" [Disconnect];
    0x8E SESSION_TAKEN_OVER "Session taken over" [Disconnect];
    0x8F TOPIC_FILTER_INVALID "Topic filter invalid" [SubAck UnsubAck Disconnect];
    0x90 TOPIC_NAME_INVALID "Topic name invalid" [ConnAck PubAck PubRec Disconnect];
    0x91 PACKET_IDENTIFIER_IN_USE "Packet identifier in use" [PubAck PubRec SubAck UnsubAck];
    0x92 PACKET_IDENTIFIER_NOT_FOUND "Packet identifier not found" [PubRel PubComp];
    0x93 RECEIVE_MAXIMUM_EXCEEDED "Receive maximum exceeded" [Disconnect];
    0x94 TOPIC_ALIAS_INVALID "Topic alias invalid" [Disconnect];
    0x95 PACKET_TOO_LARGE "Packet too large" [ConnAck Disconnect];
    0x96 MESSAGE_RATE_TOO_HIGH "Message rate too high" [Disconnect];
    0x97 QUOTA_EXCEEDED "Quota exceeded" [ConnAck PubAck PubRec SubAck Disconnect];
    0x98 ADMINISTRATIVE_ACTION "Administrative action" [Disconnect];
    0x99 PAYLOAD_FORMAT_INVALID "Payload format invalid" [ConnAck PubAck PubRec Disconnect];
    0x9A RETAIN_NOT_SUPPORTED "Retain not supported" [ConnAck Disconnect];
    0x9B QOS_NOT_SUPPORTED "QoS not supported" [ConnAck Disconnect];
    0x9C USE_ANOTHER_SERVER "Use another server" [ConnAck Disconnect];
    0x9D SERVER_MOVED "Server moved" [ConnAck Disconnect];
    0x9E SHARED_SUBSCRIPTION_NOT_SUPPORTED "Shared subscription not supported" [SubAck Disconnect];
    0x9F CONNECTION_RATE_EXCEEDED "Connection rate exceeded" [ConnAck Disconnect];
    0xA0 MAXIMUM_CONNECT_TIME "Maximum connect time" [Disconnect];
    0xA1 SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED "Subscription identifiers not supported" [SubAck Disconnect];
    0xA2 WILDCARD_SUBSCRIPTION_NOT_SUPPORTED "Wildcard subscription not supported" [SubAck Disconnect];
}
