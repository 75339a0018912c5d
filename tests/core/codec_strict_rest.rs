//! What is refused in the other packets, and in properties.

use oxmqtt_protocol::codec::Version;

use crate::codec_strict::{ALIAS, MALFORMED, PROTOCOL, V5, V311, VERSION, accepted, refused};
use crate::{MQTT_3, VERSIONS, decode_packet, hex};

#[test]
fn connack() {
    refused(
        &MQTT_3,
        &[
            (MALFORMED, "20 02 02 00"),
            (MALFORMED, "20 02 80 00"),
            (MALFORMED, "20 02 03 00"),
            (PROTOCOL, "20 02 01 05"), // session present and refused
            (MALFORMED, "20 00"),
            (MALFORMED, "20 01 00"),
            (MALFORMED, "20 03 00 00 00"),
        ],
    );
    refused(
        V5,
        &[
            (MALFORMED, "20 03 02 00 00"),
            (MALFORMED, "20 03 40 00 00"),
            (PROTOCOL, "20 03 01 87 00"),
            (MALFORMED, "20 02 00 00"),
            (MALFORMED, "20 04 00 00 00 00"),
        ],
    );
    // Reason codes: neither success nor refusal; a refusal of an unknown kind is one.
    refused(V5, &[(MALFORMED, "20 03 00 03 00"), (PROTOCOL, "20 03 00 01 00")]);
    accepted(V5, &["20 03 00 FE 00", "20 03 01 00 00"]);
}

#[test]
fn subscribe_and_suback() {
    refused(
        V311,
        &[
            (MALFORMED, "82 06 0001 0001 'p' 04"), // reserved bits
            (MALFORMED, "82 06 0001 0001 'p' 80"),
            (PROTOCOL, "82 06 0001 0001 'p' 03"),
            (PROTOCOL, "82 06 0000 0001 'p' 00"),
            (PROTOCOL, "82 02 0001"), // no filter
            (MALFORMED, "82 05 0001 0001 'p'"),
            (MALFORMED, "82 05 0001 0000 00"), // empty filter
            (MALFORMED, "82 07 0001 0002 'a+' 00"),
            (MALFORMED, "82 08 0001 0003 '#/a' 00"),
            (MALFORMED, "90 00"),
            (PROTOCOL, "90 02 0001"),
            (PROTOCOL, "90 03 0000 00"),
            (MALFORMED, "90 03 0001 03"),
            (MALFORMED, "90 04 0001 00 87"),
        ],
    );
    refused(
        V5,
        &[
            (MALFORMED, "82 07 0001 00 0001 'p' 40"),
            (MALFORMED, "82 07 0001 00 0001 'p' 80"),
            (PROTOCOL, "82 07 0001 00 0001 'p' 30"), // retain handling 3
            (PROTOCOL, "82 07 0001 00 0001 'p' 03"),
            (PROTOCOL, "90 03 0001 00"),
            (MALFORMED, "90 02 0001"),
        ],
    );
    refused(V5, &[(MALFORMED, "90 05 0001 00 87 FF"), (PROTOCOL, "90 04 0001 00 92")]);
    accepted(V5, &["90 07 0001 00 87 00 01 02"]);
}

#[test]
fn shared_subscriptions() {
    refused(
        V5,
        &[
            (PROTOCOL, "82 10 0001 00 000A '$share/g/a' 04"), // no local
            (MALFORMED, "82 0F 0001 00 0009 '$share//a' 00"),
            (MALFORMED, "82 0E 0001 00 0008 '$share/g' 00"),
            (MALFORMED, "82 0F 0001 00 0009 '$share/g/' 00"),
            (MALFORMED, "82 11 0001 00 000B '$share/g#/a' 00"),
        ],
    );
    accepted(V5, &["82 10 0001 00 000A '$share/g/a' 00"]);
    accepted(V311, &["82 0E 0001 0009 '$share//a' 00"]);
}

#[test]
fn unsubscribe_and_unsuback() {
    refused(
        V311,
        &[
            (PROTOCOL, "A2 02 0001"),
            (PROTOCOL, "A2 05 0000 0001 'p'"),
            (MALFORMED, "A2 04 0001 0000"),
            (MALFORMED, "B0 03 0001 00"),
            (PROTOCOL, "B0 02 0000"),
            (MALFORMED, "B0 01 00"),
        ],
    );
    refused(
        V5,
        &[(PROTOCOL, "A2 03 0001 00"), (MALFORMED, "B0 02 0001"), (PROTOCOL, "B0 04 0000 00 00")],
    );
    accepted(V5, &["B0 04 0001 00 FF", "B0 03 0001 00"]);
}

#[test]
fn pings_disconnect_and_auth() {
    refused(&VERSIONS, &[(MALFORMED, "C0 01 00"), (MALFORMED, "D0 01 00")]);
    refused(&MQTT_3, &[(MALFORMED, "E0 01 00"), (PROTOCOL, "F0 00"), (PROTOCOL, "F0 02 18 00")]);
    refused(
        V5,
        &[
            (MALFORMED, "E0 03 00 00 00"),
            (MALFORMED, "E0 02 00 01"),
            (MALFORMED, "F0 01 00"),   // no property length
            (PROTOCOL, "F0 02 18 00"), // no authentication method
            (PROTOCOL, "F0 06 18 04 1F 0001 'p'"),
            (MALFORMED, "F0 07 18 04 15 0001 'p' 00"),
        ],
    );
    refused(V5, &[(MALFORMED, "E0 01 FF"), (PROTOCOL, "E0 01 84")]);
    accepted(V5, &["E0 00", "E0 01 8E", "E0 02 8B 00", "F0 00", "F0 06 18 04 15 0001 'p'"]);
}

