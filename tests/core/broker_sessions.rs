//! Sessions that outlive connections, their end, and wills.

use oxmqtt_protocol::codec::*;

use super::broker_rig::{Rig, lasting, named, payloads, properties};

#[test]
fn a_session_waits_and_its_messages_with_it() {
    for version in super::VERSIONS {
        let mut rig = Rig::new();
        let connect = if version == Version::V5 { lasting("to", 100) } else { named("to", false) };
        let (to, connack) = rig.connect(version, connect.clone());
        assert!(!connack.session_present);
        rig.subscribe(to, "a", QoS::ExactlyOnce);
        rig.lose(to);
        let from = rig.client(Version::V311, "from");
        for (payload, qos) in [("0", 0), ("1", 1), ("2", 2)] {
            rig.publish(from, "a", QoS::try_from(qos).unwrap(), payload.as_bytes());
        }
        let to = rig.open(version);
        rig.send(to, &Packet::Connect(Box::new(connect.clone())));
        let packets = rig.packets(to);
        let Some(Packet::ConnAck(connack)) = packets.first() else { panic!("no CONNACK") };
        assert!(connack.session_present);
        assert_eq!(payloads(&packets), ["1", "2"]);
        // Unacknowledged: again on the next connection, in order, with DUP.
        rig.lose(to);
        let to = rig.open(version);
        rig.send(to, &Packet::Connect(Box::new(connect)));
        let packets = rig.packets(to);
        assert_eq!(payloads(&packets), ["1", "2"]);
        assert!(packets[1..].iter().all(|p| matches!(p, Packet::Publish(p) if p.dup())));
        rig.ack(to, AckKind::PubAck, 1);
        rig.ack(to, AckKind::PubRec, 2);
        assert_eq!(rig.packets(to), [Packet::PubRel(Ack::new(2))]);
    }
}

#[test]
fn a_release_is_repeated_until_it_is_complete() {
    let mut rig = Rig::new();
    let (to, _) = rig.connect(Version::V5, lasting("to", 100));
    rig.subscribe(to, "a", QoS::ExactlyOnce);
    rig.publish(to, "a", QoS::ExactlyOnce, b"x");
    rig.ack(to, AckKind::PubRec, 1);
    rig.lose(to);
    let to = rig.open(Version::V5);
    rig.send(to, &Packet::Connect(Box::new(lasting("to", 100))));
    assert_eq!(rig.packets(to)[1..], [Packet::PubRel(Ack::new(1))]);
    rig.ack(to, AckKind::PubComp, 1);
    rig.lose(to);
    let (_, connack) = rig.connect(Version::V5, lasting("to", 100));
    assert!(connack.session_present);
}

#[test]
fn a_session_expires() {
    let mut rig = Rig::new();
    for (passed, present) in [(99, true), (101, false)] {
        let (link, _) = rig.connect(Version::V5, lasting("c", 100));
        rig.lose(link);
        rig.pass(passed);
        let (link, connack) = rig.connect(Version::V5, lasting("c", 100));
        assert_eq!(connack.session_present, present);
        rig.lose(link);
    }
    let (_, connack) = rig.connect(Version::V5, Connect { clean_start: true, ..lasting("c", 100) });
    assert!(!connack.session_present, "a clean start discards it");
}

#[test]
fn the_second_connection_takes_the_session_over() {
    let mut rig = Rig::new();
    let (first, _) = rig.connect(Version::V5, lasting("c", 100));
    let (second, connack) = rig.connect(Version::V5, lasting("c", 100));
    assert!(connack.session_present);
    let reason = ReasonCode::SESSION_TAKEN_OVER;
    let goodbye = Packet::Disconnect(Disconnect::new(reason, Properties::default()));
    assert_eq!(rig.packets(first), [goodbye]);
    assert!(rig.is_closed(first) && !rig.is_closed(second));
    rig.lose(first);
    assert!(rig.broker.is_connected("c"), "the end of the first is not that of the second");
}

fn with_will(name: &str, delay: u32, expiry: u32) -> Connect {
    let delay = [(PropertyId::WillDelayInterval, PropertyValue::FourByte(delay))];
    let properties = properties(PropertyContext::Will, &delay);
    let will = Will { topic: "will".into(), payload: "gone".into(), properties, ..Will::default() };
    Connect { will: Some(will), ..lasting(name, expiry) }
}

#[test]
fn a_will_is_published_when_the_connection_is_lost() {
    let mut rig = Rig::new();
    let watcher = rig.client(Version::V5, "watcher");
    rig.subscribe(watcher, "will", QoS::AtMostOnce);
    for version in super::VERSIONS {
        let will = Will { topic: "will".into(), payload: "gone".into(), ..Will::default() };
        let connect = Connect { will: Some(will), ..named("c", true) };
        let (link, _) = rig.connect(version, connect.clone());
        rig.send(link, &Packet::Disconnect(Disconnect::default()));
        rig.lose(link);
        assert!(rig.payloads(watcher).is_empty(), "DISCONNECT takes it back");
        let (link, _) = rig.connect(version, connect);
        rig.lose(link);
        assert_eq!(rig.payloads(watcher), ["gone"]);
    }
    let (link, _) = rig.connect(Version::V5, with_will("c", 0, 0));
    let reason = ReasonCode::DISCONNECT_WITH_WILL_MESSAGE;
    rig.send(link, &Packet::Disconnect(Disconnect::new(reason, Properties::default())));
    assert_eq!(rig.payloads(watcher), ["gone"]);
}

#[test]
fn a_will_waits_for_its_delay_or_the_end_of_the_session() {
    let mut rig = Rig::new();
    let watcher = rig.client(Version::V5, "watcher");
    rig.subscribe(watcher, "will", QoS::AtMostOnce);
    let (link, _) = rig.connect(Version::V5, with_will("c", 10, 100));
    rig.lose(link);
    rig.pass(9);
    let (link, _) = rig.connect(Version::V5, with_will("c", 10, 100));
    rig.pass(50);
    assert!(rig.payloads(watcher).is_empty(), "it came back in time");
    rig.lose(link);
    rig.pass(10);
    assert_eq!(rig.payloads(watcher), ["gone"]);
    let (link, _) = rig.connect(Version::V5, with_will("d", 100, 10));
    rig.lose(link);
    rig.pass(10);
    assert_eq!(rig.payloads(watcher), ["gone"], "the session ended first");
}

#[test]
fn a_silent_client_is_given_up() {
    let mut rig = Rig::new();
    let (link, _) = rig.connect(Version::V5, Connect { keep_alive: 10, ..named("c", true) });
    rig.pass(14);
    rig.send(link, &Packet::PingReq);
    assert_eq!(rig.packets(link), [Packet::PingResp]);
    rig.pass(14);
    assert!(!rig.is_closed(link));
    rig.pass(1);
    let reason = ReasonCode::KEEP_ALIVE_TIMEOUT;
    let goodbye = Packet::Disconnect(Disconnect::new(reason, Properties::default()));
    assert_eq!(rig.packets(link), [goodbye]);
    assert!(rig.is_closed(link));
}
