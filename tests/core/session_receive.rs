//! QoS 0, 1 and 2 from the server: delivery, duplicates, acknowledgements, our Receive Maximum.

use oxmqtt::codec::{PacketType, QoS, Version};

use crate::VERSIONS;
use crate::session_rig::{Rig, properties};
use crate::session_wire::{Deliver, PUBREL, Sent, ack, connack, deliver};

const QOS_1: QoS = QoS::AtLeastOnce;
const QOS_2: QoS = QoS::ExactlyOnce;

fn with_receive_maximum(maximum: u8) -> Rig {
    let mut rig = Rig::new(Version::V5);
    rig.options.properties = properties(PacketType::Connect, &[0x21, 0, maximum]);
    rig.go_online(false, &[]);
    rig
}

#[test]
fn qos_0_is_a_message_and_no_more() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let publish = Deliver { topic: "a/b", payload: b"x", retain: true, ..Deliver::default() };
        assert_eq!(rig.exchange(&publish.bytes(version)), []);
        let [message] = &rig.messages()[..] else { panic!("one message") };
        assert_eq!(message.topic_bytes(), b"a/b");
        assert_eq!(message.publish.payload(), b"x");
        assert!(message.publish.retain());
    }
}

#[test]
fn qos_1_is_acknowledged_when_the_application_is_through() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        assert_eq!(rig.exchange(&deliver(version, 1, 7)), []);
        assert_eq!(rig.messages().len(), 1);
        assert_eq!(rig.acknowledge(7, QOS_1), [Sent::PubAck(7, 0)]);
    }
}

#[test]
fn qos_1_again_is_a_message_again() {
    let mut rig = Rig::online(Version::V311);
    rig.feed(&deliver(Version::V311, 1, 7));
    rig.feed(&deliver(Version::V311, 1, 7));
    assert_eq!(rig.messages().len(), 2);
    assert_eq!(rig.acknowledge(7, QOS_1), [Sent::PubAck(7, 0)]);
    assert_eq!(rig.acknowledge(7, QOS_1), [Sent::PubAck(7, 0)]);
    assert_eq!(rig.acknowledge(7, QOS_1), [], "one for each");
}

#[test]
fn qos_2_is_delivered_once_at_pubrel() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let publish = deliver(version, 2, 7);
        assert_eq!(rig.exchange(&publish), [Sent::PubRec(7, 0)]);
        assert_eq!(rig.exchange(&publish), [Sent::PubRec(7, 0)], "a duplicate");
        assert_eq!(rig.session.held_messages().count(), 1);
        assert!(rig.messages().is_empty());
        assert_eq!(rig.exchange(&ack(PUBREL, 7)), []);
        assert_eq!(rig.exchange(&ack(PUBREL, 7)), [], "repeated: PUBCOMP is due anyway");
        assert_eq!(rig.messages().len(), 1);
        assert_eq!(rig.acknowledge(7, QOS_2), [Sent::PubComp(7, 0)]);
        let reason = if version == Version::V5 { 0x92 } else { 0 };
        assert_eq!(rig.exchange(&ack(PUBREL, 7)), [Sent::PubComp(7, reason)]);
        assert!(rig.messages().is_empty());
        assert_eq!(
            rig.exchange(&publish),
            [Sent::PubRec(7, 0)],
            "the identifier is free for a new message"
        );
        assert_eq!(rig.exchange(&ack(PUBREL, 7)), []);
        assert_eq!(rig.messages().len(), 1);
    }
}

#[test]
fn pubrel_of_an_unknown_message() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let reason = if version == Version::V5 { 0x92 } else { 0 };
        assert_eq!(rig.exchange(&ack(PUBREL, 5)), [Sent::PubComp(5, reason)]);
        assert!(rig.session.is_online());
        assert!(rig.messages().is_empty());
    }
}

#[test]
fn a_duplicate_does_not_replace_the_first() {
    let mut rig = Rig::online(Version::V311);
    let publish = |payload| Deliver { qos: 2, id: 3, topic: "t", payload, ..Deliver::default() };
    rig.feed(&publish(b"first").bytes(Version::V311));
    rig.feed(&publish(b"second").bytes(Version::V311));
    rig.feed(&ack(PUBREL, 3));
    assert_eq!(rig.messages()[0].publish.payload(), b"first");
}

