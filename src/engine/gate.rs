//! Keeps threads that wait without the interpreter lock out of the engine's locks while the process
//! forks.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A fork is under way: threads that wait without the interpreter lock keep out of the engine's.
static FORKING: AtomicBool = AtomicBool::new(false);
/// Threads that wait in the engine without the interpreter lock.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Held by a thread that waits without the interpreter lock, while it may hold one of the engine's.
pub(super) struct Waiting;

impl Waiting {
    pub(super) fn enter() -> Self {
        loop {
            WAITING.fetch_add(1, Ordering::SeqCst);
            if !is_forking() {
                return Self;
            }
            WAITING.fetch_sub(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether a [`Waiting`] thread has to let go.
pub(super) fn is_forking() -> bool {
    FORKING.load(Ordering::SeqCst)
}

/// Whether there are [`Waiting`] threads.
pub(super) fn has_waiting() -> bool {
    WAITING.load(Ordering::SeqCst) > 0
}

pub(super) fn close() {
    FORKING.store(true, Ordering::SeqCst);
}

pub(super) fn open() {
    FORKING.store(false, Ordering::SeqCst);
}

/// In a forked child, which has none of the threads.
pub(super) fn start_anew() {
    open();
    WAITING.store(0, Ordering::SeqCst);
}
