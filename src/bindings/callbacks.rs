//! The callbacks that events are dispatched to.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::topic_cache::TopicCache;

/// The name of a topic, and the callbacks of the filters that match it.
pub(super) type Topic = (Py<PyString>, Py<PyTuple>);

/// What a client's messages are delivered to.
#[derive(Default)]
pub(super) struct Callbacks {
    pub(super) topics: TopicCache<Topic>,
    slots: Mutex<Slots>,
}

/// What every message is dispatched with, kept here because an attribute look-up costs more.
#[derive(Default)]
pub(super) struct Slots {
    pub(super) userdata: Option<Py<PyAny>>,
    pub(super) on_message: Option<Py<PyAny>>,
    /// A subclass has `on_message` as a method.
    pub(super) on_message_is_method: bool,
}

impl Slots {
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.userdata)?;
        visit.call(&self.on_message)
    }
}

impl Callbacks {
    pub(super) fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(slots) = self.slots.try_lock() {
            slots.traverse(visit)?;
        }
        self.topics.traverse(visit)
    }

    /// Lets all of them go; without the lock, because that may run Python code.
    pub(super) fn clear(&self) {
        self.topics.clear();
        let slots = self.slots.try_lock().map(|mut slots| std::mem::take(&mut *slots));
        drop(slots);
    }
}
