//! Packets made from bytes: what is written is read as it was, damaged or not.

use bytes::Bytes;
use oxmqtt_protocol::codec::{Packet, Version, parse_frame, publish_size};

use super::decode::read;
use super::generate::packet;
use super::input::Input;

const PREFIX: &[u8] = b"earlier packets";

pub fn round_trip(data: &[u8]) {
    let mut input = Input::new(data);
    let version = [Version::V31, Version::V311, Version::V5, Version::V5][input.below(4)];
    let mut packet = packet(version, &mut input);
    if input.byte() == 0xff {
        spoil(&mut packet, &mut input);
    }
    let mut out = PREFIX.to_vec();
    if packet.encode(version, &mut out).is_err() {
        assert_eq!(out, PREFIX, "an error leaves the buffer as it was");
        return;
    }
    let bytes = out.split_off(PREFIX.len());
    assert_eq!(out, PREFIX);
    assert_eq!(decode_one(version, &bytes).as_ref(), Some(&packet));
    if let Packet::Publish(publish) = &packet {
        assert_eq!(publish_size(version, &publish.parts()), bytes.len());
    }
    damage(version, bytes, &mut input);
}

/// Reads one whole packet; `None` when it is refused.
fn decode_one(version: Version, bytes: &[u8]) -> Option<Packet> {
    let source = Bytes::copy_from_slice(bytes);
    let frame = parse_frame(&source).ok()??;
    let body = source.get(frame.header_len..frame.packet_len())?;
    // `read` also writes the packet and reads it again.
    read(version, frame.first, body, &source).ok()
}

/// Breaks what the encoder has to notice by itself: identifiers and lengths.
fn spoil(packet: &mut Packet, input: &mut Input<'_>) {
    let long = || bytestring::ByteString::from("x".repeat(65_536));
    let spoil_filter = input.flag();
    match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            ack.packet_id = 0;
        }
        Packet::Connect(connect) if spoil_filter => connect.client_id = long(),
        Packet::Connect(connect) => connect.client_id = "a\0b".into(),
        Packet::Subscribe(request) if spoil_filter => request.filters[0].0 = long(),
        Packet::Subscribe(request) => request.filters.clear(),
        Packet::Unsubscribe(request) if spoil_filter => request.filters[0] = "a\0b".into(),
        Packet::Unsubscribe(request) => request.packet_id = 0,
        Packet::SubAck(answer) => answer.reasons = Bytes::new(),
        Packet::UnsubAck(answer) => answer.packet_id = 0,
        _ => {}
    }
}

/// Changes some bytes behind the fixed header and reads again, in every version.
fn damage(version: Version, mut bytes: Vec<u8>, input: &mut Input<'_>) {
    if input.is_empty() || bytes.len() < 3 {
        return;
    }
    for _ in 0..=input.below(3) {
        let at = usize::from(input.two_byte()) % bytes.len();
        bytes[at] = input.byte();
    }
    for version in [version, Version::V31, Version::V311, Version::V5] {
        let _ = decode_one(version, &bytes);
    }
}
