//! `TopicCache`: what was made in Python for a topic name, kept for its next message.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

/// Bytes of what is remembered; a program that receives more begins anew.
const MOST_BYTES: usize = 2 << 20;
/// What an entry takes besides its name: the objects' own heads, their places in the tables.
const ENTRY: usize = 384;

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
pub(super) struct TopicCache<T>(Mutex<Topics<T>>);

/// The names are the network's choice, so their hashes are not to be foreseen.
struct Topics<T> {
    entries: HashMap<Box<[u8]>, T, RandomState>,
    bytes: usize,
    /// How often all was forgotten. What was being made meanwhile is already out of date.
    cleared: u64,
}

impl<T> Topics<T> {
    /// Takes all out, to be dropped without the lock.
    fn take(&mut self) -> HashMap<Box<[u8]>, T, RandomState> {
        self.bytes = 0;
        std::mem::take(&mut self.entries)
    }
}

impl<T> Default for TopicCache<T> {
    fn default() -> Self {
        Self(Mutex::new(Topics { entries: HashMap::default(), bytes: 0, cleared: 0 }))
    }
}

impl<T: Remembered> TopicCache<T> {
    fn lock(&self) -> MutexGuard<'_, Topics<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get_or_make(
        &self,
        py: Python<'_>,
        name: &[u8],
        make: impl FnOnce(&str) -> PyResult<T>,
    ) -> PyResult<T> {
        let cleared = {
            let topics = self.lock();
            if let Some(entry) = topics.entries.get(name) {
                return Ok(entry.clone_ref(py));
            }
            topics.cleared
        };
        let text = String::from_utf8_lossy(name);
        let made = make(&text)?;
        let size = size_of_entry(&text);
        let mut topics = self.lock();
        if topics.cleared != cleared {
            return Ok(made);
        }
        let is_full = topics.bytes + size > MOST_BYTES;
        let outgrown = is_full.then(|| topics.take());
        let replaced = topics.entries.insert(name.into(), made.clone_ref(py));
        if replaced.is_none() {
            topics.bytes += size;
        }
        drop(topics);
        drop((outgrown, replaced));
        Ok(made)
    }

    pub(super) fn clear(&self) {
        let mut topics = self.lock();
        topics.cleared += 1;
        let forgotten = topics.take();
        drop(topics);
        drop(forgotten);
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock() {
            Ok(topics) => topics.entries.values().try_for_each(|entry| entry.traverse(visit)),
            Err(_) => Ok(()),
        }
    }
}

/// Bytes of an entry. Python stores text in the width of its widest character, and may keep a copy of it
/// in UTF-8.
fn size_of_entry(name: &str) -> usize {
    if name.is_ascii() {
        return ENTRY + 2 * name.len();
    }
    let width = match name.chars().max() {
        Some(..='\u{ff}') | None => 1,
        Some(..='\u{ffff}') => 2,
        Some(_) => 4,
    };
    ENTRY + 2 * name.len() + width * name.chars().count()
}
