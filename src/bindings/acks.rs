//! `Acks`: acknowledgements of received messages that are due, sent together, whoever dispatched them.
//!
//! A client that says goodbye sends them in front of DISCONNECT, or the server would send again what the
//! application is through with.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::Core;

use super::application_message::AckDue;

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
    /// The message whose callbacks run.
    at_hand: Option<AckDue>,
}

impl Acks {
    fn state(&self) -> MutexGuard<'_, AcksState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes acknowledgements due, along with what was left over, and sends them when there are enough.
    /// Whether somebody has to call [`Self::send`] soon.
    pub(super) fn add(
        &self,
        core: &Core,
        now: Instant,
        dues: impl IntoIterator<Item = AckDue>,
    ) -> bool {
        let mut state = self.state();
        let AcksState { due, since, left_over, .. } = &mut *state;
        let had_none = due.is_empty();
        due.append(left_over);
        due.extend(dues);
        if due.is_empty() {
            return false;
        }
        let since = *since.get_or_insert(now);
        if due.len() < MOST_ACKS && now - since < LATEST_ACK {
            return had_none;
        }
        drop(state);
        self.send(core);
        false
    }

    /// The callbacks for a message begin.
    pub(super) fn begin(&self, ack: AckDue) {
        self.state().at_hand = Some(ack);
    }

    /// They are over: the acknowledgement that is due now, unless a goodbye took it along.
    pub(super) fn end(&self) -> Option<AckDue> {
        self.state().at_hand.take()
    }

    /// Sends what is due; a callback that says goodbye itself is through with its message.
    pub(super) fn send_before_goodbye(&self, core: &Core, in_callback: bool) {
        let mut state = self.state();
        if in_callback && let Some(ack) = state.at_hand.take() {
            state.due.push(ack);
        }
        drop(state);
        self.send(core);
    }

    /// Sends those that are due.
    pub(super) fn send(&self, core: &Core) {
        let mut state = self.state();
        state.since = None;
        let due = std::mem::take(&mut state.due);
        drop(state);
        if !due.is_empty() {
            core.acknowledge(&due);
        }
    }

    /// Keeps what a consumer had in hand when it went away.
    pub(super) fn leave_over(&self, dues: &mut Vec<AckDue>) {
        if !dues.is_empty() {
            self.state().left_over.append(dues);
        }
    }

    pub(super) fn has_left_over(&self) -> bool {
        !self.state().left_over.is_empty()
    }
}
