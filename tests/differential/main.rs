//! Our codec beside rumqttc's: generated packets, whole and damaged, through both.
//!
//! Both must accept or refuse the same bytes, read the same from them, and write the same; where they
//! do not, `listed.rs` has the reason. `make differential` runs a million packets, `cargo test` some.
//! `DIFFERENTIAL_PACKETS` sets their number, `DIFFERENTIAL_SEED` the first seed: packet n is made from
//! seed + n, and a failure names its seed.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(unreachable_pub)]

#[path = "../fuzz/src/generate.rs"]
#[allow(dead_code)]
mod generate;
#[path = "../fuzz/src/input.rs"]
#[allow(dead_code)]
mod input;
mod listed;
mod v4;
mod v5;
mod v5_reasons;

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};

use bytes::Bytes;
use input::Input;
use oxmqtt_protocol::codec::{
    DecodeError, Disconnect, Packet, Properties, PropertiesBuilder, PropertyContext, PublishParts,
    Version, decode, encode_publish, parse_frame,
};

/// Packets in a run of `cargo test`.
const SLICE: u64 = 20_000;

/// What rumqttc made of a packet.
pub(crate) struct Answer {
    packet: Packet,
    written: Vec<u8>,
}

/// splitmix64: the generator's bytes come from the seed alone.
fn random_bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    };
    (0..count.div_ceil(8)).flat_map(|_| next().to_le_bytes()).take(count).collect()
}

/// A PUBLISH from what rumqttc says of it.
fn publish(version: Version, parts: &PublishParts<'_>) -> Packet {
    let mut bytes = Vec::new();
    encode_publish(&mut bytes, version, parts).expect("a PUBLISH that can be written");
    read(version, &bytes).expect("a PUBLISH that can be read")
}

/// Our answer to the bytes of one packet.
fn read(version: Version, bytes: &[u8]) -> Result<Packet, DecodeError> {
    let source = Bytes::copy_from_slice(bytes);
    let frame = parse_frame(&source)?.expect("a whole fixed header");
    decode(version, frame.first, &source[frame.header_len..frame.packet_len()], &source)
}

/// rumqttc's answer; it panics on some bytes.
fn read_theirs(version: Version, bytes: &[u8]) -> Result<Answer, String> {
    let answer = panic::catch_unwind(AssertUnwindSafe(|| match version {
        Version::V5 => v5::read(bytes),
        Version::V31 | Version::V311 => v4::read(bytes),
    }));
    answer.unwrap_or_else(|_| Err("panic".into()))
}

/// The list in the order of the identifiers; rumqttc keeps no order but that among equals.
fn sorted(context: impl Into<PropertyContext>, list: &Properties) -> Properties {
    let mut values: Vec<_> = list.iter().collect();
    values.sort_by_key(|(id, _)| *id);
    let mut builder = PropertiesBuilder::new(context);
    for (id, value) in values {
        builder.push(id, value).expect("a property of this packet");
    }
    builder.build()
}

/// The packet with its properties in order.
fn normal(version: Version, packet: &Packet) -> Packet {
    let mut packet = packet.clone();
    let context = PropertyContext::from(packet.packet_type());
    let none = Properties::default();
    let list = match &mut packet {
        Packet::Publish(original) => {
            let properties = sorted(context, &original.properties());
            return publish(
                version,
                &PublishParts { properties: properties.as_bytes(), ..original.parts() },
            );
        }
        Packet::Connect(packet) => {
            if let Some(will) = &mut packet.will {
                will.properties = sorted(PropertyContext::Will, &will.properties);
            }
            &mut packet.properties
        }
        Packet::ConnAck(packet) => &mut packet.properties,
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            &mut ack.properties
        }
        Packet::Subscribe(packet) => &mut packet.properties,
        Packet::SubAck(packet) => &mut packet.properties,
        Packet::Unsubscribe(packet) => &mut packet.properties,
        Packet::UnsubAck(packet) => &mut packet.properties,
        Packet::PingReq | Packet::PingResp => return packet,
        Packet::Disconnect(packet) => {
            let reason = packet.reason.unwrap_or_default();
            let properties = sorted(context, packet.properties.as_ref().unwrap_or(&none));
            return Packet::Disconnect(Disconnect::new(reason, properties));
        }
        Packet::Auth(packet) => &mut packet.properties,
    };
    *list = sorted(context, list);
    packet
}

