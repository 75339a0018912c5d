//! Messages from the server: delivery, acknowledgement, our Receive Maximum. More of QoS 2: session_qos2.rs.

use oxmqtt_protocol::codec::{PacketType, QoS, Version};

use crate::VERSIONS;
use crate::session_rig::{Rig, properties};
use crate::session_wire::{Deliver, PUBREL, Sent, ack, deliver};

const QOS_1: QoS = QoS::AtLeastOnce;
const QOS_2: QoS = QoS::ExactlyOnce;

fn with_receive_maximum(maximum: u8) -> Rig {
    let mut rig = Rig::new(Version::V5);
    rig.options.properties = properties(PacketType::Connect, &[0x21, 0, maximum]);
    rig.go_online(false, &[]);
    rig
}

#[test]
fn qos_0_is_a_message_and_no_more() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let publish = Deliver { topic: "a/b", payload: b"x", retain: true, ..Deliver::default() };
        assert_eq!(rig.exchange(&publish.bytes(version)), []);
        let [message] = &rig.messages()[..] else { panic!("one message") };
        assert_eq!(message.topic_bytes(), b"a/b");
        assert_eq!(message.publish.payload(), b"x");
        assert!(message.publish.retain());
    }
}

#[test]
fn qos_1_is_acknowledged_when_the_application_is_through() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        assert_eq!(rig.exchange(&deliver(version, 1, 7)), []);
        assert_eq!(rig.messages().len(), 1);
        assert_eq!(rig.acknowledge(7, QOS_1), [Sent::PubAck(7, 0)]);
    }
}

#[test]
fn qos_1_again_is_a_message_again() {
    let mut rig = Rig::online(Version::V311);
    rig.feed(&deliver(Version::V311, 1, 7));
    rig.feed(&deliver(Version::V311, 1, 7));
    assert_eq!(rig.messages().len(), 2);
    assert_eq!(rig.acknowledge(7, QOS_1), [Sent::PubAck(7, 0)]);
    assert_eq!(rig.acknowledge(7, QOS_1), [Sent::PubAck(7, 0)]);
    assert_eq!(rig.acknowledge(7, QOS_1), [], "one for each");
}

#[test]
fn an_old_acknowledgement_goes_nowhere() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.feed(&deliver(version, 1, 7));
        let old = rig.messages()[0].epoch;
        rig.cut();
        rig.session.acknowledge(7, QOS_1, old);
        rig.go_online(true, &[]);
        rig.session.acknowledge(7, QOS_1, old);
        assert_eq!(rig.sent(), []);
    }
}

#[test]
fn our_receive_maximum_holds() {
    for (first, second) in [(1, 1), (2, 2), (1, 2), (2, 1)] {
        let mut rig = with_receive_maximum(2);
        rig.feed(&deliver(Version::V5, first, 1));
        rig.feed(&deliver(Version::V5, second, 2));
        assert!(rig.session.is_online());
        rig.feed(&deliver(Version::V5, 0, 0));
        assert!(rig.session.is_online(), "QoS 0 does not count");
        rig.messages();
        rig.feed(&deliver(Version::V5, second, 3));
        assert!(rig.messages().is_empty());
        rig.assert_refused(0x93);
    }
}

#[test]
fn without_a_receive_maximum_any_number_may_come() {
    let count = 70_000;
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        for number in 0..count {
            rig.feed(&deliver(version, 1, (number % 65_535) as u16 + 1));
        }
        assert!(rig.session.is_online(), "mosquitto may use an identifier again too early");
        assert_eq!(rig.messages().len(), count);
        for number in 0..count {
            let id = (number % 65_535) as u16 + 1;
            assert_eq!(rig.acknowledge(id, QOS_1), [Sent::PubAck(id, 0)]);
        }
    }
}

/// A place is free again with PUBACK, or with PUBCOMP (4.9).
#[test]
fn our_receive_maximum_is_given_back() {
    let mut rig = with_receive_maximum(1);
    for id in 1..20 {
        rig.feed(&deliver(Version::V5, 1, id));
        assert_eq!(rig.acknowledge(id, QOS_1), [Sent::PubAck(id, 0)]);
        rig.feed(&deliver(Version::V5, 2, id));
        rig.feed(&deliver(Version::V5, 2, id));
        assert_eq!(rig.acknowledge(id, QOS_2), [Sent::PubRec(id, 0)]);
        assert_eq!(rig.exchange(&ack(PUBREL, id)), [Sent::PubComp(id, 0)]);
        assert_eq!(rig.messages().len(), 2);
    }
    rig.feed(&deliver(Version::V5, 2, 1));
    rig.acknowledge(1, QOS_2);
    rig.feed(&deliver(Version::V5, 1, 2));
    rig.assert_refused(0x93);
}

#[test]
fn a_new_connection_has_the_whole_receive_maximum() {
    let mut rig = with_receive_maximum(1);
    rig.feed(&deliver(Version::V5, 2, 1));
    rig.acknowledge(1, QOS_2);
    rig.cut();
    rig.go_online(true, &[]);
    rig.feed(&deliver(Version::V5, 1, 2));
    assert!(rig.session.is_online(), "the message of the earlier connection does not count (4.9)");
    assert_eq!(rig.exchange(&ack(PUBREL, 1)), [Sent::PubComp(1, 0)]);
    rig.feed(&deliver(Version::V5, 1, 3));
    rig.assert_refused(0x93);
}

#[test]
fn a_repeated_publish_counts_on_the_new_connection() {
    let mut rig = with_receive_maximum(1);
    rig.feed(&deliver(Version::V5, 2, 1));
    rig.cut();
    rig.go_online(true, &[]);
    rig.feed(&deliver(Version::V5, 2, 1));
    rig.feed(&deliver(Version::V5, 1, 2));
    rig.assert_refused(0x93);
}
