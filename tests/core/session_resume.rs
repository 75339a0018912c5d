//! What a new connection resumes, with the session kept and with the session lost.

use oxmqtt_protocol::codec::{QoS, ReasonCode, Version};
use oxmqtt_protocol::session::Outgoing;

use crate::VERSIONS;
use crate::session_rig::{Rig, outgoing, publishes};
use crate::session_wire::{PUBACK, PUBCOMP, PUBREC, Sent, ack, ack_with};

const QOS_1: QoS = QoS::AtLeastOnce;
const QOS_2: QoS = QoS::ExactlyOnce;

/// QoS 1, QoS 2, QoS 2 with PUBREC, sent and cut.
fn interrupted(version: Version, clean: bool) -> Rig {
    let mut rig = Rig::new(version);
    rig.options.clean_start = clean;
    rig.go_online(false, &[]);
    for qos in [QOS_1, QOS_2, QOS_2] {
        rig.publish(qos);
    }
    rig.sent();
    rig.feed(&ack(PUBREC, 3));
    assert_eq!(rig.sent(), [Sent::PubRel(3, 0)]);
    rig.cut();
    rig.events();
    rig
}

#[test]
fn a_kept_session_goes_on_in_order() {
    for version in [Version::V311, Version::V5] {
        let mut rig = interrupted(version, false);
        rig.publish(QOS_1);
        let sent = rig.go_online(true, &[]);
        assert_eq!(publishes(&sent), [(true, 1, 1), (true, 2, 2), (false, 1, 4)]);
        assert_eq!(sent[2], Sent::PubRel(3, 0));
        assert_eq!(sent.len(), 4);
    }
}

#[test]
fn a_lost_session_is_published_again() {
    for (version, clean) in
        [(Version::V5, false), (Version::V5, true), (Version::V311, true), (Version::V31, true)]
    {
        let mut rig = interrupted(version, clean);
        let sent = rig.go_online(false, &[]);
        assert_eq!(publishes(&sent), [(true, 1, 1), (true, 2, 2), (true, 2, 3)], "{version:?}");
        assert_eq!(rig.exchange(&ack(PUBREC, 3)), [Sent::PubRel(3, 0)]);
    }
}

/// What paho does: PUBREC made the server the owner, and a server that forgot answers PUBREL.
#[test]
fn a_persistent_mqtt_3_session_keeps_its_receipts() {
    for version in [Version::V31, Version::V311] {
        let mut rig = interrupted(version, false);
        let sent = rig.go_online(false, &[]);
        assert_eq!(publishes(&sent), [(true, 1, 1), (true, 2, 2)]);
        assert_eq!(sent[2], Sent::PubRel(3, 0));
        rig.feed(&ack(PUBCOMP, 3));
        assert_eq!(rig.acked(), [(3, 0)]);
    }
}

#[test]
fn dup_is_for_what_was_sent_before() {
    for version in VERSIONS {
        let mut rig = Rig::with(|config| {
            config.version = version;
            config.max_inflight = 1;
        });
        rig.publish(QOS_1);
        rig.connect();
        rig.cut();
        assert_eq!(publishes(&rig.go_online(false, &[])), [(false, 1, 1)]);
        rig.publish(QOS_1);
        rig.cut();
        assert_eq!(publishes(&rig.go_online(true, &[])), [(true, 1, 1)]);
        rig.cut();
        assert_eq!(publishes(&rig.go_online(true, &[])), [(true, 1, 1)]);
        assert_eq!(
            publishes(&rig.exchange(&ack(PUBACK, 1))),
            [(false, 1, 2)],
            "queued, never sent"
        );
    }
}

#[test]
fn the_resent_packet_is_the_same_but_for_dup() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.publish(QOS_2);
        let mut first = Vec::new();
        rig.session.take_output(&mut first);
        rig.cut();
        rig.connect();
        rig.feed(&crate::session_wire::connack(version, true, 0, &[]));
        let mut second = Vec::new();
        rig.session.take_output(&mut second);
        assert_eq!(first[0] | 8, second[0]);
        assert_eq!(first[1..], second[1..]);
    }
}

#[test]
fn output_of_a_dead_connection_is_not_sent_on_the_next() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.publish_0(b"lost");
        rig.publish(QOS_1);
        rig.cut();
        assert!(!rig.session.has_output());
        assert_eq!(rig.session.unsent(), 0);
        let sent = rig.go_online(true, &[]);
        assert!(matches!(sent.as_slice(), [Sent::Publish { qos: 1, .. }]));
    }
}

