//! Byte-exact packets, both ways; those of the standards' own figures among them.

use oxmqtt_protocol::codec::{
    Ack, AckKind, Auth, Disconnect, EncodeError, Packet, PacketType, Properties, PropertiesBuilder,
    PropertyContext, PropertyId, PropertyValue, ReasonCode, Version, encode_ack,
};

use crate::{VERSIONS, decode_packet, encode_packet, hex};

/// The packet and the bytes say the same, in both directions.
#[track_caller]
pub(crate) fn same(version: Version, packet: &Packet, bytes: &str) {
    let bytes = hex(bytes);
    assert_eq!(encode_packet(version, packet), bytes, "encoded");
    assert_eq!(decode_packet(version, &bytes).as_ref(), Ok(packet), "decoded");
}

pub(crate) fn properties(
    context: impl Into<PropertyContext>,
    list: &[(PropertyId, PropertyValue<'_>)],
) -> Properties {
    let mut builder = PropertiesBuilder::new(context);
    for &(id, value) in list {
        builder.push(id, value).unwrap();
    }
    builder.build()
}

#[test]
fn acknowledgements() {
    let success = |id| Ack::new(id);
    for version in VERSIONS {
        same(version, &Packet::PubAck(success(10)), "40 02 000A");
        same(version, &Packet::PubRec(success(10)), "50 02 000A");
        same(version, &Packet::PubRel(success(10)), "62 02 000A");
        same(version, &Packet::PubComp(success(65_535)), "70 02 FFFF");
    }
    let refused = Ack { packet_id: 10, reason: ReasonCode::NOT_AUTHORIZED, ..Ack::default() };
    same(Version::V5, &Packet::PubAck(refused.clone()), "40 03 000A 87");
    let reason =
        properties(PacketType::PubAck, &[(PropertyId::ReasonString, PropertyValue::Text("no"))]);
    let explained = Ack { properties: reason, ..refused };
    same(Version::V5, &Packet::PubAck(explained), "40 09 000A 87 05 1F 0002 'no'");
    // A reason has no place before MQTT 5.0.
    let mut out = Vec::new();
    let reason = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
    encode_ack(&mut out, Version::V311, AckKind::PubRel, 3, reason, &[]);
    assert_eq!(out, hex("62 02 0003"));
    // The long form of a success is read as well.
    let long = decode_packet(Version::V5, &hex("40 04 000A 00 00"));
    assert_eq!(long, Ok(Packet::PubAck(success(10))));
    let no_length = decode_packet(Version::V5, &hex("70 03 000A 92"));
    assert!(matches!(no_length, Ok(Packet::PubComp(ack)) if ack.reason.0 == 0x92));
}

#[test]
fn an_acknowledgement_without_an_identifier_is_not_encoded() {
    let mut out = Vec::new();
    let packet = Packet::PubAck(Ack::default());
    assert_eq!(packet.encode(Version::V5, &mut out), Err(EncodeError::PacketIdentifierZero));
    assert!(out.is_empty());
}

#[test]
fn pings_disconnect_and_auth() {
    for version in VERSIONS {
        same(version, &Packet::PingReq, "C0 00");
        same(version, &Packet::PingResp, "D0 00");
        same(version, &Packet::Disconnect(Disconnect::default()), "E0 00");
    }
    let reason = ReasonCode::DISCONNECT_WITH_WILL_MESSAGE;
    let disconnect = Disconnect::new(reason, Properties::default());
    same(Version::V5, &Packet::Disconnect(disconnect.clone()), "E0 01 04");
    let expiry = (PropertyId::SessionExpiryInterval, PropertyValue::FourByte(0));
    let list = properties(PacketType::Disconnect, &[expiry]);
    let with_properties = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION, list);
    same(Version::V5, &Packet::Disconnect(with_properties), "E0 07 00 05 11 00000000");
    assert_eq!(encode_packet(Version::V311, &Packet::Disconnect(disconnect)), hex("E0 00"));
    let empty = Disconnect { reason: Some(ReasonCode(0)), properties: Some(Properties::default()) };
    same(Version::V5, &Packet::Disconnect(empty), "E0 02 00 00");
    let success = Disconnect { reason: Some(ReasonCode(0)), properties: None };
    same(Version::V5, &Packet::Disconnect(success), "E0 01 00");

    same(Version::V5, &Packet::Auth(Auth::default()), "F0 00");
    let method = (PropertyId::AuthenticationMethod, PropertyValue::Text("M"));
    let auth = Auth {
        reason: ReasonCode::CONTINUE_AUTHENTICATION,
        properties: properties(PacketType::Auth, &[method]),
    };
    same(Version::V5, &Packet::Auth(auth), "F0 06 18 04 15 0001 'M'");
}
