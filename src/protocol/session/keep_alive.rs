//! Keep-alive: when to ask, when to give up [MQTT-3.1.2-20], [MQTT-3.1.2-24].
//!
//! A server that reads slowly gets to our PINGREQ late. So its silence does not count against it while it
//! takes what was sent before.

use std::time::{Duration, Instant};

use super::stall::{LOOKS, StallWatch};

/// A peer that has yet to take what was sent before PINGREQ may take nothing for this long at least: the
/// windows of TCP open in leaps.
pub(super) const STALLED: Duration = Duration::from_secs(5);
/// What was long on its way to the peer's kernel may be as long on its way from there to the server, up
/// to this.
const MOST_PATIENCE: Duration = Duration::from_secs(60);
const PINGREQ_SIZE: u64 = 2;

/// How far our bytes have got, as stream offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outflow {
    /// The peer has everything before, as far as that can be known.
    pub(super) taken: u64,
    /// The end of what was encoded.
    pub(super) queued: u64,
}

/// Deadlines of a live connection. Time comes in as an argument.
#[derive(Debug)]
pub(super) struct KeepAlive {
    interval: Duration,
    last_sent: Instant,
    last_received: Instant,
    asked: Option<Asked>,
}

/// A PINGREQ that is not answered.
#[derive(Debug)]
struct Asked {
    since: Instant,
    /// Where it ends in the stream, if the peer had yet to take bytes before it; `None` once it has.
    ends_at: Option<u64>,
    watch: StallWatch,
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
        Some(match &self.asked {
            // There is no use in asking again behind it.
            Some(asked) if asked.ends_at.is_some() => asked.watch.deadline(),
            Some(asked) => asked.watch.deadline().min(self.last_sent + self.interval),
            None => self.last_sent.min(self.last_received) + self.interval,
        })
    }

    /// `reading` is false while the application's inbox is full: silence is then our own doing.
    pub(super) fn due(
        &mut self,
        now: Instant,
        reading: bool,
        outflow: impl FnOnce() -> Outflow,
    ) -> Due {
        if !reading {
            self.handle_received(now);
        }
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Due::Nothing;
        }
        let outflow = outflow();
        let half = self.interval / 2;
        match &mut self.asked {
            Some(asked) => {
                if asked.is_given_up(outflow.taken, now, half) {
                    return Due::Dead;
                }
                if asked.ends_at.is_some() || now < self.last_sent + self.interval {
                    return Due::Nothing;
                }
            }
            None => {
                let is_behind = outflow.taken < outflow.queued;
                let bound = if is_behind { half.max(STALLED) } else { half };
                self.asked = Some(Asked {
                    since: now,
                    ends_at: is_behind.then_some(outflow.queued + PINGREQ_SIZE),
                    watch: StallWatch::new(outflow.taken, now, bound).looking_every(half / LOOKS),
                });
            }
        }
        self.last_sent = now;
        Due::Ping
    }
}

impl Asked {
    fn is_given_up(&mut self, taken: u64, now: Instant, half: Duration) -> bool {
        let has_moved = self.watch.look(taken, now);
        if let Some(ends_at) = self.ends_at {
            if has_moved {
                self.watch.moved = now;
            }
            if taken >= ends_at {
                let on_its_way = now - self.since;
                self.ends_at = None;
                self.watch.moved = self.since;
                self.watch.bound = half.max(on_its_way + on_its_way.min(MOST_PATIENCE));
            }
        }
        self.watch.is_over(now)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// As where everything is with the peer at once.
    fn due(keep_alive: &mut KeepAlive, now: Instant, reading: bool) -> Due {
        keep_alive.due(now, reading, || Outflow { taken: 1000, queued: 1000 })
    }

    #[test]
    fn an_idle_peer_is_asked_after_one_interval_and_dead_after_one_and_a_half() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(10, start);
        assert_eq!(keep_alive.deadline(), Some(start + 10 * SECOND));
        assert_eq!(due(&mut keep_alive, start + 9 * SECOND, true), Due::Nothing);
        assert_eq!(due(&mut keep_alive, start + 10 * SECOND, true), Due::Ping);
        keep_alive.handle_sent(start + 10 * SECOND);
        for second in 11..15 {
            assert_eq!(keep_alive.deadline(), Some(start + second * SECOND));
            assert_eq!(due(&mut keep_alive, start + second * SECOND, true), Due::Nothing);
        }
        assert_eq!(due(&mut keep_alive, start + 15 * SECOND, true), Due::Dead);
    }

