//! What is refused, with the reason code that says why: headers, PUBLISH, acknowledgements.

use bytes::Bytes;
use oxmqtt_protocol::codec::{DecodeError, Packet, PacketType, Version, parse_frame};

use crate::{MQTT_3, VERSIONS, decode_packet, hex};

pub(crate) const MALFORMED: u8 = 0x81;
pub(crate) const PROTOCOL: u8 = 0x82;
pub(crate) const VERSION: u8 = 0x84;
pub(crate) const ALIAS: u8 = 0x94;

/// Every row is refused with its reason code in each of the versions.
#[track_caller]
pub(crate) fn refused(versions: &[Version], rows: &[(u8, &str)]) {
    for &version in versions {
        for &(code, bytes) in rows {
            match decode_packet(version, &hex(bytes)) {
                Ok(packet) => panic!("{bytes} in {version:?} was read as {packet:?}"),
                Err(error) => {
                    assert_eq!(error.reason_code().0, code, "{bytes} in {version:?}: {error}");
                }
            }
        }
    }
}

#[track_caller]
pub(crate) fn accepted(versions: &[Version], rows: &[&str]) {
    for &version in versions {
        for &bytes in rows {
            let packet = decode_packet(version, &hex(bytes));
            assert!(packet.is_ok(), "{bytes} in {version:?}: {packet:?}");
        }
    }
}

pub(crate) const V5: &[Version] = &[Version::V5];
pub(crate) const V311: &[Version] = &[Version::V311];

#[test]
fn remaining_length() {
    for bytes in
        ["30 80808080", "30 FFFFFFFF", "30 8080808001", "30 8000", "30 FF8000", "30 80808000"]
    {
        let result = parse_frame(&hex(bytes));
        assert!(matches!(result, Err(DecodeError::Malformed(_))), "{bytes}: {result:?}");
    }
}

#[test]
fn reserved_flags_of_the_fixed_header() {
    let bodies = [
        (0x20, "00 00", "00 00 00"),
        (0x40, "0001", "0001"),
        (0x50, "0001", "0001"),
        (0x62, "0001", "0001"),
        (0x70, "0001", "0001"),
        (0x82, "0001 0001 'p' 00", "0001 00 0001 'p' 00"),
        (0x90, "0001 00", "0001 00 00"),
        (0xA2, "0001 0001 'p'", "0001 00 0001 'p'"),
        (0xB0, "0001", "0001 00 00"),
        (0xC0, "", ""),
        (0xD0, "", ""),
        (0xE0, "", ""),
    ];
    for (first, v3, v5) in bodies {
        for version in [Version::V311, Version::V5] {
            let body = hex(if version == Version::V5 { v5 } else { v3 });
            for flags in 0..16 {
                let mut packet = vec![first & 0xF0 | flags, body.len() as u8];
                packet.extend_from_slice(&body);
                let result = decode_packet(version, &packet);
                if first & 0x0F == flags {
                    assert!(result.is_ok(), "{packet:02X?}: {result:?}");
                } else {
                    let malformed = matches!(result, Err(DecodeError::Malformed(_)));
                    assert!(malformed, "{packet:02X?}: {result:?}");
                }
            }
        }
    }
    refused(&VERSIONS, &[(MALFORMED, "00 00"), (MALFORMED, "02 00"), (MALFORMED, "00 01 00")]);
    refused(V5, &[(MALFORMED, "F1 00"), (MALFORMED, "F8 00")]);
    // In MQTT 3.1 these packets have a DUP flag.
    accepted(&[Version::V31], &["6A 02 0001", "8A 06 0001 0001 'p' 00", "AA 05 0001 0001 'p'"]);
}

#[test]
fn publish() {
    refused(
        &MQTT_3,
        &[
            (MALFORMED, "36 06 0001 't' 0001 'x'"), // QoS 3
            (MALFORMED, "38 03 0001 't'"),          // DUP with QoS 0
            (PROTOCOL, "32 05 0001 't' 0000"),
            (PROTOCOL, "34 05 0001 't' 0000"),
            (PROTOCOL, "30 03 0000 'x'"), // empty topic
            (MALFORMED, "30 00"),
            (MALFORMED, "30 01 00"),
            (MALFORMED, "30 03 0002 't'"),
            (MALFORMED, "32 04 0001 't' 00"),
        ],
    );
    refused(
        V5,
        &[
            (MALFORMED, "36 07 0001 't' 0001 00 'x'"),
            (MALFORMED, "38 04 0001 't' 00"),
            (PROTOCOL, "32 06 0001 't' 0000 00"),
            (PROTOCOL, "30 03 0000 00"),
            (PROTOCOL, "30 08 0000 05 02 00000001"), // empty topic, other property
            (MALFORMED, "30 03 0001 't'"),           // no property length
            (MALFORMED, "30 04 0001 't' 01"),        // property length past the end
            (MALFORMED, "30 05 0001 't' 80 00"),     // over-long property length
            (ALIAS, "30 07 0001 't' 03 23 0000"),
        ],
    );
}

