//! `Memory`: the bytes that a broker keeps for its clients, counted in one place.
//!
//! Whatever is kept has a [`Kept`] inside, which counts for as long as it lives. So nobody has to know
//! who holds a message, and none is counted twice: it is one however many sessions it waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The count of one broker.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    kept: Arc<AtomicUsize>,
    most: usize,
}

impl Memory {
    pub(super) fn new(most: usize) -> Self {
        Self { kept: Arc::default(), most }
    }

    /// Counts so many bytes until the result is dropped.
    pub(super) fn keep(&self, bytes: usize) -> Kept {
        self.kept.fetch_add(bytes, Ordering::Relaxed);
        Kept { memory: self.clone(), bytes }
    }

    /// Whether anything more may be kept.
    pub(super) fn has_room(&self) -> bool {
        self.kept.load(Ordering::Relaxed) < self.most
    }
}

/// Bytes that are kept.
#[derive(Debug)]
pub(super) struct Kept {
    memory: Memory,
    bytes: usize,
}

impl Kept {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Clone for Kept {
    fn clone(&self) -> Self {
        self.memory.keep(self.bytes)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.memory.kept.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
