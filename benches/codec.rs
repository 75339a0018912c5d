//! What the codec costs: small PUBLISH packets and acknowledgements both ways, the rest for scale.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use oxmqtt_protocol::codec::{
    Ack, AckKind, Packet, PropertiesBuilder, PropertyId, PropertyValue, PublishParts, QoS,
    ReasonCode, Version, decode, encode_ack, encode_publish, parse_frame,
};
use oxmqtt_protocol::topic;

const TOPIC: &str = "building/3/room/17/temperature";

fn publish_packet(version: Version, qos: QoS, properties: &[u8], payload: &[u8]) -> Bytes {
    let parts = PublishParts {
        qos,
        topic: TOPIC,
        packet_id: 7,
        properties,
        payload,
        ..PublishParts::default()
    };
    let mut out = Vec::new();
    assert_eq!(encode_publish(&mut out, version, &parts), Ok(()));
    Bytes::from(out)
}

fn some_properties() -> Vec<u8> {
    let mut builder = PropertiesBuilder::new(oxmqtt_protocol::codec::PacketType::Publish);
    for (id, value) in [
        (PropertyId::PayloadFormatIndicator, PropertyValue::Byte(1)),
        (PropertyId::ContentType, PropertyValue::Text("application/json")),
        (PropertyId::UserProperty, PropertyValue::Pair("source", "sensor-17")),
    ] {
        assert!(builder.push(id, value).is_ok());
    }
    builder.build().as_bytes().to_vec()
}

/// Decodes every packet of a read, as a session does.
fn decode_all(version: Version, chunk: &Bytes, mut each: impl FnMut(Packet)) {
    let mut rest: &[u8] = chunk;
    while let Ok(Some(frame)) = parse_frame(rest) {
        let (packet, next) = rest.split_at(frame.packet_len());
        if let Ok(packet) = decode(version, frame.first, &packet[frame.header_len..], chunk) {
            each(packet);
        }
        rest = next;
    }
}

fn decoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    let properties = some_properties();
    let payload = [b'x'; 64];
    let cases = [
        ("publish 64 B, QoS 0, 3.1.1", Version::V311, QoS::AtMostOnce, &[][..]),
        ("publish 64 B, QoS 1, 3.1.1", Version::V311, QoS::AtLeastOnce, &[]),
        ("publish 64 B, QoS 0, 5.0", Version::V5, QoS::AtMostOnce, &[]),
        ("publish 64 B, QoS 0, 5.0, 3 properties", Version::V5, QoS::AtMostOnce, &properties),
    ];
    const PACKETS: usize = 500;
    group.throughput(Throughput::Elements(PACKETS as u64));
    for (name, version, qos, properties) in cases {
        let chunk = Bytes::from(publish_packet(version, qos, properties, &payload).repeat(PACKETS));
        group.bench_function(name, |b| {
            b.iter(|| decode_all(version, black_box(&chunk), |packet| drop(black_box(packet))));
        });
    }
    for version in [Version::V311, Version::V5] {
        let chunk = Bytes::from([0x40, 2, 0, 7].repeat(PACKETS));
        group.bench_function(format!("puback of 4 bytes, {version:?}"), |b| {
            b.iter(|| decode_all(version, black_box(&chunk), |packet| drop(black_box(packet))));
        });
        let body = Bytes::from_static(&[0, 7]);
        group.bench_function(format!("puback body x500, {version:?}"), |b| {
            b.iter(|| {
                for _ in 0..PACKETS {
                    drop(black_box(Ack::decode(version, AckKind::PubAck, black_box(&body), &body)));
                }
            });
        });
    }
    group.finish();
}

fn encoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    let properties = some_properties();
    let payload = [b'x'; 64];
    let cases = [
        ("publish 64 B, QoS 0, 3.1.1", Version::V311, QoS::AtMostOnce, &[][..]),
        ("publish 64 B, QoS 1, 3.1.1", Version::V311, QoS::AtLeastOnce, &[]),
        ("publish 64 B, QoS 0, 5.0", Version::V5, QoS::AtMostOnce, &[]),
        ("publish 64 B, QoS 0, 5.0, 3 properties", Version::V5, QoS::AtMostOnce, &properties),
    ];
    const PACKETS: usize = 500;
    group.throughput(Throughput::Elements(PACKETS as u64));
    let mut out = Vec::with_capacity(1 << 20);
    for (name, version, qos, properties) in cases {
        let parts = PublishParts {
            qos,
            topic: TOPIC,
            packet_id: 7,
            properties,
            payload: &payload,
            ..PublishParts::default()
        };
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                for _ in 0..PACKETS {
                    let _ = black_box(encode_publish(&mut out, version, black_box(&parts)));
                }
            });
        });
    }
    group.bench_function("puback of 4 bytes", |b| {
        b.iter(|| {
            out.clear();
            for id in 1..=PACKETS as u16 {
                let reason = black_box(ReasonCode::SUCCESS);
                encode_ack(&mut out, Version::V5, AckKind::PubAck, black_box(id), reason, &[]);
            }
        });
    });
    group.finish();
}

fn matching(c: &mut Criterion) {
    let mut group = c.benchmark_group("topic");
    for filter in ["building/+/room/+/temperature", "building/3/#", "other/#"] {
        group.bench_function(format!("matches {filter}"), |b| {
            b.iter(|| topic::matches(black_box(filter), black_box(TOPIC)));
        });
    }
    group.bench_function("is_valid_name", |b| {
        b.iter(|| topic::is_valid_name(black_box(TOPIC)));
    });
    group.finish();
}

criterion_group!(benches, decoding, encoding, matching);
criterion_main!(benches);
