//! Faults on demand: what a test makes the broker do wrong.

use std::time::Duration;

use super::connection::Connection;
use oxmqtt_protocol::codec::ReasonCode;

/// Cuts connections in the middle of what they carry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// Bytes of both directions that may pass before.
    pub(super) after: u64,
    /// Connections that are still to be cut.
    pub(super) times: u32,
}

/// The faults that are switched on.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) refusal: Option<(ReasonCode, u32)>,
    pub(super) ack_delay: Duration,
    pub(super) lost_acks: u32,
    pub(super) cut: Option<Cut>,
    /// Which order to cut is the current one; bytes are counted from its time on.
    pub(super) cut_number: usize,
}

impl Faults {
    pub(super) fn take_refusal(&mut self) -> Option<ReasonCode> {
        let (reason, times) = self.refusal.as_mut()?;
        let reason = *reason;
        *times -= 1;
        if *times == 0 {
            self.refusal = None;
        }
        Some(reason)
    }

    pub(super) fn take_lost_ack(&mut self) -> bool {
        let is_lost = self.lost_acks > 0;
        self.lost_acks -= u32::from(is_lost);
        is_lost
    }

    /// What may still be received, and whether the connection is to be cut then.
    #[inline]
    pub(super) fn cut_input<'a>(
        &mut self,
        connection: &mut Connection,
        bytes: &'a [u8],
    ) -> (&'a [u8], bool) {
        match self.count(connection, bytes.len()) {
            Some(allowed) => (bytes.get(..allowed).unwrap_or(bytes), true),
            None => (bytes, false),
        }
    }

    /// Shortens what is sent; whether the connection is to be cut then.
    #[inline]
    pub(super) fn cut_output(&mut self, connection: &mut Connection, bytes: &mut Vec<u8>) -> bool {
        match self.count(connection, bytes.len()) {
            Some(allowed) => {
                bytes.truncate(allowed);
                true
            }
            None => false,
        }
    }

    /// Counts bytes that pass; how many still may when the connection is to be cut.
    #[inline]
    fn count(&mut self, connection: &mut Connection, length: usize) -> Option<usize> {
        let cut = self.cut.as_mut()?;
        if connection.is_closing() {
            return None;
        }
        if connection.passed.1 != self.cut_number {
            connection.passed = (0, self.cut_number);
        }
        let left = cut.after - connection.passed.0;
        if (length as u64) < left || length == 0 {
            connection.passed.0 += length as u64;
            return None;
        }
        cut.times -= 1;
        if cut.times == 0 {
            self.cut = None;
        }
        usize::try_from(left).ok()
    }
}
