//! When acknowledgements that are due are sent.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::acks::{AckDue, AcksState, LATEST_ACK, LOOK_FOR_ACKS, MOST_ACKS};
use super::core::Core;

impl Core {
    /// Makes acknowledgements due, along with what was left over, and sends them when there are enough.
    /// Whether somebody has to call [`Self::send_acks`] soon.
    pub fn add_acks(&self, now: Instant, dues: impl IntoIterator<Item = AckDue>) -> bool {
        let mut state = self.acks.state();
        let AcksState { due, since, left_over } = &mut *state;
        let had_none = due.is_empty();
        due.append(left_over);
        due.extend(dues);
        if due.is_empty() {
            return false;
        }
        let since = *since.get_or_insert(now);
        if due.len() < MOST_ACKS && now - since < LATEST_ACK {
            self.acks.pending.store(true, Ordering::Relaxed);
            return had_none;
        }
        drop(state);
        self.send_acks();
        false
    }

    /// Sends those that are due.
    pub fn send_acks(&self) {
        let due = self.acks.take();
        if !due.is_empty() {
            self.acknowledge(&due);
        }
    }

    /// Sends what is due; a callback that says goodbye itself is through with its message.
    pub fn send_acks_before_goodbye(&self, in_callback: bool) {
        if in_callback && let Some(ack) = self.acks.end() {
            self.acks.state().due.push(ack);
        }
        self.send_acks();
    }

    /// The application gets something to do, for however long: what is due will not wait for it.
    #[inline]
    pub fn watch_acks(&self) {
        if self.acks.pending.load(Ordering::Relaxed)
            && !self.acks.watched.swap(true, Ordering::Relaxed)
        {
            self.look_for_acks(Instant::now() + LOOK_FOR_ACKS);
        }
    }
}
