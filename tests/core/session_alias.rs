//! Topic aliases of the server: resolved before the application sees the message.

use oxmqtt_protocol::codec::{PacketType, Version};

use crate::session_rig::{Rig, properties};
use crate::session_wire::Deliver;

fn online(maximum: u8) -> Rig {
    let mut rig = Rig::new(Version::V5);
    rig.options.properties = properties(PacketType::Connect, &[0x22, 0, maximum]);
    rig.go_online(false, &[]);
    rig
}

fn aliased(topic: &str, alias: u8) -> Vec<u8> {
    Deliver { topic, list: &[0x23, 0, alias], ..Deliver::default() }.bytes(Version::V5)
}

fn topics(rig: &mut Rig) -> Vec<String> {
    let topic = |message: &oxmqtt_protocol::session::Message| {
        String::from_utf8(message.topic_bytes().to_vec()).unwrap()
    };
    rig.messages().iter().map(topic).collect()
}

#[test]
fn an_alias_stands_for_its_topic() {
    let mut rig = online(2);
    for (topic, alias) in [("a", 1), ("", 1), ("b", 2), ("", 1), ("", 2)] {
        rig.feed(&aliased(topic, alias));
    }
    assert_eq!(topics(&mut rig), ["a", "a", "b", "a", "b"]);
}

#[test]
fn an_alias_can_change() {
    let mut rig = online(1);
    for (topic, alias) in [("a", 1), ("b", 1), ("", 1)] {
        rig.feed(&aliased(topic, alias));
    }
    assert_eq!(topics(&mut rig), ["a", "b", "b"]);
}

#[test]
fn aliases_out_of_range() {
    for (maximum, alias) in [(2, 0), (2, 3), (0, 1)] {
        let mut rig = online(maximum);
        rig.feed(&aliased("a", alias));
        assert!(rig.messages().is_empty());
        rig.assert_refused(0x94);
    }
    let mut rig = Rig::online(Version::V5);
    rig.feed(&aliased("a", 1));
    rig.assert_refused(0x94);
}

#[test]
fn an_alias_that_stands_for_nothing() {
    let mut rig = online(2);
    rig.feed(&aliased("a", 1));
    rig.messages();
    rig.feed(&aliased("", 2));
    assert!(rig.messages().is_empty());
    rig.assert_refused(0x82);
}

#[test]
fn aliases_end_with_their_connection() {
    let mut rig = online(2);
    rig.feed(&aliased("a", 1));
    rig.cut();
    rig.go_online(true, &[]);
    rig.feed(&aliased("", 1));
    rig.assert_refused(0x82);
}

#[test]
fn a_message_that_waits_keeps_its_topic() {
    let mut rig = online(1);
    rig.feed(&aliased("a", 1));
    let publish = Deliver { qos: 2, id: 4, list: &[0x23, 0, 1], ..Deliver::default() };
    rig.feed(&publish.bytes(Version::V5));
    rig.feed(&aliased("b", 1));
    rig.cut();
    assert_eq!(topics(&mut rig), ["a", "a", "b"]);
}
