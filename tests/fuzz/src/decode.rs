//! Any bytes from a peer, as a stream of packets.

use bytes::Bytes;
use oxmqtt_protocol::codec::{
    DecodeError, Frame, Packet, PacketType, Properties, PropertyContext, Version, decode,
    parse_frame,
};

use super::allocation::allocated_by;

/// MQTT 3.1 and 3.1.1, which differ in CONNECT and in the flags of three packets.
pub fn decode_v3(data: &[u8]) {
    let source = Bytes::copy_from_slice(data);
    for (first, body) in frames(&source) {
        let v31 = read(Version::V31, first, body, &source);
        let v311 = read(Version::V311, first, body, &source);
        if first >> 4 != PacketType::Connect as u8 && v311.is_ok() {
            assert_eq!(v31, v311, "MQTT 3.1 reads what 3.1.1 reads");
        }
    }
}

pub fn decode_v5(data: &[u8]) {
    let source = Bytes::copy_from_slice(data);
    for (first, body) in frames(&source) {
        let _ = read(Version::V5, first, body, &source);
    }
}

/// First byte and body of the packets in a stream, until something is wrong or missing.
fn frames(source: &Bytes) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(Frame { first, header_len, remaining }) = frame(&source[at..]) {
        let Some(body) = source.get(at + header_len..at + header_len + remaining) else { break };
        found.push((first, body));
        at += header_len + remaining;
    }
    found
}

/// The fixed header: what it says is in its bytes, and part of it says nothing.
fn frame(buf: &[u8]) -> Option<Frame> {
    let Ok(Some(frame)) = parse_frame(buf) else {
        let complete = buf.iter().skip(1).take(4).any(|byte| byte & 0x80 == 0);
        assert!(buf.len() < 5 || parse_frame(buf).is_err(), "five bytes are always enough");
        assert!(!complete || parse_frame(buf).is_err(), "a whole header was not read");
        return None;
    };
    assert!((2..=5).contains(&frame.header_len) && frame.header_len <= buf.len());
    assert_eq!(frame.first, buf[0]);
    let length = buf[1..frame.header_len].iter().rev();
    let length = length.fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f));
    assert_eq!(frame.remaining, length);
    for end in 0..frame.header_len {
        assert_eq!(parse_frame(&buf[..end]), Ok(None));
    }
    Some(frame)
}

/// Decodes a packet and checks everything that can be said about the answer.
pub fn read(
    version: Version,
    first: u8,
    body: &[u8],
    source: &Bytes,
) -> Result<Packet, DecodeError> {
    // The first share of a buffer allocates its count; that is the reader's, not the packet's.
    let shared = source.clone();
    let (answer, allocated) = allocated_by(|| decode(version, first, body, &shared));
    // The input is held already, so a fifth of it is left. SUBSCRIBE and UNSUBSCRIBE, which no
    // client reads, become a list with an entry for each topic filter.
    let limit = match PacketType::from_first_byte(first) {
        Some(PacketType::Subscribe | PacketType::Unsubscribe) => 40 * body.len() + 4096,
        _ => body.len() / 5 + 4096,
    };
    assert!(allocated <= limit, "{allocated} bytes allocated for {}", body.len());
    match &answer {
        Ok(packet) => check(version, first, body, &shared, packet),
        Err(error) => {
            let reason = error.reason_code();
            let known = [PacketType::Disconnect, PacketType::ConnAck];
            assert!(reason.is_failure() && known.iter().any(|packet| reason.is_known(*packet)));
            assert!(!body.is_empty() || !is_empty_by_right(version, first), "{error}");
        }
    }
    answer
}

/// The packets that may lack a body: PINGREQ, PINGRESP, DISCONNECT, and AUTH of MQTT 5.0.
fn is_empty_by_right(version: Version, first: u8) -> bool {
    matches!(first, 0xc0 | 0xd0 | 0xe0) || (first == 0xf0 && version == Version::V5)
}

