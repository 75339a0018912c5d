//! `Acks`: acknowledgements of received messages that are due, sent together, whoever made them due.
//!
//! The thread that runs the callbacks sends them by the batch. It may also keep the next callback for
//! ever, so while some are pending the I/O task watches: what is still there at its next look leaves
//! then. A client that says goodbye sends them in front of DISCONNECT, or the server would send again
//! what the application is through with.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oxmqtt_protocol::codec::QoS;

use super::core::Core;

/// Acknowledgements are sent together, this many or this late at the most.
const MOST_ACKS: usize = 128;
const LATEST_ACK: Duration = Duration::from_millis(1);
/// How often the I/O task looks for those that a callback holds up.
pub(super) const LOOK_FOR_ACKS: Duration = Duration::from_millis(5);

/// The packet identifier, the QoS and the connection that an acknowledgement names.
pub type AckDue = (u16, QoS, u32);

/// Acknowledgements of one client that are due, and messages that consumers left behind.
#[derive(Debug, Default)]
pub struct Acks {
    state: Mutex<AcksState>,
    /// Some are due.
    pending: AtomicBool,
    /// The I/O task will look for them.
    watched: AtomicBool,
    /// The message whose callbacks run, packed; 0 for none.
    at_hand: AtomicU64,
}

#[derive(Debug, Default)]
struct AcksState {
    due: Vec<AckDue>,
    since: Option<Instant>,
    left_over: Vec<AckDue>,
}

impl Acks {
    fn state(&self) -> MutexGuard<'_, AcksState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The callbacks for a message begin.
    pub fn begin(&self, ack: AckDue) {
        self.at_hand.store(pack(ack), Ordering::Relaxed);
    }

    /// They are over: the acknowledgement that is due now, unless a goodbye took it along.
    pub fn end(&self) -> Option<AckDue> {
        unpack(self.at_hand.swap(0, Ordering::Relaxed))
    }

    /// Keeps what a consumer had in hand when it went away.
    pub fn leave_over(&self, dues: &mut Vec<AckDue>) {
        if !dues.is_empty() {
            self.state().left_over.append(dues);
        }
    }

    pub fn has_left_over(&self) -> bool {
        !self.state().left_over.is_empty()
    }

    fn take(&self) -> Vec<AckDue> {
        let mut state = self.state();
        state.since = None;
        self.pending.store(false, Ordering::Relaxed);
        std::mem::take(&mut state.due)
    }

    /// What is due at a look of the I/O task; after one in vain it looks no more.
    pub(super) fn take_overdue(&self) -> Vec<AckDue> {
        let mut state = self.state();
        if state.due.is_empty() {
            self.watched.store(false, Ordering::Relaxed);
        }
        state.since = None;
        self.pending.store(false, Ordering::Relaxed);
        std::mem::take(&mut state.due)
    }

    /// A connection begins or ends: nobody watches.
    pub(super) fn stop_watching(&self) {
        self.watched.store(false, Ordering::Relaxed);
    }
}

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

fn pack((packet_id, qos, epoch): AckDue) -> u64 {
    u64::from(packet_id) | u64::from(qos as u8) << 16 | u64::from(epoch) << 32
}

#[allow(clippy::cast_possible_truncation)]
fn unpack(packed: u64) -> Option<AckDue> {
    let qos = QoS::try_from((packed >> 16) as u8).ok()?;
    (packed != 0).then_some((packed as u16, qos, (packed >> 32) as u32))
}
