//! Bugs for the checkers to find. They sit between the session and the world, never in the session:
//! each changes what goes in or comes out as a session with that bug would.

use super::violation::Property;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// DUP is missing when a PUBLISH is sent again.
    NoDup,
    /// A QoS 2 message is delivered again when its PUBLISH comes again by the next connection.
    DeliversAgain,
    /// A message is acknowledged as soon as it came.
    AcknowledgesTooSoon,
    /// A QoS 2 message is called published as soon as PUBREC comes.
    PublishedTooSoon,
    /// Unfinished messages are forgotten with the server's session.
    DropsOnSessionLoss,
    /// That the server kept the session is overlooked: messages it received are published again.
    ForgetsReceipts,
    /// An alias goes out alone before the server has heard its topic.
    AliasTooSoon,
}

impl Mutant {
    /// Each, and what it may break first.
    pub(crate) const ALL: [(Self, &[Property]); 7] = [
        (Self::NoDup, &[Property::Dup]),
        (Self::DeliversAgain, &[Property::Duplicate]),
        (Self::AcknowledgesTooSoon, &[Property::Loss]),
        (Self::PublishedTooSoon, &[Property::Ticket, Property::Quota]),
        (Self::DropsOnSessionLoss, &[Property::Loss]),
        (Self::ForgetsReceipts, &[Property::Duplicate, Property::Loss]),
        (Self::AliasTooSoon, &[Property::Alias]),
    ];
}

/// The first byte of each packet in `bytes`, and where it stands; the packets are whole.
pub(crate) fn first_bytes(bytes: &[u8]) -> Vec<(usize, u8)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&first) = bytes.get(at) {
        found.push((at, first));
        let (mut length, mut shift) = (0, 0);
        loop {
            at += 1;
            let byte = bytes[at];
            length |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        at += 1 + length;
    }
    found
}

/// Takes DUP off every PUBLISH.
pub(crate) fn without_dup(bytes: &mut [u8]) {
    for (at, first) in first_bytes(bytes) {
        if first >> 4 == 3 {
            bytes[at] = first & !8;
        }
    }
}

/// Takes the topic off a PUBLISH of QoS 0 that has an alias; both are short.
pub(crate) fn without_named_topics(bytes: &[u8]) -> Vec<u8> {
    let mut changed = Vec::new();
    let starts = first_bytes(bytes);
    let ends = starts.iter().skip(1).map(|(at, _)| *at).chain([bytes.len()]);
    for (&(at, first), end) in starts.iter().zip(ends) {
        match &bytes[at..end] {
            [_, len, 0, 2, _, _, 3, 0x23, rest @ ..] if first >> 1 == 0x18 && *len < 128 => {
                changed.extend([first, len - 2, 0, 0, 3, 0x23]);
                changed.extend_from_slice(rest);
            }
            packet => changed.extend_from_slice(packet),
        }
    }
    changed
}

/// Puts a PUBCOMP behind every PUBREC that came whole.
pub(crate) fn with_early_pubcomp(bytes: &[u8]) -> Vec<u8> {
    let mut changed = Vec::new();
    for packet in bytes.chunks(4) {
        changed.extend_from_slice(packet);
        if let [0x50, 2, high, low] = packet {
            changed.extend([0x70, 2, *high, *low]);
        }
    }
    changed
}