#[test]
fn text() {
    for bad in [
        "0002 C328",     // not UTF-8
        "0003 EDA080",   // surrogate U+D800
        "0003 EDBFBF",   // surrogate U+DFFF
        "0002 C080",     // over-long U+0000
        "0004 F4908080", // past U+10FFFF
        "0001 00",       // U+0000
        "0003 610062",
        "0001 FF",
    ] {
        let len = hex(bad).len();
        let mut packet = hex(&format!("30 {len:02X} {bad}"));
        refused_bytes(Version::V311, &packet);
        packet = hex(&format!("30 {:02X} {bad} 00", len + 1));
        refused_bytes(Version::V5, &packet);
        packet = hex(&format!("82 {:02X} 0001 {bad} 00", len + 3));
        refused_bytes(Version::V311, &packet);
        packet = hex(&format!("20 {:02X} 00 00 {:02X} 1F {bad}", len + 4, len + 1));
        refused_bytes(Version::V5, &packet);
    }
    for wildcard in ["+", "#", "a/+/b", "a/#", "a+"] {
        let mut packet = vec![0x30, wildcard.len() as u8 + 2, 0, wildcard.len() as u8];
        packet.extend_from_slice(wildcard.as_bytes());
        refused_bytes(Version::V311, &packet);
    }
    // Control characters and non-characters are allowed, if not advised [MQTT-1.5.4].
    accepted(V311, &["30 03 0001 1F", "30 03 0001 7F", "30 05 0003 EFBFBF", "30 04 0002 C29F"]);
}

#[track_caller]
fn refused_bytes(version: Version, packet: &[u8]) {
    let result = decode_packet(version, packet);
    assert!(
        matches!(result, Err(DecodeError::Malformed(_))),
        "{packet:02X?} in {version:?}: {result:?}"
    );
}

#[test]
fn acknowledgements() {
    for first in ["40", "50", "62", "70"] {
        let row = |body: &str| format!("{first} {body}");
        let both = [(PROTOCOL, row("02 0000")), (MALFORMED, row("00")), (MALFORMED, row("01 01"))];
        refused(&VERSIONS, &both.each_ref().map(|(code, bytes)| (*code, bytes.as_str())));
        refused(&MQTT_3, &[(MALFORMED, &row("03 0001 00"))]);
        let v5 = [row("05 0001 00 00 00"), row("04 0001 00 01"), row("05 0001 00 80 00")];
        refused(V5, &v5.each_ref().map(|bytes| (MALFORMED, bytes.as_str())));
        // Reason codes: unknown, of another packet, of this one.
        refused(V5, &[(MALFORMED, &row("03 0001 FF")), (MALFORMED, &row("04 0001 05 00"))]);
        refused(V5, &[(PROTOCOL, &row("03 0001 81")), (PROTOCOL, &row("04 0001 18 00"))]);
        let known = if first < "60" { "80" } else { "92" };
        accepted(V5, &[&row(&format!("03 0001 {known}")), &row("04 0001 00 00")]);
    }
}

#[test]
fn who_may_send_what() {
    let of_client: Vec<PacketType> = (1..16)
        .filter_map(|nibble| PacketType::try_from(nibble).ok())
        .filter(|packet| !packet.is_sent_by_server(Version::V311))
        .collect();
    use PacketType::*;
    assert_eq!(of_client, [Connect, Subscribe, Unsubscribe, PingReq, Disconnect, Auth]);
    assert!(Disconnect.is_sent_by_server(Version::V5) && Auth.is_sent_by_server(Version::V5));
    assert!(!ConnAck.is_sent_by_client(Version::V5) && Disconnect.is_sent_by_client(Version::V31));
    // The direction is not the decoder's to judge.
    accepted(&VERSIONS, &["C0 00", "E0 00"]);
}

#[test]
fn a_body_from_elsewhere_is_copied() {
    let source = Bytes::from_static(b"other bytes");
    let body = hex("0001 't' 'payload'");
    let packet = oxmqtt_protocol::codec::decode(Version::V311, 0x30, &body, &source);
    assert!(matches!(packet, Ok(Packet::Publish(p)) if p.payload() == b"payload"));
}
