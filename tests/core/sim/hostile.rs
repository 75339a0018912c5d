//! Packets that no server may send, and the reasons that name the breach.

use oxmqtt_protocol::codec::Version;

use super::fault::Fault;
use super::link::{End, Note, Packet};
use super::random::Random;
use crate::session_wire::{Deliver, PUBACK, PUBCOMP, PUBREC, PUBREL, ack, connack, packet};

/// A breach that needs no look at the session: it is one whenever it comes after CONNACK.
pub(crate) const ANYTIME: [Fault; 23] = [
    Fault::Malformed,
    Fault::LengthOfFiveBytes,
    Fault::OverlongLength,
    Fault::QosThree,
    Fault::IdentifierZero,
    Fault::ReservedFlags,
    Fault::SecondConnAck,
    Fault::InvalidUtf8,
    Fault::ForbiddenCharacter,
    Fault::EmptyTopic,
    Fault::AliasZero,
    Fault::AliasAboveMaximum,
    Fault::AliasUnknown,
    Fault::TooLarge,
    Fault::ReceiveMaximumExceeded,
    Fault::AuthUnasked,
    Fault::ForbiddenType,
    Fault::PropertyTwice,
    Fault::PropertyMisplaced,
    Fault::PropertyValue,
    Fault::DisconnectReason,
    Fault::Redirected,
    Fault::KickedAfterConnAck,
];

const MALFORMED: &[u8] = &[0x81];
const PROTOCOL: &[u8] = &[0x82];
const EITHER: &[u8] = &[0x81, 0x82];
const ALIAS: &[u8] = &[0x94];
const LARGE: &[u8] = &[0x95];
const RECEIVE: &[u8] = &[0x93];

/// The number in the payload of messages that count for nothing.
pub(crate) const NOBODYS: u32 = u32::MAX;

fn with_list<'a>(topic: &'a str, list: &'a [u8]) -> Deliver<'a> {
    Deliver { topic, list, payload: &[0xFF; 4], ..Deliver::default() }
}

/// The packet for a fault of [`ANYTIME`]. `variant` chooses among packets that share the fault;
/// `receive_maximum` and `packet` are the bounds that the client announced. `None` where the version
/// has no such fault.
pub(crate) fn breach(
    fault: Fault,
    version: Version,
    variant: u8,
    receive_maximum: u16,
    maximum_size: usize,
) -> Option<Packet> {
    let of = |choices: &[&[u8]]| choices[usize::from(variant) % choices.len()].to_vec();
    let is_5 = version == Version::V5;
    let mqtt_5 = |list: &'static [u8], topic| is_5.then(|| with_list(topic, list).bytes(version));
    let (bytes, reasons) = match fault {
        Fault::Malformed => {
            let half: [&[u8]; 6] = [
                &[0x30, 2, 0, 9],
                &[0x40, 1, 0],
                &[0x62, 0],
                &[0xD0, 1, 0],
                &[0x38, 3, 0, 1, b't'],
                &[0x90, 1, 9],
            ];
            (of(&half), EITHER)
        }
        Fault::LengthOfFiveBytes => {
            (of(&[&[0x30, 0xFF, 0xFF, 0xFF, 0xFF], &[0x40, 0x80, 0x80, 0x80, 0x80]]), MALFORMED)
        }
        Fault::OverlongLength => (of(&[&[0xD0, 0x80, 0], &[0x40, 0x82, 0, 0, 1]]), MALFORMED),
        Fault::QosThree => (packet(0x36, &[0, 1, b't', 0, 1]), MALFORMED),
        Fault::IdentifierZero => {
            let publish = Deliver { qos: 1 + variant % 2, topic: "t", ..Deliver::default() };
            let firsts = [PUBACK, PUBREC, PUBREL, PUBCOMP];
            let bytes = match firsts.get(usize::from(variant % 6)) {
                Some(first) => ack(*first, 0),
                None => publish.bytes(version),
            };
            (bytes, EITHER)
        }
        Fault::ReservedFlags => {
            let packets: [&[u8]; 6] = [
                &[0xD1, 0],
                &[0x41, 2, 0, 1],
                &[0x52, 2, 0, 1],
                &[0x60, 2, 0, 1],
                &[0x72, 2, 0, 1],
                &[0x92, 3, 0, 1, 0],
            ];
            (of(&packets), MALFORMED)
        }
        Fault::SecondConnAck => (connack(version, false, 0, &[]), PROTOCOL),
        Fault::InvalidUtf8 => {
            (of(&[&[0x30, 5, 0, 2, 0xC3, 0x28, 0], &[0x30, 6, 0, 3, 0xED, 0xA0, 0x80, 0]]), EITHER)
        }
        Fault::ForbiddenCharacter => {
            let packets: [&[u8]; 3] =
                [&[0x30, 4, 0, 1, 0, 0], &[0x30, 4, 0, 1, b'#', 0], &[0x30, 4, 0, 1, b'+', 0]];
            (of(&packets), &[0x81, 0x82, 0x90][..])
        }
        Fault::EmptyTopic => (with_list("", b"").bytes(version), EITHER),
        Fault::AliasZero => (mqtt_5(b"\x23\0\0", "t")?, ALIAS),
        Fault::AliasAboveMaximum => (mqtt_5(b"\x23\0\x63", "t")?, ALIAS),
        Fault::AliasUnknown => {
            // An alias in reach that the server never uses: it counts from 1 to the maximum less 1.
            (mqtt_5(b"\x23\0\x0A", "")?, &[0x82, 0x94][..])
        }
        Fault::TooLarge if is_5 => {
            let payload = vec![0xFF; maximum_size + usize::from(variant)];
            let publish = Deliver { topic: "t", payload: &payload, ..Deliver::default() };
            (publish.bytes(version), LARGE)
        }
        Fault::ReceiveMaximumExceeded => {
            if receive_maximum > 100 {
                return None;
            }
            let mut bytes = Vec::new();
            for id in 50_000..=50_000 + receive_maximum {
                let publish =
                    Deliver { qos: 1, id, topic: "t", payload: &[0xFF; 4], ..Deliver::default() };
                bytes.extend(publish.bytes(version));
            }
            (bytes, RECEIVE)
        }
        Fault::AuthUnasked => (packet(0xF0, &[]), EITHER),
        Fault::ForbiddenType => {
            let packets: [&[u8]; 5] = [
                &[0x10, 2, 0, 0],
                &[0x82, 6, 0, 1, 0, 1, b'a', 0],
                &[0xA2, 5, 0, 1, 0, 1, b'a'],
                &[0xC0, 0],
                &[0x00, 0],
            ];
            (of(&packets), EITHER)
        }
        Fault::PropertyTwice => (mqtt_5(b"\x01\x01\x01\x01", "t")?, PROTOCOL),
        Fault::PropertyMisplaced => (mqtt_5(b"\x21\0\x01", "t")?, EITHER),
        Fault::PropertyValue => (mqtt_5(b"\x01\x02", "t")?, EITHER),
        Fault::DisconnectReason | Fault::KickedAfterConnAck | Fault::Redirected => {
            return Some(farewell(fault, version, variant));
        }
        _ => return None,
    };
    Some(Packet::new(bytes, Note::Final(End::Breach(reasons))))
}

