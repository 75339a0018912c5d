//! Topic aliases of the application: within the server's maximum, and never without their topic
//! where the server may not know them.

use oxmqtt::codec::{QoS, Version};
use oxmqtt::session::{LocalError, Outgoing};

use crate::session_rig::Rig;
use crate::session_wire::Sent;

const ALIAS_MAXIMUM_2: &[u8] = &[0x22, 0, 2];

fn online() -> Rig {
    let mut rig = Rig::new(Version::V5);
    rig.go_online(false, ALIAS_MAXIMUM_2);
    rig
}

fn aliased(topic: &str, alias: u16, qos: QoS) -> Outgoing<'_> {
    let properties: &[u8] = match alias {
        1 => &[0x23, 0, 1],
        _ => &[0x23, 0, 3],
    };
    Outgoing { topic, payload: b"m", qos, retain: false, properties, topic_alias: Some(alias) }
}

fn topics(rig: &mut Rig) -> Vec<String> {
    let topic = |packet: &Sent| match packet {
        Sent::Publish { topic, .. } => Some(topic.clone()),
        _ => None,
    };
    rig.sent().iter().filter_map(topic).collect()
}

#[test]
fn above_the_maximum_is_refused() {
    let mut rig = online();
    let refused = rig.session.publish(&aliased("t", 3, QoS::AtMostOnce));
    assert_eq!(refused.unwrap_err().error, LocalError::TopicAliasInvalid);
}

#[test]
fn the_alias_alone_goes_out_where_the_server_knows_it() {
    let mut rig = online();
    rig.session.publish(&aliased("t", 1, QoS::AtMostOnce)).unwrap();
    rig.session.publish(&aliased("", 1, QoS::AtMostOnce)).unwrap();
    assert_eq!(topics(&mut rig), ["t", ""]);
}

#[test]
fn a_message_that_may_be_sent_again_has_its_topic() {
    let mut rig = online();
    rig.session.publish(&aliased("t", 1, QoS::AtMostOnce)).unwrap();
    rig.session.publish(&aliased("", 1, QoS::AtLeastOnce)).unwrap();
    assert_eq!(topics(&mut rig), ["t", "t"]);
}

#[test]
fn a_new_connection_hears_the_topic_again() {
    let mut rig = online();
    rig.session.publish(&aliased("t", 1, QoS::AtMostOnce)).unwrap();
    rig.cut();
    rig.go_online(true, ALIAS_MAXIMUM_2);
    rig.sent();
    rig.session.publish(&aliased("", 1, QoS::AtMostOnce)).unwrap();
    rig.session.publish(&aliased("", 1, QoS::AtMostOnce)).unwrap();
    assert_eq!(topics(&mut rig), ["t", ""]);
}
