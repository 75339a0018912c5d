//! How much the decoder allocates for what a peer sends.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use oxmqtt_protocol::codec::{PacketType, Version, decode, parse_frame};
use proptest::prelude::*;

use crate::codec_packets::packet;
use crate::{VERSIONS, encode_packet, hex};

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

/// Counts what a thread allocates.
struct Counting;

fn count(size: usize) {
    let _ = ALLOCATED.try_with(|total| total.set(total.get() + size));
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What decoding this packet allocates, its result included.
fn allocated_by(version: Version, first: u8, source: &Bytes) -> usize {
    // The first share of a buffer allocates its count; that is the reader's, not the packet's.
    let shared = source.clone();
    let before = ALLOCATED.get();
    let packet = decode(version, first, &shared, &shared);
    let allocated = ALLOCATED.get() - before;
    drop(packet);
    allocated
}

/// The packets with one entry for each topic filter; only a client sends them.
fn is_list(first: u8) -> bool {
    matches!(
        PacketType::from_first_byte(first),
        Some(PacketType::Subscribe | PacketType::Unsubscribe)
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(first: u8, body in proptest::collection::vec(0..40u8, 0..200)) {
        let source = Bytes::from(body);
        for version in VERSIONS {
            let limit = if is_list(first) { 40 * source.len() + 4096 } else { source.len() + 4096 };
            prop_assert!(allocated_by(version, first, &source) <= limit);
        }
    }

    #[test]
    fn well_formed_packets(packet in packet(Version::V5)) {
        let bytes = encode_packet(Version::V5, &packet);
        let header_len = parse_frame(&bytes).unwrap().unwrap().header_len;
        let source = Bytes::from(bytes).slice(header_len..);
        let limit = if is_list(packet.packet_type().first_byte()) { usize::MAX } else { 512 };
        prop_assert!(allocated_by(Version::V5, packet.packet_type().first_byte(), &source) <= limit);
    }
}

#[test]
fn a_publish_and_an_acknowledgement_allocate_nothing() {
    let source = Bytes::from(hex("0001 't' 0007 03 23 0001 'payload'"));
    assert_eq!(allocated_by(Version::V5, 0x32, &source), 0);
    let source = Bytes::from(hex("0007 00 05 1F 0002 'no'"));
    assert_eq!(allocated_by(Version::V5, 0x40, &source), 0);
}

#[test]
fn a_hundred_thousand_user_properties_allocate_nothing() {
    let list = hex("26 0000 0000").repeat(100_000);
    let mut body = hex("00 00");
    // The property length, 500,000.
    body.extend_from_slice(&hex("A0C21E"));
    body.extend_from_slice(&list);
    let source = Bytes::from(body);
    assert!(decode(Version::V5, 0x20, &source, &source).is_ok());
    assert_eq!(allocated_by(Version::V5, 0x20, &source), 0);
}

#[test]
fn what_a_length_claims_is_not_allocated() {
    // A binary field, a property list and a topic that say they are far longer than the packet.
    for (first, body) in [(0x30, "FFFF 'abc'"), (0x32, "0001 't' 0001 FFFFFF7F"), (0x10, "FFFF")] {
        let source = Bytes::from(hex(body));
        assert!(decode(Version::V5, first, &source, &source).is_err());
        assert_eq!(allocated_by(Version::V5, first, &source), 0);
    }
}
