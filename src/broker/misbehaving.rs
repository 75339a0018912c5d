//! What a test orders the broker to do wrong.

use std::time::{Duration, Instant};

use super::broker::Broker;
use super::faults::Cut;
use super::timers::Timer;
use oxmqtt_protocol::codec::ReasonCode;

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
