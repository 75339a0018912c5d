//! QoS 1 and 2 to the server: the steps, the reasons, the wrong answers.

use oxmqtt_protocol::codec::{AckKind, QoS, ReasonCode, Version};
use oxmqtt_protocol::session::{Event, LocalError, Trace};

use crate::VERSIONS;
use crate::session_rig::{Rig, outgoing, publishes};
use crate::session_wire::{PUBACK, PUBCOMP, PUBREC, Sent, ack, ack_with};

const QOS_1: QoS = QoS::AtLeastOnce;
const QOS_2: QoS = QoS::ExactlyOnce;

#[test]
fn the_packet_says_what_was_asked() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let list: &[u8] = if version == Version::V5 { &[1, 1] } else { &[] };
        let mut message = outgoing(QOS_2, b"payload");
        message.topic = "a/b";
        message.retain = true;
        message.properties = list;
        rig.publish_with(&message).unwrap();
        let expected = Sent::Publish {
            dup: false,
            qos: 2,
            retain: true,
            topic: "a/b".into(),
            id: 1,
            list: list.to_vec(),
            payload: b"payload".to_vec(),
        };
        assert_eq!(rig.sent(), [expected]);
    }
}

#[test]
fn qos_1_ends_with_puback() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let ticket = rig.publish(QOS_1);
        assert_eq!(publishes(&rig.sent()), [(false, 1, 1)]);
        assert_eq!((rig.session.unfinished(), rig.session.in_flight()), (1, 1));
        assert_eq!(ticket.outcome(), None);
        assert_eq!(rig.exchange(&ack(PUBACK, 1)), []);
        assert_eq!(ticket.outcome(), Some(ReasonCode::SUCCESS));
        assert_eq!(rig.acked(), [(1, 0)]);
        assert_eq!((rig.session.unfinished(), rig.session.in_flight()), (0, 0));
        assert_eq!(rig.exchange(&ack(PUBACK, 1)), []);
        assert!(rig.events().is_empty(), "once is enough");
    }
}

#[test]
fn qos_2_ends_with_pubcomp() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let ticket = rig.publish(QOS_2);
        assert_eq!(publishes(&rig.sent()), [(false, 2, 1)]);
        assert_eq!(rig.exchange(&ack(PUBREC, 1)), [Sent::PubRel(1, 0)]);
        assert_eq!(ticket.outcome(), None);
        assert_eq!(rig.exchange(&ack(PUBREC, 1)), [Sent::PubRel(1, 0)], "PUBREC repeated");
        assert!(rig.acked().is_empty());
        assert_eq!(rig.exchange(&ack(PUBCOMP, 1)), []);
        assert_eq!(ticket.outcome(), Some(ReasonCode::SUCCESS));
        assert_eq!(rig.acked(), [(1, 0)]);
        assert_eq!(rig.session.unfinished(), 0);
    }
}

#[test]
fn reasons_from_0x80_on_are_failures() {
    for (qos, first, reason) in
        [(QOS_1, PUBACK, 0x87), (QOS_2, PUBREC, 0x97), (QOS_1, PUBACK, 0x80)]
    {
        let mut rig = Rig::online(Version::V5);
        let ticket = rig.publish(qos);
        rig.sent();
        assert_eq!(rig.exchange(&ack_with(first, 1, reason)), [], "no PUBREL");
        assert!(ticket.outcome().unwrap().is_failure());
        assert_eq!(rig.acked(), [(1, reason)]);
        assert_eq!(rig.session.unfinished(), 0);
    }
}

#[test]
fn reasons_below_0x80_are_successes() {
    let mut rig = Rig::online(Version::V5);
    let (first, second) = (rig.publish(QOS_1), rig.publish(QOS_2));
    rig.sent();
    rig.feed(&ack_with(PUBACK, 1, 0x10));
    assert_eq!(rig.exchange(&ack_with(PUBREC, 2, 0x10)), [Sent::PubRel(2, 0)]);
    rig.feed(&ack(PUBCOMP, 2));
    assert_eq!(rig.acked(), [(1, 0x10), (2, 0)]);
    assert!(!first.outcome().unwrap().is_failure());
    assert!(!second.outcome().unwrap().is_failure());
}

#[test]
fn a_failed_message_makes_room() {
    let mut rig = Rig::with(|config| {
        config.version = Version::V5;
        config.max_inflight = 1;
    });
    rig.go_online(false, &[]);
    for qos in [QOS_2, QOS_1] {
        rig.publish(qos);
    }
    assert_eq!(publishes(&rig.sent()), [(false, 2, 1)]);
    let sent = rig.exchange(&ack_with(PUBREC, 1, 0x80));
    assert_eq!(publishes(&sent), [(false, 1, 2)]);
}

