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

/// Acknowledgements are sent together, this many or this late at the most.
pub(super) const MOST_ACKS: usize = 128;
pub(super) const LATEST_ACK: Duration = Duration::from_millis(1);
/// How often the I/O task looks for those that a callback holds up.
pub(super) const LOOK_FOR_ACKS: Duration = Duration::from_millis(5);

/// The packet identifier, the QoS and the connection that an acknowledgement names.
pub type AckDue = (u16, QoS, u32);

/// Acknowledgements of one client that are due, and messages that consumers left behind.
#[derive(Debug, Default)]
pub struct Acks {
    state: Mutex<AcksState>,
    /// Some are due.
    pub(super) pending: AtomicBool,
    /// The I/O task will look for them.
    pub(super) watched: AtomicBool,
    /// The message whose callbacks run, packed; 0 for none.
    at_hand: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct AcksState {
    pub(super) due: Vec<AckDue>,
    pub(super) since: Option<Instant>,
    pub(super) left_over: Vec<AckDue>,
}

impl Acks {
    pub(super) fn state(&self) -> MutexGuard<'_, AcksState> {
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

    pub(super) fn take(&self) -> Vec<AckDue> {
        self.take_from(&mut self.state())
    }

    fn take_from(&self, state: &mut AcksState) -> Vec<AckDue> {
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
        self.take_from(&mut state)
    }

    /// A connection begins or ends: nobody watches.
    pub(super) fn stop_watching(&self) {
        self.watched.store(false, Ordering::Relaxed);
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
