//! Packets that the standard allows, made from bytes. The encoder is trusted only to write PUBLISH,
//! which has no other way in; what comes back is compared with what went in.

use bytes::Bytes;
use oxmqtt_protocol::codec::{
    Ack, Auth, ConnAck, Connect, Disconnect, PROPERTIES, Packet, PacketType, Properties,
    PropertiesBuilder, PropertyContext, PropertyId, PropertyKind, PropertyValue, PublishParts, QoS,
    ReasonCode, RetainHandling, SubAck, Subscribe, SubscriptionOptions, UnsubAck, Unsubscribe,
    Version, Will, decode, encode_publish, parse_frame,
};

use super::input::Input;

/// A packet of this version.
pub fn packet(version: Version, input: &mut Input<'_>) -> Packet {
    let v5 = version == Version::V5;
    match input.below(if v5 { 15 } else { 14 }) {
        0 => publish(version, input),
        1 => Packet::Connect(Box::new(connect(version, input))),
        2 => connack(version, input),
        3 => Packet::PubAck(ack(version, PacketType::PubAck, input)),
        4 => Packet::PubRec(ack(version, PacketType::PubRec, input)),
        5 => Packet::PubRel(ack(version, PacketType::PubRel, input)),
        6 => Packet::PubComp(ack(version, PacketType::PubComp, input)),
        7 => subscribe(version, input),
        8 => suback(version, input),
        9 => unsubscribe(version, input),
        10 => unsuback(version, input),
        11 => Packet::PingReq,
        12 => Packet::PingResp,
        13 => disconnect(version, input),
        _ => auth(input),
    }
}

/// A packet that a server may send.
pub fn server_packet(version: Version, input: &mut Input<'_>) -> Packet {
    match input.below(10) {
        0 => connack(version, input),
        1 => Packet::PubAck(ack(version, PacketType::PubAck, input)),
        2 => Packet::PubRec(ack(version, PacketType::PubRec, input)),
        3 => Packet::PubRel(ack(version, PacketType::PubRel, input)),
        4 => Packet::PubComp(ack(version, PacketType::PubComp, input)),
        5 => suback(version, input),
        6 => unsuback(version, input),
        7 => Packet::PingResp,
        8 if version == Version::V5 => disconnect(version, input),
        _ => publish(version, input),
    }
}

/// A packet that a client may send.
pub fn client_packet(version: Version, input: &mut Input<'_>) -> Packet {
    match input.below(16) {
        0..=2 => subscribe(version, input),
        3 => unsubscribe(version, input),
        4 => Packet::PubAck(ack(version, PacketType::PubAck, input)),
        5 | 6 => Packet::PubRec(ack(version, PacketType::PubRec, input)),
        7 => Packet::PubComp(ack(version, PacketType::PubComp, input)),
        8 => Packet::PubRel(ack(version, PacketType::PubRel, input)),
        9 => Packet::PingReq,
        10 => disconnect(version, input),
        11 if version == Version::V5 => auth(input),
        _ => publish(version, input),
    }
}

fn packet_id(input: &mut Input<'_>) -> u16 {
    match input.byte() {
        0 => input.two_byte().max(1),
        small => small.into(),
    }
}

