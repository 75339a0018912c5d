//! WebSocket frames without a network: any split of the input, masks, replies, and damaged input.
#![allow(clippy::unwrap_used)]

use oxmqtt_engine::websocket::{End, Fault, WebSocket};
use oxmqtt_engine::{UpgradeError, check_answer};
use proptest::prelude::*;

/// A frame as a server sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut made = vec![first];
    match payload.len() {
        length @ 0..126 => made.push(length as u8),
        length @ 126..0x1_0000 => {
            made.push(126);
            made.extend((length as u16).to_be_bytes());
        }
        length => {
            made.push(127);
            made.extend((length as u64).to_be_bytes());
        }
    }
    made.extend(payload);
    made
}

fn decode(websocket: &mut WebSocket, input: &[u8], split: usize) -> Vec<u8> {
    let mut payload = Vec::new();
    for piece in input.chunks(split) {
        let mut piece = piece.to_vec();
        let count = websocket.decode(&mut piece);
        payload.extend(&piece[..count]);
    }
    payload
}

/// First byte and unmasked payload of each frame a client made.
fn open(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert!(second & 0x80 != 0, "not masked");
        let (length, rest) = match second & 0x7F {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            length => (usize::from(length), rest),
        };
        let (mask, rest) = rest.split_at(4);
        let payload =
            rest[..length].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        frames.push((*first, payload.collect()));
        bytes = &rest[length..];
    }
    frames
}

proptest! {
    #[test]
    fn any_split_gives_the_same_payload(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..8),
        split in 1_usize..50,
    ) {
        let mut input = Vec::new();
        for (number, payload) in payloads.iter().enumerate() {
            let is_last = number + 1 == payloads.len();
            let opcode = if number == 0 { 2 } else { 0 };
            input.extend(frame(opcode | if is_last { 0x80 } else { 0 }, payload));
            input.extend(frame(0x8A, b"pong"));
        }
        let mut websocket = WebSocket::default();
        prop_assert_eq!(decode(&mut websocket, &input, split), payloads.concat());
        prop_assert_eq!(websocket.end(), None);
    }

    #[test]
    fn what_is_encoded_is_masked_and_whole(payload in prop::collection::vec(any::<u8>(), 0..70_000)) {
        let mut output = Vec::new();
        WebSocket::default().encode(&payload, &mut output).unwrap();
        prop_assert_eq!(open(&output), vec![(0x82, payload)]);
    }

    #[test]
    fn any_bytes_end_in_order(input in prop::collection::vec(any::<u8>(), 0..300), split in 1_usize..50) {
        let mut websocket = WebSocket::default();
        let payload = decode(&mut websocket, &input, split);
        prop_assert!(payload.len() <= input.len());
        let mut replies = Vec::new();
        websocket.encode_replies(&mut replies).unwrap();
        let closes = open(&replies).iter().filter(|(first, _)| *first == 0x88).count();
        prop_assert_eq!(closes, usize::from(websocket.end().is_some()));
    }

    #[test]
    fn any_answer_is_judged(answer in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(!matches!(check_answer(&answer, "key"), Ok(Some(_))));
    }
}

#[test]
fn a_fault_ends_the_input() {
    let mut websocket = WebSocket::default();
    let mut input = [frame(0x82, b"good"), frame(0x81, b"text"), frame(0x82, b"late")].concat();
    let count = websocket.decode(&mut input);
    assert_eq!(&input[..count], b"good");
    assert_eq!(websocket.end(), Some(End::Fault(Fault::Text)));
    let mut replies = Vec::new();
    websocket.encode_replies(&mut replies).unwrap();
    assert_eq!(open(&replies), [(0x88, 1003_u16.to_be_bytes().to_vec())]);
    websocket.close();
    let before = replies.len();
    websocket.encode_replies(&mut replies).unwrap();
    assert_eq!(replies.len(), before, "one close frame is enough");
}

#[test]
fn a_length_of_an_exabyte_reserves_nothing() {
    let mut websocket = WebSocket::default();
    let mut input = vec![0x82, 127];
    input.extend((i64::MAX as u64).to_be_bytes());
    input.extend(b"beginning");
    let count = websocket.decode(&mut input);
    assert_eq!(&input[..count], b"beginning");
}

#[test]
fn the_example_of_the_standard() {
    let answer =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    for end in 0..answer.len() {
        assert_eq!(check_answer(&answer[..end], key), Ok(None));
    }
    assert_eq!(check_answer(answer, key), Ok(Some(answer.len())));
    assert_eq!(check_answer(answer, "another"), Err(UpgradeError::Key));
}
