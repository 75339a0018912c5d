//! What clients can make the broker keep is bounded in bytes, in whatever way.

use oxmqtt_broker::Settings;
use oxmqtt_protocol::codec::*;

use super::broker_rig::{Link, Rig, lasting};

/// The bound, and a payload that meets it soon.
const KEPT: usize = 1 << 20;
const PAYLOAD: usize = 64 << 10;

/// Without a record, so that only what clients ask for is kept.
fn rig() -> Rig {
    Rig::with(Settings { record: 0, max_kept: KEPT, ..Settings::default() })
}

/// Publishes until the broker drops what it should keep; how many it kept.
fn fill(rig: &mut Rig, link: Link, retain: bool, mut each: impl FnMut(&mut Rig)) -> usize {
    let payload = vec![7; PAYLOAD];
    let before = rig.broker.counters().dropped;
    for number in 0..2 * KEPT / PAYLOAD {
        let topic = &format!("a/{number}");
        let parts = PublishParts {
            topic,
            qos: QoS::AtLeastOnce,
            retain,
            packet_id: 1,
            payload: &payload,
            ..<_>::default()
        };
        rig.publish_parts(link, &parts);
        rig.raw(link);
        each(rig);
        if rig.broker.counters().dropped > before {
            return number;
        }
    }
    panic!("everything is kept");
}

#[test]
fn retained_messages_are_bounded_in_bytes() {
    let mut rig = rig();
    let link = rig.client(Version::V5, "c");
    let kept = fill(&mut rig, link, true, |_| ());
    assert!((KEPT / PAYLOAD - 1..=KEPT / PAYLOAD).contains(&kept), "{kept}");
    // Whoever makes room may keep again.
    rig.publish_parts(link, &PublishParts { topic: "a/0", retain: true, ..<_>::default() });
    let before = rig.broker.counters().dropped;
    let parts = PublishParts { topic: "b", retain: true, payload: b"x", ..<_>::default() };
    rig.publish_parts(link, &parts);
    assert_eq!(rig.broker.counters().dropped, before);
}

#[test]
fn messages_that_are_never_acknowledged_are_bounded_in_bytes() {
    let mut rig = rig();
    let publisher = rig.client(Version::V5, "publisher");
    let mute = rig.client(Version::V5, "mute");
    rig.subscribe(mute, "#", QoS::AtLeastOnce);
    // It reads all it gets, and answers nothing.
    let kept = fill(&mut rig, publisher, false, |rig| drop(rig.raw(mute)));
    assert!(kept <= KEPT / PAYLOAD, "{kept}");
    rig.lose(mute);
    rig.pass(1);
    let before = rig.broker.counters().dropped;
    let next = rig.client(Version::V5, "next");
    rig.subscribe(next, "#", QoS::AtLeastOnce);
    rig.publish(publisher, "a", QoS::AtLeastOnce, b"x");
    assert_eq!(rig.payloads(next), ["x"]);
    assert_eq!(rig.broker.counters().dropped, before);
}

#[test]
fn one_message_for_many_sessions_counts_once() {
    let mut rig = rig();
    let publisher = rig.client(Version::V5, "publisher");
    for number in 0..100 {
        let (link, _) = rig.connect(Version::V5, lasting(&format!("away-{number}"), 1000));
        rig.subscribe(link, "#", QoS::AtLeastOnce);
        rig.lose(link);
    }
    rig.publish(publisher, "a", QoS::AtLeastOnce, &vec![7; PAYLOAD]);
    assert_eq!(rig.broker.counters().dropped, 0);
}

#[test]
fn subscriptions_are_bounded_in_bytes_and_sessions_need_room() {
    let mut rig = rig();
    let mut reasons = Vec::new();
    let links = ["a", "b", "c"].map(|name| rig.client(Version::V5, name));
    for link in links {
        for number in 0..10 {
            let filter = format!("{number:05}{}", "a".repeat(65_000));
            let filters = vec![(filter.into(), SubscriptionOptions::default())];
            let properties = Properties::default();
            rig.send(link, &Packet::Subscribe(Subscribe { packet_id: 9, properties, filters }));
            let Some(Packet::SubAck(suback)) = rig.packets(link).pop() else { panic!("no SUBACK") };
            reasons.extend_from_slice(&suback.reasons);
        }
    }
    let taken = reasons.iter().filter(|reason| **reason == 0).count();
    assert!((taken - 1) * 65_000 < KEPT, "{taken}");
    assert_eq!(reasons.last(), Some(&ReasonCode::QUOTA_EXCEEDED.0));
    let (late, connack) = rig.connect(Version::V5, lasting("late", 1000));
    assert_eq!(connack.reason, ReasonCode::QUOTA_EXCEEDED);
    assert!(rig.is_closed(late));
}
