//! QoS 2 from the server: the application gets a message with its PUBLISH, PUBREC says that it is through with
//! it, and PUBCOMP answers PUBREL. The session knows the identifier from PUBLISH to PUBREL, on
//! whichever connection they come.

use oxmqtt_protocol::codec::{AckKind, PacketType, Properties, QoS, ReasonCode, Version};
use oxmqtt_protocol::session::{Event, Trace};

use crate::VERSIONS;
use crate::session_rig::{Rig, properties};
use crate::session_wire::{Deliver, PUBREL, Sent, ack, connack, deliver};

const QOS_1: QoS = QoS::AtLeastOnce;
const QOS_2: QoS = QoS::ExactlyOnce;

/// A message with identifier 7, sent again.
fn again(version: Version) -> Vec<u8> {
    Deliver { dup: true, qos: 2, id: 7, topic: "t", payload: b"m", ..Deliver::default() }
        .bytes(version)
}

/// PUBCOMP for an identifier that nobody knows.
fn not_found(version: Version, id: u16) -> Sent {
    Sent::PubComp(id, if version == Version::V5 { 0x92 } else { 0 })
}

#[test]
fn delivered_at_publish_and_answered_when_the_application_is_through() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        assert_eq!(rig.exchange(&deliver(version, 2, 7)), [], "the application has yet to take it");
        assert_eq!(rig.messages().len(), 1);
        assert_eq!(rig.acknowledge(7, QOS_2), [Sent::PubRec(7, 0)]);
        assert_eq!(rig.acknowledge(7, QOS_2), [], "once is enough");
        assert_eq!(rig.exchange(&ack(PUBREL, 7)), [Sent::PubComp(7, 0)]);
        assert_eq!(rig.exchange(&ack(PUBREL, 7)), [not_found(version, 7)]);
        rig.feed(&deliver(version, 2, 7));
        assert_eq!(rig.messages().len(), 1, "the identifier is free for a new message");
        assert_eq!(rig.acknowledge(7, QOS_2), [Sent::PubRec(7, 0)]);
    }
}

#[test]
fn messages_of_every_qos_keep_their_order() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        for (qos, id) in [(2, 1), (0, 0), (1, 2), (2, 3)] {
            rig.feed(&deliver(version, qos, id));
        }
        let ids: Vec<_> = rig.messages().iter().map(|m| m.publish.packet_id()).collect();
        assert_eq!(ids, [1, 0, 2, 3]);
    }
}

#[test]
fn acknowledged_in_any_order() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.feed(&deliver(version, 1, 1));
        rig.feed(&deliver(version, 2, 2));
        rig.feed(&deliver(version, 2, 3));
        assert_eq!(rig.acknowledge(3, QOS_2), [Sent::PubRec(3, 0)]);
        assert_eq!(rig.acknowledge(2, QOS_2), [Sent::PubRec(2, 0)]);
        assert_eq!(rig.acknowledge(1, QOS_1), [Sent::PubAck(1, 0)]);
        assert_eq!(rig.acknowledge(1, QOS_1), [], "once is enough");
        assert_eq!(rig.acknowledge(9, QOS_1), [], "never heard of");
        assert_eq!(rig.acknowledge(9, QOS_2), [], "never heard of");
        assert_eq!(rig.acknowledge(1, QoS::AtMostOnce), []);
        rig.feed(&deliver(version, 1, 1));
        assert_eq!(rig.acknowledge(1, QOS_1), [Sent::PubAck(1, 0)], "the next with the identifier");
    }
}

#[test]
fn a_second_publish_is_the_same_message() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let first = Deliver { topic: "t", qos: 2, id: 7, payload: b"first", ..Deliver::default() };
        rig.feed(&first.bytes(version));
        assert_eq!(rig.exchange(&again(version)), [], "the application has it");
        let messages = rig.messages();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].publish.payload(), b"first");
        assert_eq!(rig.acknowledge(7, QOS_2), [Sent::PubRec(7, 0)], "one answer");
        assert_eq!(rig.exchange(&again(version)), [Sent::PubRec(7, 0)], "acknowledged already");
        assert!(rig.messages().is_empty());
        assert_eq!(rig.exchange(&ack(PUBREL, 7)), [Sent::PubComp(7, 0)]);
    }
}

/// A process that died between PUBREC and PUBREL; or a server that releases what it was not asked to.
#[test]
fn pubrel_is_answered_at_once() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        assert_eq!(rig.exchange(&ack(PUBREL, 5)), [not_found(version, 5)]);
        rig.feed(&deliver(version, 2, 7));
        assert_eq!(rig.exchange(&ack(PUBREL, 7)), [Sent::PubComp(7, 0)]);
        assert_eq!(rig.acknowledge(7, QOS_2), [], "it is over");
        assert!(rig.session.is_online());
        assert_eq!(rig.messages().len(), 1);
    }
}