    #[test]
    fn bytes_received_are_an_answer() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(10, start);
        assert_eq!(due(&mut keep_alive, start + 10 * SECOND, true), Due::Ping);
        keep_alive.handle_sent(start + 10 * SECOND);
        keep_alive.handle_received(start + 14 * SECOND);
        assert_eq!(due(&mut keep_alive, start + 16 * SECOND, true), Due::Nothing);
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
            let sent = 100 * u64::from(tick);
            let outflow = Outflow { taken: sent, queued: sent };
            if keep_alive.due(now, true, || outflow) == Due::Dead {
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
        assert_eq!(due(&mut keep_alive, start + 10 * SECOND, false), Due::Ping);
        keep_alive.handle_sent(start + 10 * SECOND);
        assert_eq!(due(&mut keep_alive, start + 16 * SECOND, false), Due::Nothing);
        assert_eq!(due(&mut keep_alive, start + 20 * SECOND, false), Due::Ping);
        keep_alive.handle_sent(start + 20 * SECOND);
        assert_eq!(due(&mut keep_alive, start + 22 * SECOND, true), Due::Nothing);
        assert_eq!(due(&mut keep_alive, start + 40 * SECOND, true), Due::Dead);
    }

    #[test]
    fn zero_switches_it_off() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(0, start);
        assert_eq!(keep_alive.deadline(), None);
        assert_eq!(due(&mut keep_alive, start + 1000 * SECOND, true), Due::Nothing);
    }

    /// A link and a server that takes `rate` bytes a second of what is sent, in leaps of `leap` bytes.
    /// Its kernel has `window` bytes that the server has not read. It answers what it has read.
    struct SlowLink {
        rate: u64,
        leap: u64,
        window: u64,
    }

    impl SlowLink {
        fn acknowledged(&self, read: u64, sent: u64) -> u64 {
            (read / self.leap * self.leap + self.window).min(sent)
        }

        /// Sends `size` bytes at once; what came of it, and when.
        fn upload(&self, keep_alive: u16, size: u64, stops_at: u64) -> (Due, Duration) {
            let start = Instant::now();
            let mut keep_alive = KeepAlive::new(keep_alive, start);
            let (mut sent, mut question) = (size, None);
            loop {
                let now = keep_alive.deadline().unwrap();
                let passed = now - start;
                let read = (passed.as_millis() as u64 * self.rate / 1000).min(sent).min(stops_at);
                if question.is_some_and(|question| question <= read) {
                    keep_alive.handle_received(now);
                    question = None;
                    if read >= size {
                        return (Due::Nothing, passed);
                    }
                    continue;
                }
                let taken = self.acknowledged(read, sent);
                let outflow = Outflow { taken, queued: sent };
                match keep_alive.due(now, true, || outflow) {
                    Due::Nothing => {}
                    Due::Ping => {
                        sent += 2;
                        question.get_or_insert(sent);
                    }
                    Due::Dead => return (Due::Dead, passed),
                }
            }
        }
    }

    proptest! {
        /// Whatever the pace: a server that reads on keeps its connection.
        #[test]
        fn a_slow_server_is_not_given_up(
            rate in 5_000u64..1_000_000,
            keep_alive in 2u16..120,
            size in 0u64..10_000_000,
            leap in 1u64..16_000,
        ) {
            // What it has in its kernel it reads before its time is up.
            let window = (rate * u64::from(keep_alive) / 3).min(64 << 10);
            let link = SlowLink { rate, leap, window };
            prop_assert_eq!(link.upload(keep_alive, size, u64::MAX).0, Due::Nothing);
        }

        /// One that takes nothing any more is given up within its time.
        #[test]
        fn a_server_that_stops_reading_is_given_up(
            rate in 5_000u64..1_000_000,
            keep_alive in 2u16..120,
            size in 100_000u64..10_000_000,
            part in 0u64..100,
        ) {
            let stops_at = size * part / 100;
            let link = SlowLink { rate, leap: 1460, window: 8192 };
            let (due, after) = link.upload(keep_alive, size, stops_at);
            prop_assert_eq!(due, Due::Dead);
            let interval = Duration::from_secs(keep_alive.into());
            let stopped = Duration::from_millis(stops_at * 1000 / rate);
            let patience = (interval / 2).max(STALLED);
            let bound = patience.max(stopped.min(MOST_PATIENCE));
            prop_assert!(after <= stopped + interval + bound * 2, "{after:?} after {stopped:?}");
        }
    }
}
