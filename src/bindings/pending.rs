//! Coroutines that wait for what becomes of their publishes, each through a future of its event loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Instant;

use pyo3::exceptions::asyncio::InvalidStateError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use rustc_hash::FxHashMap;

use oxmqtt_protocol::codec::ReasonCode;
use oxmqtt_protocol::session::Ticket;

/// A future, and when it fails for want of an outcome.
pub(super) struct Waiter {
    pub(super) future: Py<PyAny>,
    pub(super) deadline: Option<Instant>,
}

/// Messages that one future waits for: it gets the first failure, or the last outcome.
pub(super) struct Batch {
    left: AtomicUsize,
    reason: AtomicU8,
}

impl Batch {
    pub(super) fn of(count: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(count), reason: AtomicU8::new(0) })
    }

    /// The outcome of all, once this was the last.
    fn end_one(&self, reason: ReasonCode) -> Option<ReasonCode> {
        if reason.is_failure() {
            let (ordering, zero) = (Ordering::Relaxed, ReasonCode::SUCCESS.0);
            let _ = self.reason.compare_exchange(zero, reason.0, ordering, ordering);
        }
        let is_last = self.left.fetch_sub(1, Ordering::AcqRel) == 1;
        is_last.then(|| ReasonCode(self.reason.load(Ordering::Relaxed)))
    }
}

struct Pending {
    waiter: Waiter,
    batch: Option<Arc<Batch>>,
    /// Keeps the address, which is the key, from being used again.
    _ticket: Arc<Ticket>,
}

/// Publishes whose outcome a coroutine waits for.
#[derive(Default)]
pub(super) struct PendingPublishes {
    by_ticket: FxHashMap<usize, Pending>,
}

fn key(ticket: &Arc<Ticket>) -> usize {
    Arc::as_ptr(ticket) as usize
}

impl PendingPublishes {
    pub(super) fn len(&self) -> usize {
        self.by_ticket.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_ticket.is_empty()
    }

    pub(super) fn insert(
        &mut self,
        ticket: Arc<Ticket>,
        waiter: Waiter,
        batch: Option<Arc<Batch>>,
    ) {
        self.by_ticket.insert(key(&ticket), Pending { waiter, batch, _ticket: ticket });
    }

    /// A message came to its end: whether anybody waited, and whom to tell what.
    pub(super) fn end(
        &mut self,
        ticket: &Arc<Ticket>,
        reason: ReasonCode,
    ) -> (bool, Option<(Waiter, ReasonCode)>) {
        let Some(pending) = self.by_ticket.remove(&key(ticket)) else { return (false, None) };
        let reason = match &pending.batch {
            None => Some(reason),
            Some(batch) => batch.end_one(reason),
        };
        (true, reason.map(|reason| (pending.waiter, reason)))
    }

    /// Takes out those whose time is up.
    pub(super) fn take_expired(&mut self, now: Instant) -> Vec<Waiter> {
        let is_expired =
            |pending: &mut Pending| pending.waiter.deadline.is_some_and(|at| at <= now);
        self.by_ticket.extract_if(|_, pending| is_expired(pending)).map(|(_, p)| p.waiter).collect()
    }

    pub(super) fn take_all(&mut self) -> Vec<Waiter> {
        self.by_ticket.drain().map(|(_, pending)| pending.waiter).collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.by_ticket.values().filter_map(|pending| pending.waiter.deadline).min()
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.by_ticket.values().try_for_each(|pending| visit.call(&pending.waiter.future))
    }
}

/// Gives a future its result, unless it was cancelled.
pub(super) fn resolve(py: Python<'_>, future: &Py<PyAny>, reason: ReasonCode) -> PyResult<()> {
    match future.call_method1(py, intern!(py, "set_result"), (reason.0,)) {
        Err(error) if error.is_instance_of::<InvalidStateError>(py) => Ok(()),
        result => result.map(drop),
    }
}
