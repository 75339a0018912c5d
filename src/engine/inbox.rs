//! Events on their way to the application: bounded, in order, with one waker.
//!
//! The I/O task pushes a batch per read. The first event of an empty inbox makes the waker's
//! descriptor readable; it stays readable until the application has found the inbox empty, so one
//! batch costs at most one wake. A full inbox makes the I/O task stop reading.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxmqtt_protocol::session::Event;

use super::waker::Waker;

/// Bytes of waiting events at which the I/O task stops reading; it starts again at half of that.
const FULL: usize = 16 << 20;
/// The same while the application waits for an answer, which may be behind that many messages.
const FULL_BEFORE_ANSWER: usize = 8 * FULL;
/// Weight of popped events that is accounted for in one go.
const SETTLE: usize = 64 << 10;
/// Places of an empty queue that are kept; those of a flood are given back.
const KEEP_PLACES: usize = 4096;

#[derive(Debug)]
pub struct Inbox {
    /// Written by the I/O task.
    back: Mutex<Back>,
    /// Taken from `back` in one go and emptied by the application.
    front: Mutex<Front>,
    weight: AtomicUsize,
    /// Changed under the lock of `back`.
    bound: AtomicUsize,
    full: AtomicBool,
}

/// How much may wait before the I/O task stops reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// No more than what is there.
    None,
    Usual,
    /// As much as may come before the answer that the application waits for.
    ForAnswer,
}

impl Patience {
    fn bound(self) -> usize {
        match self {
            Self::None => 0,
            Self::Usual => FULL,
            Self::ForAnswer => FULL_BEFORE_ANSWER,
        }
    }
}

#[derive(Debug, Default)]
struct Front {
    events: VecDeque<Event>,
    /// Weight of events popped and not yet settled.
    taken: usize,
}

impl Front {
    fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.taken += event.weight();
        Some(event)
    }
}

#[derive(Debug, Default)]
struct Back {
    events: VecDeque<Event>,
    waker: Option<Arc<Waker>>,
    signalled: bool,
}

impl Back {
    /// The waker to wake, once the lock is released: the application wakes up to take it.
    fn signal(&mut self) -> Option<Arc<Waker>> {
        let waker = self.waker.as_ref().filter(|_| !self.signalled)?;
        self.signalled = true;
        Some(Arc::clone(waker))
    }

    fn fall_silent(&mut self) {
        self.signalled = false;
        if let Some(waker) = &self.waker {
            waker.clear();
        }
    }
}

fn wake(waker: Option<Arc<Waker>>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            back: Mutex::default(),
            front: Mutex::default(),
            weight: AtomicUsize::new(0),
            bound: AtomicUsize::new(FULL),
            full: AtomicBool::new(false),
        }
    }
}

impl Inbox {
    pub(super) fn push_all(&self, events: impl Iterator<Item = Event>) {
        let mut back = lock(&self.back);
        let mut weight = 0;
        back.events.extend(events.inspect(|event| weight += event.weight()));
        if weight == 0 {
            return;
        }
        let bound = self.bound.load(Ordering::Relaxed);
        if self.weight.fetch_add(weight, Ordering::Relaxed) + weight >= bound {
            self.full.store(true, Ordering::Release);
        }
        let waker = back.signal();
        drop(back);
        wake(waker);
    }

    /// Whether the I/O task has to leave received bytes alone.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// The next event; `resumed` is called when taking events ended a full inbox.
    pub(super) fn pop(&self, resumed: impl FnOnce()) -> Option<Event> {
        let mut front = lock(&self.front);
        if front.events.is_empty() {
            let settled = std::mem::take(&mut front.taken);
            if front.events.capacity() > KEEP_PLACES {
                front.events = VecDeque::new();
            }
            let mut back = lock(&self.back);
            if back.events.is_empty() {
                back.fall_silent();
            } else {
                std::mem::swap(&mut front.events, &mut back.events);
            }
            drop(back);
            self.settle(settled, resumed);
            return front.pop();
        }
        let event = front.pop();
        if front.taken >= SETTLE {
            self.settle(std::mem::take(&mut front.taken), resumed);
        }
        event
    }

