//! Byte-exact CONNECT and CONNACK.

use bytes::Bytes;
use oxmqtt_protocol::codec::{
    ConnAck, Connect, EncodeError, Packet, PacketType, PropertyContext, PropertyId, PropertyValue,
    QoS, ReasonCode, Version, Will,
};

use crate::codec_bytes::{properties, same};
use crate::{MQTT_3, decode_packet, encode_packet, hex};

/// The fields that figure 3.6 of 3.1.1 and figure 3-6 of 5.0 show.
fn connect_of_the_standard() -> Connect {
    Connect {
        client_id: "c".into(),
        clean_start: true,
        keep_alive: 10,
        username: Some(Bytes::from_static(b"u")),
        password: Some(Bytes::from_static(b"\x00p")),
        will: Some(Will {
            topic: "w".into(),
            payload: Bytes::from_static(b"gone"),
            qos: QoS::AtLeastOnce,
            ..Will::default()
        }),
        ..Connect::default()
    }
}

const CONNECT_PAYLOAD: &str = "0001 'w' 0004 'gone' 0001 'u' 0002 00 'p'";

#[test]
fn connect_of_the_standard_in_each_version() {
    let connect = connect_of_the_standard();
    same(
        Version::V31,
        &Packet::Connect(Box::new(connect.clone())),
        &format!("10 1F 0006 'MQIsdp' 03 CE 000A 0001 'c' {CONNECT_PAYLOAD}"),
    );
    same(
        Version::V311,
        &Packet::Connect(Box::new(connect.clone())),
        &format!("10 1D 0004 'MQTT' 04 CE 000A 0001 'c' {CONNECT_PAYLOAD}"),
    );
    let expiry = (PropertyId::SessionExpiryInterval, PropertyValue::FourByte(10));
    let connect = Connect { properties: properties(PacketType::Connect, &[expiry]), ..connect };
    same(
        Version::V5,
        &Packet::Connect(Box::new(connect)),
        &format!("10 24 0004 'MQTT' 05 CE 000A 05 11 0000000A 0001 'c' 00 {CONNECT_PAYLOAD}"),
    );
}

#[test]
fn connect_variants() {
    let bare = Connect { client_id: "c".into(), keep_alive: 60, ..Connect::default() };
    same(
        Version::V311,
        &Packet::Connect(Box::new(bare.clone())),
        "10 0D 0004 'MQTT' 04 00 003C 0001 'c'",
    );
    // The bridge bit of MQTT 3.
    let bridge = Packet::Connect(Box::new(Connect { bridge: true, ..bare.clone() }));
    same(Version::V31, &bridge, "10 0F 0006 'MQIsdp' 83 00 003C 0001 'c'");
    same(Version::V311, &bridge, "10 0D 0004 'MQTT' 84 00 003C 0001 'c'");
    assert_eq!(
        bridge.encode(Version::V5, &mut Vec::new()),
        Err(EncodeError::NotInVersion("bridge bit"))
    );
    // A password alone came with MQTT 5.0.
    let password = Some(Bytes::from_static(b"p"));
    let secret = Packet::Connect(Box::new(Connect { password, ..bare.clone() }));
    same(Version::V5, &secret, "10 11 0004 'MQTT' 05 40 003C 00 0001 'c' 0001 'p'");
    for version in MQTT_3 {
        let result = secret.encode(version, &mut Vec::new());
        assert_eq!(result, Err(EncodeError::PasswordWithoutUsername));
    }
    // Will QoS 2, retained, with a delay; an empty client identifier.
    let delay = (PropertyId::WillDelayInterval, PropertyValue::FourByte(5));
    let will = Will {
        topic: "w".into(),
        qos: QoS::ExactlyOnce,
        retain: true,
        properties: properties(PropertyContext::Will, &[delay]),
        ..Will::default()
    };
    let packet = Connect { will: Some(will), client_id: "".into(), ..bare };
    same(
        Version::V5,
        &Packet::Connect(Box::new(packet)),
        "10 18 0004 'MQTT' 05 34 003C 00 0000 05 18 00000005 0001 'w' 0000",
    );
}

#[test]
fn a_user_name_that_is_not_text_is_sent_as_it_is() {
    let username = Some(Bytes::from_static(b"\xFF"));
    let packet = Packet::Connect(Box::new(Connect { username, ..Connect::default() }));
    let bytes = encode_packet(Version::V311, &packet);
    assert_eq!(bytes, hex("10 0F 0004 'MQTT' 04 80 0000 0000 0001 FF"));
    assert!(decode_packet(Version::V311, &bytes).is_err());
}

#[test]
fn a_server_learns_the_version_first() {
    for (body, version) in [
        ("0006 'MQIsdp' 03", Version::V31),
        ("0006 'MQIsdp' 83", Version::V31),
        ("0004 'MQTT' 04", Version::V311),
        ("0004 'MQTT' 84", Version::V311),
        ("0004 'MQTT' 05", Version::V5),
    ] {
        assert_eq!(Connect::requested_version(&hex(body)), Ok(version), "{body}");
    }
}

#[test]
fn mqtt_3_1_lets_flagged_credentials_be_missing() {
    let packet = decode_packet(Version::V31, &hex("10 0F 0006 'MQIsdp' 03 C2 000A 0001 'c'"));
    assert!(
        matches!(packet, Ok(Packet::Connect(c)) if c.username.is_none() && c.password.is_none())
    );
}

#[test]
fn connack() {
    for version in MQTT_3 {
        let packet = Packet::ConnAck(ConnAck { session_present: true, ..ConnAck::default() });
        same(version, &packet, "20 02 01 00");
        for code in [1, 5, 6, 200] {
            let reason = ReasonCode(code);
            let packet = Packet::ConnAck(ConnAck { reason, ..ConnAck::default() });
            same(version, &packet, &format!("20 02 00 {code:02X}"));
        }
    }
    let list = properties(
        PacketType::ConnAck,
        &[
            (PropertyId::ReceiveMaximum, PropertyValue::TwoByte(20)),
            (PropertyId::AssignedClientIdentifier, PropertyValue::Text("auto")),
        ],
    );
    assert_eq!(list.receive_maximum(), Some(20));
    assert_eq!(list.assigned_client_identifier(), Some("auto"));
    assert_eq!(list.maximum_qos(), None);
    let packet = Packet::ConnAck(ConnAck { properties: list, ..ConnAck::default() });
    same(Version::V5, &packet, "20 0D 00 00 0A 21 0014 12 0004 'auto'");
}
