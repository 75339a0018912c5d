//! CONNECT: who may come in.

use bytes::Bytes;
use oxmqtt_broker::{Authentication, AuthenticationStep, Settings};
use oxmqtt_protocol::codec::*;

use super::VERSIONS;
use super::broker_rig::{Rig, named, properties};

#[test]
fn user_names_and_passwords_are_compared() {
    let users = [(Bytes::from("ann"), Bytes::from("secret"))].into_iter().collect();
    let mut rig = Rig::with(Settings { users: Some(users), ..Settings::default() });
    for version in VERSIONS {
        let refused = if version == Version::V5 { 0x86 } else { 4 };
        for (name, password, code) in [
            (Some("ann"), Some("secret"), 0),
            (Some("ann"), Some("other"), refused),
            (Some("ann"), None, refused),
            (Some("bob"), Some("secret"), refused),
            (None, None, refused),
        ] {
            let (username, password) = (name.map(Bytes::from), password.map(Bytes::from));
            let (link, connack) =
                rig.connect(version, Connect { username, password, ..named("c", true) });
            assert_eq!(connack.reason, ReasonCode(code));
            assert_eq!(rig.is_closed(link), code != 0);
        }
    }
}

#[test]
fn a_client_without_identifier() {
    let mut rig = Rig::new();
    let (_, connack) = rig.connect(Version::V5, named("", true));
    assert_eq!(connack.properties.assigned_client_identifier(), Some("auto-1"));
    for (version, clean, code) in
        [(Version::V31, true, 2), (Version::V311, true, 0), (Version::V311, false, 2)]
    {
        let (_, connack) = rig.connect(version, named("", clean));
        assert_eq!(connack.reason, ReasonCode(code));
    }
}

#[test]
fn connect_comes_first_and_once_and_in_time() {
    let mut rig = Rig::new();
    let link = rig.open(Version::V311);
    rig.send(link, &Packet::PingReq);
    assert!(rig.is_closed(link) && rig.raw(link).is_empty());
    let link = rig.client(Version::V5, "c");
    rig.send(link, &Packet::Connect(Box::new(named("c", true))));
    let packets = rig.packets(link);
    assert!(
        matches!(&packets[..], [Packet::Disconnect(d)] if d.reason == Some(ReasonCode::PROTOCOL_ERROR))
    );
    let link = rig.open(Version::V311);
    rig.pass(10);
    assert!(rig.is_closed(link));
}

#[test]
fn an_unknown_version_is_refused() {
    let mut rig = Rig::new();
    let link = rig.open(Version::V5);
    rig.send_bytes(link, b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x00\x00\x00\x00");
    let [Packet::ConnAck(connack)] = &rig.packets(link)[..] else { panic!("no CONNACK") };
    assert_eq!(connack.reason, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);
    assert!(rig.is_closed(link));
}

fn auth(reason: ReasonCode, data: &'static [u8]) -> Packet {
    let list = [
        (PropertyId::AuthenticationMethod, PropertyValue::Text("RIDDLE")),
        (PropertyId::AuthenticationData, PropertyValue::Binary(data)),
    ];
    Packet::Auth(Auth { reason, properties: properties(PacketType::Auth, &list) })
}

#[test]
fn a_dialogue_authenticates_and_authenticates_again() {
    let step = |expected: &'static str, answer: &'static str| AuthenticationStep {
        expected: Some(expected.into()),
        answer: answer.into(),
    };
    let steps = vec![step("hello", "what is it?"), step("a broker", "welcome")];
    let authentication = Some(Authentication { method: "RIDDLE".into(), steps });
    let mut rig = Rig::with(Settings { authentication, ..Settings::default() });
    let continues = ReasonCode::CONTINUE_AUTHENTICATION;
    let list = [
        (PropertyId::AuthenticationMethod, PropertyValue::Text("RIDDLE")),
        (PropertyId::AuthenticationData, PropertyValue::Binary(b"hello")),
    ];
    let connect =
        Connect { properties: properties(PacketType::Connect, &list), ..named("c", true) };
    for (answer, is_right) in [(&b"a client"[..], false), (b"a broker", true)] {
        let link = rig.open(Version::V5);
        rig.send(link, &Packet::Connect(Box::new(connect.clone())));
        assert_eq!(rig.packets(link), [auth(continues, b"what is it?")]);
        rig.send(link, &auth(continues, answer));
        let [Packet::ConnAck(connack)] = &rig.packets(link)[..] else { panic!("no CONNACK") };
        assert_eq!(connack.reason == ReasonCode::SUCCESS, is_right);
        assert_eq!(rig.is_closed(link), !is_right);
        if is_right {
            assert_eq!(connack.properties.authentication_data(), Some(&b"welcome"[..]));
            rig.send(link, &auth(ReasonCode::RE_AUTHENTICATE, b"hello"));
            rig.send(link, &auth(continues, b"a broker"));
            let wanted = [auth(continues, b"what is it?"), auth(ReasonCode::SUCCESS, b"welcome")];
            assert_eq!(rig.packets(link), wanted);
        }
    }
    let (_, connack) = rig.connect(Version::V5, named("c", true));
    assert_eq!(connack.reason, ReasonCode::BAD_AUTHENTICATION_METHOD);
    let (_, connack) = rig.connect(Version::V311, named("c", true));
    assert_eq!(connack.reason, ReasonCode(5));
}
