//! `TopicCache`: what was made in Python for a topic name, kept for its next message.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use rustc_hash::FxHashMap;

/// Topics remembered; a program that receives more begins anew.
const MOST_TOPICS: usize = 4096;

/// Objects that belong to one topic name.
pub(super) trait Remembered: Sized {
    fn clone_ref(&self, py: Python<'_>) -> Self;
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

impl<T> Remembered for Py<T> {
    fn clone_ref(&self, py: Python<'_>) -> Self {
        self.clone_ref(py)
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self)
    }
}

impl<A, B> Remembered for (Py<A>, Py<B>) {
    fn clone_ref(&self, py: Python<'_>) -> Self {
        (self.0.clone_ref(py), self.1.clone_ref(py))
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)?;
        visit.call(&self.1)
    }
}

/// Neither makes nor drops an object while it holds its lock: both may run Python code.
pub(super) struct TopicCache<T>(Mutex<FxHashMap<Box<[u8]>, T>>);

impl<T> Default for TopicCache<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Remembered> TopicCache<T> {
    fn lock(&self) -> MutexGuard<'_, FxHashMap<Box<[u8]>, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get_or_make(
        &self,
        py: Python<'_>,
        name: &[u8],
        make: impl FnOnce(&str) -> PyResult<T>,
    ) -> PyResult<T> {
        if let Some(entry) = self.lock().get(name) {
            return Ok(entry.clone_ref(py));
        }
        let made = make(&String::from_utf8_lossy(name))?;
        let mut topics = self.lock();
        let outgrown = (topics.len() >= MOST_TOPICS).then(|| std::mem::take(&mut *topics));
        let replaced = topics.insert(name.into(), made.clone_ref(py));
        drop(topics);
        drop((outgrown, replaced));
        Ok(made)
    }

    pub(super) fn clear(&self) {
        let topics = std::mem::take(&mut *self.lock());
        drop(topics);
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock() {
            Ok(topics) => topics.values().try_for_each(|entry| entry.traverse(visit)),
            Err(_) => Ok(()),
        }
    }
}
