//! Where another thread carries the bytes on, as Python's `ssl` does behind a socket pair: what the socket
//! took is not with the kernel yet. A packet has left when the other side says so.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::core::Core;

/// The other side's way to tell a connection how far its bytes got.
#[derive(Debug, Default)]
pub struct Relay(Mutex<Option<(Weak<Core>, u32)>>);

impl Relay {
    /// What is passed on from now on is that connection's; before, it was handshakes.
    pub(super) fn attach(&self, core: &Arc<Core>, epoch: u32) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Arc::downgrade(core), epoch));
    }

    /// So many bytes more are with the kernel.
    pub fn passed_on(&self, count: usize) {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((core, epoch)) = connection
            && let Some(core) = core.upgrade()
        {
            core.handle_passed_on(epoch, count);
        }
    }
}
