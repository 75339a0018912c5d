//! The tables of properties and reason codes, and building property lists from them.

use bytes::Bytes;
use oxmqtt_protocol::codec::{
    DecodeError, EncodeError, PROPERTIES, PacketType, Properties, PropertiesBuilder,
    PropertyContext, PropertyId, PropertyKind, PropertyValue, QoS, REASON_CODES, ReasonCode,
    Version,
};

use crate::hex;

#[test]
fn versions_and_levels() {
    for (version, level, name) in
        [(Version::V31, 3, "MQIsdp"), (Version::V311, 4, "MQTT"), (Version::V5, 5, "MQTT")]
    {
        assert_eq!((version.level(), version.protocol_name()), (level, name));
        assert_eq!(Version::from_level(level), Some(version));
    }
    assert_eq!(Version::from_level(6), None);
    assert_eq!((QoS::try_from(2), QoS::try_from(3)), (Ok(QoS::ExactlyOnce), Err(3)));
    assert!(QoS::AtMostOnce < QoS::ExactlyOnce);
}

#[test]
fn the_property_table_is_complete_and_in_order() {
    let ids: Vec<u8> = PROPERTIES.iter().map(|row| row.id).collect();
    assert_eq!(
        ids,
        hex("01 02 03 08 09 0B 11 12 13 15 16 17 18 19 1A 1C 1F 21 22 23 24 25 26 27 28 29 2A")
    );
    for row in PROPERTIES {
        let id = PropertyId::try_from(row.id).unwrap();
        assert_eq!((id as u8, id.name(), id.kind()), (row.id, row.name, row.kind));
        assert!(!row.name.contains(' '));
    }
    let multiple: Vec<&str> =
        PROPERTIES.iter().filter(|row| row.multiple).map(|row| row.name).collect();
    assert_eq!(multiple, ["SubscriptionIdentifier", "UserProperty"]);
    assert_eq!(PropertyId::try_from(0x0C), Err(0x0C));
}

/// How many properties each packet may have, counted in table 2-4.
#[test]
fn the_property_table_by_packet() {
    let count = |context: PropertyContext| {
        PROPERTIES
            .iter()
            .filter_map(|row| PropertyId::try_from(row.id).ok())
            .filter(|id| id.is_allowed_in(context))
            .count()
    };
    use PacketType::*;
    for (packet, expected) in [
        (Connect, 9),
        (ConnAck, 17),
        (Publish, 8),
        (PubAck, 2),
        (PubRec, 2),
        (PubRel, 2),
        (PubComp, 2),
        (Subscribe, 2),
        (SubAck, 2),
        (Unsubscribe, 1),
        (UnsubAck, 2),
        (PingReq, 0),
        (PingResp, 0),
        (Disconnect, 4),
        (Auth, 4),
    ] {
        assert_eq!(count(packet.into()), expected, "{packet:?}");
    }
    assert_eq!(count(PropertyContext::Will), 7);
}

#[test]
fn reason_codes_by_packet() {
    use PacketType::*;
    for (code, packet, name) in [
        (0, ConnAck, Some("Success")),
        (0, Disconnect, Some("Normal disconnection")),
        (0, SubAck, Some("Granted QoS 0")),
        (0, Publish, None),
        (2, SubAck, Some("Granted QoS 2")),
        (0x11, UnsubAck, Some("No subscription found")),
        (0x87, PubAck, Some("Not authorized")),
        (0x87, PubRel, None),
        (0x92, PubComp, Some("Packet identifier not found")),
        (0x94, Disconnect, Some("Topic alias invalid")),
        (0xA2, SubAck, Some("Wildcard subscription not supported")),
        (0xFF, ConnAck, None),
    ] {
        assert_eq!(ReasonCode(code).name(packet), name, "{code:#x} in {packet:?}");
    }
    let counts = [ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth]
        .map(|packet| REASON_CODES.iter().filter(|row| row.packets.contains(packet)).count());
    assert_eq!(counts, [22, 9, 9, 2, 2, 12, 7, 30, 3]);
    assert!(REASON_CODES.windows(2).all(|pair| pair[0].value <= pair[1].value));
    assert!(ReasonCode(0x80).is_failure() && !ReasonCode(0x7F).is_failure());
}

#[test]
fn a_builder_takes_what_the_standard_allows() {
    let mut builder = PropertiesBuilder::new(PacketType::Publish);
    builder
        .push(PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(128))
        .unwrap()
        .push(PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(1))
        .unwrap()
        .push(PropertyId::UserProperty, PropertyValue::Pair("k", "v"))
        .unwrap()
        .push(PropertyId::CorrelationData, PropertyValue::Binary(&[0, 255]))
        .unwrap();
    let built = builder.build();
    assert_eq!(built.as_bytes(), hex("0B 8001 0B 01 26 0001 'k' 0001 'v' 09 0002 00FF"));
    assert_eq!(built.subscription_identifiers().collect::<Vec<_>>(), [128, 1]);
    assert_eq!(built.user_properties().collect::<Vec<_>>(), [("k", "v")]);
    assert_eq!(built.iter().count(), 4);
    let context = PropertyContext::Packet(PacketType::Publish);
    assert_eq!(Properties::from_encoded(context, built.to_bytes()), Ok(built.clone()));
    assert_eq!(built.detach(), built);
}

