//! Telling a slow peer from one that takes nothing.

use std::time::{Duration, Instant};

/// Looks within the time after which a peer counts as stalled.
pub(super) const LOOKS: u32 = 5;

/// Watches the offset up to which the peer has taken our bytes, look by look.
#[derive(Clone, Debug)]
pub struct StallWatch {
    pub(super) bound: Duration,
    every: Duration,
    taken: u64,
    pub(super) moved: Instant,
    looked: Instant,
}

impl StallWatch {
    /// The peer has taken `taken` bytes by now, and counts as stalled when it takes none for `bound`.
    pub fn new(taken: u64, now: Instant, bound: Duration) -> Self {
        Self { bound, every: bound / LOOKS, taken, moved: now, looked: now }
    }

    pub(super) fn looking_every(self, every: Duration) -> Self {
        Self { every, ..self }
    }

    /// When to look next.
    pub fn deadline(&self) -> Instant {
        (self.moved + self.bound).min(self.looked + self.every)
    }

    /// A look: whether the peer has taken nothing for too long.
    pub fn has_stalled(&mut self, taken: u64, now: Instant) -> bool {
        if self.look(taken, now) {
            self.moved = now;
        }
        self.is_over(now)
    }

    /// Whether the peer has taken bytes since the last look.
    pub(super) fn look(&mut self, taken: u64, now: Instant) -> bool {
        self.looked = now;
        taken > std::mem::replace(&mut self.taken, taken)
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.moved + self.bound
    }
}
