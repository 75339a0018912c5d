//! The data types of section 1.5: integers, strings, binary data, variable byte integers.

use std::collections::TryReserveError;

use bytes::Bytes;
use bytestring::ByteString;

use super::{DecodeError, EncodeError};

/// The largest remaining length that four bytes can say.
pub const MAX_REMAINING_LENGTH: usize = 268_435_455;

/// Reads one packet body from front to back.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that is left.
    pub(super) fn remainder(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// The end of the packet must be reached here.
    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Malformed("bytes after the end of the packet"))
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(super) fn two_byte(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(super) fn four_byte(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(super) fn variable(&mut self) -> Result<u32, DecodeError> {
        match parse_variable(self.rest)? {
            Some((value, used)) => {
                self.rest = self.rest.get(used..).unwrap_or_default();
                Ok(value)
            }
            None => Err(SHORT),
        }
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(SHORT)?;
        self.rest = rest;
        Ok(head)
    }

    /// Binary data: a two byte length and so many bytes.
    #[inline]
    pub(super) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.two_byte()?;
        self.take(len.into())
    }

    /// A UTF-8 string.
    pub(super) fn text(&mut self) -> Result<&'a str, DecodeError> {
        checked_text(self.binary()?)
    }

    /// A property list behind its length.
    #[inline]
    pub(super) fn property_list(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.variable()?;
        self.take(len as usize)
    }

    /// A packet identifier, which is never zero [MQTT-2.2.1-3].
    #[inline]
    pub(super) fn packet_id(&mut self) -> Result<u16, DecodeError> {
        match self.two_byte()? {
            0 => Err(DecodeError::Protocol("packet identifier is zero")),
            id => Ok(id),
        }
    }
}

const SHORT: DecodeError = DecodeError::Malformed("packet ends too early");

/// UTF-8 without surrogates and without U+0000 [MQTT-1.5.4-1, MQTT-1.5.4-2]. A byte order mark stays
/// what it is, a character [MQTT-1.5.4-3].
pub(super) fn checked_text(bytes: &[u8]) -> Result<&str, DecodeError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| DecodeError::Malformed("string is not well-formed UTF-8"))?;
    if memchr::memchr(0, bytes).is_some() {
        return Err(DecodeError::Malformed("string contains U+0000"));
    }
    Ok(text)
}

/// A variable byte integer at the front of `buf`: its value and how many bytes it took; `None` when
/// bytes are missing. More than four bytes and over-long forms are malformed [MQTT-1.5.5-1].
#[inline]
pub(super) fn parse_variable(buf: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    let mut value = 0;
    for (i, &byte) in buf.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            if byte == 0 && i > 0 {
                return Err(DecodeError::Malformed("over-long variable byte integer"));
            }
            return Ok(Some((value, i + 1)));
        }
    }
    if buf.len() >= 4 {
        return Err(DecodeError::Malformed("variable byte integer of more than four bytes"));
    }
    Ok(None)
}

/// How many bytes a variable byte integer takes.
#[inline]
pub(super) const fn variable_len(value: usize) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

/// Writes a variable byte integer; `value` is at most [`MAX_REMAINING_LENGTH`].
#[inline]
pub fn put_variable(out: &mut Vec<u8>, value: usize) {
    debug_assert!(value <= MAX_REMAINING_LENGTH);
    let mut rest = value;
    while rest > 0x7f {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// A copy, where there is memory for it: of what may be large.
pub fn try_copy(bytes: &[u8]) -> Result<Vec<u8>, TryReserveError> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// Room that is kept free behind a field of any length, for the few bytes that may follow it.
const ROOM_BEHIND: usize = 16;

/// Appends a field of any length, where there is memory for it and a few bytes more.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), TryReserveError> {
    out.try_reserve(bytes.len() + ROOM_BEHIND)?;
    out.extend_from_slice(bytes);
    Ok(())
}

/// Writes binary data: its length in two bytes, then the bytes. `what` names the field in the error.
pub(super) fn put_binary(
    out: &mut Vec<u8>,
    bytes: &[u8],
    what: &'static str,
) -> Result<(), EncodeError> {
    let len = u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldTooLong(what))?;
    put_bytes(out, &len.to_be_bytes())?;
    put_bytes(out, bytes)?;
    Ok(())
}

/// Writes a UTF-8 string.
pub(super) fn put_text(
    out: &mut Vec<u8>,
    text: &str,
    what: &'static str,
) -> Result<(), EncodeError> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return Err(EncodeError::NulCharacter(what));
    }
    put_binary(out, text.as_bytes(), what)
}

/// Keeps `part` alive as a slice of `source`, without a copy. Bytes from elsewhere are copied.
#[inline]
pub(super) fn keep(part: &[u8], source: &Bytes) -> Bytes {
    if part.is_empty() {
        return Bytes::new();
    }
    let start = (part.as_ptr() as usize).wrapping_sub(source.as_ptr() as usize);
    match start.checked_add(part.len()) {
        Some(end) if end <= source.len() => source.slice(start..end),
        _ => Bytes::copy_from_slice(part),
    }
}

/// As [`keep`], for text that was checked.
pub(super) fn keep_text(text: &str, source: &Bytes) -> ByteString {
    ByteString::try_from(keep(text.as_bytes(), source)).unwrap_or_default()
}
