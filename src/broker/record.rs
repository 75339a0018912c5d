//! The record of what was published to the broker, bounded by number and by bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::message::Message;
use oxmqtt_protocol::topic;

/// Bytes of messages that are recorded at the most.
const MAX_BYTES: usize = 64 << 20;

#[derive(Debug)]
struct Entry {
    message: Arc<Message>,
    taken: bool,
}

/// The latest messages, oldest first.
#[derive(Debug)]
pub struct Record {
    entries: VecDeque<Entry>,
    /// The number of the first entry, counted from the first message ever.
    first: u64,
    bytes: usize,
    limit: usize,
}

impl Record {
    /// What an entry takes: a queue has up to twice as many places.
    const ENTRY: usize = 2 * size_of::<Entry>();

    pub(super) fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), first: 0, bytes: 0, limit }
    }

    #[inline]
    pub(super) fn push(&mut self, message: &Arc<Message>) {
        self.bytes += Self::ENTRY + message.size();
        self.entries.push_back(Entry { message: Arc::clone(message), taken: false });
        while self.entries.len() > self.limit || self.bytes > MAX_BYTES {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= Self::ENTRY + oldest.message.size();
            self.first += 1;
        }
    }

    pub fn messages(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.entries.iter().map(|entry| &entry.message)
    }

    pub fn clear(&mut self) {
        self.first += self.entries.len() as u64;
        self.entries.clear();
        self.bytes = 0;
    }

    /// The oldest message that matches the filter and was not taken before. `from` is the number to
    /// begin at, and becomes the one to begin at next time.
    pub fn take(&mut self, filter: &str, from: &mut u64) -> Option<Arc<Message>> {
        let skip = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        for (at, entry) in self.entries.iter_mut().enumerate().skip(skip) {
            if !entry.taken && topic::matches(filter, entry.message.publish.topic()) {
                entry.taken = true;
                *from = self.first + at as u64 + 1;
                return Some(Arc::clone(&entry.message));
            }
        }
        *from = self.first + self.entries.len() as u64;
        None
    }
}
