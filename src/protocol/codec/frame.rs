//! The fixed header: packet type, flags, remaining length.

use super::primitives::{parse_variable, put_variable, variable_len};
use super::{DecodeError, EncodeError, MAX_REMAINING_LENGTH};

/// The fixed header of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Packet type and flags.
    pub first: u8,
    /// Length of the fixed header.
    pub header_len: usize,
    /// Length of what follows it.
    pub remaining: usize,
}

impl Frame {
    /// Length of the whole packet.
    pub const fn packet_len(&self) -> usize {
        self.header_len + self.remaining
    }
}

/// Reads the fixed header at the front of `buf`; `None` when more bytes are needed.
///
/// A remaining length of more than four bytes or in an over-long form is malformed
/// [MQTT-1.5.5-1]. The packet itself need not be in `buf` yet.
#[inline]
pub fn parse_frame(buf: &[u8]) -> Result<Option<Frame>, DecodeError> {
    let Some((&first, rest)) = buf.split_first() else {
        return Ok(None);
    };
    Ok(parse_variable(rest)?.map(|(remaining, used)| Frame {
        first,
        header_len: 1 + used,
        remaining: remaining as usize,
    }))
}

/// How long a packet with this remaining length is.
#[inline]
pub(super) const fn packet_len(remaining: usize) -> usize {
    1 + variable_len(remaining) + remaining
}

/// Appends a whole packet whose body `fill` writes; on an error `out` stays as it was.
pub(super) fn write_packet(
    out: &mut Vec<u8>,
    first: u8,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let mut body = Vec::new();
    fill(&mut body)?;
    if body.len() > MAX_REMAINING_LENGTH {
        return Err(EncodeError::PacketTooLarge);
    }
    out.try_reserve(packet_len(body.len()))?;
    out.push(first);
    put_variable(out, body.len());
    out.extend_from_slice(&body);
    Ok(())
}
