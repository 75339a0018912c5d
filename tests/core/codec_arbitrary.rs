//! Arbitrary bytes: the decoder answers, never panics, and what it accepts it can write again.

use bytes::Bytes;
use oxmqtt_protocol::codec::{Packet, Version, decode, parse_frame};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::codec_packets::packet;
use crate::{VERSIONS, encode_packet};

/// Reads everything that can be read from a packet.
fn touch(packet: &Packet) {
    let _ = format!("{packet:?}");
    if let Packet::Publish(packet) = packet {
        assert_eq!(packet.topic().as_bytes(), packet.topic_bytes());
        let _ = (packet.payload_bytes(), packet.properties(), packet.topic_alias());
        assert_eq!(&packet.detach(), packet);
    }
}

fn check(version: Version, first: u8, body: &[u8]) {
    let source = Bytes::copy_from_slice(body);
    let Ok(packet) = decode(version, first, &source, &source) else {
        return;
    };
    touch(&packet);
    let bytes = encode_packet(version, &packet);
    let frame = parse_frame(&bytes).unwrap().unwrap();
    let source = Bytes::from(bytes);
    let again = decode(version, frame.first, &source[frame.header_len..], &source);
    assert_eq!(again, Ok(packet));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(first: u8, body in vec(any::<u8>(), 0..80)) {
        for version in VERSIONS {
            check(version, first, &body);
        }
    }

    #[test]
    fn small_bytes(nibble in 1..16u8, body in vec(0..6u8, 0..24)) {
        // Small numbers make lengths that fit, so more of the decoder is reached.
        let flags = if matches!(nibble, 6 | 8 | 10) { 2 } else { 0 };
        for version in VERSIONS {
            check(version, nibble << 4 | flags, &body);
        }
    }

    #[test]
    fn any_fixed_header(bytes in vec(any::<u8>(), 0..8)) {
        if let Ok(Some(frame)) = parse_frame(&bytes) {
            prop_assert!(frame.header_len <= bytes.len() && frame.header_len <= 5);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn damaged_packets(
        packet in packet(Version::V5),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
        cut in any::<Index>(),
    ) {
        let mut bytes = encode_packet(Version::V5, &packet);
        for (at, value) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        for version in VERSIONS {
            check(version, bytes[0], bytes.get(2..).unwrap_or_default());
            let end = cut.index(bytes.len());
            check(version, bytes[0], bytes.get(2..end).unwrap_or_default());
        }
    }
}
