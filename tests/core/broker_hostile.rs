//! Bytes that no client should send: the broker survives, and keeps serving the others.

use oxmqtt_protocol::codec::*;
use proptest::prelude::*;

use super::VERSIONS;
use super::broker_rig::Rig;

#[test]
fn malformed_packets_end_the_connection_with_a_reason() {
    let mut rig = Rig::new();
    for bytes in
        [&b"\x00\x00"[..], b"\x36\x05\x00\x01a\x00\x01", b"\x80\x02\x00\x01", b"\x20\x02\x00\x00"]
    {
        let link = rig.client(Version::V5, "c");
        rig.send_bytes(link, bytes);
        let packets = rig.packets(link);
        let reasons: Vec<_> = packets
            .iter()
            .map(|packet| match packet {
                Packet::Disconnect(packet) => packet.reason.unwrap(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(reasons[0].is_failure() && reasons.len() == 1, "{bytes:?}");
        assert!(rig.is_closed(link));
    }
}

#[test]
fn a_packet_that_is_too_large_is_refused_by_its_header() {
    let mut rig = Rig::new();
    let link = rig.client(Version::V5, "c");
    rig.send_bytes(link, b"\x30\xff\xff\xff\x7f");
    let [Packet::Disconnect(packet)] = &rig.packets(link)[..] else { panic!("no DISCONNECT") };
    assert_eq!(packet.reason, Some(ReasonCode::PACKET_TOO_LARGE));
}

#[test]
fn more_than_the_receive_maximum_is_refused() {
    let mut rig = Rig::with(oxmqtt_broker::Settings { receive_maximum: 2, ..<_>::default() });
    let link = rig.client(Version::V5, "c");
    for packet_id in 1..=3 {
        let parts = PublishParts { topic: "a", qos: QoS::ExactlyOnce, packet_id, ..<_>::default() };
        rig.publish_parts(link, &parts);
    }
    let packets = rig.packets(link);
    let Some(Packet::Disconnect(packet)) = packets.last() else { panic!("no DISCONNECT") };
    assert_eq!(packet.reason, Some(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED));
}

#[test]
fn a_filter_of_many_levels_does_no_harm() {
    let mut rig = Rig::new();
    let link = rig.client(Version::V311, "c");
    let deep = "/".repeat(65_535);
    rig.subscribe(link, &deep, QoS::AtMostOnce);
    rig.subscribe(link, &format!("{}#", "/".repeat(65_534)), QoS::AtMostOnce);
    rig.publish(link, &deep, QoS::AtMostOnce, b"x");
    assert_eq!(rig.payloads(link), ["x"]);
}

proptest! {
    /// Random bytes, in random pieces, before and after CONNECT.
    #[test]
    fn random_bytes_do_no_harm(
        version in 0..3_usize,
        is_connected: bool,
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10),
    ) {
        let mut rig = Rig::new();
        let witness = rig.client(Version::V5, "witness");
        let version = VERSIONS[version];
        let link = if is_connected { rig.client(version, "hostile") } else { rig.open(version) };
        for piece in pieces {
            rig.send_bytes(link, &piece);
            rig.raw(link);
        }
        rig.lose(link);
        rig.pass(100_000);
        let still = rig.client(Version::V5, "still");
        rig.subscribe(still, "a", QoS::AtMostOnce);
        rig.publish(witness, "a", QoS::AtMostOnce, b"x");
        prop_assert_eq!(rig.payloads(still), ["x"]);
    }

    /// Packets with random bodies: nearer to what is understood.
    #[test]
    fn random_packets_do_no_harm(
        version in 0..3_usize,
        packets in prop::collection::vec((any::<u8>(), prop::collection::vec(0..8_u8, 0..20)), 0..20),
        split in 1..40_usize,
    ) {
        let mut rig = Rig::new();
        let link = rig.client(VERSIONS[version], "hostile");
        let mut bytes = Vec::new();
        for (first, body) in packets {
            bytes.push(first);
            put_variable(&mut bytes, body.len());
            bytes.extend_from_slice(&body);
        }
        for piece in bytes.chunks(split) {
            rig.send_bytes(link, piece);
            rig.raw(link);
        }
        rig.pass(100_000);
        rig.lose(link);
    }
}
