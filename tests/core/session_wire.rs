//! Packets of a server built by hand, and packets of the client taken apart, without the codec.

use oxmqtt_protocol::codec::Version;

pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const PUBREC: u8 = 0x50;
pub(crate) const PUBREL: u8 = 0x62;
pub(crate) const PUBCOMP: u8 = 0x70;
pub(crate) const PINGRESP: [u8; 2] = [0xD0, 0];

/// A packet: first byte, remaining length, body.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut rest = body.len();
    loop {
        let more = if rest > 127 { 0x80 } else { 0 };
        out.push((rest % 128) as u8 | more);
        rest /= 128;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

fn is_5(version: Version) -> bool {
    version == Version::V5
}

/// CONNACK with an encoded property list, which only MQTT 5.0 takes.
pub(crate) fn connack(version: Version, present: bool, reason: u8, list: &[u8]) -> Vec<u8> {
    let mut body = vec![u8::from(present), reason];
    if is_5(version) {
        body.push(list.len() as u8);
        body.extend_from_slice(list);
    }
    packet(0x20, &body)
}

/// PUBLISH of a server. `id` is left out at QoS 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deliver<'a> {
    pub(crate) dup: bool,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) topic: &'a str,
    pub(crate) id: u16,
    pub(crate) list: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Deliver<'_> {
    pub(crate) fn bytes(&self, version: Version) -> Vec<u8> {
        let flags = u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain);
        let mut body = (self.topic.len() as u16).to_be_bytes().to_vec();
        body.extend_from_slice(self.topic.as_bytes());
        if self.qos > 0 {
            body.extend_from_slice(&self.id.to_be_bytes());
        }
        if is_5(version) {
            body.push(self.list.len() as u8);
            body.extend_from_slice(self.list);
        }
        body.extend_from_slice(self.payload);
        packet(0x30 | flags, &body)
    }
}

/// PUBLISH with the topic "t" and the payload "p".
pub(crate) fn deliver(version: Version, qos: u8, id: u16) -> Vec<u8> {
    Deliver { qos, id, topic: "t", payload: b"p", ..Deliver::default() }.bytes(version)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
pub(crate) fn ack(first: u8, id: u16) -> Vec<u8> {
    packet(first, &id.to_be_bytes())
}

/// The same with a reason, as MQTT 5.0 has it.
pub(crate) fn ack_with(first: u8, id: u16, reason: u8) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    packet(first, &[high, low, reason])
}

/// SUBACK (0x90) or UNSUBACK (0xB0).
pub(crate) fn answer(version: Version, first: u8, id: u16, reasons: &[u8]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if is_5(version) {
        body.push(0);
    }
    body.extend_from_slice(reasons);
    packet(first, &body)
}

/// A packet of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Connect(Vec<u8>),
    Publish {
        dup: bool,
        qos: u8,
        retain: bool,
        topic: String,
        id: u16,
        list: Vec<u8>,
        payload: Vec<u8>,
    },
    PubAck(u16, u8),
    PubRec(u16, u8),
    PubRel(u16, u8),
    PubComp(u16, u8),
    Subscribe(u16),
    Unsubscribe(u16),
    PingReq,
    Disconnect(u8),
    /// Reason and property list.
    Auth(u8, Vec<u8>),
}

/// Splits the first packet off; `None` when it is not whole.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (mut length, mut shift, mut at) = (0usize, 0, 1);
    loop {
        let byte = *bytes.get(at)?;
        length |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let body = bytes.get(at..at + length)?;
    Some((bytes[0], body, &bytes[at + length..]))
}

fn two(body: &[u8]) -> (u16, &[u8]) {
    (u16::from_be_bytes([body[0], body[1]]), &body[2..])
}

/// The packets in `bytes`, which end where the last packet ends.
pub(crate) fn parse(version: Version, bytes: &[u8]) -> Vec<Sent> {
    let (packets, rest) = parse_whole(version, bytes);
    assert_eq!(rest, 0, "the output ends in the middle of a packet");
    packets
}

/// The whole packets in `bytes`, and how many bytes are left over.
pub(crate) fn parse_whole(version: Version, bytes: &[u8]) -> (Vec<Sent>, usize) {
    let mut rest = bytes;
    let mut packets = Vec::new();
    while let Some((first, body, next)) = split(rest) {
        packets.push(parse_one(version, first, body));
        rest = next;
    }
    (packets, rest.len())
}

fn parse_one(version: Version, first: u8, body: &[u8]) -> Sent {
    let answer = || {
        let (id, rest) = two(body);
        assert!(is_5(version) || rest.is_empty(), "a reason before MQTT 5.0");
        (id, rest.first().copied().unwrap_or(0))
    };
    match first {
        0x10 => Sent::Connect(body.to_vec()),
        0x30..=0x3F => parse_publish(version, first, body),
        PUBACK => Sent::PubAck(answer().0, answer().1),
        PUBREC => Sent::PubRec(answer().0, answer().1),
        PUBREL => Sent::PubRel(answer().0, answer().1),
        PUBCOMP => Sent::PubComp(answer().0, answer().1),
        0x82 => Sent::Subscribe(two(body).0),
        0xA2 => Sent::Unsubscribe(two(body).0),
        0xC0 => Sent::PingReq,
        0xE0 => Sent::Disconnect(body.first().copied().unwrap_or(0)),
        0xF0 if body.is_empty() => Sent::Auth(0, Vec::new()),
        0xF0 => Sent::Auth(body[0], body[2..].to_vec()),
        _ => panic!("a client does not send {first:02x}"),
    }
}

fn parse_publish(version: Version, first: u8, body: &[u8]) -> Sent {
    let qos = first >> 1 & 3;
    let (length, rest) = two(body);
    let (topic, mut rest) = rest.split_at(length.into());
    let mut id = 0;
    if qos > 0 {
        (id, rest) = two(rest);
        assert_ne!(id, 0, "packet identifier zero");
    }
    let mut list: &[u8] = &[];
    if is_5(version) {
        assert!(rest[0] < 0x80, "property lists of the tests are short");
        (list, rest) = rest[1..].split_at(rest[0].into());
    }
    Sent::Publish {
        dup: first & 8 != 0,
        qos,
        retain: first & 1 != 0,
        topic: String::from_utf8(topic.to_vec()).unwrap(),
        id,
        list: list.to_vec(),
        payload: rest.to_vec(),
    }
}
