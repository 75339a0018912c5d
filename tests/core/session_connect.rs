//! CONNECT and CONNACK: acceptance, refusal, what may not come before or twice.

use oxmqtt_protocol::codec::{PacketType, QoS, ReasonCode, Version};
use oxmqtt_protocol::session::{Closed, Event, LocalError};

use crate::VERSIONS;
use crate::session_rig::{Rig, outgoing, properties};
use crate::session_wire::{
    PINGRESP, PUBACK, PUBCOMP, PUBREC, PUBREL, Sent, ack, answer, connack, deliver, packet,
};

#[test]
fn connect_goes_first_and_names_the_version() {
    for (version, name, level) in [
        (Version::V31, "\0\u{6}MQIsdp", 3),
        (Version::V311, "\0\u{4}MQTT", 4),
        (Version::V5, "\0\u{4}MQTT", 5),
    ] {
        let body = Rig::new(version).connect();
        let (start, rest) = body.split_at(name.len());
        assert_eq!(start, name.as_bytes());
        assert_eq!(&rest[..4], &[level, 0, 0, 60], "no flag, keep-alive 60");
    }
}

#[test]
fn the_server_accepts() {
    for version in VERSIONS {
        for present in [false, true] {
            let mut rig = Rig::new(version);
            rig.connect();
            assert!(!rig.session.is_online());
            rig.feed(&connack(version, present, 0, &[]));
            assert!(rig.session.is_online());
            match rig.events().as_slice() {
                [Event::ConnAck { session_present, reason, .. }] => {
                    assert_eq!((*session_present, reason.0), (present, 0));
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(rig.sent(), []);
        }
    }
}

#[test]
fn the_server_refuses() {
    for (version, code) in
        [(Version::V31, 5), (Version::V311, 2), (Version::V311, 77), (Version::V5, 0x87)]
    {
        let mut rig = Rig::new(version);
        rig.connect();
        let ticket = rig.publish(QoS::AtLeastOnce);
        rig.feed(&connack(version, false, code, &[]));
        assert!(!rig.session.is_online());
        assert_eq!(rig.sent(), [], "nothing follows a refusal");
        assert!(matches!(rig.events().as_slice(), [Event::ConnAck { .. }]));
        assert!(matches!(rig.closed(), Closed::Refused(ReasonCode(refused)) if refused == code));
        assert_eq!(ticket.outcome(), None);
        assert_eq!(rig.session.unfinished(), 1);
    }
}

#[test]
fn a_second_connack_is_a_breach() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.feed(&connack(version, false, 0, &[]));
        rig.assert_refused(0x82);
    }
}

#[test]
fn nothing_may_come_before_connack() {
    for version in VERSIONS {
        for early in [
            PINGRESP.to_vec(),
            deliver(version, 0, 0),
            deliver(version, 1, 1),
            ack(PUBACK, 1),
            ack(PUBREC, 1),
            ack(PUBREL, 1),
            ack(PUBCOMP, 1),
            answer(version, 0x90, 1, &[0]),
            packet(0xE0, &[]),
        ] {
            let mut rig = Rig::new(version);
            rig.connect();
            rig.feed(&[early, connack(version, false, 0, &[])].concat());
            assert!(rig.messages().is_empty());
            rig.assert_refused(0x82);
        }
    }
}

#[test]
fn a_clean_start_finds_no_session() {
    for version in VERSIONS {
        let mut rig = Rig::new(version);
        rig.options.clean_start = true;
        rig.connect();
        rig.feed(&connack(version, true, 0, &[]));
        assert!(rig.events().is_empty());
        rig.assert_refused(0x82);
    }
}

#[test]
fn connack_that_is_wrong_in_itself() {
    for version in VERSIONS {
        let refusal = if version == Version::V5 { 0x87 } else { 5 };
        for (flags, reason, expected) in [(2, 0, 0x81), (0x80, 0, 0x81), (1, refusal, 0x82)] {
            let mut rig = Rig::new(version);
            rig.connect();
            let mut bytes = connack(version, false, reason, &[]);
            bytes[2] = flags;
            rig.feed(&bytes);
            assert!(rig.events().is_empty());
            rig.assert_refused(expected);
        }
    }
}

#[test]
fn an_assigned_identifier_is_used_again() {
    let mut rig = Rig::new(Version::V5);
    rig.options.client_id = "".into();
    let ends_with = |body: &[u8], id: &[u8]| body.ends_with(id);
    assert!(ends_with(&rig.connect(), &[0, 0, 0]));
    rig.accept(false, b"\x12\0\x02s7");
    assert_eq!(rig.session.assigned_client_id().map(|id| &**id), Some("s7"));
    rig.cut();
    assert!(ends_with(&rig.connect(), b"\0\x02s7"));
    rig.cut();
    rig.options.client_id = "own".into();
    assert!(ends_with(&rig.connect(), b"\0\x03own"));
    rig.cut();
    rig.session.reset();
    rig.options.client_id = "".into();
    assert!(ends_with(&rig.connect(), &[0, 0, 0]));
}

#[test]
fn an_identifier_that_was_not_asked_for() {
    for (own, assigned, good) in [("c", b"\x12\0\x01d", false), ("c", b"\x12\0\x01c", true)] {
        let mut rig = Rig::new(Version::V5);
        rig.options.client_id = own.into();
        rig.connect();
        rig.feed(&connack(Version::V5, false, 0, assigned));
        assert_eq!(rig.session.is_online(), good);
        if !good {
            assert!(rig.events().is_empty());
            rig.assert_refused(0x82);
        }
    }
}

#[test]
fn connect_carries_its_properties() {
    let mut rig = Rig::new(Version::V5);
    rig.options.properties = properties(PacketType::Connect, &[0x21, 0, 9]);
    let body = rig.connect();
    assert_eq!(&body[10..14], &[3, 0x21, 0, 9]);
}

#[test]
fn a_connect_that_cannot_be_encoded_starts_nothing() {
    let mut rig = Rig::new(Version::V311);
    rig.options.password = Some("secret".into());
    assert!(rig.session.connect(&rig.options, rig.now).is_err());
    assert!(!rig.session.has_output());
    assert_eq!(rig.session.poll_timeout(), None);
    rig.options.password = None;
    rig.go_online(false, &[]);
    assert!(rig.session.is_online());
}

#[test]
fn qos_0_needs_a_connection() {
    for version in VERSIONS {
        let mut rig = Rig::new(version);
        let refused = rig.session.publish(&outgoing(QoS::AtMostOnce, b"m")).unwrap_err();
        assert_eq!(refused.error, LocalError::NotConnected);
        assert_ne!(refused.packet_id, 0, "paho names it all the same");
        rig.connect();
        rig.publish_0(b"m");
        assert!(matches!(rig.sent().as_slice(), [Sent::Publish { qos: 0, .. }]));
    }
}

#[test]
fn every_connection_has_its_number() {
    let mut rig = Rig::new(Version::V311);
    let first = rig.session.connect(&rig.options, rig.now).unwrap();
    rig.cut();
    let second = rig.session.connect(&rig.options, rig.now).unwrap();
    assert_ne!(first, second);
    assert_eq!(rig.session.epoch(), second);
    rig.session.reset();
    assert_eq!(rig.session.epoch(), second, "an old message must not be taken for a new one");
}