#[test]
fn qos_2_goes_on_after_a_cut() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.feed(&deliver(version, 2, 7));
        rig.feed(&deliver(version, 2, 8));
        rig.feed(&ack(PUBREL, 8));
        assert_eq!(rig.messages().len(), 1);
        let old = rig.session.epoch();
        rig.cut();
        rig.go_online(true, &[]);
        rig.session.acknowledge(8, QOS_2, old);
        assert_eq!(rig.sent(), [], "PUBREL of this connection comes first");
        let again = Deliver { dup: true, qos: 2, id: 7, topic: "t", ..Deliver::default() };
        assert_eq!(rig.exchange(&again.bytes(version)), [Sent::PubRec(7, 0)]);
        assert_eq!(rig.exchange(&ack(PUBREL, 8)), [Sent::PubComp(8, 0)]);
        assert_eq!(rig.exchange(&ack(PUBREL, 7)), []);
        let messages = rig.messages();
        assert_eq!(messages.len(), 1, "8 was delivered before the cut");
        assert_eq!(messages[0].epoch, rig.session.epoch());
        assert_eq!(rig.acknowledge(7, QOS_2), [Sent::PubComp(7, 0)]);
    }
}

#[test]
fn a_lost_session_forgets_what_was_received() {
    for (version, clean) in
        [(Version::V311, false), (Version::V5, false), (Version::V311, true), (Version::V31, true)]
    {
        let mut rig = Rig::new(version);
        rig.options.clean_start = clean;
        rig.go_online(false, &[]);
        rig.feed(&deliver(version, 2, 7));
        rig.sent();
        rig.cut();
        rig.go_online(false, &[]);
        assert_eq!(rig.session.held_messages().count(), 0);
        rig.feed(&deliver(version, 2, 7));
        rig.feed(&ack(PUBREL, 7));
        assert_eq!(rig.messages().len(), 1, "a message of the new session");
    }
}

/// The server may have begun the new session before the connection was lost, and uses the identifier anew.
#[test]
fn a_clean_start_without_an_answer_forgets_what_was_received() {
    for version in [Version::V311, Version::V5] {
        for (refused, kept) in [(false, 0), (true, 1)] {
            let mut rig = Rig::online(version);
            rig.feed(&deliver(version, 2, 7));
            rig.cut();
            rig.options.clean_start = true;
            rig.connect();
            if refused {
                rig.feed(&connack(
                    version,
                    false,
                    if version == Version::V5 { 0x88 } else { 3 },
                    &[],
                ));
            }
            rig.cut();
            rig.options.clean_start = false;
            rig.go_online(true, &[]);
            assert_eq!(rig.session.held_messages().count(), kept, "{version:?}");
        }
    }
}

#[test]
fn mqtt_3_1_does_not_say_whether_it_kept_the_session() {
    let mut rig = Rig::online(Version::V31);
    rig.feed(&deliver(Version::V31, 2, 7));
    rig.cut();
    rig.go_online(false, &[]);
    rig.feed(&ack(PUBREL, 7));
    assert_eq!(rig.messages().len(), 1);
}

#[test]
fn an_old_acknowledgement_goes_nowhere() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.feed(&deliver(version, 1, 7));
        let old = rig.messages()[0].epoch;
        rig.cut();
        rig.session.acknowledge(7, QOS_1, old);
        rig.go_online(true, &[]);
        rig.session.acknowledge(7, QOS_1, old);
        assert_eq!(rig.sent(), []);
    }
}

#[test]
fn our_receive_maximum_holds() {
    for (first, second) in [(1, 1), (2, 2), (1, 2), (2, 1)] {
        let mut rig = with_receive_maximum(2);
        rig.feed(&deliver(Version::V5, first, 1));
        rig.feed(&deliver(Version::V5, second, 2));
        assert!(rig.session.is_online());
        rig.feed(&deliver(Version::V5, 0, 0));
        assert!(rig.session.is_online(), "QoS 0 does not count");
        rig.messages();
        rig.feed(&deliver(Version::V5, second, 3));
        assert!(rig.messages().is_empty());
        rig.assert_refused(0x93);
    }
}

