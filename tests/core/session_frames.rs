//! Packets as the transport cuts them: one byte at a time, many at once, one over many reads.

use bytes::Bytes;
use oxmqtt_protocol::codec::{QoS, Version};

use crate::VERSIONS;
use crate::session_rig::Rig;
use crate::session_wire::{Deliver, PINGRESP, PUBACK, PUBREL, Sent, ack, answer, connack, deliver};

/// A stream with everything a server says in a quiet hour.
fn stream(version: Version) -> Vec<u8> {
    let large = vec![7; 300];
    let publish = Deliver { topic: "large", payload: &large, ..Deliver::default() };
    [
        connack(version, false, 0, &[]),
        deliver(version, 0, 0),
        deliver(version, 1, 1),
        deliver(version, 2, 2),
        PINGRESP.to_vec(),
        publish.bytes(version),
        ack(PUBREL, 2),
        ack(PUBACK, 77),
        answer(version, 0x90, 78, &[1]),
        deliver(version, 0, 0),
    ]
    .concat()
}

#[test]
fn every_size_of_segment_means_the_same() {
    for version in VERSIONS {
        let stream = stream(version);
        for size in [1, 2, 3, 5, 7, 64, 301, stream.len()] {
            let mut rig = Rig::new(version);
            rig.connect();
            for segment in stream.chunks(size) {
                rig.feed(segment);
            }
            let lengths: Vec<_> =
                rig.messages().iter().map(|message| message.publish.payload().len()).collect();
            assert_eq!(lengths, [1, 1, 1, 300, 1], "segments of {size}");
            assert_eq!(rig.sent(), [Sent::PubComp(2, 0)]);
        }
    }
}

#[test]
fn every_cut_in_two_means_the_same() {
    let stream = stream(Version::V5);
    for cut in 0..=stream.len() {
        let mut rig = Rig::new(Version::V5);
        rig.connect();
        rig.feed(&stream[..cut]);
        rig.feed(&stream[cut..]);
        assert_eq!(rig.messages().len(), 5, "cut at {cut}");
    }
}

#[test]
fn a_packet_over_many_reads() {
    for version in VERSIONS {
        let payload: Vec<u8> = (0..1 << 20).map(|i: u32| i as u8).collect();
        let publish =
            Deliver { topic: "t", qos: 1, id: 3, payload: &payload, ..Deliver::default() };
        let mut rig = Rig::online(version);
        for chunk in publish.bytes(version).chunks(65_536) {
            assert_eq!(rig.messages().len(), 0);
            rig.feed(chunk);
        }
        assert_eq!(rig.messages()[0].publish.payload(), payload);
    }
}

#[test]
fn thousands_of_packets_in_one_read() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        let chunk = deliver(version, 0, 0).repeat(10_000);
        rig.feed(&chunk);
        assert_eq!(rig.messages().len(), 10_000);
    }
}

#[test]
fn payloads_share_the_chunk_they_came_in() {
    let mut rig = Rig::online(Version::V311);
    let chunk = Bytes::from(deliver(Version::V311, 0, 0).repeat(3));
    let range = chunk.as_ptr() as usize..chunk.as_ptr() as usize + chunk.len();
    rig.session.handle_input(chunk.clone(), rig.now);
    for message in rig.messages() {
        let at = message.publish.payload().as_ptr() as usize;
        assert!(range.contains(&at), "no copy");
    }
}

#[test]
fn an_empty_read_means_nothing() {
    for version in VERSIONS {
        let mut rig = Rig::online(version);
        rig.feed(&[]);
        rig.feed(&[0x30]);
        rig.feed(&[]);
        assert!(rig.session.is_online());
    }
}

#[test]
fn acknowledgements_of_one_read_refill_the_window_in_one_write() {
    let mut rig = Rig::with(|config| config.max_inflight = 100);
    for _ in 0..200 {
        rig.publish(QoS::AtLeastOnce);
    }
    assert_eq!(rig.go_online(false, &[]).len(), 100);
    let acks: Vec<u8> = (1..=100).flat_map(|id| ack(PUBACK, id)).collect();
    assert_eq!(rig.exchange(&acks).len(), 100);
}
