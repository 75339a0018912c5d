//! Fewer and larger system calls under load.
//!
//! A connection that moves small pieces in quick succession pays a system call, a lock and a wake
//! for each. So before the I/O thread goes to sleep after such a piece it naps for a moment, and
//! finds more the next time. A quiet connection never waits: only pieces that come closer than
//! [`CLOSE`] count.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::{Duration, Instant};

/// Pieces that come closer than this are worth waiting for.
const CLOSE: Duration = Duration::from_micros(40);
/// So many close pieces, with few others among them, are a flood.
const LONG_STREAK: u32 = 8;
/// How long the I/O thread naps; what the system's timer makes of it at the worst.
const NAP: Duration = Duration::from_micros(40);
const LONGEST_NAP: Duration = Duration::from_micros(200);
/// So many naps in a row, then the pace is looked at without.
const MOST_NAPS: u32 = 64;
/// Polls of tasks that deferred ones sit out.
const MOST_POLLS: u32 = 64;
/// A piece of this size is large enough.
const LARGE: usize = 16 << 10;

thread_local! {
    /// Polls of other tasks until deferred ones go on all the same; 0 when there are none.
    static PATIENCE: Cell<u32> = const { Cell::new(0) };
    static WANTED: Cell<bool> = const { Cell::new(false) };
    /// Tasks that let their output grow during the nap.
    static DEFERRED: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// The pace of one direction of a connection.
#[derive(Debug)]
pub(super) struct Pace {
    last: Instant,
    /// Small pieces that followed close on the one before, less what those cost that did not.
    streak: u32,
    /// Naps since the pieces were last seen without.
    naps: u32,
    /// Size of a piece that came without a nap.
    piece: usize,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { last: now, streak: 0, naps: 0, piece: 0 }
    }

    /// Notes a piece; whether it is one of many small ones that follow close on each other. A few
    /// do so in any exchange of question and answer, and those must not wait.
    pub(super) fn is_hurried(&mut self, now: Instant, size: usize) -> bool {
        let since = now.saturating_duration_since(self.last);
        self.last = now;
        let close = if self.naps > 0 {
            // A nap is our own doing; it was worth it if the piece has grown meanwhile.
            since < CLOSE + LONGEST_NAP && size >= self.piece + self.piece / 2
        } else {
            self.piece = size.max(self.piece - self.piece / 8);
            since < CLOSE
        };
        self.streak = match close && size < LARGE {
            true => (self.streak + 1).min(2 * LONG_STREAK),
            false => self.streak.saturating_sub(LONG_STREAK / 2),
        };
        if self.naps == MOST_NAPS {
            self.streak = 0;
        }
        let hurried = self.streak >= LONG_STREAK;
        self.naps = if hurried { self.naps + 1 } else { 0 };
        hurried
    }
}

/// Asks for a nap before the I/O thread sleeps.
pub(super) fn want_nap() {
    WANTED.set(true);
}

/// Asks for a nap, after which the task is polled again.
pub(super) fn defer(waker: &Waker) {
    DEFERRED.with_borrow_mut(|deferred| deferred.push(waker.clone()));
    PATIENCE.set(MOST_POLLS);
}

/// At each poll of a task: a thread that never sleeps must not hold deferred tasks up.
pub(super) fn resume_overdue() {
    match PATIENCE.get() {
        0 => {}
        1 => resume_deferred(),
        left => PATIENCE.set(left - 1),
    }
}

fn resume_deferred() {
    PATIENCE.set(0);
    DEFERRED.with_borrow_mut(|deferred| deferred.drain(..).for_each(Waker::wake));
}

/// Before the I/O thread sleeps.
pub(super) fn before_park() {
    if WANTED.take() || PATIENCE.get() > 0 {
        std::thread::sleep(NAP);
        resume_deferred();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICRO: Duration = Duration::from_micros(1);

    /// How many of `count` pieces were hurried; one that was is followed by a nap of 90 µs, in which
    /// `per_nap` times as much arrives.
    fn hurried(pace: &mut Pace, now: &mut Instant, count: u32, gap: u32, per_nap: usize) -> u32 {
        let (mut hurried, mut size) = (0, 80);
        for _ in 0..count {
            if pace.is_hurried(*now, size) {
                hurried += 1;
                *now += 90 * MICRO;
                size = 80 * per_nap;
            } else {
                *now += gap * MICRO;
                size = 80;
            }
        }
        hurried
    }

    #[test]
    fn a_flood_is_napped_through() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        assert!(hurried(&mut pace, &mut now, 1000, 14, 6) > 800);
    }

    #[test]
    fn question_and_answer_never_wait() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        assert_eq!(hurried(&mut pace, &mut now, 1000, 100, 1), 0);
    }

    #[test]
    fn question_and_answer_after_a_flood_wait_a_few_times_only() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        hurried(&mut pace, &mut now, 1000, 14, 6);
        assert!(hurried(&mut pace, &mut now, 1000, 100, 1) < 8);
    }
}
