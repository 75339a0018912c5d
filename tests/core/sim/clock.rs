//! How time passes, and the deadlines that it brings.

use std::time::{Duration, Instant};

use super::violation::ensure;
use super::world::World;

/// How long a closing connection may take without progress.
const DRAIN: Duration = Duration::from_secs(5);
/// The most that a slow question gives its answer.
const MOST_PATIENCE: Duration = Duration::from_secs(60);

/// A PINGREQ that is not answered.
#[derive(Debug)]
pub(crate) struct Asked {
    since: Instant,
    half: Duration,
    /// How long the server may take none of our bytes while it does not have the question.
    bound: Duration,
    /// So many bytes are to be taken until it has.
    missing: usize,
    /// When it last took some of those.
    moved: Option<Instant>,
    /// When the process last woke from sleep.
    woke: Option<Instant>,
}

impl Asked {
    /// The question goes out behind `waiting` bytes that the server has not taken.
    pub(crate) fn new(now: Instant, interval: Duration, waiting: usize) -> Self {
        let half = interval / 2;
        let bound = if waiting > 0 { DRAIN.max(half) } else { half };
        let missing = if waiting > 0 { waiting + 2 } else { 0 };
        Self { since: now, half, bound, missing, moved: None, woke: None }
    }

    pub(crate) fn carry(&mut self, count: usize, now: Instant) {
        if self.missing > 0 && count > 0 {
            self.missing = self.missing.saturating_sub(count);
            self.moved = Some(now);
        }
    }

    /// Whether the server may be given up now.
    pub(crate) fn has_expired(&self, now: Instant) -> bool {
        match self.moved {
            Some(moved) if self.missing > 0 => now - moved >= self.half,
            _ => now - self.since >= self.half,
        }
    }

    /// When the server has to be given up at the latest: movement is seen with the next look, and
    /// what was long on its way is answered late.
    fn dead_at(&self) -> Instant {
        let Some(moved) = self.moved.max(self.woke) else { return self.since + self.bound };
        let seen = moved + self.half / 5;
        if self.missing > 0 {
            return seen + self.bound;
        }
        let on_its_way = seen - self.since;
        self.since + self.half.max(on_its_way + on_its_way.min(MOST_PATIENCE))
    }
}

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
        self.session.handle_timeout(now, reading, || 0);
        self.observe();
        let Some(link) = &self.link else { return };
        let open = link.end.is_none() && link.goodbye.is_none();
        if open && link.grant.is_none() {
            ensure!(Deadline, now < link.connack_due, "no CONNACK, no end");
        }
        if open && link.grant.is_some() && !link.interval.is_zero() {
            let dead_at = link.asked.as_ref().map_or(link.dead_at, Asked::dead_at);
            ensure!(Deadline, now < dead_at, "the server is dead and nobody sees it");
            let silent = now - link.sent;
            let sends = silent < link.interval || !link.up.is_empty();
            ensure!(Deadline, sends, "nothing sent for {silent:?}");
        }
        if link.goodbye.is_some() {
            // It is seen with the next look that something left.
            ensure!(Deadline, now < link.drained + DRAIN * 6 / 5, "closing takes too long");
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
            if let Some(asked) = &mut link.asked {
                asked.woke = Some(now);
            }
            link.connack_due = link.connack_due.max(now);
            link.drained = now;
        }
        self.time_is(now, true);
    }
}
