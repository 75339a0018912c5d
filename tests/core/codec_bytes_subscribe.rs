//! Byte-exact SUBSCRIBE, UNSUBSCRIBE and their acknowledgements.

use bytes::Bytes;
use oxmqtt_protocol::codec::{
    Auth, EncodeError, Packet, PacketType, PropertyId, PropertyValue, QoS, RetainHandling, SubAck,
    Subscribe, SubscriptionOptions, UnsubAck, Unsubscribe, Version,
};

use crate::codec_bytes::{properties, same};

#[test]
fn subscribe_and_suback() {
    // Figure 3.23 of 3.1.1.
    let qos = |qos| SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    let packet = Packet::Subscribe(Subscribe {
        packet_id: 10,
        filters: vec![("a/b".into(), qos(QoS::AtLeastOnce)), ("c/d".into(), qos(QoS::ExactlyOnce))],
        ..Subscribe::default()
    });
    same(Version::V311, &packet, "82 0E 000A 0003 'a/b' 01 0003 'c/d' 02");
    same(Version::V5, &packet, "82 0F 000A 00 0003 'a/b' 01 0003 'c/d' 02");
    let options = SubscriptionOptions {
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    let identifier = (PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(300));
    let packet = Packet::Subscribe(Subscribe {
        packet_id: 1,
        properties: properties(PacketType::Subscribe, &[identifier]),
        filters: vec![("#".into(), options)],
    });
    same(Version::V5, &packet, "82 0A 0001 03 0B AC02 0001 '#' 2D");
    // Figure 3.26 of 3.1.1.
    let packet = Packet::SubAck(SubAck {
        packet_id: 10,
        reasons: Bytes::from_static(&[0, 2, 0x80]),
        ..SubAck::default()
    });
    same(Version::V311, &packet, "90 05 000A 00 02 80");
    same(Version::V5, &packet, "90 06 000A 00 00 02 80");
}

#[test]
fn unsubscribe_and_unsuback() {
    // Figure 3.30 of 3.1.1.
    let packet = Packet::Unsubscribe(Unsubscribe {
        packet_id: 10,
        filters: vec!["a/b".into(), "c/d".into()],
        ..Unsubscribe::default()
    });
    same(Version::V311, &packet, "A2 0C 000A 0003 'a/b' 0003 'c/d'");
    same(Version::V5, &packet, "A2 0D 000A 00 0003 'a/b' 0003 'c/d'");
    let packet = Packet::UnsubAck(UnsubAck { packet_id: 10, ..UnsubAck::default() });
    same(Version::V311, &packet, "B0 02 000A");
    let reasons = Bytes::from_static(&[0, 0x11]);
    let packet = Packet::UnsubAck(UnsubAck { packet_id: 10, reasons, ..UnsubAck::default() });
    same(Version::V5, &packet, "B0 05 000A 00 00 11");
}

#[test]
fn requests_that_cannot_be_encoded() {
    let mut out = vec![7];
    let filter = |text: &str| vec![(text.into(), SubscriptionOptions::default())];
    let subscribe = Subscribe { packet_id: 1, ..Subscribe::default() };
    let unsubscribe = Unsubscribe { packet_id: 1, ..Unsubscribe::default() };
    let suback = SubAck { packet_id: 1, ..SubAck::default() };
    let list = properties(
        PacketType::Subscribe,
        &[(PropertyId::UserProperty, PropertyValue::Pair("a", "b"))],
    );
    for (packet, error) in [
        (Packet::Subscribe(subscribe.clone()), EncodeError::EmptyList("SUBSCRIBE")),
        (Packet::Unsubscribe(unsubscribe), EncodeError::EmptyList("UNSUBSCRIBE")),
        (Packet::SubAck(suback), EncodeError::EmptyList("SUBACK")),
        (
            Packet::Subscribe(Subscribe { filters: filter(""), ..subscribe.clone() }),
            EncodeError::EmptyTopic,
        ),
        (
            Packet::Subscribe(Subscribe { filters: filter("a\0"), ..subscribe.clone() }),
            EncodeError::NulCharacter("topic filter"),
        ),
        (
            Packet::Subscribe(Subscribe {
                filters: filter("a"),
                packet_id: 0,
                ..subscribe.clone()
            }),
            EncodeError::PacketIdentifierZero,
        ),
        (
            Packet::Subscribe(Subscribe { filters: filter("a"), properties: list, ..subscribe }),
            EncodeError::NotInVersion("properties"),
        ),
        (Packet::Auth(Auth::default()), EncodeError::NotInVersion("AUTH")),
    ] {
        assert_eq!(packet.encode(Version::V311, &mut out), Err(error), "{packet:?}");
        assert_eq!(out, [7]);
    }
}
