//! A session whose application has gone: it hands over what it accepted, and then ends.
//!
//! It goes on as long as that makes progress, within bounds. Messages that arrive meanwhile are not
//! acknowledged, so that the server keeps them. No DISCONNECT is sent unasked: the server publishes the
//! will.

use std::time::{Duration, Instant};

use super::event::Closed;
use super::{Leaving, Phase, Session};

/// How long it goes on without progress, and at all.
const STALLED: Duration = Duration::from_secs(5);
const LATEST: Duration = Duration::from_secs(30);
/// How often it looks for progress.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Session {
    /// The application has gone. [`Self::wants_close`] says when everything is handed over.
    pub fn leave(&mut self, now: Instant) {
        self.events.clear();
        self.leaving = Some(Leaving {
            latest: now + LATEST,
            progressed: now,
            look_at: now + LOOK_EVERY,
            seen: self.progress(0),
        });
    }

    /// Whether [`Self::leave`] was called for this connection.
    pub fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Whether nothing of what was accepted would be lost if the transport were closed now: QoS 0 is
    /// written, QoS 1 and 2 acknowledged. Before CONNACK that is so only if nothing was accepted, since
    /// a server may throw away what it has not read when it finds that the client is gone.
    pub fn is_handed_over(&self) -> bool {
        let quiet = self.out.unsent() == 0 && self.ledger.len() == 0 && !self.is_disconnecting();
        match self.phase {
            Phase::AwaitConnAck { .. } => quiet && self.out.queued() == self.connect_size,
            _ => quiet,
        }
    }

    /// Messages that are accepted and not handed over.
    pub fn not_handed_over(&self) -> usize {
        self.ledger.len() + self.out.waiting_marks()
    }

    pub(super) fn leaving_deadline(&self) -> Option<Instant> {
        self.leaving.as_ref().map(|leaving| leaving.look_at)
    }

    /// Changes when the connection makes progress: when the peer, which has yet to acknowledge `held` of
    /// the bytes that the transport took, acknowledges some.
    pub fn progress(&self, held: usize) -> (u64, usize, bool) {
        (self.taken(held), self.ledger.len(), self.is_online())
    }

    /// Ends the connection when it has gone on for long enough.
    pub(super) fn leave_in_time(&mut self, now: Instant, held: impl FnOnce() -> usize) {
        if self.leaving.as_ref().is_none_or(|leaving| now < leaving.look_at) {
            return;
        }
        let seen = self.progress(held());
        let Some(leaving) = &mut self.leaving else { return };
        if leaving.seen != seen {
            leaving.seen = seen;
            leaving.progressed = now;
        }
        leaving.look_at = now + LOOK_EVERY;
        let is_stalled = now >= leaving.progressed + STALLED;
        let is_connected = matches!(self.phase, Phase::AwaitConnAck { .. } | Phase::Online);
        if is_connected && (is_stalled || now >= leaving.latest) {
            self.phase = Phase::Ended { closed: Closed::Lost("the client has gone".into()) };
        }
    }
}
