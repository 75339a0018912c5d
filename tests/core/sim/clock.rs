//! How time passes, and the deadlines that it brings.

use std::time::{Duration, Instant};

use super::violation::ensure;
use super::world::World;

/// How long a closing connection may take without progress.
const DRAIN: Duration = Duration::from_secs(5);

impl World {
    /// Lets time pass as the engine does: every deadline is met.
    pub(crate) fn wait(&mut self, time: Duration, reading: bool) {
        let end = self.now + time;
        let mut rounds = 0;
        while self.link.is_some() {
            let due = self.session.poll_timeout().filter(|due| *due <= end);
            let next = due.unwrap_or(end).max(self.now);
            self.time_is(next, reading);
            if due.is_none() {
                break;
            }
            rounds += 1;
            ensure!(Deadline, rounds < 100_000, "a deadline that does not move");
        }
        self.now = end;
    }

    /// One look at the clock.
    pub(crate) fn time_is(&mut self, now: Instant, reading: bool) {
        self.now = now;
        if let Some(link) = &mut self.link
            && !reading
        {
            link.hear(now);
            link.connack_due = now + self.options.connack_timeout;
        }
        self.session.handle_timeout(now, reading);
        self.observe();
        let Some(link) = &self.link else { return };
        let open = link.end.is_none() && link.goodbye.is_none();
        if open && link.grant.is_none() {
            ensure!(Deadline, now < link.connack_due, "no CONNACK, no end");
        }
        if open && link.grant.is_some() && !link.interval.is_zero() {
            ensure!(Deadline, now < link.dead_at, "the server is dead and nobody sees it");
            let silent = now - link.sent;
            ensure!(Deadline, silent < link.interval, "nothing sent for {silent:?}");
        }
        if link.goodbye.is_some() {
            ensure!(Deadline, now < link.drained + DRAIN, "closing takes too long");
        }
        let due = self.session.poll_timeout();
        ensure!(Deadline, due.is_none_or(|due| due > now), "a deadline in the past");
    }

    /// The process sleeps; then it looks at the clock once.
    pub(crate) fn leap(&mut self, time: Duration) {
        let now = self.now + time;
        if let Some(link) = &mut self.link {
            // Nobody could look: the server has half an interval from now to answer the question.
            link.dead_at = link.dead_at.max(now + link.interval / 2);
            link.connack_due = link.connack_due.max(now);
        }
        self.time_is(now, true);
    }
}
