//! Topic aliases of the application: within the server's maximum, and never without their topic
//! where the server may not know them.

use oxmqtt_protocol::codec::{QoS, Version};
use oxmqtt_protocol::session::{LocalError, Outgoing};

use crate::session_rig::Rig;
use crate::session_wire::{PUBACK, Sent, ack};

const ALIAS_MAXIMUM_2: &[u8] = &[0x22, 0, 2];
const QOS_0: QoS = QoS::AtMostOnce;
const QOS_1: QoS = QoS::AtLeastOnce;

fn online() -> Rig {
    let mut rig = Rig::new(Version::V5);
    rig.go_online(false, ALIAS_MAXIMUM_2);
    rig
}

/// Room for one message in flight.
fn narrow() -> Rig {
    let mut rig = Rig::with(|config| (config.version, config.max_inflight) = (Version::V5, 1));
    rig.go_online(false, ALIAS_MAXIMUM_2);
    rig
}

fn properties(alias: u16) -> &'static [u8] {
    match alias {
        0 => &[0x23, 0, 0],
        1 => &[0x23, 0, 1],
        2 => &[0x23, 0, 2],
        _ => &[0x23, 0, 3],
    }
}

fn aliased(topic: &str, alias: u16, qos: QoS) -> Outgoing<'_> {
    let properties = properties(alias);
    Outgoing { topic, payload: b"m", qos, retain: false, properties, topic_alias: Some(alias) }
}

fn plain(topic: &str, qos: QoS) -> Outgoing<'_> {
    Outgoing { topic, payload: b"m", qos, retain: false, properties: &[], topic_alias: None }
}

fn topics(rig: &mut Rig) -> Vec<String> {
    let topic = |packet: &Sent| match packet {
        Sent::Publish { topic, .. } => Some(topic.clone()),
        _ => None,
    };
    rig.sent().iter().filter_map(topic).collect()
}

fn refusal(rig: &mut Rig, message: &Outgoing<'_>) -> LocalError {
    rig.session.publish(message).unwrap_err().error
}

#[test]
fn outside_of_the_servers_range_it_is_refused() {
    let mut rig = online();
    for alias in [0, 3] {
        for qos in [QOS_0, QOS_1] {
            let refused = refusal(&mut rig, &aliased("t", alias, qos));
            assert_eq!(refused, LocalError::TopicAliasInvalid);
        }
    }
}

#[test]
fn the_alias_alone_goes_out_where_the_server_knows_it() {
    let mut rig = online();
    rig.session.publish(&aliased("t", 1, QOS_0)).unwrap();
    rig.session.publish(&aliased("", 1, QOS_0)).unwrap();
    assert_eq!(topics(&mut rig), ["t", ""]);
}

#[test]
fn an_alias_that_nothing_was_said_of_is_refused() {
    let mut rig = online();
    for qos in [QOS_0, QOS_1] {
        assert_eq!(refusal(&mut rig, &aliased("", 1, qos)), LocalError::TopicAliasInvalid);
    }
    assert_eq!(topics(&mut rig), [""; 0]);
}

#[test]
fn a_message_that_may_be_sent_again_has_its_topic() {
    let mut rig = online();
    rig.session.publish(&aliased("t", 1, QOS_0)).unwrap();
    rig.session.publish(&aliased("", 1, QOS_1)).unwrap();
    assert_eq!(topics(&mut rig), ["t", "t"]);
    rig.cut();
    assert_eq!(rig.go_online(true, ALIAS_MAXIMUM_2).len(), 1);
    rig.session.publish(&aliased("", 1, QOS_0)).unwrap();
    assert_eq!(topics(&mut rig), [""], "the repetition has told the server");
}

#[test]
fn a_new_connection_hears_the_topic_again() {
    let mut rig = online();
    rig.session.publish(&aliased("t", 1, QOS_0)).unwrap();
    rig.cut();
    rig.go_online(true, ALIAS_MAXIMUM_2);
    rig.sent();
    rig.session.publish(&aliased("", 1, QOS_0)).unwrap();
    rig.session.publish(&aliased("", 1, QOS_0)).unwrap();
    assert_eq!(topics(&mut rig), ["t", ""]);
}