#[test]
fn the_wrong_answer_is_a_breach() {
    for version in VERSIONS {
        for (qos, first) in [(QOS_1, PUBREC), (QOS_1, PUBCOMP), (QOS_2, PUBACK), (QOS_2, PUBCOMP)] {
            let mut rig = Rig::online(version);
            let ticket = rig.publish(qos);
            rig.sent();
            rig.feed(&ack(first, 1));
            rig.assert_refused(0x82);
            assert_eq!(ticket.outcome(), None);
            assert_eq!(rig.session.unfinished(), 1);
        }
    }
}

#[test]
fn an_answer_to_what_was_not_sent_is_a_breach() {
    for version in VERSIONS {
        for first in [PUBACK, PUBREC, PUBCOMP] {
            let mut rig = Rig::with(|config| {
                config.version = version;
                config.max_inflight = 1;
            });
            rig.go_online(false, &[]);
            rig.publish(QOS_1);
            let waiting = rig.publish(QOS_1);
            rig.sent();
            rig.feed(&ack(first, 2));
            rig.assert_refused(0x82);
            assert_eq!(waiting.outcome(), None, "not sent and yet acknowledged");
        }
    }
}

#[test]
fn unknown_identifiers() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let reason = if version == Version::V5 { 0x92 } else { 0 };
        assert_eq!(rig.exchange(&ack(PUBREC, 9)), [Sent::PubRel(9, reason)]);
        if version == Version::V5 {
            assert_eq!(rig.exchange(&ack_with(PUBREC, 9, 0x80)), [], "it failed: no PUBREL");
        }
        assert!(rig.session.is_online());
        assert!(rig.events().is_empty());
    }
}

#[test]
fn the_queue_has_a_bound() {
    for version in VERSIONS {
        let mut rig = Rig::with(|config| {
            config.version = version;
            config.max_queued = 2;
        });
        rig.publish(QOS_1);
        rig.publish(QOS_2);
        let full = rig.publish_with(&outgoing(QOS_1, b"m"));
        assert_eq!(full.unwrap_err(), LocalError::QueueFull);
        assert_eq!(publishes(&rig.go_online(false, &[])), [(false, 1, 1), (false, 2, 2)]);
        rig.feed(&ack(PUBACK, 1));
        rig.publish(QOS_1);
    }
}

#[test]
fn messages_accepted_offline_go_out_in_order() {
    for version in VERSIONS {
        let mut rig = Rig::new(version);
        let tickets = [QOS_1, QOS_2, QOS_1].map(|qos| rig.publish(qos));
        assert_eq!(rig.session.in_flight(), 0);
        assert_eq!(rig.session.unfinished(), 3);
        rig.connect();
        rig.publish(QOS_2);
        assert_eq!(rig.sent(), [], "not before CONNACK");
        assert_eq!(
            publishes(&rig.accept(false, &[])),
            [(false, 1, 1), (false, 2, 2), (false, 1, 3), (false, 2, 4)]
        );
        assert_eq!(tickets.map(|ticket| ticket.packet_id()), [1, 2, 3]);
    }
}

#[test]
fn without_reports_only_the_ticket_tells() {
    let mut rig = Rig::with(|config| config.report_acked = false);
    rig.go_online(false, &[]);
    let ticket = rig.publish(QOS_1);
    rig.sent();
    rig.feed(&ack(PUBACK, 1));
    assert!(rig.events().is_empty());
    assert_eq!(ticket.reported_outcome(), Some(ReasonCode::SUCCESS));
}

#[test]
fn a_reported_outcome_waits_for_its_callback() {
    let mut rig = Rig::online(Version::V311);
    let ticket = rig.publish(QOS_1);
    rig.sent();
    rig.feed(&ack(PUBACK, 1));
    assert_eq!(ticket.outcome(), Some(ReasonCode::SUCCESS));
    assert_eq!(ticket.reported_outcome(), None);
    ticket.mark_reported();
    assert_eq!(ticket.reported_outcome(), Some(ReasonCode::SUCCESS));
}

#[test]
fn the_log_sees_what_the_engine_does_by_itself() {
    let mut rig = Rig::with(|config| config.trace = true);
    rig.go_online(false, &[]);
    rig.publish(QOS_2);
    rig.sent();
    rig.feed(&ack(PUBREC, 1));
    let traces: Vec<_> = rig
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Trace(trace) => Some(trace),
            _ => None,
        })
        .collect();
    assert_eq!(
        traces,
        [Trace::ReceivedAck(AckKind::PubRec, 1), Trace::SentAck(AckKind::PubRel, 1)]
    );
}

#[test]
fn the_log_shows_a_resend_as_it_was_sent() {
    let mut rig = Rig::with(|config| config.trace = true);
    rig.go_online(false, &[]);
    rig.publish(QOS_1);
    rig.sent();
    rig.cut();
    rig.connect();
    rig.events();
    rig.feed(&[0x20, 2, 1, 0]);
    let events = rig.events();
    let mut buffer = Vec::new();
    rig.session.take_output(&mut buffer);
    match events.as_slice() {
        [Event::ConnAck { .. }, Event::Trace(Trace::SentPublish { packet })] => {
            assert_eq!(packet[..], buffer);
        }
        other => panic!("{other:?}"),
    }
}
