//! SUBSCRIBE and UNSUBSCRIBE: their answers, and answers that do not fit.

use oxmqtt_protocol::codec::{Properties, QoS, Version};
use oxmqtt_protocol::session::{Event, LocalError, RequestError, SubscriptionRequest};

use crate::VERSIONS;
use crate::session_rig::Rig;
use crate::session_wire::{PUBACK, PUBCOMP, PUBREC, Sent, ack, answer};

fn request(rig: &mut Rig, subscribe: bool, filters: usize) -> Result<u16, RequestError> {
    let names = (0..filters).map(|n| format!("f/{n}").into());
    let request = if subscribe {
        SubscriptionRequest::Subscribe(names.map(|name| (name, Default::default())).collect())
    } else {
        SubscriptionRequest::Unsubscribe(names.collect())
    };
    rig.session.request(request, Properties::default())
}

#[test]
fn subscribe_and_its_answer() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let id = request(&mut rig, true, 2).unwrap();
        assert_eq!(rig.sent(), [Sent::Subscribe(id)]);
        rig.feed(&answer(version, 0x90, id, &[1, 0x80]));
        match rig.events().as_slice() {
            [Event::SubAck { packet_id, reasons, .. }] => {
                assert_eq!((*packet_id, &reasons[..]), (id, &[1, 0x80][..]));
            }
            other => panic!("{other:?}"),
        }
        rig.feed(&answer(version, 0x90, id, &[1, 0x80]));
        assert!(rig.events().is_empty(), "answered already");
    }
}

#[test]
fn unsubscribe_and_its_answer() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let id = request(&mut rig, false, 1).unwrap();
        assert_eq!(rig.sent(), [Sent::Unsubscribe(id)]);
        let reasons: &[u8] = if version == Version::V5 { &[0x11] } else { &[] };
        rig.feed(&answer(version, 0xB0, id, reasons));
        match rig.events().as_slice() {
            [Event::UnsubAck { reasons: given, .. }] => assert_eq!(given, reasons),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn one_reason_for_each_filter() {
    for version in VERSIONS {
        for reasons in [&[0][..], &[0, 0, 0]] {
            let mut rig = Rig::online(version);
            let id = request(&mut rig, true, 2).unwrap();
            rig.sent();
            rig.feed(&answer(version, 0x90, id, reasons));
            assert!(rig.events().is_empty());
            rig.assert_refused(0x82);
        }
    }
    let mut rig = Rig::online(Version::V5);
    let id = request(&mut rig, false, 2).unwrap();
    rig.sent();
    rig.feed(&answer(Version::V5, 0xB0, id, &[0]));
    rig.assert_refused(0x82);
}

#[test]
fn an_answer_of_the_other_kind_is_a_breach() {
    for version in VERSIONS {
        let unsuback = |id| answer(version, 0xB0, id, &[0][..usize::from(version == Version::V5)]);
        let suback = |id| answer(version, 0x90, id, &[0]);
        for subscribe in [true, false] {
            for kind in [PUBACK, PUBREC, PUBCOMP, 0] {
                let mut rig = Rig::online(version);
                let id = request(&mut rig, subscribe, 1).unwrap();
                rig.sent();
                rig.feed(&match (kind, subscribe) {
                    (0, true) => unsuback(id),
                    (0, false) => suback(id),
                    _ => ack(kind, id),
                });
                assert!(rig.events().is_empty());
                rig.assert_refused(0x82);
            }
        }
        for bytes in [suback(1), unsuback(1)] {
            let mut rig = Rig::online(version);
            rig.publish(QoS::AtLeastOnce);
            rig.feed(&bytes);
            rig.assert_refused(0x82);
        }
    }
}

#[test]
fn an_unsuback_may_leave_its_reasons_out() {
    let mut rig = Rig::online(Version::V5);
    let id = request(&mut rig, false, 2).unwrap();
    rig.sent();
    rig.feed(&answer(Version::V5, 0xB0, id, &[]));
    assert!(matches!(rig.events().as_slice(), [Event::UnsubAck { .. }]));
    assert!(rig.session.is_online());
}

#[test]
fn requests_need_a_connection() {
    for version in VERSIONS {
        let mut rig = Rig::new(version);
        for subscribe in [true, false] {
            assert!(matches!(
                request(&mut rig, subscribe, 1),
                Err(RequestError::Local(LocalError::NotConnected))
            ));
        }
        rig.connect();
        let id = request(&mut rig, true, 1).unwrap();
        assert_eq!(rig.sent(), [Sent::Subscribe(id)], "right after CONNECT");
    }
}

#[test]
fn a_request_that_cannot_be_encoded_leaves_nothing() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        assert!(matches!(request(&mut rig, true, 0), Err(RequestError::Encode(_))));
        assert_eq!((rig.sent(), rig.session.unsent()), (vec![], 0));
        for id in 2..5 {
            assert_eq!(request(&mut rig, true, 1).unwrap(), id);
        }
    }
}
