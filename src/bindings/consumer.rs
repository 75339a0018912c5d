//! `Consumer`: one reader of a mailbox's messages, and the acknowledgements its reading makes due.
//!
//! A message is acknowledged when its consumer asks for the next one. What a consumer has in hand when it
//! goes away is left over: acknowledged as soon as anybody asks for messages, or the connection ends
//! in good order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::engine::Core;

use super::application_message::{AckDue, Message};
use super::mailbox::Mailbox;

/// Acknowledgements are sent together, this many or this late at the most.
const MOST_ACKS: usize = 128;
const LATEST_ACK: Duration = Duration::from_millis(1);

/// Acknowledgements of one client that are due, and messages that consumers left behind.
#[derive(Default)]
pub(super) struct Acks {
    state: Mutex<AcksState>,
}

#[derive(Default)]
struct AcksState {
    due: Vec<AckDue>,
    since: Option<Instant>,
    left_over: Vec<AckDue>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Acks {
    /// Makes acknowledgements due, along with what was left over, and sends them when there are enough.
    /// Whether somebody has to call [`Self::send`] soon.
    pub(super) fn add(&self, core: &Core, dues: impl IntoIterator<Item = AckDue>) -> bool {
        let mut state = lock(&self.state);
        let AcksState { due, since, left_over } = &mut *state;
        let had_none = due.is_empty();
        due.append(left_over);
        due.extend(dues);
        if due.is_empty() {
            return false;
        }
        let now = Instant::now();
        let since = *since.get_or_insert(now);
        if due.len() < MOST_ACKS && now - since < LATEST_ACK {
            return had_none;
        }
        drop(state);
        self.send(core);
        false
    }

    /// Sends those that are due.
    pub(super) fn send(&self, core: &Core) {
        let mut state = lock(&self.state);
        state.since = None;
        let due = std::mem::take(&mut state.due);
        drop(state);
        if !due.is_empty() {
            core.acknowledge(&due);
        }
    }

    fn leave_over(&self, dues: &mut Vec<AckDue>) {
        if !dues.is_empty() {
            lock(&self.state).left_over.append(dues);
        }
    }

    pub(super) fn has_left_over(&self) -> bool {
        !lock(&self.state).left_over.is_empty()
    }
}

/// One reader of a client's messages; ``oxmqtt.aio.MessagesIterator`` builds on it.
#[pyclass(frozen, subclass, weakref, module = "oxmqtt._native")]
pub(super) struct Consumer {
    mailbox: Py<Mailbox>,
    acks: Arc<Acks>,
    /// To acknowledge when it asks again.
    in_hand: Mutex<Vec<AckDue>>,
}

impl Consumer {
    /// Acknowledges what it had in hand; it asks for more.
    fn ask(&self, py: Python<'_>) -> PyResult<()> {
        let mut in_hand = lock(&self.in_hand);
        if in_hand.is_empty() && !self.acks.has_left_over() {
            return Ok(());
        }
        let dues = std::mem::take(&mut *in_hand);
        drop(in_hand);
        self.mailbox.get().acknowledge(py, dues)
    }

    /// Remembers the acknowledgements that messages make due, unless those are the program's own.
    fn keep(&self, messages: &[&Message]) {
        if !self.mailbox.get().acknowledges_itself() {
            return;
        }
        let mut dues = messages.iter().filter_map(|message| message.ack_due()).peekable();
        if dues.peek().is_some() {
            lock(&self.in_hand).extend(dues);
        }
    }
}

#[pymethods]
impl Consumer {
    #[new]
    fn new(mailbox: &Bound<'_, Mailbox>) -> Self {
        let acks = Arc::clone(&mailbox.get().acks);
        Self { mailbox: mailbox.clone().unbind(), acks, in_hand: Mutex::default() }
    }

    /// The next message that is here, or None; the one before is acknowledged.
    fn take(&self, py: Python<'_>) -> PyResult<Option<Message>> {
        self.ask(py)?;
        let mailbox = self.mailbox.get();
        let Some(message) = mailbox.pop(py)? else {
            mailbox.send_acks();
            return Ok(None);
        };
        self.keep(&[&message]);
        Ok(Some(message))
    }

    /// Up to ``most`` messages that are here; those before are acknowledged.
    fn take_batch(&self, py: Python<'_>, most: usize) -> PyResult<Vec<Py<Message>>> {
        self.ask(py)?;
        let mailbox = self.mailbox.get();
        let mut batch = Vec::new();
        while batch.len() < most
            && let Some(message) = mailbox.pop(py)?
        {
            self.keep(&[&message]);
            batch.push(Py::new(py, message)?);
        }
        if batch.is_empty() {
            mailbox.send_acks();
        }
        Ok(batch)
    }

    fn __len__(&self) -> usize {
        self.mailbox.get().waiting()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.mailbox)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let in_hand = self.in_hand.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.acks.leave_over(in_hand);
    }
}
