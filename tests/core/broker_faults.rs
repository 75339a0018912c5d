//! Faults on demand happen as ordered, and end.

use std::time::Duration;

use oxmqtt_protocol::codec::*;

use super::broker_rig::{Rig, lasting, named};

#[test]
fn connections_are_refused_so_many_times() {
    let mut rig = Rig::new();
    rig.broker.refuse(ReasonCode::SERVER_BUSY, 2);
    let mut code = |version| rig.connect(version, named("c", true)).1.reason.0;
    assert_eq!([code(Version::V5), code(Version::V311), code(Version::V5)], [0x89, 3, 0]);
}

#[test]
fn acknowledgements_come_late_or_never() {
    let mut rig = Rig::new();
    let link = rig.client(Version::V311, "c");
    rig.broker.delay_acks(Duration::from_secs(2));
    rig.publish(link, "a", QoS::AtLeastOnce, b"x");
    rig.pass(1);
    assert!(rig.packets(link).is_empty());
    rig.broker.delay_acks(Duration::ZERO);
    rig.pass(1);
    assert_eq!(rig.packets(link), [Packet::PubAck(Ack::new(1))]);
    rig.broker.lose_acks(1);
    rig.publish(link, "a", QoS::AtLeastOnce, b"x");
    assert!(rig.packets(link).is_empty());
    rig.publish(link, "a", QoS::AtLeastOnce, b"x");
    assert_eq!(rig.packets(link), [Packet::PubAck(Ack::new(1))]);
}

#[test]
fn a_connection_is_cut_within_a_packet() {
    let mut rig = Rig::new();
    let link = rig.client(Version::V311, "c");
    rig.subscribe(link, "a", QoS::AtMostOnce);
    rig.broker.cut_after(15, 1);
    rig.publish(link, "a", QoS::AtMostOnce, b"0123"); // 9 bytes in, then 9 out
    assert_eq!(rig.raw(link).len(), 6);
    assert!(rig.is_closed(link));
    let link = rig.client(Version::V311, "c");
    rig.subscribe(link, "a", QoS::AtMostOnce);
    rig.publish(link, "a", QoS::AtMostOnce, b"0123");
    assert_eq!(rig.payloads(link), ["0123"], "once is once");
}

#[test]
fn a_connection_is_cut_within_what_it_sends() {
    let mut rig = Rig::new();
    let link = rig.client(Version::V311, "c");
    rig.broker.cut_after(12, 1);
    rig.publish(link, "a", QoS::AtMostOnce, b"1234");
    rig.publish(link, "a", QoS::AtMostOnce, b"5678");
    assert!(rig.is_closed(link));
    assert_eq!(rig.broker.record().messages().count(), 1);
}

#[test]
fn dropped_connections_leave_their_sessions() {
    let mut rig = Rig::new();
    let (one, _) = rig.connect(Version::V5, lasting("one", 100));
    let (two, _) = rig.connect(Version::V5, lasting("two", 100));
    let now = rig.now;
    assert_eq!(rig.broker.drop_connections(Some("one"), now), 1);
    assert!(rig.raw(one).is_empty() && rig.is_closed(one) && !rig.is_closed(two));
    assert_eq!(rig.broker.drop_connections(None, now), 1);
    assert!(rig.connect(Version::V5, lasting("one", 100)).1.session_present);
    rig.broker.restart(false, now);
    assert!(!rig.connect(Version::V5, lasting("two", 100)).1.session_present);
}
