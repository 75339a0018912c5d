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

/// With more identifiers in use than this, those that are free are looked up in a bitmap: one after the
/// other, up to 65,519 would be tried for each message. Clients that use few do without its 8 KiB.
const MANY: usize = 1024;

/// Hands out identifiers in turn and skips those in use.
#[derive(Debug, Default)]
pub(super) struct PacketIds {
    last: u16,
    in_use: FxHashMap<u16, IdUse>,
    /// The same, while there are many.
    bitmap: Option<Box<Bitmap>>,
}

impl PacketIds {
    /// The next free identifier, not reserved; QoS 0 messages get one as their name only.
    pub(super) fn next(&mut self) -> Option<u16> {
        if self.in_use.len() >= usize::from(u16::MAX) {
            return None;
        }
        if let Some(bitmap) = &self.bitmap {
            let behind = bitmap.first_clear(usize::from(self.last) + 1);
            self.last = behind.or_else(|| bitmap.first_clear(1))?;
            return Some(self.last);
        }
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if self.in_use.is_empty() || !self.in_use.contains_key(&self.last) {
                return Some(self.last);
            }
        }
    }

    fn insert(&mut self, id: u16, usage: IdUse) {
        self.in_use.insert(id, usage);
        match &mut self.bitmap {
            Some(bitmap) => bitmap.set(id),
            None if self.in_use.len() > MANY => self.draw_bitmap(),
            None => {}
        }
    }

    /// After a change of many.
    fn draw_bitmap(&mut self) {
        self.bitmap = (self.in_use.len() > MANY).then(|| {
            let mut bitmap = Box::<Bitmap>::default();
            self.in_use.keys().for_each(|id| bitmap.set(*id));
            bitmap
        });
    }

    pub(super) fn reserve(&mut self, usage: IdUse) -> Option<u16> {
        let is_message = matches!(usage, IdUse::Publish(_));
        if is_message && self.in_use.len() >= usize::from(u16::MAX) - FOR_REQUESTS {
            return None;
        }
        let id = self.next()?;
        self.insert(id, usage);
        Some(id)
    }

    pub(super) fn usage(&self, id: u16) -> Option<IdUse> {
        self.in_use.get(&id).copied()
    }

    pub(super) fn release(&mut self, id: u16) {
        self.in_use.remove(&id);
        if let Some(bitmap) = &mut self.bitmap {
            bitmap.clear(id);
            if self.in_use.len() < MANY / 2 {
                self.bitmap = None;
                self.in_use.shrink_to(MANY);
            }
        }
    }

    /// Forgets SUBSCRIBE and UNSUBSCRIBE: they end with their connection.
    pub(super) fn release_requests(&mut self) {
        self.in_use.retain(|_, usage| matches!(usage, IdUse::Publish(_) | IdUse::Dropped));
        self.draw_bitmap();
    }

    /// Keeps an identifier from new messages as long as the server keeps the session.
    pub(super) fn drop_publish(&mut self, id: u16) {
        self.insert(id, IdUse::Dropped);
    }

    /// The server has a new session, which holds nothing.
    pub(super) fn release_dropped(&mut self) {
        self.in_use.retain(|_, usage| *usage != IdUse::Dropped);
        self.draw_bitmap();
    }

    pub(super) fn last(&self) -> u16 {
        self.last
    }

    /// Goes on after `last`.
    pub(super) fn continue_after(&mut self, last: u16) {
        self.last = last;
    }
}

const WORDS: usize = 1024;

/// A bit for each identifier.
#[derive(Debug)]
struct Bitmap {
    words: [u64; WORDS],
    /// A bit for each word that is full.
    full: [u64; WORDS / 64],
}

impl Default for Bitmap {
    fn default() -> Self {
        Self { words: [0; WORDS], full: [0; WORDS / 64] }
    }
}

impl Bitmap {
    fn set(&mut self, id: u16) {
        let (word, bit) = (usize::from(id) / 64, id % 64);
        self.words[word] |= 1 << bit;
        if self.words[word] == u64::MAX {
            self.full[word / 64] |= 1 << (word % 64);
        }
    }

    fn clear(&mut self, id: u16) {
        let (word, bit) = (usize::from(id) / 64, id % 64);
        self.words[word] &= !(1 << bit);
        self.full[word / 64] &= !(1 << (word % 64));
    }

    /// The first identifier from `from` on whose bit is clear.
    fn first_clear(&self, from: usize) -> Option<u16> {
        let word = from / 64;
        if word == WORDS {
            return None;
        }
        let found = first_zero(self.words[word], from % 64).map(|bit| word * 64 + bit);
        let id = found.or_else(|| {
            let (group, first) = ((word + 1) / 64, (word + 1) % 64);
            let groups = (group..WORDS / 64).zip([first].into_iter().chain(std::iter::repeat(0)));
            let word = groups.into_iter().find_map(|(group, first)| {
                first_zero(self.full[group], first).map(|bit| group * 64 + bit)
            })?;
            first_zero(self.words[word], 0).map(|bit| word * 64 + bit)
        });
        id.and_then(|id| u16::try_from(id).ok())
    }
}

/// The lowest bit from `from` on that is 0.
fn first_zero(word: u64, from: usize) -> Option<usize> {
    let zeros = !word & (u64::MAX << from);
    (zeros != 0).then(|| zeros.trailing_zeros() as usize)
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

    /// In turn, skipping what is in use: with and without the bitmap.
    #[test]
    fn few_and_many_are_handed_out_alike() {
        let mut ids = PacketIds::default();
        let mut used = std::collections::BTreeSet::new();
        let mut last = 0u16;
        let mut state = 1u64;
        for round in 0..80_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let fills = (round / 20_000) % 2 == 0;
            if (state >> 33) % 8 < if fills { 7 } else { 1 } {
                let behind = (last.checked_add(1).unwrap_or(1)..=u16::MAX).chain(1..=u16::MAX);
                let expected = behind.into_iter().find(|id| !used.contains(id));
                if used.len() < usize::from(u16::MAX) - FOR_REQUESTS {
                    assert_eq!(ids.reserve(IdUse::Publish(0)), expected);
                    last = expected.unwrap();
                    used.insert(last);
                } else {
                    assert_eq!(ids.next(), expected);
                    last = expected.unwrap();
                }
            } else if let Some(id) = used.range((state >> 48) as u16..).next().copied() {
                used.remove(&id);
                ids.release(id);
            }
        }
        used.iter().for_each(|id| ids.release(*id));
        assert!(ids.bitmap.is_none() && ids.in_use.is_empty());
    }

    /// The work for one name must not grow with what is in use.
    #[test]
    fn a_free_identifier_is_found_at_once_among_many_in_use() {
        let mut ids = PacketIds::default();
        while ids.reserve(IdUse::Publish(0)).is_some() {}
        let began = std::time::Instant::now();
        for _ in 0..1_000_000 {
            assert!(ids.next().is_some_and(|id| !ids.in_use.contains_key(&id)));
        }
        // A search of all takes minutes.
        assert!(began.elapsed() < std::time::Duration::from_secs(20));
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