#[test]
fn half_a_packet_is_forgotten_with_its_connection() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.feed(&[0x30, 20, 0, 1]);
        rig.cut();
        rig.go_online(true, &[]);
        assert!(rig.session.is_online());
    }
}

/// PUBCOMP was lost on the way: the server forgot the message because it is through with it. That
/// is no error during recovery (table 3-10 of MQTT 5.0).
#[test]
fn an_identifier_not_found_after_pubrel_is_no_failure() {
    let mut rig = Rig::online(Version::V5);
    let ticket = rig.publish(QOS_2);
    rig.sent();
    rig.feed(&ack(PUBREC, 1));
    rig.cut();
    assert_eq!(rig.go_online(true, &[]), [Sent::PubRel(1, 0)]);
    rig.feed(&ack_with(PUBCOMP, 1, 0x92));
    assert_eq!(ticket.outcome(), Some(ReasonCode::SUCCESS));
    assert_eq!(rig.acked(), [(1, 0)]);
}

#[test]
fn reset_forgets_everything() {
    for version in VERSIONS {
        let mut rig = interrupted(version, false);
        rig.session.reset();
        assert_eq!(rig.session.unfinished(), 0);
        assert_eq!(rig.go_online(false, &[]), []);
        assert_eq!(rig.publish(QOS_1).packet_id(), 1);
    }
}

/// What waits was encoded for one version, and the next connection speaks another.
#[test]
fn what_waits_is_encoded_anew_for_another_version() {
    let expiry = [0x02, 0, 0, 0, 9];
    for (from, to) in [
        (Version::V5, Version::V311),
        (Version::V311, Version::V5),
        (Version::V5, Version::V31),
        (Version::V311, Version::V31),
    ] {
        let mut rig = Rig::new(from);
        let list: &[u8] = if from == Version::V5 { &expiry } else { &[] };
        for qos in [QOS_1, QOS_2] {
            rig.publish_with(&Outgoing { properties: list, ..outgoing(qos, b"m") }).unwrap();
        }
        rig.session.set_version(to);
        let sent = rig.go_online(false, &[]);
        assert_eq!(publishes(&sent), [(false, 1, 1), (false, 2, 2)], "{from:?} to {to:?}");
        for packet in &sent {
            assert!(matches!(packet, Sent::Publish { topic, payload, .. }
                if topic == "t" && payload == b"m"));
        }
    }
}

#[test]
fn what_another_version_cannot_say_fails() {
    // The session is not told of the alias: else it would send the topic, or refuse the message.
    let mut rig = Rig::new(Version::V5);
    let alias = Outgoing {
        topic: "",
        properties: &[0x23, 0, 1],
        topic_alias: None,
        ..outgoing(QOS_1, b"m")
    };
    let unfit = rig.publish_with(&alias).unwrap();
    rig.publish(QOS_1);
    rig.session.set_version(Version::V311);
    assert_eq!(unfit.outcome(), Some(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR));
    assert_eq!(publishes(&rig.go_online(false, &[])), [(false, 1, 2)]);
}

/// The server may hold it under its identifier: a new message with that one would be taken for it.
#[test]
fn what_was_sent_and_cannot_be_said_again_keeps_its_identifier() {
    for (qos, next) in [(QOS_1, 1), (QOS_2, 2)] {
        let mut rig = Rig::new(Version::V5);
        let alias = Outgoing {
            topic: "",
            properties: &[0x23, 0, 1],
            topic_alias: None,
            ..outgoing(qos, b"m")
        };
        rig.publish_with(&alias).unwrap();
        assert_eq!(rig.go_online(false, &[0x22, 0, 1]).len(), 1);
        rig.cut();
        rig.session.set_version(Version::V311);
        rig.session.continue_after(0);
        rig.go_online(true, &[]);
        assert_eq!(rig.publish(qos).packet_id(), next, "{qos:?}");
    }
}

#[test]
fn a_dropped_message_has_its_end() {
    for version in VERSIONS {
        let mut rig = Rig::with(|config| {
            config.version = version;
            config.max_inflight = 1;
        });
        rig.go_online(false, &[]);
        let tickets = [rig.publish(QOS_1), rig.publish(QOS_1)];
        rig.sent();
        assert_eq!(rig.session.drop_unfinished().len(), 2);
        rig.feed(&ack(PUBACK, 1));
        for ticket in &tickets {
            assert!(ticket.is_dropped() && ticket.outcome().unwrap().is_failure());
        }
        assert!(rig.acked().is_empty());
        let ticket = rig.publish(QOS_1);
        rig.session.reset();
        assert!(ticket.is_dropped(), "nobody waits for it any longer");
    }
}
