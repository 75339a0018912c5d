//! Who gets which message, in which shape.

use oxmqtt_protocol::codec::*;
use oxmqtt_protocol::topic;
use proptest::prelude::*;

use super::VERSIONS;
use super::broker_rig::{Rig, named, payloads, properties};

#[test]
fn a_message_reaches_every_version() {
    let mut rig = Rig::new();
    let subscribers = VERSIONS.map(|version| {
        let link = rig.client(version, &format!("to {version:?}"));
        rig.subscribe(link, "a/+", QoS::ExactlyOnce);
        link
    });
    for version in VERSIONS {
        let from = rig.client(version, &format!("from {version:?}"));
        rig.publish(from, "a/b", QoS::AtMostOnce, b"x");
        rig.publish(from, "b/b", QoS::AtMostOnce, b"not this");
        for to in subscribers {
            assert_eq!(rig.payloads(to), ["x"]);
        }
    }
    assert_eq!(rig.broker.counters().received, 6);
    assert_eq!(rig.broker.record().messages().count(), 6);
}

#[test]
fn the_lower_quality_of_service_counts() {
    let mut rig = Rig::new();
    let from = rig.client(Version::V311, "from");
    for (subscribed, published, delivered) in [(0, 2, 0), (1, 2, 1), (2, 2, 2), (2, 1, 1)] {
        let qos = |level: u8| QoS::try_from(level).unwrap();
        let to = rig.client(Version::V5, "to");
        rig.subscribe(to, "a", qos(subscribed));
        rig.publish(from, "a", qos(published), b"x");
        rig.ack(from, AckKind::PubRel, 1);
        let [Packet::Publish(publish)] = &rig.packets(to)[..] else { panic!("not one message") };
        assert_eq!(publish.qos(), qos(delivered));
        assert!(!publish.dup() && !publish.retain());
    }
}

#[test]
fn a_publisher_is_answered() {
    for version in VERSIONS {
        let mut rig = Rig::new();
        let link = rig.client(version, "c");
        rig.subscribe(link, "a", QoS::AtMostOnce);
        rig.publish(link, "a", QoS::AtLeastOnce, b"1");
        let packets = rig.packets(link);
        assert!(packets.contains(&Packet::PubAck(Ack::new(1))), "{packets:?}");
        rig.publish(link, "a", QoS::ExactlyOnce, b"2");
        rig.publish(link, "a", QoS::ExactlyOnce, b"2");
        let packets = rig.packets(link);
        assert_eq!(payloads(&packets), ["2"], "a repetition is not published");
        assert_eq!(packets.iter().filter(|p| matches!(p, Packet::PubRec(_))).count(), 2);
        rig.ack(link, AckKind::PubRel, 1);
        assert_eq!(rig.packets(link), [Packet::PubComp(Ack::new(1))]);
        rig.publish(link, "a", QoS::ExactlyOnce, b"3");
        assert_eq!(rig.payloads(link), ["3"]);
    }
}

#[test]
fn overlapping_subscriptions_deliver_once_with_all_identifiers() {
    let mut rig = Rig::new();
    let to = rig.client(Version::V5, "to");
    for (filter, id) in [("a/#", 1), ("a/+", 200), ("a/b", 3)] {
        let id = [(PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(id))];
        let options = SubscriptionOptions::default();
        rig.subscribe_with(to, filter, options, properties(PacketType::Subscribe, &id));
    }
    rig.publish(to, "a/b", QoS::AtMostOnce, b"x");
    let [Packet::Publish(publish)] = &rig.packets(to)[..] else { panic!("not one message") };
    let mut ids: Vec<_> = publish.properties().subscription_identifiers().collect();
    ids.sort();
    assert_eq!(ids, [1, 3, 200]);
}

#[test]
fn no_local_keeps_own_messages_away() {
    let mut rig = Rig::new();
    let one = rig.client(Version::V5, "one");
    let two = rig.client(Version::V5, "two");
    let options = SubscriptionOptions { no_local: true, ..SubscriptionOptions::default() };
    rig.subscribe_with(one, "a", options, Properties::default());
    rig.publish(one, "a", QoS::AtMostOnce, b"own");
    rig.publish(two, "a", QoS::AtMostOnce, b"other");
    assert_eq!(rig.payloads(one), ["other"]);
}