#[test]
fn acknowledged_on_the_next_connection() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.feed(&deliver(version, 2, 7));
        let old = rig.messages()[0].epoch;
        rig.cut();
        rig.go_online(true, &[]);
        assert_eq!(rig.exchange(&again(version)), [], "its callback runs");
        assert!(rig.messages().is_empty());
        rig.session.acknowledge(7, QOS_2, old);
        assert_eq!(rig.sent(), [Sent::PubRec(7, 0)]);
        assert_eq!(rig.exchange(&ack(PUBREL, 7)), [Sent::PubComp(7, 0)]);
    }
}

#[test]
fn acknowledged_before_it_comes_again() {
    for version in VERSIONS {
        for reconnects_first in [false, true] {
            let mut rig = Rig::online(version);
            rig.feed(&deliver(version, 2, 7));
            let old = rig.messages()[0].epoch;
            rig.cut();
            if reconnects_first {
                rig.go_online(true, &[]);
            }
            rig.session.acknowledge(7, QOS_2, old);
            assert_eq!(rig.sent(), [], "PUBLISH of this connection comes first");
            if !reconnects_first {
                rig.go_online(true, &[]);
            }
            assert_eq!(rig.exchange(&again(version)), [Sent::PubRec(7, 0)]);
            assert!(rig.messages().is_empty());
            assert_eq!(rig.exchange(&ack(PUBREL, 7)), [Sent::PubComp(7, 0)]);
        }
    }
}

#[test]
fn released_on_the_next_connection() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.feed(&deliver(version, 2, 7));
        assert_eq!(rig.acknowledge(7, QOS_2), [Sent::PubRec(7, 0)]);
        rig.cut();
        rig.go_online(true, &[]);
        assert_eq!(rig.exchange(&ack(PUBREL, 7)), [Sent::PubComp(7, 0)]);
    }
}

/// The callback raised: the message is not acknowledged, and the next connection brings it again.
#[test]
fn left_unacknowledged_it_is_delivered_again() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.feed(&deliver(version, 2, 7));
        rig.feed(&deliver(version, 1, 8));
        let epoch = rig.messages()[0].epoch;
        rig.session.leave_unacknowledged(7, QOS_2, epoch);
        rig.session.leave_unacknowledged(8, QOS_1, epoch);
        assert_eq!(rig.acknowledge(7, QOS_2), []);
        rig.cut();
        rig.go_online(true, &[]);
        rig.feed(&again(version));
        assert_eq!(rig.messages().len(), 1);
        rig.session.leave_unacknowledged(7, QOS_2, epoch);
        assert_eq!(rig.acknowledge(7, QOS_2), [Sent::PubRec(7, 0)]);
        let epoch = rig.session.epoch();
        rig.session.leave_unacknowledged(7, QOS_2, epoch);
        assert_eq!(rig.exchange(&again(version)), [Sent::PubRec(7, 0)], "too late");
    }
}

/// Behind a goodbye a message stays with a server that keeps the session.
#[test]
fn handed_back_it_is_delivered_again() {
    let expiry = [0x11, 0, 0, 0, 60];
    for (version, list, clean, kept) in [
        (Version::V311, &[][..], false, true),
        (Version::V311, &[], true, false),
        (Version::V5, &expiry, true, true),
        (Version::V5, &expiry[..0], false, false),
    ] {
        let mut rig = Rig::new(version);
        rig.options.clean_start = clean;
        rig.options.properties = properties(PacketType::Connect, list);
        rig.go_online(false, &[]);
        rig.feed(&deliver(version, 2, 7));
        let epoch = rig.session.epoch();
        assert!(!rig.session.hand_back(7, QOS_2, epoch), "it can be acknowledged");
        rig.session.disconnect(ReasonCode::SUCCESS, Properties::default(), rig.now);
        assert!(!rig.session.hand_back(8, QOS_1, epoch), "QoS 1 may come twice");
        assert_eq!(rig.session.hand_back(7, QOS_2, epoch), kept);
        rig.sent();
        rig.closed();
        if kept {
            rig.options.clean_start = false;
            rig.go_online(true, &[]);
            rig.feed(&again(version));
            assert_eq!(rig.messages().len(), 1);
        }
    }
}

#[test]
fn a_goodbye_may_end_the_session() {
    let mut rig = Rig::new(Version::V5);
    rig.options.properties = properties(PacketType::Connect, &[0x11, 0, 0, 0, 60]);
    rig.go_online(false, &[]);
    rig.feed(&deliver(Version::V5, 2, 7));
    let ends = properties(PacketType::Disconnect, &[0x11, 0, 0, 0, 0]);
    rig.session.disconnect(ReasonCode::SUCCESS, ends, rig.now);
    let epoch = rig.session.epoch();
    assert!(!rig.session.hand_back(7, QOS_2, epoch), "it would be lost");
}

