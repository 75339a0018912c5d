//! Breaches by the server: MQTT 5.0 is told why, MQTT 3 is left [MQTT-4.13.1-1].

use oxmqtt_protocol::codec::{QoS, Version};
use oxmqtt_protocol::session::{Closed, Event};

use crate::VERSIONS;
use crate::session_rig::Rig;
use crate::session_wire::{
    Deliver, PINGRESP, PUBACK, PUBCOMP, PUBREC, PUBREL, Sent, ack, answer, deliver, packet,
};

#[test]
fn packets_that_only_a_client_may_send() {
    let subscribe = |version| match version {
        Version::V5 => packet(0x82, &[0, 1, 0, 0, 1, b'a', 0]),
        _ => packet(0x82, &[0, 1, 0, 1, b'a', 0]),
    };
    let unsubscribe = |version| match version {
        Version::V5 => packet(0xA2, &[0, 1, 0, 0, 1, b'a']),
        _ => packet(0xA2, &[0, 1, 0, 1, b'a']),
    };
    for version in VERSIONS {
        let connect = Rig::new(version).connect();
        for (bytes, reason) in [
            (packet(0x10, &connect), 0x82),
            (subscribe(version), 0x82),
            (unsubscribe(version), 0x82),
            (packet(0xC0, &[]), 0x82),
            (packet(0x00, &[]), 0x82),
        ] {
            let mut rig = Rig::online(version);
            rig.feed(&bytes);
            rig.assert_refused(reason);
        }
    }
}

#[test]
fn auth_and_disconnect_are_of_mqtt_5() {
    for version in [Version::V31, Version::V311] {
        for first in [0xF0, 0xE0] {
            let mut rig = Rig::online(version);
            rig.feed(&packet(first, &[]));
            rig.assert_refused(0x82);
        }
    }
    let mut rig = Rig::online(Version::V5);
    rig.feed(&packet(0xF0, &[]));
    rig.assert_refused(0x82);
}

#[test]
fn malformed_packets() {
    for version in VERSIONS {
        for bytes in [
            packet(0x36, &[0, 1, b't', 0, 1]),    // QoS 3
            packet(0x38, &[0, 1, b't', 0]),       // DUP at QoS 0
            packet(0x30, &[0, 9, b't']),          // too short
            packet(0x30, &[0, 1, b'#', 0]),       // wildcard
            packet(0x30, &[0, 2, 0xC3, 0x28, 0]), // not UTF-8
            packet(0x41, &[0, 1]),                // reserved flags
            packet(0xD1, &[]),                    // reserved flags
            packet(0xD0, &[0]),                   // PINGRESP with a body
            packet(0x40, &[1]),                   // half an identifier
            vec![0xD0, 0x80, 0],                  // over-long remaining length
            vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF],   // remaining length of five bytes
        ] {
            let mut rig = Rig::online(version);
            rig.feed(&[&bytes[..], &deliver(version, 0, 0)].concat());
            assert!(rig.messages().is_empty(), "nothing after {bytes:02x?}");
            rig.assert_refused(0x81);
        }
    }
}

#[test]
fn identifier_zero() {
    for version in VERSIONS {
        for first in [PUBACK, PUBREC, PUBREL, PUBCOMP] {
            let mut rig = Rig::online(version);
            rig.feed(&ack(first, 0));
            rig.assert_refused(0x82);
        }
        let mut rig = Rig::online(version);
        rig.feed(&deliver(version, 1, 0));
        rig.assert_refused(0x82);
    }
}

#[test]
fn properties_where_they_do_not_belong() {
    for list in [&b"\x21\0\x01"[..], b"\x01\x01\x01\x01", b"\x01\x02"] {
        let mut rig = Rig::online(Version::V5);
        let publish = Deliver { topic: "t", list, ..Deliver::default() };
        rig.feed(&publish.bytes(Version::V5));
        let sent = rig.sent();
        assert!(matches!(sent.as_slice(), [Sent::Disconnect(0x81 | 0x82)]), "{sent:?}");
    }
}