fn qos(input: &mut Input<'_>) -> QoS {
    match input.below(3) {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

/// A reason code of the standard, for this packet.
fn reason(version: Version, packet: PacketType, input: &mut Input<'_>) -> ReasonCode {
    if version != Version::V5 {
        return ReasonCode::SUCCESS;
    }
    let reason = ReasonCode(input.byte());
    if reason.is_known(packet) { reason } else { ReasonCode::SUCCESS }
}

/// Up to 8 properties that may stand in `context`.
pub fn properties(
    version: Version,
    context: impl Into<PropertyContext>,
    input: &mut Input<'_>,
) -> Properties {
    let context = context.into();
    let mut builder = PropertiesBuilder::new(context);
    if version != Version::V5 {
        return builder.build();
    }
    let method = PropertyValue::Text("SCRAM-SHA-1");
    if context == PropertyContext::Packet(PacketType::Auth) {
        let _ = builder.push(PropertyId::AuthenticationMethod, method);
    }
    for _ in 0..input.below(9) {
        let Some(row) = PROPERTIES.get(input.below(PROPERTIES.len())) else { continue };
        let Some(id) = PropertyId::from_id(row.id.into()) else { continue };
        // In CONNECT, authentication data needs a method.
        if id == PropertyId::AuthenticationData
            && context == PropertyContext::Packet(PacketType::Connect)
        {
            let _ = builder.push(PropertyId::AuthenticationMethod, method);
        }
        push(&mut builder, id, input);
    }
    builder.build()
}

/// Appends a value; what may not stand there, or not twice, or not with this value, is left out.
fn push(builder: &mut PropertiesBuilder, id: PropertyId, input: &mut Input<'_>) {
    let (text, other);
    let value = match id.kind() {
        PropertyKind::Byte => PropertyValue::Byte(input.byte() & 1),
        PropertyKind::TwoByteInteger => PropertyValue::TwoByte(input.two_byte()),
        PropertyKind::FourByteInteger => PropertyValue::FourByte(input.four_byte()),
        PropertyKind::VariableByteInteger => {
            PropertyValue::VarInt((input.four_byte() & 0x0fff_ffff) >> (7 * input.below(4)))
        }
        PropertyKind::BinaryData => PropertyValue::Binary(input.bytes(20)),
        PropertyKind::Utf8String => {
            text = input.text(20);
            PropertyValue::Text(&text)
        }
        PropertyKind::Utf8StringPair => {
            text = input.text(8);
            other = input.text(8);
            PropertyValue::Pair(&text, &other)
        }
    };
    let _ = builder.push(id, value);
}

pub fn connect(version: Version, input: &mut Input<'_>) -> Connect {
    let v5 = version == Version::V5;
    let flags = input.byte();
    let keep_alive = input.two_byte();
    let username = (flags & 1 != 0).then(|| Bytes::from(input.text(20)));
    let password = (flags & 2 != 0 && (v5 || username.is_some()))
        .then(|| Bytes::copy_from_slice(input.bytes(20)));
    let will = (flags & 4 != 0).then(|| Will {
        topic: input.topic().into(),
        payload: Bytes::copy_from_slice(input.bytes(40)),
        qos: qos(input),
        retain: flags & 8 != 0,
        properties: properties(version, PropertyContext::Will, input),
    });
    Connect {
        client_id: input.text(24).into(),
        clean_start: flags & 16 != 0,
        keep_alive,
        username,
        password,
        will,
        properties: properties(version, PacketType::Connect, input),
        bridge: flags & 32 != 0 && !v5,
    }
}

fn connack(version: Version, input: &mut Input<'_>) -> Packet {
    let flags = input.byte();
    let reason = match version {
        Version::V5 => reason(version, PacketType::ConnAck, input),
        _ => ReasonCode(if flags & 0xe == 0xe { flags >> 4 & 7 } else { 0 }.min(5)),
    };
    Packet::ConnAck(ConnAck {
        session_present: flags & 1 != 0 && reason == ReasonCode::SUCCESS,
        reason,
        properties: properties(version, PacketType::ConnAck, input),
    })
}

fn publish(version: Version, input: &mut Input<'_>) -> Packet {
    let flags = input.byte();
    let qos = qos(input);
    let list = properties(version, PacketType::Publish, input);
    let mut topic = input.topic();
    if flags & 0xc == 0xc && list.topic_alias().is_some() {
        topic.clear();
    }
    let packet_id = packet_id(input);
    let parts = PublishParts {
        dup: flags & 1 != 0,
        qos,
        retain: flags & 2 != 0,
        topic: &topic,
        packet_id,
        properties: list.as_bytes(),
        payload: input.bytes(255),
    };
    let mut bytes = Vec::new();
    encode_publish(&mut bytes, version, &parts).expect("a PUBLISH that can be written");
    let source = Bytes::from(bytes);
    let frame = parse_frame(&source).expect("a fixed header").expect("a whole one");
    let body = &source[frame.header_len..];
    let packet = decode(version, frame.first, body, &source).expect("a PUBLISH that can be read");
    let Packet::Publish(publish) = &packet else { panic!("PUBLISH is due, not {packet:?}") };
    let with_id = qos != QoS::AtMostOnce;
    assert_eq!((publish.topic(), publish.payload()), (&topic[..], parts.payload));
    assert_eq!((publish.qos(), publish.retain()), (qos, parts.retain));
    assert_eq!(publish.dup(), parts.dup && with_id);
    assert_eq!(publish.packet_id(), if with_id { packet_id } else { 0 });
    assert_eq!(publish.properties_bytes(), parts.properties);
    packet
}

fn ack(version: Version, kind: PacketType, input: &mut Input<'_>) -> Ack {
    Ack {
        packet_id: packet_id(input),
        reason: reason(version, kind, input),
        properties: properties(version, kind, input),
    }
}

fn subscription_options(version: Version, shared: bool, byte: u8) -> SubscriptionOptions {
    let qos = QoS::try_from(byte % 3).unwrap_or_default();
    if version != Version::V5 {
        return SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    }
    SubscriptionOptions {
        qos,
        no_local: byte & 4 != 0 && !shared,
        retain_as_published: byte & 8 != 0,
        retain_handling: RetainHandling::try_from(byte >> 4 & 3).unwrap_or_default(),
    }
}

/// What a SUBSCRIBE asks for: a filter and its options.
pub fn subscription(
    version: Version,
    input: &mut Input<'_>,
) -> (bytestring::ByteString, SubscriptionOptions) {
    let filter = input.filter();
    let options = subscription_options(version, filter.starts_with("$share/"), input.byte());
    (filter.into(), options)
}

fn subscribe(version: Version, input: &mut Input<'_>) -> Packet {
    Packet::Subscribe(Subscribe {
        packet_id: packet_id(input),
        properties: properties(version, PacketType::Subscribe, input),
        filters: (0..=input.below(5)).map(|_| subscription(version, input)).collect(),
    })
}

fn unsubscribe(version: Version, input: &mut Input<'_>) -> Packet {
    Packet::Unsubscribe(Unsubscribe {
        packet_id: packet_id(input),
        properties: properties(version, PacketType::Unsubscribe, input),
        filters: (0..=input.below(5)).map(|_| input.filter().into()).collect(),
    })
}

fn suback(version: Version, input: &mut Input<'_>) -> Packet {
    let reason = |input: &mut Input<'_>| match version {
        Version::V5 => reason(version, PacketType::SubAck, input).0,
        _ => [0, 1, 2, 0x80][input.below(4)],
    };
    Packet::SubAck(SubAck {
        packet_id: packet_id(input),
        properties: properties(version, PacketType::SubAck, input),
        reasons: (0..=input.below(5)).map(|_| reason(input)).collect(),
    })
}

fn unsuback(version: Version, input: &mut Input<'_>) -> Packet {
    let packet_id = packet_id(input);
    let properties = properties(version, PacketType::UnsubAck, input);
    let count = if version == Version::V5 { 1 + input.below(5) } else { 0 };
    let reasons = (0..count).map(|_| reason(version, PacketType::UnsubAck, input).0).collect();
    Packet::UnsubAck(UnsubAck { packet_id, properties, reasons })
}

fn disconnect(version: Version, input: &mut Input<'_>) -> Packet {
    let mut packet = Disconnect::default();
    let said = if version == Version::V5 { input.below(4) } else { 0 };
    if said > 0 {
        packet.reason = Some(reason(version, PacketType::Disconnect, input));
    }
    if said > 1 {
        packet.properties = Some(properties(version, PacketType::Disconnect, input));
    }
    Packet::Disconnect(packet)
}

fn auth(input: &mut Input<'_>) -> Packet {
    Packet::Auth(Auth {
        reason: reason(Version::V5, PacketType::Auth, input),
        properties: properties(Version::V5, PacketType::Auth, input),
    })
}
