//! The fate of one QoS > 0 publish, readable by the application without a lock.

use std::sync::atomic::{AtomicU16, Ordering};

use crate::codec::ReasonCode;

const PENDING: u16 = 0x100;
const UNREPORTED: u16 = 0x200;
const DROPPED: u16 = 0x400;

/// Shared by the ledger and whoever waits for the message.
#[derive(Debug)]
pub struct Ticket {
    packet_id: AtomicU16,
    outcome: AtomicU16,
}

impl Ticket {
    pub(super) fn new(packet_id: u16) -> Self {
        Self { packet_id: AtomicU16::new(packet_id), outcome: AtomicU16::new(PENDING) }
    }

    /// 0 while the message waits for a free packet identifier.
    pub fn packet_id(&self) -> u16 {
        self.packet_id.load(Ordering::Relaxed)
    }

    pub(super) fn assign(&self, packet_id: u16) {
        self.packet_id.store(packet_id, Ordering::Relaxed);
    }

    /// The reason code once the server, a limit of it, or the application ended the message.
    pub fn outcome(&self) -> Option<ReasonCode> {
        match self.outcome.load(Ordering::Acquire) {
            PENDING => None,
            outcome => Some(ReasonCode((outcome & 0xFF) as u8)),
        }
    }

    /// The outcome, once the application's callback for it has returned too.
    pub fn reported_outcome(&self) -> Option<ReasonCode> {
        if self.outcome.load(Ordering::Acquire) & UNREPORTED != 0 { None } else { self.outcome() }
    }

    /// Whether the application took the message back before it ended.
    pub fn is_dropped(&self) -> bool {
        self.outcome.load(Ordering::Acquire) & DROPPED != 0
    }

    pub(super) fn settle(&self, reason: ReasonCode, to_report: bool) {
        let flag = if to_report { UNREPORTED } else { 0 };
        self.end(u16::from(reason.0) | flag);
    }

    /// The application took the message back; nobody waits for it any longer.
    pub(super) fn drop_message(&self) {
        self.end(u16::from(ReasonCode::UNSPECIFIED_ERROR.0) | DROPPED);
    }

    /// The first end counts.
    fn end(&self, outcome: u16) {
        let (release, relaxed) = (Ordering::Release, Ordering::Relaxed);
        let _ = self.outcome.compare_exchange(PENDING, outcome, release, relaxed);
    }

    /// Says that the callback for the outcome has returned.
    pub fn mark_reported(&self) {
        self.outcome.fetch_and(!UNREPORTED, Ordering::AcqRel);
    }
}
