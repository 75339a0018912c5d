//! What a server can make the session keep: bounded, whatever it sends.

use oxmqtt::codec::{PacketType, Version};
use oxmqtt::session::{Closed, Event, PeerError};

use crate::session_rig::{Rig, properties};
use crate::session_wire::{Deliver, PUBREL, Sent, ack, packet};

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];
/// The bound of what is held, with a small largest packet.
const HELD: usize = 16 << 20;
const PAYLOAD: usize = 100_000;

fn qos_2(version: Version, id: u16, payload: &[u8]) -> Vec<u8> {
    Deliver { qos: 2, id, topic: "t", payload, ..Deliver::default() }.bytes(version)
}

/// Messages that are never released, until the session has enough of them.
fn hold(rig: &mut Rig, first: u16) -> u16 {
    let payload = [7; PAYLOAD];
    for id in first..u16::MAX {
        rig.feed(&qos_2(rig.version(), id, &payload));
        if !rig.session.is_online() {
            return id;
        }
        rig.sent();
    }
    panic!("everything is held");
}

fn small_packets(version: Version) -> Rig {
    let mut rig = Rig::with(|config| {
        config.version = version;
        config.max_packet_size = 1 << 20;
    });
    rig.go_online(false, &[]);
    rig
}

#[test]
fn messages_not_released_are_bounded() {
    for version in VERSIONS {
        let mut rig = small_packets(version);
        let refused = hold(&mut rig, 1);
        assert!((HELD / PAYLOAD - 2..=HELD / PAYLOAD + 1).contains(&usize::from(refused)));
        let held: usize = rig.session.held_messages().map(|m| m.publish.body_len()).sum();
        assert!(held <= HELD);
        let goodbye = rig.sent();
        let expected = [Sent::Disconnect(0x97)];
        assert_eq!(goodbye, if version == Version::V5 { &expected[..] } else { &[] });
        assert!(matches!(rig.closed(), Closed::Protocol(PeerError::HoldsTooMuch)));
    }
}

#[test]
fn a_session_that_holds_too_much_goes_on_when_messages_are_released() {
    let mut rig = small_packets(Version::V311);
    let refused = hold(&mut rig, 1);
    rig.sent();
    rig.closed();
    rig.go_online(true, &[]);
    for id in 1..refused {
        assert_eq!(rig.exchange(&ack(PUBREL, id)), []);
    }
    assert_eq!(rig.messages().len(), usize::from(refused) - 1);
    assert!(hold(&mut rig, 1000) > 1000 + refused - 3, "the room is back");
}

#[test]
fn a_lost_session_gives_the_room_back() {
    let mut rig = small_packets(Version::V5);
    let refused = hold(&mut rig, 1);
    rig.sent();
    rig.closed();
    rig.go_online(false, &[]);
    assert_eq!(hold(&mut rig, 1), refused);
}

#[test]
fn a_message_that_a_new_one_replaces_gives_its_room_back() {
    // A server of MQTT 3.1 starts afresh without a word: its new message takes an old identifier.
    let mut rig = small_packets(Version::V31);
    let payload = vec![7; 1 << 19];
    for _ in 0..2 * HELD / payload.len() {
        rig.feed(&qos_2(Version::V31, 1, &payload));
        assert!(rig.session.is_online());
        rig.cut();
        rig.go_online(false, &[]);
    }
    assert_eq!(rig.session.held_messages().count(), 1);
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