/// The message that names the alias waits for the quota; the one behind it does not.
#[test]
fn an_alias_is_not_known_before_its_message_is_written() {
    let mut rig = narrow();
    rig.session.publish(&plain("first", QOS_1)).unwrap();
    rig.session.publish(&aliased("wanted", 1, QOS_1)).unwrap();
    rig.session.publish(&aliased("", 1, QOS_0)).unwrap();
    assert_eq!(topics(&mut rig), ["first", "wanted"]);
    rig.session.publish(&aliased("", 1, QOS_0)).unwrap();
    assert_eq!(topics(&mut rig), [""]);
}

/// What waits renames the alias when it is written, behind what overtook it.
#[test]
fn the_server_takes_an_alias_for_what_it_read_last() {
    let mut rig = narrow();
    rig.session.publish(&plain("first", QOS_1)).unwrap();
    rig.session.publish(&aliased("waits", 1, QOS_1)).unwrap();
    rig.session.publish(&aliased("overtakes", 1, QOS_0)).unwrap();
    assert_eq!(topics(&mut rig), ["first", "overtakes"]);
    rig.feed(&ack(PUBACK, 1));
    assert_eq!(topics(&mut rig), ["waits"]);
    rig.session.publish(&aliased("", 1, QOS_0)).unwrap();
    assert_eq!(topics(&mut rig), ["overtakes"], "the application said so last");
}

#[test]
fn a_refused_message_names_nothing() {
    let mut rig = Rig::new(Version::V5);
    rig.go_online(false, &[0x22, 0, 2, 0x27, 0, 0, 0, 20]);
    let large = [b'x'; 30];
    for qos in [QOS_0, QOS_1] {
        let message = Outgoing { payload: &large, ..aliased("new", 1, qos) };
        assert_eq!(refusal(&mut rig, &message), LocalError::PacketTooLarge);
        assert_eq!(refusal(&mut rig, &aliased("", 1, QOS_0)), LocalError::TopicAliasInvalid);
    }
    rig.session.publish(&aliased("old", 1, QOS_0)).unwrap();
    let message = Outgoing { payload: &large, ..aliased("new", 1, QOS_0) };
    assert_eq!(refusal(&mut rig, &message), LocalError::PacketTooLarge);
    for qos in [QOS_0, QOS_1] {
        let alone = refusal(&mut rig, &aliased("", 1, qos));
        assert_eq!(alone, LocalError::TopicAliasInvalid, "meant for the new topic");
    }
    let message = Outgoing { payload: &large, ..aliased("old", 1, QOS_0) };
    rig.session.publish(&aliased("old", 1, QOS_0)).unwrap();
    assert_eq!(refusal(&mut rig, &message), LocalError::PacketTooLarge);
    rig.session.publish(&aliased("", 1, QOS_0)).unwrap();
    assert_eq!(topics(&mut rig), ["old", "old", ""]);
}

/// A message that waits offline is refused when the server says that it takes no alias.
#[test]
fn what_the_server_refuses_at_connect_is_not_known_to_it() {
    let mut rig = Rig::new(Version::V5);
    rig.session.publish(&aliased("t", 2, QOS_1)).unwrap();
    rig.go_online(false, &[0x22, 0, 1]);
    assert_eq!(rig.session.unfinished(), 0);
    rig.cut();
    rig.go_online(true, ALIAS_MAXIMUM_2);
    rig.session.publish(&aliased("", 2, QOS_0)).unwrap();
    assert_eq!(topics(&mut rig), ["t"]);
}

#[test]
fn topics_behind_aliases_are_bounded() {
    let mut rig = Rig::new(Version::V5);
    let topic = "x".repeat(65_000);
    let refused = (1..=u16::MAX).find(|alias| {
        let [high, low] = alias.to_be_bytes();
        let list = [0x23, high, low];
        let message = Outgoing { properties: &list, ..aliased(&topic, *alias, QOS_1) };
        let result = rig.session.publish(&message);
        rig.session.drop_unfinished();
        result.is_err()
    });
    assert_eq!(refused, Some(1 + ((16 << 20) / 65_000) as u16));
}
