//! Strategies for every packet that each version can carry.

use bytes::Bytes;
use oxmqtt_protocol::codec::{
    Ack, Auth, ConnAck, Connect, Disconnect, PROPERTIES, Packet, PacketType, Properties,
    PropertiesBuilder, PropertyContext, PropertyId, PropertyKind, PropertyValue, PublishParts, QoS,
    REASON_CODES, ReasonCode, RetainHandling, SubAck, Subscribe, SubscriptionOptions, UnsubAck,
    Unsubscribe, Version, Will, encode_publish,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::decode_packet;

const TEXT: &str = "[^\u{0}]{0,12}";
const TOPIC: &str = "[^\u{0}+#]{1,20}";
const FILTER: &str = "(\\+|[a-zé]{0,3})(/(\\+|[a-z$]{0,3})){0,4}(/#)?";

/// Any packet of this version.
pub(crate) fn packet(version: Version) -> BoxedStrategy<Packet> {
    let any_version = prop_oneof![
        connect(version),
        connack(version),
        publish(version),
        ack(version),
        subscribe(version),
        unsubscribe(version),
        Just(Packet::PingReq),
        Just(Packet::PingResp),
        disconnect(version),
    ];
    if version == Version::V5 {
        prop_oneof![9 => any_version, 1 => auth()].boxed()
    } else {
        any_version.boxed()
    }
}

pub(crate) fn payload() -> impl Strategy<Value = Bytes> {
    prop_oneof![4 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 100..20_000)]
        .prop_map(Bytes::from)
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

/// Success, or any reason that the packet may carry.
fn reason(packet: PacketType) -> impl Strategy<Value = ReasonCode> {
    let allowed: Vec<_> = REASON_CODES
        .iter()
        .filter(|row| row.packets.contains(packet))
        .map(|row| ReasonCode(row.value))
        .collect();
    prop_oneof![Just(ReasonCode::SUCCESS), select(allowed)]
}

fn packet_id() -> std::ops::RangeInclusive<u16> {
    1..=u16::MAX
}

/// The raw material of a property's value.
type Value = (u32, String, String, Vec<u8>);

fn push(builder: &mut PropertiesBuilder, id: PropertyId, (number, text, other, data): &Value) {
    let value = match id.kind() {
        PropertyKind::Byte => PropertyValue::Byte(*number as u8 & 1),
        PropertyKind::TwoByteInteger => PropertyValue::TwoByte(*number as u16),
        PropertyKind::FourByteInteger => PropertyValue::FourByte(*number),
        PropertyKind::VariableByteInteger => PropertyValue::VarInt(number >> (number % 31)),
        PropertyKind::BinaryData => PropertyValue::Binary(data),
        PropertyKind::Utf8String => PropertyValue::Text(text),
        PropertyKind::Utf8StringPair => PropertyValue::Pair(text, other),
    };
    // What may not stand here, or not twice, or not with this value, is left out.
    let _ = builder.push(id, value);
}

fn properties(version: Version, context: impl Into<PropertyContext>) -> BoxedStrategy<Properties> {
    if version != Version::V5 {
        return Just(Properties::default()).boxed();
    }
    let context = context.into();
    let value = (any::<u32>(), TEXT, TEXT, vec(any::<u8>(), 0..9));
    vec((0..PROPERTIES.len(), value), 0..12)
        .prop_map(move |values| {
            let mut builder = PropertiesBuilder::new(context);
            if context == PropertyContext::Packet(PacketType::Auth) {
                let method = PropertyValue::Text("SCRAM-SHA-1");
                builder.push(PropertyId::AuthenticationMethod, method).unwrap();
            }
            for (row, value) in &values {
                let id = PropertyId::try_from(PROPERTIES[*row].id).unwrap();
                let needs_method = id == PropertyId::AuthenticationData
                    && context == PropertyContext::Packet(PacketType::Connect);
                if needs_method {
                    push(&mut builder, PropertyId::AuthenticationMethod, value);
                }
                push(&mut builder, id, value);
            }
            builder.build()
        })
        .boxed()
}

fn will(version: Version) -> impl Strategy<Value = Will> {
    let payload = vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    (TOPIC, payload, qos(), any::<bool>(), properties(version, PropertyContext::Will)).prop_map(
        |(topic, payload, qos, retain, properties)| Will {
            topic: topic.into(),
            payload,
            qos,
            retain,
            properties,
        },
    )
}

fn connect(version: Version) -> impl Strategy<Value = Packet> {
    let username = option::of(TEXT.prop_map(Bytes::from));
    let password = option::of(vec(any::<u8>(), 0..9).prop_map(Bytes::from));
    (
        (TEXT, any::<bool>(), any::<u16>(), username, password),
        (option::of(will(version)), properties(version, PacketType::Connect), any::<bool>()),
    )
        .prop_map(
            move |(
                (client_id, clean_start, keep_alive, username, password),
                (will, properties, bridge),
            )| {
                let v5 = version == Version::V5;
                Packet::Connect(Box::new(Connect {
                    client_id: client_id.into(),
                    clean_start,
                    keep_alive,
                    password: password.filter(|_| v5 || username.is_some()),
                    username,
                    will,
                    properties,
                    bridge: bridge && !v5,
                }))
            },
        )
}

fn connack(version: Version) -> impl Strategy<Value = Packet> {
    let reason = reason(PacketType::ConnAck);
    (any::<bool>(), reason, properties(version, PacketType::ConnAck)).prop_map(
        |(session_present, reason, properties)| {
            let session_present = session_present && reason == ReasonCode::SUCCESS;
            Packet::ConnAck(ConnAck { session_present, reason, properties })
        },
    )
}

fn publish(version: Version) -> impl Strategy<Value = Packet> {
    let flags = (any::<bool>(), qos(), any::<bool>());
    let list = properties(version, PacketType::Publish);
    (flags, TOPIC, packet_id(), list, payload()).prop_map(
        move |((dup, qos, retain), topic, packet_id, properties, payload)| {
            let parts = PublishParts {
                dup,
                qos,
                retain,
                topic: &topic,
                packet_id,
                properties: properties.as_bytes(),
                payload: &payload,
            };
            let mut bytes = Vec::new();
            encode_publish(&mut bytes, version, &parts).unwrap();
            let packet = decode_packet(version, &bytes).unwrap();
            // A PUBLISH is only made by decoding, so it is compared with its parts here.
            if let Packet::Publish(packet) = &packet {
                assert_eq!(packet.topic(), topic);
                assert_eq!(packet.payload(), &payload[..]);
                assert_eq!(packet.properties(), properties);
                assert_eq!((packet.qos(), packet.retain()), (qos, retain));
                assert_eq!(packet.dup(), dup && qos != QoS::AtMostOnce);
                let expected = if qos == QoS::AtMostOnce { 0 } else { packet_id };
                assert_eq!(packet.packet_id(), expected);
            }
            packet
        },
    )
}

fn ack(version: Version) -> impl Strategy<Value = Packet> {
    // The four share their properties; the reasons of PUBREL are those of PUBCOMP.
    let reasons = (reason(PacketType::PubAck), reason(PacketType::PubRel));
    (0..4, packet_id(), reasons, properties(version, PacketType::PubAck)).prop_map(
        move |(kind, packet_id, reasons, properties)| {
            let reason = if kind < 2 { reasons.0 } else { reasons.1 };
            let reason = if version == Version::V5 { reason } else { ReasonCode::SUCCESS };
            let ack = Ack { packet_id, reason, properties };
            match kind {
                0 => Packet::PubAck(ack),
                1 => Packet::PubRec(ack),
                2 => Packet::PubRel(ack),
                _ => Packet::PubComp(ack),
            }
        },
    )
}

fn filter() -> impl Strategy<Value = String> {
    FILTER.prop_filter("a topic filter", |filter| !filter.is_empty())
}

fn options(version: Version) -> BoxedStrategy<SubscriptionOptions> {
    (qos(), any::<bool>(), any::<bool>(), 0..3u8)
        .prop_map(move |(qos, no_local, retain_as_published, handling)| {
            if version != Version::V5 {
                return SubscriptionOptions { qos, ..SubscriptionOptions::default() };
            }
            let retain_handling = RetainHandling::try_from(handling).unwrap();
            SubscriptionOptions { qos, no_local, retain_as_published, retain_handling }
        })
        .boxed()
}

fn reasons(version: Version, packet: PacketType) -> BoxedStrategy<Bytes> {
    let code = if version == Version::V5 {
        reason(packet).prop_map(|reason| reason.0).boxed()
    } else {
        prop_oneof![0..3u8, Just(0x80)].boxed()
    };
    vec(code, 1..9).prop_map(Bytes::from).boxed()
}

fn subscribe(version: Version) -> BoxedStrategy<Packet> {
    let list = properties(version, PacketType::Subscribe);
    let request = (packet_id(), list, vec((filter(), options(version)), 1..6)).prop_map(
        |(packet_id, properties, filters)| {
            let filters = filters.into_iter().map(|(filter, options)| (filter.into(), options));
            Packet::Subscribe(Subscribe { packet_id, properties, filters: filters.collect() })
        },
    );
    let list = properties(version, PacketType::SubAck);
    let answer = (packet_id(), list, reasons(version, PacketType::SubAck)).prop_map(
        |(packet_id, properties, reasons)| {
            Packet::SubAck(SubAck { packet_id, properties, reasons })
        },
    );
    prop_oneof![request, answer].boxed()
}

fn unsubscribe(version: Version) -> BoxedStrategy<Packet> {
    let list = properties(version, PacketType::Unsubscribe);
    let request =
        (packet_id(), list, vec(filter(), 1..6)).prop_map(|(packet_id, properties, filters)| {
            let filters = filters.into_iter().map(Into::into).collect();
            Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters })
        });
    let list = properties(version, PacketType::UnsubAck);
    let answer = (packet_id(), list, reasons(version, PacketType::UnsubAck)).prop_map(
        move |(packet_id, properties, reasons)| {
            let reasons = if version == Version::V5 { reasons } else { Bytes::new() };
            Packet::UnsubAck(UnsubAck { packet_id, properties, reasons })
        },
    );
    prop_oneof![request, answer].boxed()
}

fn disconnect(version: Version) -> impl Strategy<Value = Packet> {
    let reason = option::of(reason(PacketType::Disconnect));
    let list = option::of(properties(version, PacketType::Disconnect));
    (reason, list).prop_map(move |(reason, list)| {
        if version != Version::V5 {
            return Packet::Disconnect(Disconnect::default());
        }
        let properties = list.filter(|_| reason.is_some());
        Packet::Disconnect(Disconnect { reason, properties })
    })
}

fn auth() -> impl Strategy<Value = Packet> {
    (reason(PacketType::Auth), properties(Version::V5, PacketType::Auth))
        .prop_map(|(reason, properties)| Packet::Auth(Auth { reason, properties }))
}
