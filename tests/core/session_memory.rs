//! What a server can make the session keep: bounded, whatever it sends.

use oxmqtt_protocol::codec::{PacketType, QoS, Version};
use oxmqtt_protocol::session::{Closed, Event, PeerError};

use crate::session_rig::{Rig, properties};
use crate::session_wire::{Deliver, Sent, packet};

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];
const PAYLOAD: usize = 100_000;

fn qos_2(version: Version, id: u16, payload: &[u8]) -> Vec<u8> {
    Deliver { qos: 2, id, topic: "t", payload, ..Deliver::default() }.bytes(version)
}

fn small_packets(version: Version) -> Rig {
    let mut rig = Rig::with(|config| {
        config.version = version;
        config.max_packet_size = 1 << 20;
    });
    rig.go_online(false, &[]);
    rig
}

/// The session keeps the identifier of a message that is never released, and no byte of it.
#[test]
fn messages_not_released_take_no_memory() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let payload = vec![7; PAYLOAD];
        for id in 1..200 {
            let chunk = bytes::Bytes::from(qos_2(version, id, &payload));
            rig.session.handle_input(chunk.clone(), rig.now);
            assert_eq!(rig.messages().len(), 1);
            assert!(chunk.is_unique(), "the session keeps it");
            assert_eq!(rig.acknowledge(id, QoS::ExactlyOnce), [Sent::PubRec(id, 0)]);
        }
        assert_eq!(rig.session.unreleased().count(), 199);
    }
}

#[test]
fn topics_behind_aliases_are_bounded() {
    let mut rig = small_packets(Version::V5);
    rig.options.properties = properties(PacketType::Connect, &[0x22, 0xFF, 0xFF]);
    rig.cut();
    rig.go_online(false, &[]);
    let topic = "t".repeat(65_000);
    for alias in 1..u16::MAX {
        let [high, low] = alias.to_be_bytes();
        let list = [0x23, high, low];
        rig.feed(&Deliver { topic: &topic, list: &list, ..Deliver::default() }.bytes(Version::V5));
        rig.events();
        if !rig.session.is_online() {
            assert!(usize::from(alias) > 4 * (1 << 20) / 65_000);
            assert_eq!(rig.sent(), [Sent::Disconnect(0x97)]);
            return;
        }
    }
    panic!("4 GB of topics are kept");
}

#[test]
fn the_default_bound_of_a_packet() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.feed(&[0x30, 0x81, 0x80, 0x80, 0x08]);
        let expected = [Sent::Disconnect(0x95)];
        assert_eq!(rig.sent(), if version == Version::V5 { &expected[..] } else { &[] });
        assert!(matches!(rig.closed(), Closed::Protocol(PeerError::PacketTooLarge(_))));
    }
}

#[test]
fn a_server_that_reads_no_answers_is_given_up() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.feed(&qos_2(version, 1, b"x"));
        rig.acknowledge(1, QoS::ExactlyOnce);
        let same_again = qos_2(version, 1, b"x").repeat(1000);
        let gives_up = (0..1000).any(|_| {
            rig.feed(&same_again);
            rig.events();
            !rig.session.is_online()
        });
        assert!(gives_up && rig.session.unsent() < 3 << 20, "{} wait", rig.session.unsent());
    }
}

#[test]
fn answers_that_are_read_are_no_matter() {
    let mut rig = Rig::online(Version::V311);
    rig.feed(&qos_2(Version::V311, 1, b"x"));
    rig.acknowledge(1, QoS::ExactlyOnce);
    let same_again = qos_2(Version::V311, 1, b"x").repeat(1000);
    for _ in 0..2000 {
        rig.feed(&same_again);
        assert_eq!(rig.sent().len(), 1000);
    }
    assert!(rig.session.is_online());
}

#[test]
fn a_small_event_keeps_no_large_chunk() {
    let mut rig = Rig::online(Version::V5);
    let mut chunk =
        Deliver { topic: "t", payload: b"small", ..Deliver::default() }.bytes(Version::V5);
    chunk.extend([0xD0, 0].repeat(32_000));
    let chunk = bytes::Bytes::from(chunk);
    rig.session.handle_input(chunk.clone(), rig.now);
    let events = rig.events();
    assert!(matches!(&events[..], [Event::Message(m)] if m.publish.payload() == b"small"));
    assert!(chunk.is_unique(), "the event keeps it");
}

#[test]
fn properties_are_bounded() {
    const BOUND: usize = 1 << 20;
    for (first, before) in [(0x30, &b"\0\x01t"[..]), (0xE0, b"\0"), (0x40, b"\0\x01\0")] {
        for (count, is_refused) in [(BOUND / 5, false), (BOUND / 5 + 1, true)] {
            let list = [0x26, 0, 0, 0, 0].repeat(count);
            let length = list.len();
            let mut body = before.to_vec();
            body.extend([length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8]);
            body.extend(list);
            let mut rig = Rig::online(Version::V5);
            rig.feed(&packet(first, &body));
            let goodbyes = rig.sent();
            let expected = [Sent::Disconnect(0x95)];
            assert_eq!(goodbyes, if is_refused { &expected[..] } else { &[] }, "{first:x}");
        }
    }
}
