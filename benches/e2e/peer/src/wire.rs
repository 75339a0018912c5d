//! The little of MQTT that the peer speaks: frames, and the few packets it sends.
//! It trusts its client (this is a stopwatch, not a broker), so malformed input may panic.

pub const CONNECT: u8 = 1;
pub const PUBLISH: u8 = 3;
pub const PUBACK: u8 = 4;
pub const PUBREC: u8 = 5;
pub const PUBREL: u8 = 6;
pub const PUBCOMP: u8 = 7;
pub const SUBSCRIBE: u8 = 8;
pub const UNSUBSCRIBE: u8 = 10;
pub const PINGREQ: u8 = 12;
pub const DISCONNECT: u8 = 14;

/// One packet: its first byte and what follows the remaining length.
pub struct Frame<'a> {
    pub first: u8,
    pub body: &'a [u8],
    pub len: usize,
}

/// The first packet in `bytes`; `Err(len)` is the length it needs (2 while that is unknown).
pub fn next_frame(bytes: &[u8]) -> Result<Frame<'_>, usize> {
    let (&first, rest) = bytes.split_first().ok_or(2usize)?;
    let (remaining, width) = read_varint(rest).ok_or(2usize)?;
    let len = 1 + width + remaining;
    match bytes.get(1 + width..len) {
        Some(body) => Ok(Frame { first, body, len }),
        None => Err(len),
    }
}

/// A variable byte integer and its width.
pub fn read_varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (i, &byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, i + 1));
        }
    }
    None
}

pub fn put_varint(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn be16(bytes: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// What a CONNECT says that concerns the peer: is it MQTT 5, and how many messages of QoS > 0 the
/// client takes at a time (its Receive Maximum).
pub fn read_connect(connect: &[u8]) -> (bool, u64) {
    let at = 2 + be16(connect);
    let v5 = connect[at] == 5;
    let unlimited = u64::from(u16::MAX);
    if !v5 {
        return (v5, unlimited);
    }
    let at = at + 4; // protocol level, flags, keep alive
    let (len, width) = read_varint(&connect[at..]).expect("a property length");
    let mut properties = &connect[at + width..at + width + len];
    while let Some((&id, value)) = properties.split_first() {
        let value_len = match id {
            0x21 => return (v5, be16(value) as u64),
            0x17 | 0x19 => 1,
            0x22 => 2,
            0x11 | 0x27 => 4,
            0x15 | 0x16 => 2 + be16(value),
            _ => break, // user properties come last in practice
        };
        properties = &value[value_len..];
    }
    (v5, unlimited)
}

pub fn connack(v5: bool) -> &'static [u8] {
    if v5 {
        &[0x20, 3, 0, 0, 0]
    } else {
        &[0x20, 2, 0, 0]
    }
}

/// The packet id of a PUBLISH of QoS 1 or 2.
pub fn publish_id(body: &[u8]) -> [u8; 2] {
    let at = 2 + be16(body);
    [body[at], body[at + 1]]
}

/// Answers a SUBSCRIBE and says how many filters it had.
pub fn put_suback(subscribe: &[u8], v5: bool, out: &mut Vec<u8>) -> usize {
    let mut at = 2;
    if v5 {
        let (properties, width) = read_varint(&subscribe[2..]).expect("a property length");
        at += width + properties;
    }
    let mut codes = Vec::new();
    while at + 2 < subscribe.len() {
        at += 2 + be16(&subscribe[at..]);
        codes.push(subscribe[at] & 3);
        at += 1;
    }
    out.push(0x90);
    put_varint(2 + usize::from(v5) + codes.len(), out);
    out.extend_from_slice(&subscribe[..2]);
    if v5 {
        out.push(0);
    }
    out.extend_from_slice(&codes);
    codes.len()
}

pub fn put_unsuback(unsubscribe: &[u8], v5: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xb0, if v5 { 4 } else { 2 }, unsubscribe[0], unsubscribe[1]]);
    if v5 {
        out.extend_from_slice(&[0, 0]);
    }
}

/// A CONNECT of MQTT 3.1.1 with a clean session and no keep-alive.
pub fn connect(client_id: &str) -> Vec<u8> {
    let mut packet = vec![0x10];
    put_varint(12 + client_id.len(), &mut packet);
    packet.extend_from_slice(b"\x00\x04MQTT\x04\x02\x00\x00");
    packet.extend_from_slice(&(client_id.len() as u16).to_be_bytes());
    packet.extend_from_slice(client_id.as_bytes());
    packet
}

/// An encoded PUBLISH to be sent many times; only the packet id changes.
pub struct Template {
    pub bytes: Vec<u8>,
    pub id_at: usize,
}

impl Template {
    pub fn new(topic: &str, size: usize, qos: u8, v5: bool) -> Self {
        let mut bytes = vec![0x30 | qos << 1];
        let id = if qos > 0 { 2 } else { 0 };
        put_varint(2 + topic.len() + id + usize::from(v5) + size, &mut bytes);
        bytes.extend_from_slice(&(topic.len() as u16).to_be_bytes());
        bytes.extend_from_slice(topic.as_bytes());
        let id_at = bytes.len();
        bytes.resize(bytes.len() + id + usize::from(v5), 0);
        bytes.resize(bytes.len() + size, b'x');
        Template { bytes, id_at }
    }
}
