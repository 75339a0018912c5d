//! What the session costs: messages out, messages in, and the window of unacknowledged messages.

#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use oxmqtt_protocol::codec::{
    AckKind, Properties, PublishParts, QoS, ReasonCode, Version, encode_ack, encode_publish,
};
use oxmqtt_protocol::session::{ConnectOptions, Event, Outgoing, Session, SessionConfig};

const TOPIC: &str = "building/3/room/17/temperature";
const PAYLOAD: [u8; 64] = [7; 64];
/// Messages of one measurement, fewer than there are packet identifiers.
const BATCH: u16 = 1_000;
const CHUNK: usize = 64 << 10;

fn online(version: Version, max_inflight: u16, now: Instant) -> Session {
    let mut session =
        Session::new(SessionConfig { version, max_inflight, ..SessionConfig::default() });
    let options = ConnectOptions {
        client_id: "bench".into(),
        clean_start: true,
        keep_alive: 60,
        username: None,
        password: None,
        will: None,
        properties: Properties::default(),
        bridge: false,
        connack_timeout: Duration::from_secs(5),
    };
    assert!(session.connect(&options, now).is_ok());
    let connack: &[u8] = match version {
        Version::V5 => &[0x20, 3, 0, 0, 0],
        Version::V31 | Version::V311 => &[0x20, 2, 0, 0],
    };
    session.handle_input(Bytes::from_static(connack), now);
    assert!(session.is_online());
    discard_output(&mut session, &mut Vec::new(), now);
    session.drain_events();
    session
}

fn discard_output(session: &mut Session, buffer: &mut Vec<u8>, now: Instant) {
    buffer.clear();
    session.take_output(buffer);
    session.handle_written(buffer.len(), now);
}

fn message(qos: QoS) -> Outgoing<'static> {
    Outgoing {
        topic: TOPIC,
        payload: &PAYLOAD,
        qos,
        retain: false,
        properties: &[],
        topic_alias: None,
    }
}

fn acks(version: Version, kind: AckKind, ids: impl Iterator<Item = u16>) -> Bytes {
    let mut out = Vec::new();
    for id in ids {
        encode_ack(&mut out, version, kind, id, ReasonCode::SUCCESS, &[]);
    }
    Bytes::from(out)
}

/// As many PUBLISH packets as a read of the engine holds, and how many.
fn chunk(version: Version, qos: QoS) -> (Bytes, u16) {
    let mut out = Vec::new();
    let mut count = 0;
    while out.len() < CHUNK - 110 {
        count += 1;
        let parts = PublishParts {
            qos,
            topic: TOPIC,
            packet_id: count,
            payload: &PAYLOAD,
            ..PublishParts::default()
        };
        assert_eq!(encode_publish(&mut out, version, &parts), Ok(()));
    }
    (Bytes::from(out), count)
}

/// From `publish` to encoded bytes; at QoS > 0 into the ledger as well.
fn publish(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish");
    group.throughput(Throughput::Elements(BATCH.into()));
    let now = Instant::now();
    for version in [Version::V311, Version::V5] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut buffer = Vec::with_capacity(1 << 20);
            group.bench_function(format!("{version:?} QoS {}", qos as u8), |b| {
                b.iter_batched_ref(
                    || online(version, 0, now),
                    |session| {
                        for _ in 0..BATCH {
                            assert!(session.publish(black_box(&message(qos))).is_ok());
                        }
                        discard_output(session, &mut buffer, now);
                    },
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

/// Publish, all acknowledgements, end: the whole life of a message.
fn round_trip(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish and acknowledge");
    group.throughput(Throughput::Elements(BATCH.into()));
    let now = Instant::now();
    let version = Version::V311;
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let steps: &[AckKind] = match qos {
            QoS::ExactlyOnce => &[AckKind::PubRec, AckKind::PubComp],
            _ => &[AckKind::PubAck],
        };
        let answers: Vec<_> = steps.iter().map(|kind| acks(version, *kind, 1..=BATCH)).collect();
        let mut buffer = Vec::with_capacity(1 << 20);
        group.bench_function(format!("QoS {}", qos as u8), |b| {
            b.iter_batched_ref(
                || online(version, 0, now),
                |session| {
                    for _ in 0..BATCH {
                        assert!(session.publish(black_box(&message(qos))).is_ok());
                    }
                    for answer in &answers {
                        session.handle_input(answer.clone(), now);
                    }
                    assert_eq!(session.unfinished(), 0);
                    discard_output(session, &mut buffer, now);
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// A backlog goes out through a window of 20: each acknowledgement lets the next message go.
fn window(c: &mut Criterion) {
    let mut group = c.benchmark_group("window of 20");
    group.throughput(Throughput::Elements(BATCH.into()));
    let now = Instant::now();
    let version = Version::V311;
    for together in [1, 20] {
        let ids: Vec<u16> = (1..=BATCH).collect();
        let answers: Vec<_> = ids
            .chunks(together)
            .map(|ids| acks(version, AckKind::PubAck, ids.iter().copied()))
            .collect();
        let mut buffer = Vec::with_capacity(1 << 20);
        group.bench_function(format!("{together} PUBACK per read"), |b| {
            b.iter_batched_ref(
                || {
                    let mut session = online(version, 20, now);
                    for _ in 0..BATCH {
                        assert!(session.publish(&message(QoS::AtLeastOnce)).is_ok());
                    }
                    session
                },
                |session| {
                    for answer in &answers {
                        session.handle_input(answer.clone(), now);
                        discard_output(session, &mut buffer, now);
                    }
                    assert_eq!(session.unfinished(), 0);
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// One read of 64 KiB to events, and at QoS 1 the acknowledgements back.
fn receive(c: &mut Criterion) {
    let mut group = c.benchmark_group("receive 64 KiB");
    let now = Instant::now();
    for version in [Version::V311, Version::V5] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            let (chunk, count) = chunk(version, qos);
            group.throughput(Throughput::Elements(count.into()));
            let mut session = online(version, 0, now);
            let mut buffer = Vec::with_capacity(CHUNK);
            group.bench_function(format!("{version:?} QoS {}", qos as u8), |b| {
                b.iter(|| {
                    session.handle_input(chunk.clone(), now);
                    let epoch = session.epoch();
                    let messages = black_box(session.drain_events()).filter(is_message).count();
                    assert_eq!(messages, usize::from(count));
                    if qos == QoS::AtLeastOnce {
                        for id in 1..=count {
                            session.acknowledge(id, qos, epoch);
                        }
                        discard_output(&mut session, &mut buffer, now);
                    }
                });
            });
        }
        let (chunk, count) = chunk(version, QoS::AtMostOnce);
        group.throughput(Throughput::Elements(count.into()));
        let mut session = online(version, 0, now);
        group.bench_function(format!("{version:?} QoS 0 in reads of 1,000 bytes"), |b| {
            b.iter(|| {
                for start in (0..chunk.len()).step_by(1_000) {
                    let end = chunk.len().min(start + 1_000);
                    session.handle_input(chunk.slice(start..end), now);
                }
                let messages = black_box(session.drain_events()).filter(is_message).count();
                assert_eq!(messages, usize::from(count));
            });
        });
    }
    group.finish();
}

fn is_message(event: &Event) -> bool {
    matches!(event, Event::Message(_))
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = publish, round_trip, window, receive
}
criterion_main!(benches);