/// DISCONNECT of the server. Before MQTT 5.0 there is no such thing.
fn farewell(fault: Fault, version: Version, variant: u8) -> Packet {
    if version != Version::V5 {
        return Packet::new(packet(0xE0, &[]), Note::Final(End::Breach(EITHER)));
    }
    let (reason, list): (u8, &[u8]) = match fault {
        Fault::KickedAfterConnAck => ([0x8E, 0x87, 0x8C][usize::from(variant % 3)], b""),
        Fault::Redirected => ([0x9C, 0x9D][usize::from(variant % 2)], b"\x1C\0\x03b:1"),
        _ => (DISCONNECT_REASONS[usize::from(variant) % DISCONNECT_REASONS.len()], b""),
    };
    let body = [&[reason, list.len() as u8], list].concat();
    let body = if reason == 0 { &[][..] } else { &body[..] };
    Packet::new(packet(0xE0, body), Note::Final(End::ByServer(reason)))
}

/// What a server may say in DISCONNECT (3.14.2.1).
const DISCONNECT_REASONS: [u8; 27] = [
    0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96,
    0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0xA0, 0xA1, 0xA2,
];

/// A packet that may not come before CONNACK.
pub(crate) fn before_connack(version: Version, variant: u8) -> Packet {
    let publish = Deliver { qos: variant % 3, topic: "t", id: 1, ..Deliver::default() };
    let bytes = match variant % 5 {
        0 => publish.bytes(version),
        1 => crate::session_wire::PINGRESP.to_vec(),
        2 => ack([PUBACK, PUBREC, PUBREL, PUBCOMP][usize::from(variant / 5 % 4)], 1),
        3 => crate::session_wire::answer(version, 0x90, 1, &[0]),
        _ => packet(0xE0, &[]),
    };
    Packet::new(bytes, Note::Final(End::Breach(EITHER)))
}

/// A CONNACK that breaks a rule: reserved flags, or a session that cannot be.
pub(crate) fn wrong_connack(fault: Fault, version: Version, variant: u8) -> Packet {
    let list: &[u8] = if version == Version::V5 { &[0] } else { &[] };
    let flags = match fault {
        Fault::PresentOnCleanStart => 1,
        _ => 2 << (variant % 7),
    };
    let body = [&[flags, 0], list].concat();
    Packet::new(packet(0x20, &body), Note::Final(End::Breach(EITHER)))
}

/// CONNACK with a refusal.
pub(crate) fn refusal(version: Version, random: &mut Random) -> u8 {
    match version {
        Version::V5 => random.of(&[0x80, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x97, 0x9C, 0x9D, 0x9F]),
        _ => random.of(&[1, 2, 3, 4, 5]),
    }
}

pub(crate) fn breach_of_protocol(bytes: Vec<u8>) -> Packet {
    Packet::new(bytes, Note::Final(End::Breach(PROTOCOL)))
}
