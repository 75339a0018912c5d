//! Where rumqttc 0.25.1 and we differ, and why.

use oxmqtt_protocol::codec::{
    DecodeError, Disconnect, Packet, PacketType, Properties, ReasonCode, Version,
};

/// Packets that rumqttc cannot read, or reads as something else.
pub(super) fn excluded(version: Version, packet: &Packet) -> Option<&'static str> {
    let is_empty = |field: &Option<bytes::Bytes>| field.as_ref().is_some_and(|f| f.is_empty());
    match packet {
        Packet::Auth(_) => Some("rumqttc cannot read AUTH"),
        Packet::Connect(connect) if connect.bridge => Some("rumqttc knows no bridge bit"),
        Packet::Connect(connect) if is_empty(&connect.username) || is_empty(&connect.password) => {
            Some("rumqttc takes an empty user name or password for none")
        }
        Packet::Connect(connect)
            if connect.password.as_ref().is_some_and(|p| std::str::from_utf8(p).is_err()) =>
        {
            Some("rumqttc wants a password to be UTF-8")
        }
        Packet::Publish(publish) if publish.properties().subscription_identifiers().count() > 1 => {
            Some("rumqttc miscounts several subscription identifiers")
        }
        Packet::Disconnect(packet) if version == Version::V5 => match packet {
            Disconnect { reason: None, .. } => Some("rumqttc refuses a DISCONNECT without a body"),
            Disconnect { properties: None, .. } => {
                Some("rumqttc waits for the properties of a DISCONNECT that has a reason alone")
            }
            Disconnect { reason: Some(ReasonCode::BAD_AUTHENTICATION_METHOD), .. } => {
                Some("rumqttc lacks the reason code 0x8C of DISCONNECT")
            }
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn written_otherwise(version: Version, packet: &Packet) -> Option<&'static str> {
    match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack)
            if version == Version::V5
                && ack.properties.is_empty()
                && ack.reason != ReasonCode::SUCCESS =>
        {
            Some("rumqttc writes a property length of 0 that may be left out")
        }
        Packet::Disconnect(packet)
            if version == Version::V5
                && packet.properties.as_ref().is_some_and(Properties::is_empty)
                && packet.reason != Some(ReasonCode::NORMAL_DISCONNECTION) =>
        {
            Some("rumqttc writes more of a DISCONNECT than its length says")
        }
        _ => None,
    }
}

/// Bytes that we refuse and rumqttc accepts: rules of the standard that it does not check.
pub(super) fn refused_by_us(error: &DecodeError) -> Option<&'static str> {
    Some(match error {
        DecodeError::Malformed("DUP with QoS 0") => "DUP with QoS 0 [MQTT-3.3.1-2]",
        DecodeError::Malformed("bytes after the end of the packet") => {
            "bytes behind the last field of a packet (2.1.4)"
        }
        DecodeError::Malformed("not a topic filter") => {
            "an invalid topic filter [MQTT-4.7.1-1, MQTT-4.7.1-2, MQTT-4.7.3-1]"
        }
        DecodeError::Malformed("over-long variable byte integer") => {
            "an over-long variable byte integer [MQTT-1.5.5-1]"
        }
        DecodeError::Malformed("packet ends too early" | "unknown property") => {
            "a property across the end of its list (2.2.2.1)"
        }
        DecodeError::Malformed("password without user name") => {
            "a password without a user name [MQTT-3.1.2-22 of 3.1.1]"
        }
        DecodeError::Malformed("reserved bits of the subscription options") => {
            "reserved bits of the subscription options [MQTT-3.8.3-5]"
        }
        DecodeError::Malformed("reserved flag of CONNECT") => {
            "the reserved flag of CONNECT [MQTT-3.1.2-3]"
        }
        DecodeError::Malformed("reserved flags of CONNACK") => {
            "reserved flags of CONNACK [MQTT-3.2.2-1]"
        }
        DecodeError::Malformed("reserved flags of the fixed header") => {
            "reserved flags of the fixed header [MQTT-2.1.3-1]"
        }
        DecodeError::Malformed("shared subscription without its parts") => {
            "a shared subscription without its parts [MQTT-4.8.2-1, MQTT-4.8.2-2]"
        }
        DecodeError::Malformed("string contains U+0000") => "U+0000 in a string [MQTT-1.5.4-2]",
        DecodeError::Malformed(
            "will topic is not a topic name" | "wildcard or U+0000 in the topic name",
        ) => "a topic name with a wildcard [MQTT-3.3.2-2]",
        DecodeError::Protocol("empty topic without a topic alias") => {
            "an empty topic name [MQTT-4.7.3-1]"
        }
        DecodeError::Protocol("no local on a shared subscription") => {
            "no local on a shared subscription [MQTT-3.8.3-4]"
        }
        DecodeError::Protocol("packet identifier is zero") => "packet identifier 0 [MQTT-2.2.1-3]",
        DecodeError::Protocol("property given twice") => "a property given twice (2.2.2.2)",
        DecodeError::Protocol("property is neither 0 nor 1") => {
            "a property of one byte that is neither 0 nor 1 (2.2.2.2)"
        }
        DecodeError::Protocol("session present in a refusing CONNACK") => {
            "session present in a refusing CONNACK [MQTT-3.2.2-6]"
        }
        DecodeError::UnsupportedProtocolVersion => "level 5 in a CONNECT of 3.1.1 [MQTT-3.1.2-2]",
        _ => return None,
    })
}

/// Bytes that rumqttc refuses and we accept.
pub(super) fn refused_by_them(
    version: Version,
    packet: &Packet,
    error: &str,
) -> Option<&'static str> {
    excluded(version, packet).or_else(|| match packet {
        Packet::ConnAck(packet) if !packet.reason.is_known(PacketType::ConnAck) => {
            Some("a refusal whose reason the standard does not know is a refusal all the same")
        }
        Packet::ConnAck(_) if version != Version::V5 => {
            Some("return codes of a CONNACK before MQTT 5.0 above 5 are kept")
        }
        Packet::UnsubAck(_) if error.starts_with("Invalid subscribe reason code") => {
            Some("nothing depends on the reason codes of UNSUBACK: unknown ones are kept")
        }
        _ => None,
    })
}
