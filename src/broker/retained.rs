//! The retained messages, one for each topic (3.3.1.3).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytestring::ByteString;

use super::memory::Memory;
use super::message::Message;
use super::settings::MAX_RETAINED;
use oxmqtt_protocol::topic;

#[derive(Debug, Default)]
pub(super) struct Retained {
    messages: HashMap<ByteString, Arc<Message>>,
}

impl Retained {
    /// Keeps the message in place of the earlier one; an empty payload only removes that. False when
    /// there is no room.
    pub(super) fn store(&mut self, message: &Message, memory: &Memory) -> bool {
        let name = message.publish.topic();
        if message.publish.payload().is_empty() {
            self.messages.remove(name);
            return true;
        }
        let is_full = self.messages.len() >= MAX_RETAINED && !self.messages.contains_key(name);
        if is_full || !memory.has_room() {
            return false;
        }
        self.messages.insert(name.into(), Arc::new(message.detach()));
        true
    }

    /// Those that match, in the order of their topics.
    pub(super) fn matching(&mut self, filter: &str, now: Instant) -> Vec<Arc<Message>> {
        if !filter.contains(['+', '#']) {
            let found = self.messages.get(filter).filter(|message| !message.is_expired(now));
            return found.cloned().into_iter().collect();
        }
        self.messages.retain(|_, message| !message.is_expired(now));
        let mut found: Vec<_> = self
            .messages
            .iter()
            .filter(|(name, _)| topic::matches(filter, name))
            .map(|(_, message)| Arc::clone(message))
            .collect();
        found.sort_by(|a, b| a.publish.topic_bytes().cmp(b.publish.topic_bytes()));
        found
    }

    pub(super) fn clear(&mut self) {
        self.messages.clear();
    }
}