/// A forked child has none of the events that wait in its parent.
#[test]
fn what_never_got_to_the_application_is_delivered_again() {
    let mut rig = Rig::online(Version::V311);
    rig.feed(&deliver(Version::V311, 2, 6));
    rig.acknowledge(6, QOS_2);
    rig.feed(&deliver(Version::V311, 2, 7));
    rig.cut();
    rig.events();
    rig.session.forget_unacknowledged();
    rig.go_online(true, &[]);
    rig.feed(&again(Version::V311));
    assert_eq!(rig.messages().len(), 1);
    assert_eq!(rig.exchange(&deliver(Version::V311, 2, 6)), [Sent::PubRec(6, 0)]);
}

#[test]
fn what_the_server_has_not_released() {
    let mut rig = Rig::online(Version::V5);
    rig.feed(&deliver(Version::V5, 2, 7));
    rig.feed(&deliver(Version::V5, 2, 8));
    rig.acknowledge(8, QOS_2);
    let mut unreleased: Vec<_> = rig.session.unreleased().collect();
    unreleased.sort_unstable();
    assert_eq!(unreleased, [(7, false), (8, true)]);
    rig.feed(&ack(PUBREL, 8));
    assert_eq!(rig.session.unreleased().count(), 1);
}

#[test]
fn a_lost_session_forgets_what_was_received() {
    for (version, clean) in
        [(Version::V311, false), (Version::V5, false), (Version::V311, true), (Version::V31, true)]
    {
        for acknowledged in [false, true] {
            let mut rig = Rig::online(version);
            rig.feed(&deliver(version, 2, 7));
            let old = rig.messages()[0].epoch;
            if acknowledged {
                rig.acknowledge(7, QOS_2);
            }
            rig.cut();
            rig.options.clean_start = clean;
            rig.go_online(false, &[]);
            assert_eq!(rig.session.unreleased().count(), 0);
            rig.feed(&deliver(version, 2, 7));
            assert_eq!(rig.messages().len(), 1, "a message of the new session");
            rig.session.acknowledge(7, QOS_2, old);
            assert_eq!(rig.sent(), [], "that was the old one");
            rig.session.leave_unacknowledged(7, QOS_2, old);
            assert_eq!(rig.acknowledge(7, QOS_2), [Sent::PubRec(7, 0)]);
        }
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
                let reason = if version == Version::V5 { 0x88 } else { 3 };
                rig.feed(&connack(version, false, reason, &[]));
            }
            rig.cut();
            rig.options.clean_start = false;
            rig.go_online(true, &[]);
            assert_eq!(rig.session.unreleased().count(), kept, "{version:?}");
        }
    }
}

/// A refusal of the next connection says nothing of the one before it.
#[test]
fn a_refusal_does_not_answer_an_earlier_clean_start() {
    let mut rig = Rig::online(Version::V31);
    rig.feed(&deliver(Version::V31, 2, 7));
    rig.cut();
    rig.options.clean_start = true;
    rig.connect();
    rig.cut();
    rig.options.clean_start = false;
    rig.connect();
    rig.feed(&connack(Version::V31, false, 3, &[]));
    rig.cut();
    rig.go_online(false, &[]);
    assert_eq!(rig.session.unreleased().count(), 0);
}

/// MQTT 3.1 has no Session Present: the server tells by DUP what it kept.
#[test]
fn a_new_message_under_the_identifier_of_a_lost_one() {
    for acknowledged in [false, true] {
        let mut rig = Rig::online(Version::V31);
        rig.feed(&deliver(Version::V31, 2, 7));
        let old = rig.messages()[0].epoch;
        if acknowledged {
            rig.acknowledge(7, QOS_2);
        }
        rig.cut();
        rig.go_online(false, &[]);
        let answer = rig.exchange(&again(Version::V31));
        assert_eq!(answer.len(), usize::from(acknowledged), "the one that was kept");
        assert!(rig.messages().is_empty());
        rig.cut();
        rig.go_online(false, &[]);
        rig.feed(&deliver(Version::V31, 2, 7));
        assert_eq!(rig.messages().len(), 1, "a new one");
        rig.session.acknowledge(7, QOS_2, old);
        assert_eq!(rig.sent(), []);
        rig.feed(&deliver(Version::V31, 2, 7));
        assert!(rig.messages().is_empty(), "on one connection it is the same");
        assert_eq!(rig.acknowledge(7, QOS_2), [Sent::PubRec(7, 0)]);
    }
}

#[test]
fn the_log_tells_what_the_session_does_by_itself() {
    let mut rig = Rig::with(|config| config.trace = true);
    rig.go_online(false, &[]);
    rig.feed(&deliver(Version::V311, 2, 7));
    rig.acknowledge(7, QOS_2);
    rig.events();
    rig.feed(&again(Version::V311));
    rig.feed(&ack(PUBREL, 7));
    let is_trace = |event| if let Event::Trace(trace) = event { Some(trace) } else { None };
    let traces: Vec<_> = rig.events().into_iter().filter_map(is_trace).collect();
    let expected = [
        Trace::SentAck(AckKind::PubRec, 7),
        Trace::ReceivedAck(AckKind::PubRel, 7),
        Trace::SentAck(AckKind::PubComp, 7),
    ];
    assert_eq!(traces, expected);
}