#[test]
fn connect() {
    refused(
        V311,
        &[
            (VERSION, "10 0C 0004 'MQTT' 05 02 000A 0000"),
            (VERSION, "10 0C 0004 'MQTT' 06 02 000A 0000"),
            (VERSION, "10 0C 0004 'MQTX' 04 02 000A 0000"),
            (VERSION, "10 0E 0006 'MQIsdp' 04 02 000A 0000"),
            (MALFORMED, "10 0C 0004 'MQTT' 04 03 000A 0000"), // reserved flag
            (MALFORMED, "10 0C 0004 'MQTT' 04 0A 000A 0000"), // will QoS without a will
            (MALFORMED, "10 0C 0004 'MQTT' 04 22 000A 0000"), // will retain without a will
            (MALFORMED, "10 11 0004 'MQTT' 04 1E 000A 0000 0001 'w' 0000"), // will QoS 3
            (MALFORMED, "10 0F 0004 'MQTT' 04 42 000A 0000 0001 'p'"), // password alone
            (MALFORMED, "10 0C 0004 'MQTT' 04 82 000A 0000"), // user name missing
            (MALFORMED, "10 0D 0004 'MQTT' 04 02 000A 0000 00"),
            (MALFORMED, "10 11 0004 'MQTT' 04 06 000A 0000 0001 '+' 0000"), // will topic
            (MALFORMED, "10 10 0004 'MQTT' 04 06 000A 0000 0000 0000"),
            (MALFORMED, "10 00"),
        ],
    );
    refused(
        V5,
        &[
            (VERSION, "10 0D 0004 'MQTT' 85 02 000A 00 0000"), // bridge bit
            (MALFORMED, "10 0C 0004 'MQTT' 05 02 000A 0000"),  // property length eats the id
            (PROTOCOL, "10 11 0004 'MQTT' 05 02 000A 04 16 0001 'p' 0000"), // data, no method
        ],
    );
}

/// Properties in a packet where they may stand, so that their value is what is wrong.
#[test]
fn property_values() {
    let connack = |list: &str| {
        let list_len = hex(list).len();
        hex(&format!("20 {:02X} 00 00 {list_len:02X} {list}", list_len + 3))
    };
    let publish = |list: &str| {
        let list_len = hex(list).len();
        hex(&format!("30 {:02X} 0001 't' {list_len:02X} {list}", list_len + 4))
    };
    for (code, packet) in [
        (PROTOCOL, connack("21 0000")),
        (PROTOCOL, connack("27 00000000")),
        (PROTOCOL, connack("24 02")),
        (PROTOCOL, connack("25 02")),
        (PROTOCOL, connack("28 02")),
        (PROTOCOL, connack("29 FF")),
        (PROTOCOL, connack("2A 02")),
        (PROTOCOL, connack("21 0001 21 0001")), // given twice
        (PROTOCOL, connack("23 0001")),         // not of CONNACK
        (PROTOCOL, connack("01 00")),
        (MALFORMED, connack("21 00")), // ends too early
        (MALFORMED, connack("21")),
        (MALFORMED, connack("26 0001 'p'")),
        (MALFORMED, connack("05 01")), // unknown
        (MALFORMED, connack("00 01")),
        (MALFORMED, connack("8000 01")), // over-long identifier
        (MALFORMED, connack("8001 01")),
        (MALFORMED, connack("FFFFFF7F 01")),
        (MALFORMED, connack("8080808001 01")),
        (PROTOCOL, publish("01 02")),
        (PROTOCOL, publish("0B 00")),
        (MALFORMED, publish("0B 8000")),
        (MALFORMED, publish("0B FFFFFFFF7F")),
        (ALIAS, publish("23 0000")),
        (PROTOCOL, publish("23 0001 23 0001")),
        (PROTOCOL, publish("08 0003 'a/+'")),
        (PROTOCOL, publish("08 0001 '#'")),
    ] {
        let result = decode_packet(Version::V5, &packet);
        let found = result.as_ref().map_err(|error| error.reason_code().0);
        assert_eq!(found.err(), Some(code), "{packet:02X?}: {result:?}");
    }
    for packet in [
        publish("0B 01 0B 01"), // one for each subscription that matched (3.3.4)
        publish("26 0000 0000 26 0000 0000"),
        publish("09 0000"),
        connack("1F 0000"),
        connack("21 FFFF 22 0000 27 00000001 13 0000"),
    ] {
        let result = decode_packet(Version::V5, &packet);
        assert!(result.is_ok(), "{packet:02X?}: {result:?}");
    }
    // One subscription identifier is all that a SUBSCRIBE may have.
    refused(V5, &[(PROTOCOL, "82 0B 0001 04 0B01 0B02 0001 'p' 00")]);
}
