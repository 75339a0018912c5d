//! The codec from outside: bytes of the standard, round trips, strictness, arbitrary input.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod codec_allocation;
mod codec_arbitrary;
mod codec_bytes;
mod codec_bytes_connect;
mod codec_bytes_publish;
mod codec_bytes_subscribe;
mod codec_packets;
mod codec_round_trip;
mod codec_strict;
mod codec_strict_rest;
mod codec_tables;

use bytes::Bytes;
use oxmqtt_protocol::codec::{DecodeError, Packet, Version, decode, parse_frame};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];
const MQTT_3: [Version; 2] = [Version::V31, Version::V311];

/// Bytes from hexadecimal digits and `'text'`, separated by spaces.
fn hex(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for word in text.split_ascii_whitespace() {
        if let Some(text) = word.strip_prefix('\'').and_then(|word| word.strip_suffix('\'')) {
            out.extend_from_slice(text.as_bytes());
            continue;
        }
        assert!(word.len() % 2 == 0, "odd digits in {word}");
        out.extend(
            (0..word.len())
                .step_by(2)
                .map(|i| u8::from_str_radix(&word[i..i + 2], 16).expect("hexadecimal digits")),
        );
    }
    out
}

/// Decodes one whole packet.
fn decode_packet(version: Version, packet: &[u8]) -> Result<Packet, DecodeError> {
    let source = Bytes::copy_from_slice(packet);
    let frame = parse_frame(&source)?.expect("a whole fixed header");
    assert_eq!(frame.packet_len(), source.len(), "the packet ends where the test data ends");
    decode(version, frame.first, &source[frame.header_len..], &source)
}

fn encode_packet(version: Version, packet: &Packet) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out).expect("a packet that can be encoded");
    out
}