#[derive(Default)]
struct Report {
    /// Packets by what became of them.
    whole: BTreeMap<&'static str, u64>,
    damaged: BTreeMap<&'static str, u64>,
}

/// A packet as it was made.
fn check_whole(version: Version, packet: &Packet, bytes: &[u8]) -> &'static str {
    assert_eq!(read(version, bytes).as_ref(), Ok(packet), "ours");
    if let Some(reason) = listed::excluded(version, packet) {
        return reason;
    }
    let theirs = read_theirs(version, bytes).unwrap_or_else(|e| panic!("{packet:?}: {e}"));
    assert_eq!(normal(version, &theirs.packet), normal(version, packet), "read differently");
    let mut ours = Vec::new();
    theirs.packet.encode(version, &mut ours).expect("what rumqttc read can be written");
    if let Some(reason) = listed::written_otherwise(version, packet) {
        assert_ne!(ours, theirs.written, "no reason for {reason:?}");
        return reason;
    }
    assert_eq!(ours, theirs.written, "{packet:?} is written differently");
    "the same in both"
}

/// A packet with some bytes changed.
fn check_damaged(version: Version, bytes: &[u8]) -> &'static str {
    let ours = read(version, bytes);
    match (&ours, read_theirs(version, bytes)) {
        (Ok(ours), Ok(theirs)) => {
            if let Some(reason) = listed::excluded(version, ours) {
                return reason;
            }
            assert_eq!(normal(version, ours), normal(version, &theirs.packet), "read differently");
            "accepted by both, the same"
        }
        (Err(_), Err(_)) => "refused by both",
        (Err(error), Ok(_)) => listed::refused_by_us(error)
            .unwrap_or_else(|| panic!("only rumqttc accepts {bytes:x?}: {error}")),
        (Ok(packet), Err(error)) => listed::refused_by_them(version, packet, &error)
            .unwrap_or_else(|| panic!("rumqttc refuses {packet:?} from {bytes:x?}: {error}")),
    }
}

fn check(seed: u64, report: &mut Report) {
    let random = random_bytes(seed, 600);
    let mut input = Input::new(&random);
    let version = if input.flag() { Version::V5 } else { Version::V311 };
    let mut packet = generate::packet(version, &mut input);
    if let Packet::Connect(connect) = &mut packet {
        connect.bridge = false; // rumqttc does not know it
    }
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes).expect("a packet that can be written");
    *report.whole.entry(check_whole(version, &packet, &bytes)).or_default() += 1;
    let header_len = parse_frame(&bytes).expect("a fixed header").expect("a whole one").header_len;
    if bytes.len() > header_len {
        let behind = random_bytes(seed ^ u64::MAX, 8);
        for change in behind[..2 + 2 * (usize::from(behind[7]) % 3)].chunks(2) {
            let at = header_len + usize::from(change[0]) % (bytes.len() - header_len);
            bytes[at] = change[1];
        }
        // The flags of the fixed header, now and then.
        bytes[0] ^= if behind[6] < 16 { behind[6] } else { 0 };
        *report.damaged.entry(check_damaged(version, &bytes)).or_default() += 1;
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn print(title: &str, counts: &BTreeMap<&'static str, u64>) {
    println!("{title}: {}", counts.values().sum::<u64>());
    for (what, count) in counts {
        println!("{count:>9}  {what}");
    }
}

#[test]
fn both_codecs_agree() {
    let count = number("DIFFERENTIAL_PACKETS", SLICE);
    let first = number("DIFFERENTIAL_SEED", 1);
    let mut report = Report::default();
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    for seed in first..first + count {
        let result = panic::catch_unwind(AssertUnwindSafe(|| check(seed, &mut report)));
        if let Err(cause) = result {
            panic::set_hook(hook);
            let text = cause.downcast_ref::<String>().map_or("", String::as_str);
            panic!("DIFFERENTIAL_SEED={seed} DIFFERENTIAL_PACKETS=1: {text}");
        }
    }
    panic::set_hook(hook);
    println!("seeds {first} to {}", first + count - 1);
    print("generated packets", &report.whole);
    print("the same, damaged", &report.damaged);
    assert!(report.whole["the same in both"] * 10 > count * 7, "too little is compared");
}
