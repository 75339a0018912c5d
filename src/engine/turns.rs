//! Turns: how many of the threads that run loops go for the interpreter at one time.
//!
//! A thread that waits for the interpreter's lock wakes two hundred times a second to ask for it. When
//! a broker drops a thousand clients, a thousand loop threads wake and wait for it, and the process does
//! little else. So those that have something to do come back from their wait a few at a time.
//!
//! A turn lasts until the thread waits again. Those who stay away, in a callback that blocks, keep
//! nobody waiting: when none of those inside has come back for a moment, all their turns are over. The
//! moment is longer where the interpreter is in demand, for then they may only lack the time.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;

use super::gate;

/// Turns at one time.
const MOST: usize = 16;
/// After so long without any coming or going, those inside count as away.
const STALLED: Duration = Duration::from_millis(10);
/// The same where the interpreter is in demand, or the machine: then they have just not had their time.
const STALLED_WHEN_BUSY: Duration = Duration::from_millis(100);
/// Who waits longer than this for the interpreter finds it in demand.
const BUSY: Duration = Duration::from_millis(3);

#[derive(Debug)]
struct State {
    /// Turns of an earlier round are over.
    round: u64,
    inside: usize,
    /// When a turn began or ended.
    moved: Option<Instant>,
    waiting: usize,
    /// One of those who wait looks out for a stall.
    watched: bool,
}

#[derive(Debug)]
struct Turns {
    state: Mutex<State>,
    freed: Condvar,
}

static TURNS: Turns = Turns {
    state: Mutex::new(State { round: 0, inside: 0, moved: None, waiting: 0, watched: false }),
    freed: Condvar::new(),
};

/// Held by a thread from one wait to the next.
struct Turn {
    round: u64,
}

/// Those who have a turn and do not have the interpreter yet.
static ATTACHING: AtomicUsize = AtomicUsize::new(0);
/// Set when one of them has waited long, and less with each that has not.
static BUSY_SIGNS: AtomicUsize = AtomicUsize::new(0);

thread_local!(static TURN: Cell<Option<Turn>> = const { Cell::new(None) });

impl Drop for Turn {
    fn drop(&mut self) {
        let _waiting = gate::Waiting::enter();
        let mut state = TURNS.lock();
        if state.round == self.round {
            state.inside -= 1;
            state.moved = Some(Instant::now());
            TURNS.call_next(state);
        }
    }
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call_next(&self, state: MutexGuard<'_, State>) {
        let calls = state.waiting > 0;
        drop(state);
        if calls {
            self.freed.notify_one();
        }
    }

    fn take(&self) -> Turn {
        loop {
            let waiting = gate::Waiting::enter();
            let turn = self.take_unless_forking();
            drop(waiting);
            if let Some(turn) = turn {
                return turn;
            }
        }
    }

    fn take_unless_forking(&self) -> Option<Turn> {
        let mut state = self.lock();
        let mut watches = false;
        let turn = loop {
            let now = Instant::now();
            if state.inside < MOST {
                state.inside += 1;
                state.moved = Some(now);
                break Some(Turn { round: state.round });
            }
            if gate::is_forking() {
                break None;
            }
            if ATTACHING.load(Ordering::Relaxed) > 0 {
                state.moved = Some(now); // one more would only wait with them
            }
            let stalled = match BUSY_SIGNS.load(Ordering::Relaxed) {
                0 => STALLED,
                _ => STALLED_WHEN_BUSY,
            };
            let left = state
                .moved
                .map_or(Duration::ZERO, |moved| (moved + stalled).saturating_duration_since(now));
            if left.is_zero() {
                state.round += 1;
                state.inside = 0;
                continue;
            }
            watches |= !std::mem::replace(&mut state.watched, true);
            state = self.wait(state, watches.then_some(left));
        };
        state.watched &= !watches;
        if watches || state.inside < MOST {
            self.call_next(state); // it watches in our place, or finds room too
        }
        turn
    }

    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        longest: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        state.waiting += 1;
        let mut state = match longest {
            None => self.freed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(longest) => match self.freed.wait_timeout(state, longest) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            },
        };
        state.waiting = state.waiting.saturating_sub(1);
        state
    }
}

/// When a turn was given; to be told when its thread has the interpreter.
pub struct Attaching(Instant);

impl Attaching {
    pub fn done(self) {
        ATTACHING.fetch_sub(1, Ordering::Relaxed);
        let signs = BUSY_SIGNS.load(Ordering::Relaxed);
        let waited_long = self.0.elapsed() > BUSY;
        let signs = if waited_long { 2 * MOST } else { signs.saturating_sub(1) };
        BUSY_SIGNS.store(signs, Ordering::Relaxed);
    }
}

/// Waits until one of them is ready or the time is up, and then for a turn. A signal may end it early.
pub fn wait_in_turn(
    descriptors: &mut [PollFd<'_>],
    timeout: Duration,
) -> (Attaching, io::Result<()>) {
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    leave_turn();
    let outcome = poll(descriptors, Some(&timeout));
    TURN.set(Some(TURNS.take()));
    ATTACHING.fetch_add(1, Ordering::Relaxed);
    let outcome = match outcome {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    };
    (Attaching(Instant::now()), outcome)
}

/// The thread runs no loop any more, or is about to block.
pub fn leave_turn() {
    drop(TURN.take());
}

/// Before a fork: those who wait for a turn let go of the lock.
pub(super) fn let_go() {
    let state = TURNS.lock();
    let calls = state.waiting > 0;
    drop(state);
    if calls {
        TURNS.freed.notify_all();
    }
}

/// In a forked child, whose only thread may have a turn of the parent's.
pub(super) fn start_anew() {
    let mut state = match TURNS.state.try_lock() {
        Ok(state) => state,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return,
    };
    ATTACHING.store(0, Ordering::Relaxed);
    let round = state.round + 1;
    *state = State { round, inside: 0, moved: None, waiting: 0, watched: false };
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};

    use super::*;

    #[test]
    fn no_more_inside_than_allowed_while_they_come_and_go() {
        let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let start = Arc::new(Barrier::new(4 * MOST));
        let threads: Vec<_> = (0..4 * MOST)
            .map(|_| {
                let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
                let start = Arc::clone(&start);
                std::thread::spawn(move || {
                    start.wait();
                    for _ in 0..50 {
                        let turn = TURNS.take();
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(turn);
                    }
                })
            })
            .collect();
        for thread in threads {
            assert!(thread.join().is_ok());
        }
        // A machine that has no time for them may look like a stall.
        assert!(most.load(Ordering::SeqCst) <= 2 * MOST);
        assert_eq!(TURNS.lock().waiting, 0);
    }

    #[test]
    fn those_who_stay_away_keep_nobody_waiting() {
        let turns: Vec<_> = (0..5 * MOST).map(|_| TURNS.take()).collect();
        drop(turns);
    }
}
