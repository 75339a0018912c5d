//! Topic aliases of the application: what each stands for, and what the server knows of them.
//!
//! The two differ: a message may wait, or be refused, long after the application named an alias. So
//! the application's meaning is noted when a message is accepted, and the server's knowledge when
//! the PUBLISH is encoded into the out-buffer, which is the order in which the server reads.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::error::LocalError;

/// Bytes of the topics behind aliases.
const MOST_BYTES: usize = 16 << 20;

#[derive(Debug, Default)]
pub(super) struct OwnAliases {
    /// What the application means; it outlives connections.
    meant: FxHashMap<u16, Arc<str>>,
    /// Bytes of the topics in `meant`.
    bytes: usize,
    /// What the server was told on this connection [MQTT-3.3.2-7].
    told: FxHashMap<u16, Arc<str>>,
}

impl OwnAliases {
    /// The topic of a message with this alias. An empty `topic` stands for the one that the alias
    /// was last given.
    pub(super) fn topic_of(&self, alias: u16, topic: &str) -> Result<Arc<str>, LocalError> {
        let meant = self.meant.get(&alias);
        match meant {
            Some(meant) if topic.is_empty() || **meant == *topic => Ok(Arc::clone(meant)),
            None if topic.is_empty() => Err(LocalError::TopicAliasInvalid),
            _ => {
                let bytes = self.bytes - meant.map_or(0, |meant| meant.len());
                if bytes + topic.len() > MOST_BYTES {
                    return Err(LocalError::TopicAliasInvalid);
                }
                Ok(topic.into())
            }
        }
    }

    /// A message was accepted: from here on the alias means its topic.
    pub(super) fn handle_accepted(&mut self, alias: u16, topic: &Arc<str>) {
        self.bytes += topic.len();
        if let Some(before) = self.meant.insert(alias, Arc::clone(topic)) {
            self.bytes -= before.len();
        }
    }

    /// A message was refused. One that gave the alias another topic leaves it without any: the
    /// application may go on as if it had been sent.
    pub(super) fn handle_refused(&mut self, alias: u16, topic: &str) {
        if let Entry::Occupied(meant) = self.meant.entry(alias)
            && !topic.is_empty()
            && **meant.get() != *topic
        {
            self.bytes -= meant.remove().len();
        }
    }

    /// Whether the server takes the alias alone for this topic.
    pub(super) fn is_told(&self, alias: u16, topic: &str) -> bool {
        self.told.get(&alias).is_some_and(|told| **told == *topic)
    }

    /// A PUBLISH with alias and topic was encoded for the server.
    pub(super) fn handle_sent(&mut self, alias: u16, topic: &str) {
        match self.told.entry(alias) {
            Entry::Occupied(told) if **told.get() == *topic => {}
            entry => {
                let meant = self.meant.get(&alias).filter(|meant| ***meant == *topic);
                entry.insert_entry(meant.map_or_else(|| topic.into(), Arc::clone));
            }
        }
    }

    /// The server forgets with the connection, and so do we.
    pub(super) fn handle_connection_end(&mut self) {
        self.told = FxHashMap::default();
    }
}
