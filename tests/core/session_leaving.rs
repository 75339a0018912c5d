//! A session whose application has gone: what it still does, and for how long.

use oxmqtt_protocol::codec::QoS;

use crate::VERSIONS;
use crate::session_rig::{Rig, SECOND, publishes};
use crate::session_wire::{PUBACK, Sent, ack, connack, deliver};

fn leave(rig: &mut Rig) {
    rig.session.leave(rig.now);
}

#[test]
fn ends_at_once_when_nothing_is_left() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.publish_0(b"m");
        leave(&mut rig);
        assert!(!rig.session.wants_close());
        rig.sent();
        assert!(rig.session.wants_close());
        assert_eq!(rig.sent(), [], "no DISCONNECT that nobody asked for");
    }
}

#[test]
fn waits_for_connack_if_something_was_accepted() {
    for version in VERSIONS {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            let mut rig = Rig::new(version);
            rig.connect();
            match qos {
                QoS::AtMostOnce => drop(rig.publish_0(b"m")),
                _ => drop(rig.publish(qos)),
            }
            leave(&mut rig);
            let early = rig.sent().len();
            assert!(!rig.session.wants_close());
            rig.feed(&connack(version, false, 0, &[]));
            assert_eq!(early + publishes(&rig.sent()).len(), 1);
            if qos == QoS::AtLeastOnce {
                assert!(!rig.session.wants_close());
                rig.feed(&ack(PUBACK, 1));
            }
            assert!(rig.session.wants_close());
        }
        let mut rig = Rig::new(version);
        rig.connect();
        leave(&mut rig);
        assert!(rig.session.wants_close(), "nothing was accepted");
    }
}

#[test]
fn gives_up_without_progress() {
    let mut rig = Rig::online(VERSIONS[1]);
    for _ in 0..4 {
        rig.publish(QoS::AtLeastOnce);
    }
    rig.sent();
    leave(&mut rig);
    for id in 1..=3 {
        for _ in 0..4 {
            rig.wait(SECOND);
            assert!(!rig.session.wants_close());
        }
        rig.feed(&ack(PUBACK, id));
    }
    for _ in 0..5 {
        rig.wait(SECOND);
        assert!(!rig.session.wants_close());
    }
    assert_eq!(rig.session.not_handed_over(), 1);
    rig.wait(SECOND);
    assert!(rig.session.wants_close());
}

#[test]
fn gives_up_after_half_a_minute() {
    let mut rig = Rig::online(VERSIONS[1]);
    let mut seconds = 0;
    leave(&mut rig);
    rig.publish(QoS::AtLeastOnce);
    rig.sent();
    while !rig.session.wants_close() {
        rig.publish(QoS::AtLeastOnce);
        rig.sent();
        rig.wait(SECOND);
        seconds += 1;
    }
    assert_eq!(seconds, 30);
}

#[test]
fn tells_nobody_and_acknowledges_nothing() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.publish(QoS::AtLeastOnce);
        rig.sent();
        leave(&mut rig);
        for qos in 0..3 {
            assert_eq!(rig.exchange(&deliver(version, qos, 7)), []);
        }
        rig.feed(&ack(PUBACK, 1));
        assert!(rig.events().is_empty());
        assert!(rig.session.wants_close());
        rig.session.handle_closed(None);
        assert!(rig.events().is_empty());
    }
}

#[test]
fn a_disconnect_that_was_asked_for_still_goes_out() {
    for version in VERSIONS {
        let mut rig = Rig::new(version);
        rig.connect();
        rig.publish(QoS::AtLeastOnce);
        rig.session.disconnect(Default::default(), Default::default(), rig.now);
        leave(&mut rig);
        rig.feed(&connack(version, false, 0, &[]));
        let sent = rig.sent();
        assert_eq!(sent.last(), Some(&Sent::Disconnect(0)), "{sent:?}");
        assert!(rig.session.wants_close());
    }
}