#[test]
fn retained_messages_come_with_the_subscription() {
    for version in VERSIONS {
        let mut rig = Rig::new();
        let from = rig.client(Version::V5, "from");
        for (topic, payload) in
            [("a/1", "x"), ("a/2", "y"), ("a/1", "z"), ("a/3", "w"), ("a/3", "")]
        {
            let payload = payload.as_bytes();
            rig.publish_parts(
                from,
                &PublishParts { topic, payload, retain: true, ..<_>::default() },
            );
        }
        let to = rig.client(version, "to");
        let packets = rig.subscribe(to, "a/#", QoS::AtLeastOnce);
        assert_eq!(payloads(&packets), ["z", "y"]);
        assert!(packets.iter().all(|p| matches!(p, Packet::Publish(p) if p.retain())));
        rig.publish_parts(
            from,
            &PublishParts { topic: "a/1", retain: true, payload: b"live", ..<_>::default() },
        );
        let [Packet::Publish(publish)] = &rig.packets(to)[..] else { panic!("not one message") };
        assert!(!publish.retain());
    }
}

#[test]
fn retain_handling_and_retain_as_published() {
    let mut rig = Rig::new();
    let link = rig.client(Version::V5, "c");
    let retained = PublishParts { topic: "a", retain: true, payload: b"x", ..<_>::default() };
    rig.publish_parts(link, &retained);
    let with = |retain_handling| SubscriptionOptions {
        retain_handling,
        retain_as_published: true,
        ..<_>::default()
    };
    let mut behind =
        |handling| rig.subscribe_with(link, "a", with(handling), Properties::default());
    assert!(behind(RetainHandling::DoNotSend).is_empty());
    assert!(behind(RetainHandling::SendIfNew).is_empty());
    assert_eq!(behind(RetainHandling::SendOnSubscribe).len(), 1);
    rig.publish_parts(link, &retained);
    let [Packet::Publish(publish)] = &rig.packets(link)[..] else { panic!("not one message") };
    assert!(publish.retain());
}

#[test]
fn a_shared_subscription_takes_turns_among_the_connected() {
    let mut rig = Rig::new();
    let from = rig.client(Version::V5, "from");
    let members = ["one", "two", "three"].map(|name| {
        let link = rig.client(Version::V5, name);
        rig.subscribe(link, "$share/group/a/+", QoS::AtMostOnce);
        link
    });
    for _ in 0..6 {
        rig.publish(from, "a/b", QoS::AtMostOnce, b"x");
    }
    assert_eq!(members.map(|link| rig.payloads(link).len()), [2, 2, 2]);
    rig.lose(members[1]);
    for _ in 0..6 {
        rig.publish(from, "a/b", QoS::AtMostOnce, b"x");
    }
    assert_eq!([members[0], members[2]].map(|link| rig.payloads(link).len()), [3, 3]);
}

#[test]
fn properties_pass_except_topic_aliases() {
    let mut rig = Rig::new();
    let from = rig.client(Version::V5, "from");
    let to = rig.client(Version::V5, "to");
    rig.subscribe(to, "#", QoS::AtMostOnce);
    let alias = (PropertyId::TopicAlias, PropertyValue::TwoByte(3));
    let user = (PropertyId::UserProperty, PropertyValue::Pair("k", "v"));
    let both = properties(PacketType::Publish, &[alias, user]);
    let with = |topic| PublishParts { topic, properties: both.as_bytes(), ..<_>::default() };
    rig.publish_parts(from, &with("a/b"));
    rig.publish_parts(from, &with(""));
    for packet in rig.packets(to) {
        let Packet::Publish(publish) = packet else { panic!("not a message") };
        assert_eq!((publish.topic(), publish.topic_alias()), ("a/b", None));
        assert_eq!(publish.properties().user_properties().collect::<Vec<_>>(), [("k", "v")]);
    }
    assert_eq!(rig.broker.record().messages().filter(|m| m.publish.topic() == "a/b").count(), 2);
}

#[test]
fn an_expired_message_is_not_delivered_and_a_late_one_says_what_is_left() {
    let mut rig = Rig::new();
    let from = rig.client(Version::V5, "from");
    let (to, _) = rig.connect(Version::V5, super::broker_rig::lasting("to", 100));
    rig.subscribe(to, "#", QoS::AtLeastOnce);
    rig.lose(to);
    for (payload, seconds) in [("short", 5), ("long", 60)] {
        let expiry = (PropertyId::MessageExpiryInterval, PropertyValue::FourByte(seconds));
        let list = properties(PacketType::Publish, &[expiry]);
        let (payload, qos) = (payload.as_bytes(), QoS::AtLeastOnce);
        let parts = PublishParts {
            topic: "a",
            qos,
            payload,
            packet_id: 1,
            properties: list.as_bytes(),
            ..<_>::default()
        };
        rig.publish_parts(from, &parts);
    }
    rig.pass(20);
    let to = rig.open(Version::V5);
    rig.send(to, &Packet::Connect(Box::new(super::broker_rig::lasting("to", 100))));
    let packets = rig.packets(to);
    assert_eq!(payloads(&packets), ["long"]);
    let Some(Packet::Publish(publish)) = packets.last() else { panic!("no message") };
    assert_eq!(publish.properties().message_expiry_interval(), Some(40));
}

