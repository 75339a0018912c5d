//! Faults on demand: what a test makes the broker do wrong.

use std::time::{Duration, Instant};

use super::broker::Broker;
use super::connection::Connection;
use super::timers::Timer;
use oxmqtt_protocol::codec::ReasonCode;

/// Cuts connections in the middle of what they carry.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Bytes of both directions that may pass before.
    after: u64,
    /// Connections that are still to be cut.
    times: u32,
}

/// The faults that are switched on.
#[derive(Debug, Default)]
pub(super) struct Faults {
    refusal: Option<(ReasonCode, u32)>,
    pub(super) ack_delay: Duration,
    lost_acks: u32,
    cut: Option<Cut>,
    /// Which order to cut is the current one; bytes are counted from its time on.
    cut_number: usize,
}

impl Faults {
    pub(super) fn take_refusal(&mut self) -> Option<ReasonCode> {
        let (reason, times) = self.refusal.as_mut()?;
        let reason = *reason;
        *times -= 1;
        if *times == 0 {
            self.refusal = None;
        }
        Some(reason)
    }

    pub(super) fn take_lost_ack(&mut self) -> bool {
        let is_lost = self.lost_acks > 0;
        self.lost_acks -= u32::from(is_lost);
        is_lost
    }

    /// What may still be received, and whether the connection is to be cut then.
    #[inline]
    pub(super) fn cut_input<'a>(
        &mut self,
        connection: &mut Connection,
        bytes: &'a [u8],
    ) -> (&'a [u8], bool) {
        match self.count(connection, bytes.len()) {
            Some(allowed) => (bytes.get(..allowed).unwrap_or(bytes), true),
            None => (bytes, false),
        }
    }

    /// Shortens what is sent; whether the connection is to be cut then.
    #[inline]
    pub(super) fn cut_output(&mut self, connection: &mut Connection, bytes: &mut Vec<u8>) -> bool {
        match self.count(connection, bytes.len()) {
            Some(allowed) => {
                bytes.truncate(allowed);
                true
            }
            None => false,
        }
    }

    /// Counts bytes that pass; how many still may when the connection is to be cut.
    #[inline]
    fn count(&mut self, connection: &mut Connection, length: usize) -> Option<usize> {
        let cut = self.cut.as_mut()?;
        if connection.is_closing() {
            return None;
        }
        if connection.passed.1 != self.cut_number {
            connection.passed = (0, self.cut_number);
        }
        let left = cut.after - connection.passed.0;
        if (length as u64) < left || length == 0 {
            connection.passed.0 += length as u64;
            return None;
        }
        cut.times -= 1;
        if cut.times == 0 {
            self.cut = None;
        }
        usize::try_from(left).ok()
    }
}

impl Broker {
    /// Answers the next `times` CONNECTs with this reason; 0 times ends it.
    pub fn refuse(&mut self, reason: ReasonCode, times: u32) {
        self.faults.refusal = (times > 0).then_some((reason, times));
    }

    /// Holds PUBACK, PUBREC and PUBCOMP back for so long.
    pub fn delay_acks(&mut self, delay: Duration) {
        self.faults.ack_delay = delay;
    }

    /// Does not send the next `count` of PUBACK, PUBREC and PUBCOMP.
    pub fn lose_acks(&mut self, count: u32) {
        self.faults.lost_acks = count;
    }

    /// Cuts the next `times` connections on which so many bytes pass from now on; 0 times ends it.
    pub fn cut_after(&mut self, bytes: u64, times: u32) {
        self.faults.cut = (times > 0).then_some(Cut { after: bytes, times });
        self.faults.cut_number += 1;
    }

    /// Closes the connection of this client, or all, without DISCONNECT; how many they were.
    pub fn drop_connections(&mut self, client_id: Option<&str>, now: Instant) -> usize {
        let sessions = &self.sessions;
        let mut chosen: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, connection)| !connection.is_closing())
            .filter(|(_, connection)| match client_id {
                None => true,
                Some(wanted) => connection
                    .session()
                    .and_then(|session| sessions.get(&session))
                    .is_some_and(|session| &*session.client_id == wanted),
            })
            .map(|(id, _)| *id)
            .collect();
        chosen.sort();
        for id in &chosen {
            self.drop_connection(*id, now);
        }
        chosen.len()
    }

    /// What a restart does: every connection is lost, no will is published. Without `keep_sessions`
    /// sessions and retained messages are gone, as with a broker that keeps them in memory only.
    pub fn restart(&mut self, keep_sessions: bool, now: Instant) {
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        for session in &sessions {
            if let Some(state) = self.sessions.get_mut(session) {
                state.will = None;
            }
            self.timers.cancel(Timer::Will(*session));
        }
        self.drop_connections(None, now);
        if !keep_sessions {
            for session in sessions {
                self.end_session(session, now);
            }
            self.retained.clear();
        }
    }
}
