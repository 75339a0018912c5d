//! Packet identifiers: one space for PUBLISH, SUBSCRIBE and UNSUBSCRIBE [MQTT-2.2.1-3].

use rustc_hash::FxHashMap;

/// What an identifier in use stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdUse {
    /// A PUBLISH, by its place in the ledger.
    Publish(u64),
    /// A SUBSCRIBE with that many filters.
    Subscribe(usize),
    /// An UNSUBSCRIBE with that many filters.
    Unsubscribe(usize),
    /// A QoS 2 PUBLISH that was dropped or refused, while the server may still hold it: a new message
    /// with the identifier would be taken for it.
    Dropped,
}

/// Identifiers that messages leave alone, so that SUBSCRIBE and UNSUBSCRIBE always find one.
const FOR_REQUESTS: usize = 16;

/// Hands out identifiers in turn and skips those in use.
#[derive(Debug, Default)]
pub(super) struct PacketIds {
    last: u16,
    in_use: FxHashMap<u16, IdUse>,
}

impl PacketIds {
    /// The next free identifier, not reserved; QoS 0 messages get one as their name only.
    pub(super) fn next(&mut self) -> Option<u16> {
        if self.in_use.len() >= usize::from(u16::MAX) {
            return None;
        }
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if self.in_use.is_empty() || !self.in_use.contains_key(&self.last) {
                return Some(self.last);
            }
        }
    }

    pub(super) fn reserve(&mut self, usage: IdUse) -> Option<u16> {
        let is_message = matches!(usage, IdUse::Publish(_));
        if is_message && self.in_use.len() >= usize::from(u16::MAX) - FOR_REQUESTS {
            return None;
        }
        let id = self.next()?;
        self.in_use.insert(id, usage);
        Some(id)
    }

    pub(super) fn usage(&self, id: u16) -> Option<IdUse> {
        self.in_use.get(&id).copied()
    }

    pub(super) fn release(&mut self, id: u16) {
        self.in_use.remove(&id);
    }

    /// Forgets SUBSCRIBE and UNSUBSCRIBE: they end with their connection.
    pub(super) fn release_requests(&mut self) {
        self.in_use.retain(|_, usage| matches!(usage, IdUse::Publish(_) | IdUse::Dropped));
    }

    /// Keeps an identifier from new messages as long as the server keeps the session.
    pub(super) fn drop_publish(&mut self, id: u16) {
        self.in_use.insert(id, IdUse::Dropped);
    }

    /// The server has a new session, which holds nothing.
    pub(super) fn release_dropped(&mut self) {
        self.in_use.retain(|_, usage| *usage != IdUse::Dropped);
    }

    pub(super) fn last(&self) -> u16 {
        self.last
    }

    /// Goes on after `last`.
    pub(super) fn continue_after(&mut self, last: u16) {
        self.last = last;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_wrap_and_skip_those_in_use() {
        let mut ids = PacketIds::default();
        assert_eq!(ids.reserve(IdUse::Publish(0)), Some(1));
        for expected in 2..=u16::MAX {
            assert_eq!(ids.next(), Some(expected));
        }
        assert_eq!(ids.next(), Some(2));
    }

    #[test]
    fn messages_leave_some_to_requests() {
        let mut ids = PacketIds::default();
        for seq in 0..u64::from(u16::MAX) - FOR_REQUESTS as u64 {
            assert!(ids.reserve(IdUse::Publish(seq)).is_some());
        }
        assert_eq!(ids.reserve(IdUse::Publish(0)), None);
        for _ in 0..FOR_REQUESTS {
            assert!(ids.reserve(IdUse::Subscribe(1)).is_some());
        }
        assert_eq!(ids.next(), None);
        ids.release(77);
        assert_eq!(ids.reserve(IdUse::Publish(0)), None, "kept for a request");
        assert_eq!(ids.reserve(IdUse::Unsubscribe(1)), Some(77));
    }

    #[test]
    fn requests_end_with_the_connection_and_publishes_do_not() {
        let mut ids = PacketIds::default();
        let subscribe = ids.reserve(IdUse::Subscribe(1)).unwrap();
        let publish = ids.reserve(IdUse::Publish(9)).unwrap();
        ids.release_requests();
        assert_eq!(ids.usage(subscribe), None);
        assert_eq!(ids.usage(publish), Some(IdUse::Publish(9)));
    }
}
