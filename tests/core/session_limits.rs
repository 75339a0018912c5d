//! What the server allows (Maximum QoS, Retain Available, Maximum Packet Size) and what we do.

use oxmqtt_protocol::codec::{PacketType, Properties, QoS, ReasonCode, Version};
use oxmqtt_protocol::session::{Closed, LocalError, Outgoing, RequestError, SubscriptionRequest};

use crate::session_rig::{Rig, SECOND, outgoing, properties, publishes};
use crate::session_wire::{PUBACK, Sent, ack, deliver, packet};

const QOS_1: QoS = QoS::AtLeastOnce;

fn online(list: &[u8]) -> Rig {
    let mut rig = Rig::new(Version::V5);
    rig.go_online(false, list);
    rig
}

fn retained(qos: QoS) -> Outgoing<'static> {
    Outgoing { retain: true, ..outgoing(qos, b"m") }
}

#[test]
fn maximum_qos() {
    let mut rig = online(&[0x24, 1]);
    let refused = rig.publish_with(&outgoing(QoS::ExactlyOnce, b"m"));
    assert_eq!(refused.unwrap_err(), LocalError::QosNotSupported);
    rig.publish(QOS_1);
    assert_eq!(rig.sent().len(), 1);
    let mut rig = online(&[0x24, 0]);
    let refused = rig.publish_with(&outgoing(QOS_1, b"m"));
    assert_eq!(refused.unwrap_err(), LocalError::QosNotSupported);
    rig.publish_0(b"m");
}

#[test]
fn retain_available() {
    let mut rig = online(&[0x25, 0]);
    for qos in [QoS::AtMostOnce, QOS_1] {
        let refused = rig.session.publish(&retained(qos)).unwrap_err();
        assert_eq!(refused.error, LocalError::RetainNotSupported);
    }
    rig.publish(QOS_1);
    let mut rig = online(&[0x25, 1]);
    rig.publish_with(&retained(QOS_1)).unwrap();
}

#[test]
fn maximum_packet_size_to_the_byte() {
    let mut rig = online(&[0x27, 0, 0, 0, 20]);
    // Fixed header 2, topic 3, identifier 2, property length 1.
    rig.publish_with(&outgoing(QOS_1, &[0; 12])).unwrap();
    let refused = rig.publish_with(&outgoing(QOS_1, &[0; 13]));
    assert_eq!(refused.unwrap_err(), LocalError::PacketTooLarge);
    rig.publish_0(&[0; 14]);
    let refused = rig.session.publish(&outgoing(QoS::AtMostOnce, &[0; 15])).unwrap_err();
    assert_eq!(refused.error, LocalError::PacketTooLarge);
    assert_eq!(rig.sent().len(), 2);
    assert!(rig.session.is_online());
}

#[test]
fn subscribe_keeps_the_maximum_packet_size() {
    let mut rig = online(&[0x27, 0, 0, 0, 20]);
    let long = "f".repeat(20);
    let request = SubscriptionRequest::Unsubscribe(vec![long.as_str().into()]);
    assert!(matches!(
        rig.session.request(request, Properties::default()),
        Err(RequestError::Local(LocalError::PacketTooLarge))
    ));
    assert_eq!((rig.sent(), rig.session.unsent()), (vec![], 0));
    let request = SubscriptionRequest::Unsubscribe(vec!["f".into()]);
    rig.session.request(request, Properties::default()).unwrap();
}

/// [MQTT-3.14.2-3]: what is said beside the reason may be left out.
#[test]
fn disconnect_keeps_the_maximum_packet_size() {
    let mut rig = online(&[0x27, 0, 0, 0, 8]);
    let list = properties(PacketType::Disconnect, b"\x1F\0\x04long");
    let now = rig.now;
    rig.session.disconnect(ReasonCode(0x04), list, now);
    let mut buffer = Vec::new();
    rig.session.take_output(&mut buffer);
    assert_eq!(buffer, [0xE0, 1, 4]);
}

#[test]
fn queued_messages_beyond_the_limits_fail_with_a_reason() {
    let mut rig = Rig::new(Version::V5);
    let too_high = rig.publish(QoS::ExactlyOnce);
    let fits = rig.publish(QOS_1);
    let retains = rig.publish_with(&retained(QOS_1)).unwrap();
    let too_large = rig.publish_with(&outgoing(QOS_1, &[0; 50])).unwrap();
    let last = rig.publish(QOS_1);
    rig.connect();
    rig.feed(b"\x20\x0C\0\0\x09\x24\x01\x25\x00\x27\0\0\0\x20");
    assert_eq!(publishes(&rig.sent()), [(false, 1, 2), (false, 1, 5)]);
    assert_eq!(rig.acked(), [(1, 0x9B), (3, 0x9A), (4, 0x95)]);
    for (ticket, reason) in [(too_high, 0x9B), (retains, 0x9A), (too_large, 0x95)] {
        assert_eq!(ticket.outcome(), Some(ReasonCode(reason)));
    }
    assert_eq!((rig.session.unfinished(), rig.session.in_flight()), (2, 2));
    rig.feed(&[ack(PUBACK, 2), ack(PUBACK, 5)].concat());
    assert!(fits.outcome().is_some() && last.outcome().is_some());
}