    /// Takes the weight of events that are through off the inbox.
    fn settle(&self, weight: usize, resumed: impl FnOnce()) {
        // A forked child has forgotten what its parent held.
        let reduced = |before: usize| Some(before.saturating_sub(weight));
        let before = self.weight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reduced);
        let left = before.unwrap_or(0).saturating_sub(weight);
        let bound = self.bound.load(Ordering::Relaxed);
        if left <= bound / 2 && self.full.load(Ordering::Relaxed) {
            self.full.store(false, Ordering::Release);
            resumed();
        }
    }

    /// Counts a popped event as waiting, until [`Self::release`]: the application keeps it for later.
    pub fn hold(&self, weight: usize) {
        self.weight.fetch_add(weight, Ordering::Relaxed);
    }

    /// Ends [`Self::hold`]; `resumed` is called when that ended a full inbox.
    pub fn release(&self, weight: usize, resumed: impl FnOnce()) {
        self.settle(weight, resumed);
    }

    /// Sets how much may wait; `resumed` is called when that ended a full inbox.
    pub fn set_patience(&self, patience: Patience, resumed: impl FnOnce()) {
        let bound = patience.bound();
        let back = lock(&self.back);
        if self.bound.swap(bound, Ordering::Relaxed) == bound {
            return;
        }
        let is_full = self.weight.load(Ordering::Relaxed) >= bound;
        let was_full = self.full.swap(is_full, Ordering::AcqRel);
        drop(back);
        if was_full && !is_full {
            resumed();
        }
    }

    /// Puts an event back in front of all others.
    pub fn put_back(&self, event: Event) {
        self.weight.fetch_add(event.weight(), Ordering::Relaxed);
        lock(&self.front).events.push_front(event);
    }

    /// Drops what tells of a connection that was given up; messages and outcomes stay.
    pub(super) fn forget_connection(&self) {
        let mut front = lock(&self.front);
        let mut back = lock(&self.back);
        let mut dropped = 0;
        for queue in [&mut front.events, &mut back.events] {
            queue.retain(|event| {
                let keep = !event.is_of_connection();
                dropped += if keep { 0 } else { event.weight() };
                keep
            });
        }
        self.weight.fetch_sub(dropped, Ordering::Relaxed);
    }

    /// Events that wait, wherever they are.
    pub fn len(&self) -> usize {
        let front = lock(&self.front).events.len();
        front + lock(&self.back).events.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes sure the waker exists; its descriptor is readable while events wait.
    #[cfg(unix)]
    pub fn descriptor(&self) -> io::Result<std::os::fd::RawFd> {
        self.with_waker(Waker::descriptor)
    }

    #[cfg(windows)]
    pub fn descriptor(&self) -> io::Result<std::os::windows::io::RawSocket> {
        self.with_waker(Waker::descriptor)
    }

    fn with_waker<T>(&self, read: impl FnOnce(&Waker) -> T) -> io::Result<T> {
        let mut back = lock(&self.back);
        if back.waker.is_none() {
            back.waker = Some(Arc::new(Waker::new()?));
            if !back.events.is_empty() {
                wake(back.signal());
            }
        }
        match &back.waker {
            Some(waker) => Ok(read(waker)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Gives the descriptor back; the next call of [`Self::descriptor`] makes another.
    pub fn release_descriptor(&self) {
        let mut back = lock(&self.back);
        back.waker = None;
        back.signalled = false;
    }

    /// Takes out the next QoS 0 messages that were handed to the transport.
    pub fn next_sent(&self) -> Option<Event> {
        let mut front = lock(&self.front);
        let mut back = lock(&self.back);
        let is_sent = |event: &Event| matches!(event, Event::Sent { .. });
        let take = |queue: &mut VecDeque<Event>| {
            let at = queue.iter().position(is_sent)?;
            queue.remove(at)
        };
        let event = take(&mut front.events).or_else(|| take(&mut back.events))?;
        self.weight.fetch_sub(event.weight(), Ordering::Relaxed);
        Some(event)
    }

    /// Ends the readability of the descriptor if no event waits.
    pub fn settle_signal(&self) {
        let front = lock(&self.front);
        let mut back = lock(&self.back);
        if front.events.is_empty() && back.events.is_empty() {
            back.fall_silent();
        }
    }

    /// Makes the descriptor readable once, whether or not events wait.
    pub fn interrupt(&self) {
        let waker = lock(&self.back).signal();
        wake(waker);
    }

    /// Drops the events: nobody takes them any more.
    pub(super) fn discard(&self) {
        let front = std::mem::take(&mut *lock(&self.front));
        let mut back = lock(&self.back);
        let events = std::mem::take(&mut back.events);
        self.weight.store(0, Ordering::Relaxed);
        self.full.store(false, Ordering::Release);
        drop(back);
        drop((front, events));
    }

    /// Forgets the events and the descriptor, which a forked child shares with its parent.
    pub(super) fn reset(&self) {
        *lock(&self.front) = Front::default();
        *lock(&self.back) = Back::default();
        self.weight.store(0, Ordering::Relaxed);
        self.bound.store(FULL, Ordering::Relaxed);
        self.full.store(false, Ordering::Release);
    }
}
