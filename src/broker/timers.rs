//! What is due when. Each timer runs once at the most; setting it again moves it.

use std::collections::BTreeSet;
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::ids::{ConnectionId, SessionId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Timer {
    /// CONNECT has to be here.
    Connect(ConnectionId),
    /// One and a half keep-alive intervals may have passed in silence.
    KeepAlive(ConnectionId),
    /// An acknowledgement was held back until now.
    Late(ConnectionId),
    Will(SessionId),
    Expiry(SessionId),
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    at: FxHashMap<Timer, Instant>,
    order: BTreeSet<(Instant, Timer)>,
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        self.cancel(timer);
        self.at.insert(timer, at);
        self.order.insert((at, timer));
    }

    pub(super) fn cancel(&mut self, timer: Timer) {
        if let Some(at) = self.at.remove(&timer) {
            self.order.remove(&(at, timer));
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let &(at, timer) = self.order.first().filter(|(at, _)| *at <= now)?;
        self.order.remove(&(at, timer));
        self.at.remove(&timer);
        Some(timer)
    }
}