#[test]
fn the_window_of_the_client_is_kept() {
    let mut rig = Rig::new();
    let window = (PropertyId::ReceiveMaximum, PropertyValue::TwoByte(2));
    let list = properties(PacketType::Connect, &[window]);
    let (to, _) = rig.connect(Version::V5, Connect { properties: list, ..named("to", true) });
    rig.subscribe(to, "a", QoS::ExactlyOnce);
    let from = rig.client(Version::V311, "from");
    for payload in ["1", "2", "3", "4"] {
        rig.publish(from, "a", QoS::AtLeastOnce, payload.as_bytes());
    }
    assert_eq!(rig.payloads(to), ["1", "2"]);
    rig.ack(to, AckKind::PubAck, 2);
    assert_eq!(rig.payloads(to), ["3"]);
    rig.ack(to, AckKind::PubAck, 2);
    assert!(rig.payloads(to).is_empty(), "an acknowledgement counts once");
    rig.ack(to, AckKind::PubAck, 1);
    assert_eq!(rig.payloads(to), ["4"]);
}

#[test]
fn a_client_that_does_not_read_loses_qos_0_and_it_is_counted() {
    let mut rig = Rig::with(oxmqtt_broker::Settings { max_unsent: 1_000, ..<_>::default() });
    let to = rig.client(Version::V311, "to");
    rig.subscribe(to, "a", QoS::AtMostOnce);
    let from = rig.client(Version::V311, "from");
    for _ in 0..100 {
        rig.publish(from, "a", QoS::AtMostOnce, &[b'x'; 95]);
    }
    let delivered = rig.payloads(to).len();
    assert_eq!(delivered, 11);
    assert_eq!(rig.broker.counters().dropped, 100 - delivered as u64);
}

#[test]
fn the_record_is_bounded_and_each_message_is_taken_once() {
    let mut rig = Rig::with(oxmqtt_broker::Settings { record: 3, ..<_>::default() });
    let link = rig.client(Version::V311, "c");
    for payload in ["1", "2", "3", "4", "5"] {
        rig.publish(
            link,
            if payload == "4" { "b" } else { "a" },
            QoS::AtMostOnce,
            payload.as_bytes(),
        );
    }
    let record = rig.broker.record();
    assert_eq!(record.messages().count(), 3);
    let mut take = |filter| {
        let taken = record.take(filter, &mut 0);
        taken.map(|message| String::from_utf8_lossy(message.publish.payload()).into_owned())
    };
    let taken = [take("a"), take("a"), take("a"), take("#"), take("#")];
    assert_eq!(taken, [Some("3".into()), Some("5".into()), None, Some("4".into()), None]);
}

proptest! {
    /// Looking up by hash, trying wildcards and remembering give what matching each filter gives.
    #[test]
    fn routing_agrees_with_matching(
        filters in prop::collection::vec("(a|b|\\+)(/(a|b|\\+)){0,2}(/#)?", 1..6),
        topics in prop::collection::vec("(a|b)(/(a|b)){0,3}", 1..6),
        removed in 0..6_usize,
    ) {
        let mut rig = Rig::new();
        let from = rig.client(Version::V311, "from");
        let links: Vec<_> = filters.iter().enumerate().map(|(number, filter)| {
            let link = rig.client(Version::V311, &number.to_string());
            rig.subscribe(link, filter, QoS::AtMostOnce);
            link
        }).collect();
        for round in 0..2 {
            for name in &topics {
                rig.publish(from, name, QoS::AtMostOnce, name.as_bytes());
            }
            for (number, link) in links.iter().enumerate() {
                let gone = round == 1 && number == removed;
                let wanted: Vec<_> =
                    topics.iter().filter(|name| !gone && topic::matches(&filters[number], name)).cloned().collect();
                prop_assert_eq!(rig.payloads(*link), wanted);
            }
            if let Some(link) = links.get(removed) {
                let filters = vec![filters[removed].as_str().into()];
                rig.send(*link, &Packet::Unsubscribe(Unsubscribe { packet_id: 1, filters, ..<_>::default() }));
                rig.packets(*link);
            }
        }
    }
}
