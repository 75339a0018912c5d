//! What is encoded is decoded as it was, in every version.

use bytes::Bytes;
use oxmqtt_protocol::codec::{DecodeError, Packet, Version, decode, parse_frame};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::codec_packets::packet;
use crate::{decode_packet, encode_packet};

fn round_trip(version: Version) {
    let config = ProptestConfig { cases: 400, ..ProptestConfig::default() };
    proptest!(config, |(packet in packet(version))| {
        let bytes = encode_packet(version, &packet);
        prop_assert_eq!(decode_packet(version, &bytes), Ok(packet.clone()));
        // Whatever is missing at the end is noticed: an early end is never another packet.
        let end = bytes.len();
        for cut in [end - 1, end / 2, 1] {
            let frame = parse_frame(&bytes[..cut]);
            prop_assert!(matches!(frame, Ok(None)) || frame.is_ok_and(|f| f.is_some_and(|f| f.packet_len() > cut)));
        }
    });
}

#[test]
fn packets_of_mqtt_3_1() {
    round_trip(Version::V31);
}

#[test]
fn packets_of_mqtt_3_1_1() {
    round_trip(Version::V311);
}

#[test]
fn packets_of_mqtt_5() {
    round_trip(Version::V5);
}

/// Decodes a whole stream, as a session does with one read.
fn decode_stream(version: Version, stream: &Bytes) -> Result<Vec<Packet>, DecodeError> {
    let mut packets = Vec::new();
    let mut start = 0;
    while let Some(frame) = parse_frame(&stream[start..])? {
        let end = start + frame.packet_len();
        let body = &stream[start + frame.header_len..end];
        packets.push(decode(version, frame.first, body, stream)?);
        start = end;
    }
    assert_eq!(start, stream.len());
    Ok(packets)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn packets_behind_one_another(packets in vec(packet(Version::V5), 1..12)) {
        let mut stream = Vec::new();
        for packet in &packets {
            packet.encode(Version::V5, &mut stream).unwrap();
        }
        prop_assert_eq!(decode_stream(Version::V5, &Bytes::from(stream)), Ok(packets));
    }
}
