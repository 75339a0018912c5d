//! Byte-exact PUBLISH packets and fixed headers.

use oxmqtt_protocol::codec::{
    EncodeError, MAX_REMAINING_LENGTH, Packet, PropertyId, PropertyValue, PublishParts, QoS,
    Version, encode_publish, parse_frame, publish_size,
};

use crate::{MQTT_3, decode_packet, hex};

fn publish(version: Version, parts: &PublishParts<'_>) -> Vec<u8> {
    let mut out = vec![0xAA];
    encode_publish(&mut out, version, parts).unwrap();
    assert_eq!(out.len(), 1 + publish_size(version, parts), "the size said before");
    out.split_off(1)
}

#[test]
fn remaining_length_at_the_edges_of_each_length() {
    // Table 2.4 of 3.1.1, table 1-1 of 5.0.
    for (value, bytes) in [
        (0, "00"),
        (127, "7F"),
        (128, "80 01"),
        (16_383, "FF 7F"),
        (16_384, "80 80 01"),
        (2_097_151, "FF FF 7F"),
        (2_097_152, "80 80 80 01"),
        (MAX_REMAINING_LENGTH, "FF FF FF 7F"),
    ] {
        let header = hex(&format!("30 {bytes}"));
        let frame = parse_frame(&header).unwrap().unwrap();
        assert_eq!((frame.first, frame.remaining), (0x30, value));
        assert_eq!(frame.header_len, header.len());
        for cut in 0..header.len() {
            assert_eq!(parse_frame(&header[..cut]), Ok(None), "{cut} bytes of {bytes}");
        }
        let payload = vec![0; value.saturating_sub(3)];
        if (3..3_000_000).contains(&value) {
            let parts = PublishParts { topic: "t", payload: &payload, ..Default::default() };
            assert_eq!(publish(Version::V311, &parts)[..header.len()], header);
        }
    }
}

#[test]
fn publish_of_the_standard() {
    // Figure 3.11 of 3.1.1: topic "a/b", packet identifier 10.
    let parts = PublishParts {
        qos: QoS::AtLeastOnce,
        topic: "a/b",
        packet_id: 10,
        ..PublishParts::default()
    };
    for version in MQTT_3 {
        assert_eq!(publish(version, &parts), hex("32 07 0003 'a/b' 000A"));
    }
    // Table 3-8 of 5.0: the same and no properties.
    assert_eq!(publish(Version::V5, &parts), hex("32 08 0003 'a/b' 000A 00"));
}

#[test]
fn publish_flags_and_fields() {
    let all = PublishParts {
        dup: true,
        qos: QoS::ExactlyOnce,
        retain: true,
        topic: "t",
        packet_id: 0xFFFE,
        properties: &hex("0101"),
        payload: b"hello",
    };
    let bytes = publish(Version::V5, &all);
    assert_eq!(bytes, hex("3D 0D 0001 't' FFFE 02 0101 'hello'"));
    let Ok(Packet::Publish(packet)) = decode_packet(Version::V5, &bytes) else {
        unreachable!("a PUBLISH");
    };
    assert!(packet.dup() && packet.retain());
    assert_eq!((packet.qos(), packet.packet_id()), (QoS::ExactlyOnce, 0xFFFE));
    assert_eq!((packet.topic(), packet.topic_bytes()), ("t", &b"t"[..]));
    assert_eq!((packet.payload(), packet.payload_bytes()), (&b"hello"[..], "hello".into()));
    assert_eq!(packet.properties_bytes(), hex("0101"));
    assert_eq!(
        packet.properties().find(PropertyId::PayloadFormatIndicator),
        Some(PropertyValue::Byte(1))
    );
    assert_eq!(packet.body_len(), bytes.len() - 2);
    assert_eq!(packet.detach(), packet);
    // QoS 0 has no packet identifier and is never a duplicate [MQTT-2.2.1-2, MQTT-3.3.1-2].
    let qos_0 = PublishParts { qos: QoS::AtMostOnce, properties: &[], ..all };
    assert_eq!(publish(Version::V311, &qos_0), hex("31 08 0001 't' 'hello'"));
}

#[test]
fn an_empty_topic_needs_an_alias() {
    let alias = hex("230007");
    let parts = PublishParts { properties: &alias, payload: b"x", ..PublishParts::default() };
    let bytes = publish(Version::V5, &parts);
    assert_eq!(bytes, hex("30 07 0000 03 230007 'x'"));
    let Ok(Packet::Publish(packet)) = decode_packet(Version::V5, &bytes) else {
        unreachable!("a PUBLISH");
    };
    assert_eq!((packet.topic(), packet.topic_alias()), ("", Some(7)));
}

#[test]
fn publish_that_cannot_be_encoded_leaves_the_buffer_alone() {
    let long_topic = "t".repeat(65_536);
    let payload = vec![0; MAX_REMAINING_LENGTH - 2];
    let valid = PublishParts { topic: "t", ..PublishParts::default() };
    for (version, parts, error) in [
        (Version::V311, PublishParts { payload: &payload, ..valid }, EncodeError::PacketTooLarge),
        (
            Version::V5,
            PublishParts { topic: &long_topic, ..valid },
            EncodeError::FieldTooLong("topic"),
        ),
        (Version::V5, PublishParts { topic: "", ..valid }, EncodeError::EmptyTopic),
        (Version::V311, PublishParts { topic: "", ..valid }, EncodeError::EmptyTopic),
        (
            Version::V311,
            PublishParts { properties: &[1, 1], ..valid },
            EncodeError::NotInVersion("properties"),
        ),
        (
            Version::V311,
            PublishParts { qos: QoS::AtLeastOnce, ..valid },
            EncodeError::PacketIdentifierZero,
        ),
    ] {
        let mut out = vec![7];
        assert_eq!(encode_publish(&mut out, version, &parts), Err(error));
        assert_eq!(out, [7]);
    }
}

#[test]
fn the_longest_topic() {
    let topic = "t".repeat(65_535);
    let bytes = publish(Version::V311, &PublishParts { topic: &topic, ..Default::default() });
    assert_eq!(bytes[..6], hex("30 81 80 04 FF FF"));
    assert!(
        matches!(decode_packet(Version::V311, &bytes), Ok(Packet::Publish(p)) if p.topic() == topic)
    );
}

#[test]
fn the_character_of_the_standard() {
    // "A" and U+2A6D4, figure 1.1 of 3.1.1.
    let bytes = hex("30 07 0005 41 F0AA9B94");
    assert!(
        matches!(decode_packet(Version::V311, &bytes), Ok(Packet::Publish(p)) if p.topic() == "A\u{2A6D4}")
    );
    // A byte order mark is a character [MQTT-1.5.4-3].
    let bytes = hex("30 06 0004 EFBBBF 'a'");
    assert!(
        matches!(decode_packet(Version::V311, &bytes), Ok(Packet::Publish(p)) if p.topic() == "\u{FEFF}a")
    );
}
