//! `Partial`: the bytes of a packet whose rest is still to come.

use std::collections::TryReserveError;
use std::ops::Deref;

use bytes::Bytes;

use super::parse_frame;

/// Received bytes that begin with an unfinished packet.
#[derive(Debug, Default)]
pub struct Partial(Vec<u8>);

impl Partial {
    /// Appends received bytes. Memory grows with what has come, not with the length that a header claims.
    ///
    /// # Errors
    /// There is no memory for them; nothing was appended.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), TryReserveError> {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let packet = parse_frame(&self.0).ok().flatten().map_or(0, |frame| frame.packet_len());
            // Twice as much each time, and no more than the packet takes.
            let wanted = packet.min(2 * self.0.capacity()).max(needed);
            self.0.try_reserve_exact(wanted - self.0.len())?;
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes the bytes out.
    pub fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.0))
    }
}

impl Deref for Partial {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