#[test]
fn limits_end_with_their_connection() {
    let mut rig = online(&[0x24, 0, 0x21, 0, 1]);
    rig.cut();
    let tickets = [rig.publish(QOS_1), rig.publish(QoS::ExactlyOnce)];
    let sent = rig.go_online(true, &[]);
    assert_eq!(publishes(&sent), [(false, 1, 1), (false, 2, 2)]);
    assert!(tickets.iter().all(|ticket| ticket.outcome().is_none()));
}

#[test]
fn mqtt_3_has_no_limits() {
    let mut rig = Rig::online(Version::V311);
    rig.publish_with(&retained(QoS::ExactlyOnce)).unwrap();
    rig.publish_with(&outgoing(QOS_1, &[0; 100_000])).unwrap();
    assert_eq!(rig.sent().len(), 2);
}

#[test]
fn our_maximum_packet_size_holds_before_the_packet_is_there() {
    let publish = deliver(Version::V5, 0, 0);
    for split in [publish.len(), 3, 2] {
        let mut rig = Rig::new(Version::V5);
        rig.options.properties = properties(PacketType::Connect, &[0x27, 0, 0, 0, 6]);
        rig.connect();
        rig.accept(false, &[]);
        assert_eq!(publish.len(), 7);
        rig.feed(&publish[..split]);
        assert_eq!(rig.sent(), [Sent::Disconnect(0x95)]);
        assert!(rig.messages().is_empty());
    }
    let mut rig = Rig::new(Version::V5);
    rig.options.properties = properties(PacketType::Connect, &[0x27, 0, 0, 0, 7]);
    rig.go_online(false, &[]);
    rig.feed(&publish);
    assert_eq!(rig.messages().len(), 1, "as large as allowed");
}

#[test]
fn a_header_split_in_two_shows_the_size_as_well() {
    let mut rig = Rig::new(Version::V5);
    rig.options.properties = properties(PacketType::Connect, &[0x27, 0, 0, 0, 100]);
    rig.go_online(false, &[]);
    rig.feed(&[0x30, 0xFF]);
    rig.feed(&[0xFF]);
    assert_eq!(rig.sent(), []);
    rig.feed(&[0x7F]);
    rig.assert_refused(0x95);
}

#[test]
fn unsent_bytes_are_bounded() {
    let mut rig = online(&[]);
    let payload = vec![7; 64 << 20];
    for _ in 0..4 {
        rig.publish_0(&payload);
    }
    let refused = rig.session.publish(&outgoing(QoS::AtMostOnce, b"m")).unwrap_err();
    assert_eq!(refused.error, LocalError::QueueFull);
    let filters = SubscriptionRequest::Unsubscribe(vec!["a".into()]);
    let refused = rig.session.request(filters, Properties::default()).unwrap_err();
    assert!(matches!(refused, RequestError::Local(LocalError::QueueFull)));
    // What leaves makes room.
    rig.session.handle_sent_directly(payload.len(), rig.now);
    rig.publish_0(b"m");
}

/// The smallest packets have two bytes, acknowledgements four: without leave to send them they stay away.
#[test]
fn nothing_is_sent_that_is_too_large_however_small() {
    for maximum in 1..=4 {
        let mut rig = Rig::new(Version::V5);
        rig.options.keep_alive = 1;
        rig.go_online(false, &[0x27, 0, 0, 0, maximum]);
        rig.feed(&deliver(Version::V5, 2, 1));
        let acknowledged = rig.acknowledge(1, QoS::ExactlyOnce).len();
        assert_eq!(acknowledged, usize::from(maximum == 4), "{maximum}");
        rig.feed(&packet(0xD0, &[]));
        rig.wait(SECOND);
        let asked: &[Sent] = if maximum < 2 { &[] } else { &[Sent::PingReq] };
        assert_eq!(rig.sent(), asked, "{maximum}");
        if maximum < 2 {
            rig.wait(100 * SECOND);
            assert!(rig.session.is_online(), "given up for a question that was not asked");
        }
        rig.session.disconnect(ReasonCode(0), Properties::default(), rig.now);
        let goodbye: &[Sent] = if maximum < 2 { &[] } else { &[Sent::Disconnect(0)] };
        assert_eq!(rig.sent(), goodbye, "{maximum}");
        assert!(matches!(rig.closed(), Closed::Requested));
    }
}
