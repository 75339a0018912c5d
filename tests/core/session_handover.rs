//! QoS 0: the mark of a message tells whether the transport took its last byte.

use oxmqtt_protocol::codec::{QoS, Version};
use oxmqtt_protocol::session::{Event, Handover};

use crate::VERSIONS;
use crate::session_rig::Rig;

fn reported(rig: &mut Rig) -> Vec<(Vec<u16>, u64)> {
    let is_sent = |event| match event {
        Event::Sent { packet_ids, through } => Some((packet_ids.to_vec(), through)),
        _ => None,
    };
    rig.events().into_iter().filter_map(is_sent).collect()
}

#[test]
fn written_when_the_last_byte_is() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let first = rig.publish_0(b"1");
        let size = rig.session.unsent();
        rig.publish(QoS::AtLeastOnce);
        let second = rig.publish_0(b"2");
        let mut buffer = Vec::new();
        rig.session.take_output(&mut buffer);
        assert_eq!(rig.session.unsent(), buffer.len());
        rig.session.handle_written(size - 1, rig.now);
        assert_eq!(rig.session.handover(first), Handover::Waiting);
        rig.session.handle_written(1, rig.now);
        assert_eq!(rig.session.handover(first), Handover::Written);
        assert_eq!(rig.session.handover(second), Handover::Waiting);
        assert_eq!(reported(&mut rig), [(vec![1], first + 1)]);
        rig.session.handle_written(buffer.len() - size, rig.now);
        assert_eq!(rig.session.handover(second), Handover::Written);
        assert_eq!(reported(&mut rig), [(vec![3], second + 1)]);
        assert_eq!(rig.session.unsent(), 0);
    }
}

#[test]
fn a_direct_write_counts_as_well() {
    let mut rig = Rig::online(Version::V311);
    let marks = [rig.publish_0(b"1"), rig.publish_0(b"2")];
    let size = rig.session.output().len();
    rig.session.handle_sent_directly(size / 2, rig.now);
    assert_eq!(rig.session.handover(marks[0]), Handover::Written);
    assert_eq!(rig.session.handover(marks[1]), Handover::Waiting);
    assert_eq!(rig.session.output().len(), size / 2);
    assert_eq!(rig.sent().len(), 1);
    assert_eq!(rig.session.handover(marks[1]), Handover::Written);
}

#[test]
fn what_waited_is_lost_with_the_connection() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let written = rig.publish_0(b"1");
        rig.sent();
        let taken = rig.publish_0(b"2");
        let mut buffer = Vec::new();
        rig.session.take_output(&mut buffer);
        rig.session.handle_written(1, rig.now);
        let waiting = rig.publish_0(b"3");
        rig.cut();
        rig.go_online(false, &[]);
        let next = rig.publish_0(b"4");
        for (mark, expected) in [
            (written, Handover::Written),
            (taken, Handover::Lost),
            (waiting, Handover::Lost),
            (next, Handover::Waiting),
        ] {
            assert_eq!(rig.session.handover(mark), expected);
        }
        reported(&mut rig);
        rig.sent();
        assert_eq!(rig.session.handover(next), Handover::Written);
        assert_eq!(reported(&mut rig).len(), 1);
    }
}

#[test]
fn before_connack_it_is_handed_over_and_lost_alike() {
    let mut rig = Rig::new(Version::V311);
    rig.connect();
    let mark = rig.publish_0(b"early");
    rig.feed(&[0x20, 2, 0, 5]);
    rig.session.handle_closed(None);
    assert_eq!(rig.session.handover(mark), Handover::Lost);
}

#[test]
fn many_in_one_write_are_one_event() {
    let mut rig = Rig::online(Version::V311);
    let first = rig.publish_0(b"m");
    for _ in 1..100 {
        rig.publish_0(b"m");
    }
    rig.sent();
    let [(ids, through)] = &reported(&mut rig)[..] else { panic!("one event") };
    assert_eq!(ids.len(), 100);
    assert_eq!(*through, first + 100);
}
