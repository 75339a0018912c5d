//! The broker behind its lock: who changed what wakes whom.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use atomic_waker::AtomicWaker;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use super::super::{Broker, ConnectionId};

#[derive(Debug)]
pub(super) struct State {
    pub(super) broker: Broker,
    wakers: FxHashMap<ConnectionId, Arc<AtomicWaker>>,
    /// When the timer task runs next.
    scheduled: Option<Instant>,
    /// The changes that waiting threads were told of.
    told: u64,
    ended: bool,
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    waiting: AtomicUsize,
    earlier: Notify,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<T> {
    Yes(T),
    TimedOut,
    /// The broker was closed, or the wait cancelled.
    Ended,
}

impl Shared {
    pub(super) fn new(broker: Broker) -> Self {
        Self {
            state: Mutex::new(State {
                broker,
                wakers: FxHashMap::default(),
                scheduled: None,
                told: 0,
                ended: false,
            }),
            changed: Condvar::new(),
            waiting: AtomicUsize::new(0),
            earlier: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self, address: String) -> (ConnectionId, Arc<AtomicWaker>) {
        let waker = Arc::new(AtomicWaker::new());
        let mut state = self.lock();
        let id = state.broker.open(address, Instant::now());
        state.wakers.insert(id, Arc::clone(&waker));
        self.settle(&mut state);
        (id, waker)
    }

    pub(super) fn close(&self, id: ConnectionId) {
        let mut state = self.lock();
        state.broker.handle_closed(id, Instant::now());
        state.wakers.remove(&id);
        self.settle(&mut state);
    }

    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Broker, Instant) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state.broker, Instant::now());
        self.settle(&mut state);
        result
    }

    /// Wakes the tasks and threads that the last change concerns.
    fn settle(&self, state: &mut State) {
        while let Some(id) = state.broker.poll_ready() {
            if let Some(waker) = state.wakers.get(&id) {
                waker.wake();
            }
        }
        let next = state.broker.poll_timeout();
        if next.is_some() && (state.scheduled.is_none() || next < state.scheduled) {
            state.scheduled = next;
            self.earlier.notify_one();
        }
        if self.waiting.load(Ordering::Relaxed) > 0 && state.told != state.broker.changes() {
            state.told = state.broker.changes();
            self.changed.notify_all();
        }
    }

    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    pub(super) fn wait<T>(
        &self,
        deadline: Instant,
        is_cancelled: impl Fn() -> bool,
        mut check: impl FnMut(&mut Broker) -> Option<T>,
    ) -> Found<T> {
        let mut state = self.lock();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let found = loop {
            if let Some(found) = check(&mut state.broker) {
                break Found::Yes(found);
            }
            if state.ended || is_cancelled() {
                break Found::Ended;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                break Found::TimedOut;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        found
    }
}

/// Runs the broker's timers.
pub(super) async fn keep_time(shared: Arc<Shared>) {
    loop {
        let next = {
            let mut state = shared.lock();
            state.broker.handle_timeout(Instant::now());
            // Settling must not wake this task again for what it looks at now.
            state.scheduled = state.broker.poll_timeout();
            shared.settle(&mut state);
            state.scheduled
        };
        match next {
            Some(at) => {
                let sleep = tokio::time::sleep_until(at.into());
                let _ = either(sleep, shared.earlier.notified()).await;
            }
            None => shared.earlier.notified().await,
        }
    }
}

/// The first of two to end.
async fn either(one: impl Future<Output = ()>, two: impl Future<Output = ()>) {
    let mut one = std::pin::pin!(one);
    let mut two = std::pin::pin!(two);
    std::future::poll_fn(|cx| {
        if one.as_mut().poll(cx).is_ready() {
            std::task::Poll::Ready(())
        } else {
            two.as_mut().poll(cx)
        }
    })
    .await;
}
