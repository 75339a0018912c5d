//! Packet identifiers: one space, none twice, more messages than identifiers.

use std::collections::HashSet;

use oxmqtt_protocol::codec::{Properties, QoS, Version};
use oxmqtt_protocol::session::{LocalError, RequestError, SubscriptionRequest};

use crate::VERSIONS;
use crate::session_rig::{Rig, outgoing, publishes};
use crate::session_wire::{PUBACK, Sent, ack, answer, packet};

const QOS_1: QoS = QoS::AtLeastOnce;
const ALL: usize = 65_535;
/// A few are left to SUBSCRIBE and UNSUBSCRIBE.
const FOR_REQUESTS: usize = 16;
const FOR_MESSAGES: usize = ALL - FOR_REQUESTS;

fn subscribe(rig: &mut Rig) -> Result<u16, RequestError> {
    let filters = vec![("f".into(), Default::default())];
    rig.session.request(SubscriptionRequest::Subscribe(filters), Properties::default())
}

#[test]
fn publish_and_subscribe_share_them() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let first = rig.publish(QOS_1).packet_id();
        let second = subscribe(&mut rig).unwrap();
        let third = rig.publish(QoS::ExactlyOnce).packet_id();
        assert_eq!([first, second, third], [1, 2, 3]);
        assert_eq!(rig.session.last_packet_id(), 3);
    }
}

#[test]
fn an_identifier_in_use_is_passed_over_after_the_wrap() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let long_lived = rig.publish(QOS_1).packet_id();
        let requested = subscribe(&mut rig).unwrap();
        let mut wrapped = 0;
        for _ in 0..2 * ALL {
            let id = rig.publish(QOS_1).packet_id();
            assert!(id != 0 && id != long_lived && id != requested, "{id} is in use");
            wrapped += usize::from(id == 3);
            rig.session.take_output(&mut Vec::new());
            rig.feed(&ack(PUBACK, id));
            rig.session.drain_events();
        }
        assert_eq!(wrapped, 3);
    }
}

#[test]
fn more_messages_than_identifiers() {
    let mut rig = Rig::with(|config| config.max_inflight = 0);
    let tickets: Vec<_> = (0..FOR_MESSAGES + 10).map(|_| rig.publish(QOS_1)).collect();
    assert_eq!(rig.session.unfinished(), FOR_MESSAGES + 10);
    let named: HashSet<_> = tickets[..FOR_MESSAGES].iter().map(|t| t.packet_id()).collect();
    assert!(named.len() == FOR_MESSAGES && !named.contains(&0));
    assert!(tickets[FOR_MESSAGES..].iter().all(|ticket| ticket.packet_id() == 0));
    assert_eq!(rig.go_online(false, &[]).len(), FOR_MESSAGES);
    for _ in 0..FOR_REQUESTS {
        assert!(subscribe(&mut rig).is_ok(), "messages leave some to requests");
    }
    assert!(matches!(
        subscribe(&mut rig),
        Err(RequestError::Local(LocalError::NoPacketIdentifier))
    ));
    for id in FOR_MESSAGES as u16 + 1..=65_535 {
        rig.feed(&answer(Version::V311, 0x90, id, &[0]));
    }
    rig.sent();
    let sent = rig.exchange(&[ack(PUBACK, 500), ack(PUBACK, 9)].concat());
    assert_eq!(publishes(&sent), [(false, 1, 9), (false, 1, 500)]);
    assert_eq!(tickets[FOR_MESSAGES].packet_id(), 9);
    assert_eq!(tickets[FOR_MESSAGES + 1].packet_id(), 500);
    assert_eq!(tickets[FOR_MESSAGES + 2].packet_id(), 0);
}

/// Later messages must not take all identifiers while an earlier one has none: with nothing in
/// flight, none would ever come free.
#[test]
fn a_message_without_identifier_is_not_overtaken_by_later_ones() {
    let mut rig = Rig::with(|config| {
        config.version = Version::V5;
        config.max_inflight = 1;
    });
    for _ in 0..FOR_MESSAGES {
        rig.publish(QOS_1);
    }
    let waiting = rig.publish(QOS_1);
    let mut in_flight = publishes(&rig.go_online(false, &[]))[0].2;
    for _ in 1..FOR_MESSAGES {
        rig.feed(&ack(PUBACK, in_flight));
        rig.publish(QOS_1);
        in_flight = publishes(&rig.sent())[0].2;
        rig.session.drain_events();
    }
    rig.feed(&[ack(PUBACK, in_flight), packet(0xE0, &[0x8B])].concat());
    rig.closed();
    rig.publish(QOS_1);
    assert_eq!(waiting.packet_id(), 0);
    let sent = publishes(&rig.go_online(true, &[]));
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].2, waiting.packet_id());
}

#[test]
fn requests_give_theirs_back_with_the_connection() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let id = subscribe(&mut rig).unwrap();
        assert_eq!(rig.sent(), [Sent::Subscribe(id)]);
        rig.cut();
        rig.go_online(true, &[]);
        rig.events();
        rig.feed(&answer(version, 0x90, id, &[0]));
        assert!(rig.events().is_empty(), "an answer to an earlier connection");
    }
}

/// The server of a kept session takes a new QoS 2 message for the old one while it holds that.
#[test]
fn the_identifier_of_a_dropped_qos_2_message_stays_in_use() {
    for version in VERSIONS {
        for cut_first in [false, true] {
            let mut rig = Rig::online(version);
            let dropped = rig.publish(QoS::ExactlyOnce).packet_id();
            let forgotten = rig.publish(QOS_1).packet_id();
            rig.sent();
            if cut_first {
                rig.cut();
            }
            rig.session.drop_unfinished();
            rig.cut();
            let mut ids = all_identifiers(&mut rig);
            assert!(!ids.contains(&dropped) && ids.contains(&forgotten));
            assert_eq!(rig.go_online(true, &[]), []);
            assert!(!all_identifiers(&mut rig).contains(&dropped));
            rig.cut();
            rig.options.clean_start = true;
            rig.go_online(false, &[]);
            ids = all_identifiers(&mut rig);
            assert!(ids.contains(&dropped), "the session is a new one");
        }
    }
}

/// The same for one that the limits of the next connection refuse.
#[test]
fn the_identifier_of_a_qos_2_message_refused_on_the_way_stays_in_use() {
    let mut rig = Rig::online(Version::V5);
    let refused = rig.publish(QoS::ExactlyOnce).packet_id();
    let unsent = rig.publish(QOS_1).packet_id();
    rig.sent();
    rig.cut();
    rig.events();
    rig.go_online(true, b"\x24\x00");
    assert_eq!(rig.session.unfinished(), 0, "QoS 1 and 2 are refused");
    let ids = all_identifiers(&mut rig);
    assert!(!ids.contains(&refused) && ids.contains(&unsent));
    rig.cut();
    rig.go_online(false, &[]);
    assert!(all_identifiers(&mut rig).contains(&refused), "the session is a new one");
}

/// Every identifier that a new message can have.
fn all_identifiers(rig: &mut Rig) -> HashSet<u16> {
    let name = |_| {
        let refused = rig.session.publish(&outgoing(QoS::AtMostOnce, b""));
        refused.map_or_else(|refused| refused.packet_id, |_| rig.session.last_packet_id())
    };
    (0..ALL).map(name).collect()
}