#[test]
fn without_a_receive_maximum_any_number_may_come() {
    let count = 70_000;
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        for number in 0..count {
            rig.feed(&deliver(version, 1, (number % 65_535) as u16 + 1));
        }
        assert!(rig.session.is_online(), "mosquitto may use an identifier again too early");
        assert_eq!(rig.messages().len(), count);
        for number in 0..count {
            let id = (number % 65_535) as u16 + 1;
            assert_eq!(rig.acknowledge(id, QOS_1), [Sent::PubAck(id, 0)]);
        }
    }
}

#[test]
fn our_receive_maximum_is_given_back() {
    let mut rig = with_receive_maximum(1);
    for id in 1..20 {
        rig.feed(&deliver(Version::V5, 1, id));
        assert_eq!(rig.acknowledge(id, QOS_1), [Sent::PubAck(id, 0)]);
        rig.feed(&deliver(Version::V5, 2, id));
        rig.feed(&deliver(Version::V5, 2, id));
        rig.feed(&ack(PUBREL, id));
        rig.sent();
        assert_eq!(rig.acknowledge(id, QOS_2), [Sent::PubComp(id, 0)]);
        assert_eq!(rig.messages().len(), 2);
    }
}

#[test]
fn a_new_connection_has_the_whole_receive_maximum() {
    let mut rig = with_receive_maximum(1);
    rig.feed(&deliver(Version::V5, 2, 1));
    rig.cut();
    rig.go_online(true, &[]);
    rig.feed(&deliver(Version::V5, 1, 2));
    assert!(rig.session.is_online(), "the message of the earlier connection does not count (4.9)");
    rig.feed(&ack(PUBREL, 1));
    assert_eq!(rig.messages().len(), 2);
    assert_eq!(rig.acknowledge(1, QOS_2), [Sent::PubComp(1, 0)]);
    rig.feed(&deliver(Version::V5, 1, 3));
    rig.assert_refused(0x93);
}

#[test]
fn a_repeated_publish_counts_on_the_new_connection() {
    let mut rig = with_receive_maximum(1);
    rig.feed(&deliver(Version::V5, 2, 1));
    rig.cut();
    rig.go_online(true, &[]);
    rig.feed(&deliver(Version::V5, 2, 1));
    rig.feed(&deliver(Version::V5, 1, 2));
    rig.assert_refused(0x93);
}

/// MQTT 3.1 has no Session Present: the server tells by DUP what it kept.
#[test]
fn a_new_qos_2_message_under_the_identifier_of_a_lost_one() {
    for (dup, expected) in [(false, b"new"), (true, b"old")] {
        let mut rig = Rig::online(Version::V31);
        let publish = |payload, dup| {
            let message = Deliver { topic: "t", qos: 2, id: 7, payload, dup, ..Deliver::default() };
            message.bytes(Version::V31)
        };
        rig.feed(&publish(b"old", false));
        rig.cut();
        rig.go_online(false, &[]);
        assert_eq!(rig.exchange(&publish(b"new", dup)), [Sent::PubRec(7, 0)]);
        rig.feed(&publish(b"other", false));
        rig.feed(&ack(PUBREL, 7));
        assert_eq!(rig.messages()[0].publish.payload(), expected, "dup {dup}");
    }
}

/// What a lost message took of the memory for held ones is free again.
#[test]
fn replaced_messages_leave_their_room() {
    let mut rig = Rig::with(|config| config.version = Version::V31);
    let payload = vec![0; 4 << 20];
    for _ in 0..20 {
        rig.go_online(false, &[]);
        let message =
            Deliver { topic: "t", qos: 2, id: 7, payload: &payload, ..Deliver::default() };
        assert_eq!(rig.exchange(&message.bytes(Version::V31)), [Sent::PubRec(7, 0)]);
        rig.cut();
        rig.events();
    }
    assert_eq!(rig.session.held_messages().count(), 1);
}
