//! Keep-alive: when to ask, when to give up [MQTT-3.1.2-20], [MQTT-3.1.2-24].

use std::time::{Duration, Instant};

/// Deadlines of a live connection. Time comes in as an argument.
#[derive(Debug)]
pub(super) struct KeepAlive {
    interval: Duration,
    last_sent: Instant,
    last_received: Instant,
    /// When the unanswered PINGREQ was sent.
    asked: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ping,
    Dead,
}

impl KeepAlive {
    /// `seconds` 0 switches it off.
    pub(super) fn new(seconds: u16, now: Instant) -> Self {
        Self {
            interval: Duration::from_secs(u64::from(seconds)),
            last_sent: now,
            last_received: now,
            asked: None,
        }
    }

    pub(super) fn set_interval(&mut self, seconds: u16) {
        self.interval = Duration::from_secs(u64::from(seconds));
    }

    /// When bytes were last received and sent.
    pub(super) fn last_moves(&self) -> (Instant, Instant) {
        (self.last_received, self.last_sent)
    }

    pub(super) fn handle_sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    pub(super) fn handle_received(&mut self, now: Instant) {
        self.last_received = now;
        self.asked = None;
    }

    /// The next instant at which [`Self::due`] may have something to say.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.interval.is_zero() {
            return None;
        }
        Some(match self.asked {
            Some(asked) => (asked + self.interval / 2).min(self.last_sent + self.interval),
            None => self.last_sent.min(self.last_received) + self.interval,
        })
    }

    /// `reading` is false while the application's inbox is full: silence is then our own doing.
    pub(super) fn due(&mut self, now: Instant, reading: bool) -> Due {
        if self.interval.is_zero() {
            return Due::Nothing;
        }
        if !reading {
            self.handle_received(now);
        }
        match self.asked {
            Some(asked) if now >= asked + self.interval / 2 => return Due::Dead,
            None if now >= self.last_received + self.interval => {}
            _ if now >= self.last_sent + self.interval => {}
            _ => return Due::Nothing,
        }
        self.asked.get_or_insert(now);
        self.last_sent = now;
        Due::Ping
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_idle_peer_is_asked_after_one_interval_and_dead_after_one_and_a_half() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(10, start);
        assert_eq!(keep_alive.deadline(), Some(start + 10 * SECOND));
        assert_eq!(keep_alive.due(start + 9 * SECOND, true), Due::Nothing);
        assert_eq!(keep_alive.due(start + 10 * SECOND, true), Due::Ping);
        keep_alive.handle_sent(start + 10 * SECOND);
        assert_eq!(keep_alive.deadline(), Some(start + 15 * SECOND));
        assert_eq!(keep_alive.due(start + 14 * SECOND, true), Due::Nothing);
        assert_eq!(keep_alive.due(start + 15 * SECOND, true), Due::Dead);
    }

    #[test]
    fn bytes_received_are_an_answer() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(10, start);
        assert_eq!(keep_alive.due(start + 10 * SECOND, true), Due::Ping);
        keep_alive.handle_sent(start + 10 * SECOND);
        keep_alive.handle_received(start + 14 * SECOND);
        assert_eq!(keep_alive.due(start + 16 * SECOND, true), Due::Nothing);
        assert_eq!(keep_alive.deadline(), Some(start + 20 * SECOND));
    }

    #[test]
    fn constant_sending_does_not_hide_a_dead_peer() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(10, start);
        let mut found = None;
        for tick in 1..40u32 {
            let now = start + tick * SECOND;
            keep_alive.handle_sent(now);
            if keep_alive.due(now, true) == Due::Dead {
                found = Some(tick);
                break;
            }
        }
        assert_eq!(found, Some(15));
    }

    #[test]
    fn a_full_inbox_suspends_the_verdict_and_not_the_pings() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(10, start);
        assert_eq!(keep_alive.due(start + 10 * SECOND, false), Due::Ping);
        keep_alive.handle_sent(start + 10 * SECOND);
        assert_eq!(keep_alive.due(start + 16 * SECOND, false), Due::Nothing);
        assert_eq!(keep_alive.due(start + 20 * SECOND, false), Due::Ping);
        keep_alive.handle_sent(start + 20 * SECOND);
        assert_eq!(keep_alive.due(start + 22 * SECOND, true), Due::Nothing);
        assert_eq!(keep_alive.due(start + 40 * SECOND, true), Due::Dead);
    }

    #[test]
    fn zero_switches_it_off() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(0, start);
        assert_eq!(keep_alive.deadline(), None);
        assert_eq!(keep_alive.due(start + 1000 * SECOND, true), Due::Nothing);
    }
}
