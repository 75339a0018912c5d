//! Acknowledgements as the application's duty. It names the current connection, whichever the
//! message came by.

use oxmqtt::codec::{QoS, Version};

use crate::VERSIONS;
use crate::session_rig::Rig;
use crate::session_wire::{PUBREL, Sent, ack, deliver};

const QOS_1: QoS = QoS::AtLeastOnce;
const QOS_2: QoS = QoS::ExactlyOnce;

fn online(version: Version) -> Rig {
    let mut rig = Rig::with(|config| {
        config.version = version;
        config.manual_ack = true;
    });
    rig.go_online(false, &[]);
    rig
}

#[test]
fn in_any_order() {
    for version in VERSIONS {
        let mut rig = online(version);
        rig.feed(&deliver(version, 1, 1));
        rig.feed(&deliver(version, 2, 2));
        rig.feed(&ack(PUBREL, 2));
        rig.sent();
        assert_eq!(rig.messages().len(), 2);
        assert_eq!(rig.acknowledge(2, QOS_2), [Sent::PubComp(2, 0)]);
        assert_eq!(rig.acknowledge(1, QOS_1), [Sent::PubAck(1, 0)]);
        assert_eq!(rig.acknowledge(1, QOS_1), [], "once is enough");
        assert_eq!(rig.acknowledge(9, QOS_1), [], "never heard of");
        assert_eq!(rig.acknowledge(1, QoS::AtMostOnce), []);
        rig.feed(&deliver(version, 1, 1));
        assert_eq!(rig.acknowledge(1, QOS_1), [Sent::PubAck(1, 0)], "the next with the identifier");
    }
}

#[test]
fn pubcomp_is_not_sent_for_a_message_that_was_not_delivered() {
    for version in VERSIONS {
        let mut rig = online(version);
        rig.feed(&deliver(version, 2, 2));
        rig.sent();
        assert_eq!(rig.acknowledge(2, QOS_2), [], "PUBREL has not come");
        assert_eq!(rig.acknowledge(3, QOS_2), [], "never heard of");
        rig.feed(&ack(PUBREL, 2));
        assert_eq!(rig.messages().len(), 1, "not lost");
        assert_eq!(rig.acknowledge(2, QOS_2), [Sent::PubComp(2, 0)]);
        assert_eq!(rig.acknowledge(2, QOS_2), [], "once is enough");
    }
}

#[test]
fn a_message_from_before_the_cut_is_acknowledged_after_it() {
    for version in VERSIONS {
        let mut rig = online(version);
        rig.feed(&deliver(version, 2, 2));
        rig.feed(&ack(PUBREL, 2));
        assert_eq!(rig.messages().len(), 1);
        rig.cut();
        rig.go_online(true, &[]);
        assert_eq!(rig.exchange(&ack(PUBREL, 2)), [], "the application has it");
        assert!(rig.messages().is_empty());
        assert_eq!(rig.acknowledge(2, QOS_2), [Sent::PubComp(2, 0)]);
    }
}

#[test]
fn an_acknowledgement_while_there_is_no_connection_is_not_lost() {
    for version in VERSIONS {
        let mut rig = online(version);
        rig.feed(&deliver(version, 2, 2));
        rig.feed(&ack(PUBREL, 2));
        rig.messages();
        rig.cut();
        assert_eq!(rig.acknowledge(2, QOS_2), []);
        rig.go_online(true, &[]);
        assert_eq!(rig.exchange(&ack(PUBREL, 2)), [Sent::PubComp(2, 0)]);
        assert!(rig.messages().is_empty());
    }
}

#[test]
fn an_acknowledgement_before_pubrel_is_repeated_waits_for_it() {
    for version in VERSIONS {
        let mut rig = online(version);
        rig.feed(&deliver(version, 2, 2));
        rig.feed(&ack(PUBREL, 2));
        rig.messages();
        rig.cut();
        rig.go_online(true, &[]);
        assert_eq!(rig.acknowledge(2, QOS_2), []);
        assert_eq!(rig.exchange(&ack(PUBREL, 2)), [Sent::PubComp(2, 0)]);
        assert!(rig.messages().is_empty());
    }
}

#[test]
fn a_late_acknowledgement_does_not_touch_a_newer_message() {
    for version in [Version::V311, Version::V5] {
        let mut rig = online(version);
        rig.feed(&deliver(version, 2, 2));
        rig.feed(&ack(PUBREL, 2));
        let old = rig.messages()[0].epoch;
        rig.cut();
        rig.go_online(false, &[]);
        rig.feed(&deliver(version, 2, 2));
        rig.feed(&ack(PUBREL, 2));
        rig.sent();
        assert_eq!(rig.messages().len(), 1);
        rig.session.acknowledge(2, QOS_2, old);
        assert_eq!(rig.sent(), []);
        assert_eq!(rig.acknowledge(2, QOS_2), [Sent::PubComp(2, 0)]);
    }
}
