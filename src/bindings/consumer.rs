//! `Consumer`: one reader of a mailbox's messages, and the acknowledgements its reading makes due.
//!
//! A message is acknowledged when its consumer asks for the next one. What a consumer has in hand when it
//! goes away is left over: acknowledged as soon as anybody asks for messages, or the connection ends
//! in good order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use oxmqtt_engine::AckDue;

use super::application_message::Message;
use super::mailbox::Mailbox;
use super::shared::Shared;

/// One reader of a client's messages; ``oxmqtt.aio.MessagesIterator`` builds on it.
#[pyclass(frozen, subclass, weakref, module = "oxmqtt._native")]
pub(super) struct Consumer {
    mailbox: Py<Mailbox>,
    shared: Arc<Shared>,
    /// To acknowledge when it asks again.
    in_hand: Mutex<Vec<AckDue>>,
}

impl Consumer {
    fn in_hand(&self) -> MutexGuard<'_, Vec<AckDue>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acknowledges what it had in hand; it asks for more.
    fn ask(&self, py: Python<'_>) -> PyResult<()> {
        let mut in_hand = self.in_hand();
        if in_hand.is_empty() && !self.shared.core.acks.has_left_over() {
            return Ok(());
        }
        let dues = std::mem::take(&mut *in_hand);
        drop(in_hand);
        self.mailbox.get().acknowledge(py, dues)
    }

    /// Remembers the acknowledgement that a message makes due, unless that is the program's own.
    fn keep(&self, message: &Message) {
        if let Some(due) = message.ack_due()
            && self.mailbox.get().acknowledges_itself()
        {
            self.in_hand().push(due);
        }
    }
}

#[pymethods]
impl Consumer {
    #[new]
    fn new(mailbox: &Bound<'_, Mailbox>) -> Self {
        let shared = Arc::clone(&mailbox.get().shared);
        Self { mailbox: mailbox.clone().unbind(), shared, in_hand: Mutex::default() }
    }

    /// The next message that is here, or None; the one before is acknowledged.
    fn take(&self, py: Python<'_>) -> PyResult<Option<Message>> {
        self.ask(py)?;
        let mailbox = self.mailbox.get();
        let Some(message) = mailbox.pop(py)? else {
            mailbox.send_acks();
            return Ok(None);
        };
        self.keep(&message);
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
            self.keep(&message);
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
        self.shared.core.acks.leave_over(in_hand);
    }
}
