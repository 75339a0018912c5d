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
/// So many close pieces in a row are a flood.
const LONG_STREAK: u32 = 8;
/// How long the I/O thread naps.
const NAP: Duration = Duration::from_micros(40);
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
    /// Small pieces in a row that followed close on the one before.
    streak: u32,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { last: now, streak: 0 }
    }

    /// Notes a piece; whether it is one of many small ones that follow close on each other. A few
    /// do so in any exchange of question and answer, and those must not wait.
    pub(super) fn is_hurried(&mut self, now: Instant, size: usize) -> bool {
        let close = now.saturating_duration_since(self.last) < CLOSE && size < LARGE;
        self.last = now;
        self.streak = if close { self.streak.saturating_add(1) } else { 0 };
        self.streak >= LONG_STREAK
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
