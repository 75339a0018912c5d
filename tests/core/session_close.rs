//! The way out: DISCONNECT goes last, is waited for, and comes after what was accepted before.

use oxmqtt_protocol::codec::{PacketType, Properties, QoS, ReasonCode, Version};
use oxmqtt_protocol::session::{Closed, Event, LocalError};

use crate::VERSIONS;
use crate::session_rig::{Rig, SECOND, outgoing, properties, publishes};
use crate::session_wire::{PUBACK, Sent, ack, connack, deliver, packet};

const QOS_1: QoS = QoS::AtLeastOnce;

fn disconnect(rig: &mut Rig) -> bool {
    rig.session.disconnect(ReasonCode(0), Properties::default(), rig.now)
}

#[test]
fn disconnect_goes_last_and_then_the_transport_closes() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.publish_0(b"last words");
        assert!(disconnect(&mut rig));
        assert!(rig.session.is_disconnecting());
        assert!(!rig.session.is_online());
        assert!(!rig.session.wants_close(), "not written yet");
        let refused = rig.session.publish(&outgoing(QoS::AtMostOnce, b"late"));
        assert_eq!(refused.unwrap_err().error, LocalError::NotConnected);
        rig.publish(QOS_1);
        let sent = rig.sent();
        assert!(matches!(sent.as_slice(), [Sent::Publish { qos: 0, .. }, Sent::Disconnect(0)]));
        assert!(matches!(rig.closed(), Closed::Requested));
        assert_eq!(rig.session.unfinished(), 1, "queued for the next connection");
        assert!(!disconnect(&mut rig), "there is no connection");
    }
}

#[test]
fn disconnect_says_why_in_mqtt_5() {
    let mut rig = Rig::online(Version::V5);
    let list = properties(PacketType::Disconnect, &[0x11, 0, 0, 0, 9]);
    let now = rig.now;
    rig.session.disconnect(ReasonCode(0x04), list, now);
    let mut buffer = Vec::new();
    rig.session.take_output(&mut buffer);
    assert_eq!(buffer, packet(0xE0, &[4, 5, 0x11, 0, 0, 0, 9]));
}

#[test]
fn disconnecting_twice_is_disconnecting_once() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        assert!(disconnect(&mut rig));
        assert!(disconnect(&mut rig));
        assert_eq!(rig.sent(), [Sent::Disconnect(0)]);
    }
}

#[test]
fn input_after_disconnect_is_left_alone() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        disconnect(&mut rig);
        rig.feed(&[deliver(version, 1, 1), packet(0xC0, &[])].concat());
        assert_eq!(rig.sent(), [Sent::Disconnect(0)]);
        assert!(rig.messages().is_empty());
        assert!(matches!(rig.closed(), Closed::Requested));
    }
}

#[test]
fn a_transport_without_progress_is_not_waited_for() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        disconnect(&mut rig);
        rig.wait(4 * SECOND);
        assert!(!rig.session.wants_close());
        rig.session.handle_written(1, rig.now);
        rig.wait(4 * SECOND);
        assert!(!rig.session.wants_close(), "one byte is progress");
        for _ in 0..5 {
            assert!(!rig.session.wants_close());
            assert_eq!(rig.session.poll_timeout(), Some(rig.now + SECOND), "a look");
            rig.wait(SECOND);
        }
        assert!(rig.session.wants_close());
        rig.session.handle_closed(None);
        assert!(matches!(rig.events().pop(), Some(Event::Closed(Closed::Requested))));
    }
}

#[test]
fn before_connack_disconnect_waits_for_what_was_accepted() {
    for version in VERSIONS {
        let mut rig = Rig::new(version);
        rig.publish(QOS_1);
        rig.connect();
        rig.publish(QOS_1);
        assert!(disconnect(&mut rig));
        assert!(rig.session.is_disconnecting());
        assert_eq!(rig.sent(), []);
        let refused = rig.session.publish(&outgoing(QoS::AtMostOnce, b"late"));
        assert_eq!(refused.unwrap_err().error, LocalError::NotConnected);
        rig.feed(&connack(version, false, 0, &[]));
        let sent = rig.sent();
        assert_eq!(publishes(&sent), [(false, 1, 1), (false, 1, 2)]);
        assert_eq!(sent.last(), Some(&Sent::Disconnect(0)));
        assert!(matches!(rig.closed(), Closed::Requested));
        assert!(!rig.session.is_disconnecting());
    }
}

/// Whoever asked to disconnect does not hear of a time-out, but that the server refused is news.
#[test]
fn a_disconnect_that_waits_ends_as_asked_or_as_the_server_says() {
    for version in VERSIONS {
        for refused in [false, true] {
            let mut rig = Rig::new(version);
            let ticket = rig.publish(QOS_1);
            rig.connect();
            assert!(disconnect(&mut rig));
            if refused {
                let reason = if version == Version::V5 { 0x87 } else { 5 };
                rig.feed(&connack(version, false, reason, &[]));
                assert!(matches!(rig.closed(), Closed::Refused(r) if r.0 == reason));
            } else {
                rig.wait(5 * SECOND);
                assert!(matches!(rig.closed(), Closed::Requested));
            }
            assert!(!rig.session.is_disconnecting());
            assert_eq!((ticket.outcome(), rig.session.unfinished()), (None, 1));
        }
    }
}

#[test]
fn before_connack_disconnect_has_nothing_else_to_wait_for() {
    for version in VERSIONS {
        let mut rig = Rig::new(version);
        rig.connect();
        disconnect(&mut rig);
        assert_eq!(rig.sent(), [Sent::Disconnect(0)]);
        assert!(matches!(rig.closed(), Closed::Requested));
    }
}

#[test]
fn a_cut_while_disconnect_waits_is_what_was_asked_for() {
    for version in VERSIONS {
        let mut rig = Rig::new(version);
        rig.publish(QOS_1);
        rig.connect();
        disconnect(&mut rig);
        rig.cut();
        assert!(matches!(rig.events().pop(), Some(Event::Closed(Closed::Requested))));
        assert!(!rig.session.is_disconnecting());
        rig.connect();
        assert_eq!(publishes(&rig.accept(false, &[])), [(false, 1, 1)]);
        assert!(rig.session.is_online(), "the next connection is not told");
    }
}

#[test]
fn a_lost_connection_says_how() {
    let mut rig = Rig::online(Version::V311);
    rig.session.handle_closed(None);
    match rig.events().pop() {
        Some(Event::Closed(Closed::Lost(why))) => assert!(why.contains("server closed")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn acknowledgements_after_the_end_find_nothing() {
    let mut rig = Rig::online(Version::V311);
    let ticket = rig.publish(QOS_1);
    rig.sent();
    disconnect(&mut rig);
    rig.feed(&ack(PUBACK, 1));
    assert_eq!(ticket.outcome(), None);
    assert_eq!(rig.acknowledge(1, QOS_1), [Sent::Disconnect(0)]);
}