fn check(version: Version, first: u8, body: &[u8], source: &Bytes, packet: &Packet) {
    assert_eq!(packet.packet_type() as u8, first >> 4);
    let sides = [
        packet.packet_type().is_sent_by_server(version),
        packet.packet_type().is_sent_by_client(version),
    ];
    assert!(sides.contains(&true), "{packet:?} is nobody's");
    for (context, list) in property_lists(packet) {
        check_properties(version, context, list);
    }
    if let Packet::Publish(publish) = packet {
        assert_eq!(publish.topic().as_bytes(), publish.topic_bytes());
        assert_eq!(publish.body_len(), body.len());
        assert!(publish.topic_alias().is_some() || !publish.topic().is_empty());
        assert_eq!(publish.topic_alias(), publish.properties().topic_alias());
        assert_eq!(&publish.detach(), publish);
        let payload = publish.payload_bytes();
        let within = source.as_ptr_range().contains(&payload.as_ptr());
        assert!(payload.is_empty() || within, "the payload was copied");
    }
    let mut again = Vec::new();
    packet.encode(version, &mut again).expect("what was read can be written");
    let source = Bytes::from(again);
    let frame = parse_frame(&source).expect("a fixed header").expect("a whole one");
    assert_eq!(frame.packet_len(), source.len());
    // An encoder leaves out what may be left out, and adds nothing.
    assert!(frame.remaining <= body.len());
    if let Packet::Publish(_) = packet {
        assert_eq!((frame.first, &source[frame.header_len..]), (first, body));
    }
    let read = decode(version, frame.first, &source[frame.header_len..], &source);
    assert_eq!(read.as_ref(), Ok(packet));
}

/// The property lists of a packet, and where they stand.
fn property_lists(packet: &Packet) -> Vec<(PropertyContext, Properties)> {
    let own = match packet {
        Packet::Connect(connect) => {
            let will = connect.will.as_ref().map(|will| will.properties.clone());
            let mut lists = vec![(PacketType::Connect.into(), connect.properties.clone())];
            lists.extend(will.map(|list| (PropertyContext::Will, list)));
            return lists;
        }
        Packet::ConnAck(packet) => &packet.properties,
        Packet::Publish(publish) => {
            return vec![(PacketType::Publish.into(), publish.properties())];
        }
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            &ack.properties
        }
        Packet::Subscribe(packet) => &packet.properties,
        Packet::SubAck(packet) => &packet.properties,
        Packet::Unsubscribe(packet) => &packet.properties,
        Packet::UnsubAck(packet) => &packet.properties,
        Packet::PingReq | Packet::PingResp => return Vec::new(),
        Packet::Disconnect(packet) => match &packet.properties {
            Some(list) => list,
            None => return Vec::new(),
        },
        Packet::Auth(packet) => &packet.properties,
    };
    vec![(packet.packet_type().into(), own.clone())]
}

/// Each property belongs there, has its type, and stands once unless it may be repeated; and the walk
/// over the list reaches its end.
fn check_properties(version: Version, context: PropertyContext, list: Properties) {
    assert!(list.is_empty() || version == Version::V5);
    let mut seen = 0u64;
    let mut size = 0;
    for (id, value) in &list {
        assert!(id.is_allowed_in(context), "{id:?} in {context:?}");
        assert_eq!(value.kind(), id.kind());
        let bit = 1 << id as u8;
        assert!(seen & bit == 0 || id.is_repeatable_in(context), "{id:?} twice");
        seen |= bit;
        size += 1 + value_size(&value);
    }
    assert_eq!(size, list.as_bytes().len());
}

fn value_size(value: &oxmqtt_protocol::codec::PropertyValue<'_>) -> usize {
    use oxmqtt_protocol::codec::PropertyValue::{
        Binary, Byte, FourByte, Pair, Text, TwoByte, VarInt,
    };
    match value {
        Byte(_) => 1,
        TwoByte(_) => 2,
        FourByte(_) => 4,
        VarInt(0..=0x7f) => 1,
        VarInt(0x80..=0x3fff) => 2,
        VarInt(0x4000..=0x1f_ffff) => 3,
        VarInt(_) => 4,
        Binary(data) => 2 + data.len(),
        Text(text) => 2 + text.len(),
        Pair(name, value) => 4 + name.len() + value.len(),
    }
}