#[test]
fn what_came_before_the_breach_counts() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.feed(&[deliver(version, 0, 0), packet(0xC0, &[])].concat());
        assert_eq!(rig.messages().len(), 1);
        rig.assert_refused(0x82);
    }
}

#[test]
fn nothing_follows_our_disconnect() {
    for later in [vec![0x7F, 0x30, 0], vec![0xFF; 9], deliver(Version::V5, 1, 1), PINGRESP.to_vec()]
    {
        let mut rig = Rig::online(Version::V5);
        rig.feed(&[0x30, 0xFF, 0xFF]);
        rig.feed(&[0xFF, 0xFF]);
        assert_eq!(rig.sent(), [Sent::Disconnect(0x81)]);
        rig.feed(&later);
        assert_eq!(rig.sent(), [], "after DISCONNECT came {later:02x?}");
    }
}

#[test]
fn the_rest_of_a_packet_does_not_overrule_a_disconnect() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.feed(&[0x30, 0xFF, 0xFF]);
        let now = rig.now;
        rig.session.disconnect(oxmqtt_protocol::codec::ReasonCode(0), Default::default(), now);
        rig.feed(&[0xFF, 0xFF]);
        assert_eq!(rig.sent(), [Sent::Disconnect(0)]);
        assert!(matches!(rig.closed(), Closed::Requested));
    }
}

#[test]
fn the_server_says_why_it_goes() {
    for (body, expected) in [(&b""[..], 0x00), (b"\x8E", 0x8E), (b"\x8B\x00", 0x8B)] {
        let mut rig = Rig::online(Version::V5);
        let ticket = rig.publish(QoS::AtLeastOnce);
        rig.sent();
        rig.feed(&[packet(0xE0, body), ack(PUBACK, 1)].concat());
        assert_eq!(rig.sent(), [], "a DISCONNECT has no answer");
        assert!(!rig.session.is_online());
        assert_eq!(ticket.outcome(), None, "nothing after DISCONNECT counts");
        match rig.closed() {
            Closed::ByServer { reason, .. } => {
                assert_eq!(reason.unwrap_or_default().0, expected);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_disconnect_that_a_server_may_not_send() {
    for (body, reason) in [
        (&b"\xF7"[..], 0x81),                    // unknown reason
        (b"\x84", 0x82),                         // reason of CONNACK
        (b"\x00\x05\x11\x00\x00\x00\x00", 0x82), // Session Expiry Interval
    ] {
        let mut rig = Rig::online(Version::V5);
        rig.feed(&packet(0xE0, body));
        rig.assert_refused(reason);
    }
}

#[test]
fn a_disconnect_keeps_what_it_left_out() {
    for (body, has_reason, has_properties) in
        [(&b""[..], false, false), (b"\x8E", true, false), (b"\x8E\x00", true, true)]
    {
        let mut rig = Rig::online(Version::V5);
        rig.feed(&packet(0xE0, body));
        match rig.closed() {
            Closed::ByServer { reason, properties } => {
                assert_eq!((reason.is_some(), properties.is_some()), (has_reason, has_properties));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn answers_nobody_asked_for_are_left_alone() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        for bytes in [
            answer(version, 0x90, 9, &[0]),
            answer(version, 0xB0, 9, &[]),
            ack(PUBACK, 9),
            ack(PUBCOMP, 9),
            PINGRESP.to_vec(),
        ] {
            assert_eq!(rig.exchange(&bytes), []);
            assert!(rig.events().is_empty());
            assert!(rig.session.is_online());
        }
    }
}

#[test]
fn the_connection_ends_once() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.cut();
        rig.cut();
        let events = rig.events();
        match events.as_slice() {
            [Event::Closed(Closed::Lost(why))] => assert_eq!(&**why, "cut"),
            other => panic!("{other:?}"),
        }
        rig.feed(&deliver(version, 0, 0));
        assert!(rig.events().is_empty(), "bytes of a connection that is gone");
    }
}
