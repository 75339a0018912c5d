//! How much may be in flight: `max_inflight` and the server's Receive Maximum, resends included.

use oxmqtt_protocol::codec::{QoS, Version};

use crate::VERSIONS;
use crate::session_rig::{Rig, publishes};
use crate::session_wire::{PUBACK, PUBCOMP, PUBREC, Sent, ack};

const QOS_1: QoS = QoS::AtLeastOnce;
const QOS_2: QoS = QoS::ExactlyOnce;

fn with_inflight(version: Version, max_inflight: u16) -> Rig {
    Rig::with(|config| {
        config.version = version;
        config.max_inflight = max_inflight;
    })
}

#[test]
fn max_inflight_holds_and_refills_in_order() {
    for version in VERSIONS {
        let mut rig = with_inflight(version, 3);
        rig.go_online(false, &[]);
        for _ in 0..10 {
            rig.publish(QOS_1);
        }
        assert_eq!(publishes(&rig.sent()), [(false, 1, 1), (false, 1, 2), (false, 1, 3)]);
        assert_eq!(
            publishes(&rig.exchange(&ack(PUBACK, 2))),
            [(false, 1, 4)],
            "acknowledged out of order"
        );
        let both = [ack(PUBACK, 1), ack(PUBACK, 4)].concat();
        assert_eq!(publishes(&rig.exchange(&both)), [(false, 1, 5), (false, 1, 6)]);
        assert_eq!(rig.session.in_flight(), 3);
        assert_eq!(rig.session.unfinished(), 7);
    }
}

#[test]
fn the_smaller_of_both_bounds_counts() {
    for (own, server, expected) in [(20, 2, 2), (2, 20, 2), (0, 7, 7), (0, 0, 50)] {
        let mut rig = with_inflight(Version::V5, own);
        for _ in 0..50 {
            rig.publish(QOS_1);
        }
        let list: &[u8] = &[0x21, 0, server];
        let sent = rig.go_online(false, if server == 0 { &[] } else { list });
        assert_eq!(sent.len(), expected);
        assert_eq!(rig.session.in_flight(), expected);
    }
}

#[test]
fn qos_2_is_in_flight_until_pubcomp() {
    for version in VERSIONS {
        let mut rig = with_inflight(version, 1);
        rig.go_online(false, &[]);
        rig.publish(QOS_2);
        rig.publish(QOS_2);
        assert_eq!(publishes(&rig.sent()), [(false, 2, 1)]);
        assert_eq!(rig.exchange(&ack(PUBREC, 1)), [Sent::PubRel(1, 0)]);
        assert_eq!(publishes(&rig.exchange(&ack(PUBCOMP, 1))), [(false, 2, 2)]);
    }
}

#[test]
fn resends_keep_the_quota() {
    for version in VERSIONS {
        let mut rig = with_inflight(version, 5);
        rig.go_online(false, &[]);
        for _ in 0..12 {
            rig.publish(QOS_1);
        }
        assert_eq!(rig.sent().len(), 5);
        rig.cut();
        rig.session.config_mut().max_inflight = 2;
        assert_eq!(publishes(&rig.go_online(true, &[])), [(true, 1, 1), (true, 1, 2)]);
        for id in 1..=10 {
            let sent = publishes(&rig.exchange(&ack(PUBACK, id)));
            assert_eq!(sent, [(id + 2 <= 5, 1, id + 2)]);
            assert_eq!(rig.session.in_flight(), 2);
        }
    }
}

#[test]
fn a_released_message_takes_its_place_in_the_queue() {
    let mut rig = with_inflight(Version::V311, 2);
    rig.go_online(false, &[]);
    for _ in 0..4 {
        rig.publish(QOS_2);
    }
    rig.sent();
    rig.feed(&ack(PUBREC, 2));
    rig.sent();
    rig.cut();
    rig.session.config_mut().max_inflight = 1;
    assert_eq!(publishes(&rig.go_online(true, &[])), [(true, 2, 1)]);
    rig.feed(&ack(PUBREC, 1));
    rig.sent();
    assert_eq!(rig.exchange(&ack(PUBCOMP, 1)), [Sent::PubRel(2, 0)]);
    assert_eq!(publishes(&rig.exchange(&ack(PUBCOMP, 2))), [(false, 2, 3)]);
}

#[test]
fn a_raised_bound_works_with_the_next_packet() {
    let mut rig = with_inflight(Version::V311, 1);
    rig.go_online(false, &[]);
    for _ in 0..4 {
        rig.publish(QOS_1);
    }
    rig.sent();
    rig.session.config_mut().max_inflight = 3;
    rig.publish(QOS_1);
    assert_eq!(publishes(&rig.sent()), [(false, 1, 2), (false, 1, 3)]);
}

#[test]
fn dropped_messages_keep_their_places_until_the_server_answers() {
    for qos in [QOS_1, QOS_2] {
        let mut rig = with_inflight(Version::V5, 0);
        rig.go_online(false, &[0x21, 0, 2]);
        let tickets: Vec<_> = (0..4).map(|_| rig.publish(qos)).collect();
        assert_eq!(rig.sent().len(), 2);
        let dropped = rig.session.drop_unfinished();
        assert!(
            dropped
                .iter()
                .zip(&tickets)
                .all(|((dropped, packet), ticket)| std::sync::Arc::ptr_eq(dropped, ticket)
                    && packet[0] & 0xF0 == 0x30)
        );
        assert_eq!(dropped.len(), 4);
        assert_eq!(rig.session.unfinished(), 0);
        assert!(rig.session.drop_unfinished().is_empty());
        let next = rig.publish(QOS_1);
        assert_eq!(rig.sent(), [], "the server has two to answer");
        let sent = match qos {
            QOS_1 => rig.exchange(&ack(PUBACK, 1)),
            _ => {
                assert_eq!(rig.exchange(&ack(PUBREC, 1)), [Sent::PubRel(1, 0)]);
                rig.exchange(&ack(PUBCOMP, 1))
            }
        };
        assert_eq!(publishes(&sent), [(false, 1, next.packet_id())]);
        assert!(rig.events().is_empty(), "nobody waits for a dropped message");
        assert_eq!(rig.session.unfinished(), 1);
    }
}

#[test]
fn dropped_messages_end_with_their_connection() {
    for version in VERSIONS {
        let mut rig = with_inflight(version, 2);
        rig.go_online(false, &[]);
        for _ in 0..3 {
            rig.publish(QOS_2);
        }
        rig.sent();
        rig.session.drop_unfinished();
        let kept = [rig.publish(QOS_1), rig.publish(QOS_1)];
        rig.cut();
        assert_eq!(rig.sent(), []);
        let expected = kept.map(|ticket| (false, 1, ticket.packet_id()));
        assert_eq!(publishes(&rig.go_online(true, &[])), expected);
        assert_eq!(rig.session.unfinished(), 2);
    }
}

#[test]
fn dropping_offline_empties_the_queue() {
    for version in VERSIONS {
        let mut rig = Rig::new(version);
        rig.publish(QOS_1);
        rig.publish(QOS_2);
        assert_eq!(rig.session.drop_unfinished().len(), 2);
        assert_eq!(rig.go_online(false, &[]), []);
        assert_eq!((rig.session.unfinished(), rig.session.in_flight()), (0, 0));
    }
}