#[test]
fn a_builder_refuses_the_rest_and_keeps_what_it_had() {
    use PropertyId as P;
    use PropertyValue as V;
    let long = "x".repeat(65_536);
    let mut builder = PropertiesBuilder::new(PacketType::Publish);
    builder.push(P::TopicAlias, V::TwoByte(1)).unwrap();
    for (id, value, error) in [
        (P::TopicAlias, V::TwoByte(2), EncodeError::PropertyRepeated(P::TopicAlias)),
        (P::ReceiveMaximum, V::TwoByte(2), EncodeError::PropertyNotAllowed(P::ReceiveMaximum)),
        (P::ContentType, V::Byte(2), EncodeError::PropertyKind(P::ContentType)),
        (
            P::PayloadFormatIndicator,
            V::Byte(2),
            EncodeError::PropertyValue(P::PayloadFormatIndicator),
        ),
        (
            P::SubscriptionIdentifier,
            V::VarInt(0),
            EncodeError::PropertyValue(P::SubscriptionIdentifier),
        ),
        (
            P::SubscriptionIdentifier,
            V::VarInt(268_435_456),
            EncodeError::PropertyValue(P::SubscriptionIdentifier),
        ),
        (P::ResponseTopic, V::Text("a/#"), EncodeError::PropertyValue(P::ResponseTopic)),
        (P::ResponseTopic, V::Text(""), EncodeError::PropertyValue(P::ResponseTopic)),
        (P::ContentType, V::Text("a\0"), EncodeError::NulCharacter("ContentType")),
        (P::ContentType, V::Text(&long), EncodeError::FieldTooLong("ContentType")),
        (P::UserProperty, V::Pair("a", &long), EncodeError::FieldTooLong("UserProperty")),
    ] {
        assert_eq!(builder.push(id, value).err(), Some(error));
    }
    assert_eq!(builder.build().as_bytes(), hex("23 0001"));
}

#[test]
fn encoded_lists_of_a_caller_are_checked() {
    let check = |context, bytes: &str| Properties::from_encoded(context, Bytes::from(hex(bytes)));
    let connect = PropertyContext::Packet(PacketType::Connect);
    assert!(check(connect, "21 0014").is_ok());
    assert_eq!(
        check(connect, "18 00000001"),
        Err(EncodeError::Properties(DecodeError::Protocol("property not allowed in this packet")))
    );
    assert!(check(PropertyContext::Will, "18 00000001").is_ok());
    assert!(matches!(
        check(connect, "21 00"),
        Err(EncodeError::Properties(DecodeError::Malformed(_)))
    ));
}

/// A value of each kind: the one place that knows them all.
#[test]
fn each_kind_of_value_is_read_as_it_was_written() {
    for row in PROPERTIES {
        let id = PropertyId::try_from(row.id).unwrap();
        let value = match row.kind {
            PropertyKind::Byte => PropertyValue::Byte(1),
            PropertyKind::TwoByteInteger => PropertyValue::TwoByte(0x1234),
            PropertyKind::FourByteInteger => PropertyValue::FourByte(0x1234_5678),
            PropertyKind::VariableByteInteger => PropertyValue::VarInt(268_435_455),
            PropertyKind::BinaryData => PropertyValue::Binary(&[0, 1, 255]),
            PropertyKind::Utf8String => PropertyValue::Text("Grüße"),
            PropertyKind::Utf8StringPair => PropertyValue::Pair("Schlüssel", "Wert"),
        };
        let context = (1..16)
            .filter_map(|nibble| PacketType::try_from(nibble).ok())
            .map(PropertyContext::Packet)
            .chain([PropertyContext::Will])
            .find(|&context| id.is_allowed_in(context))
            .unwrap();
        let mut builder = PropertiesBuilder::new(context);
        builder.push(id, value).unwrap();
        assert_eq!(builder.build().find(id), Some(value), "{}", row.name);
    }
}

#[test]
fn credentials_do_not_show() {
    let mut builder = PropertiesBuilder::new(PacketType::Auth);
    builder.push(PropertyId::AuthenticationData, PropertyValue::Binary(b"hunter2")).unwrap();
    let connect = oxmqtt_protocol::codec::Connect {
        username: Some(Bytes::from_static(b"someone")),
        password: Some(Bytes::from_static(b"hunter2")),
        properties: builder.build(),
        ..Default::default()
    };
    let shown = format!("{connect:?}");
    assert!(!shown.contains("someone") && !shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains(&format!("{:?}", b"hunter2")), "{shown}");
}
