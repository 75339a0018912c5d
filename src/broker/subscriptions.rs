//! Who subscribed to what. Filters without wildcards are looked up, those with are tried one after the
//! other; what a topic matched is remembered until a subscription changes.

use std::collections::HashMap;
use std::sync::Arc;

use bytestring::ByteString;

use super::ids::SessionId;
use oxmqtt_protocol::codec::SubscriptionOptions;
use oxmqtt_protocol::topic;

/// Topics whose matches are remembered.
const MAX_CACHED: usize = 1_024;
/// The longest topic that is remembered.
const MAX_CACHED_LEN: usize = 256;

/// One session's subscription to one filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) session: SessionId,
    pub(super) options: SubscriptionOptions,
    /// The subscription identifier; 0 is none.
    pub(super) id: u32,
}

/// The members of a shared subscription (4.8.2).
#[derive(Debug, Default)]
pub(super) struct Share {
    pub(super) members: Vec<Subscription>,
    /// Whose turn it is.
    pub(super) turn: usize,
}

pub(super) type ShareKey = (ByteString, ByteString);

/// What a topic matches.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// Sorted by session.
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) shares: Vec<ShareKey>,
}

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    exact: HashMap<ByteString, Vec<Subscription>>,
    wild: HashMap<ByteString, Vec<Subscription>>,
    pub(super) shares: HashMap<ShareKey, Share>,
    cache: HashMap<Box<[u8]>, Arc<Matches>>,
}

impl Subscriptions {
    /// Adds or replaces a subscription.
    pub(super) fn insert(&mut self, filter: &ByteString, subscription: Subscription) {
        self.cache.clear();
        let members = match share_key(filter) {
            Some(key) => &mut self.shares.entry(key).or_default().members,
            None => self.table(filter).entry(filter.clone()).or_default(),
        };
        match members.iter_mut().find(|member| member.session == subscription.session) {
            Some(member) => *member = subscription,
            None => members.push(subscription),
        }
    }

    pub(super) fn remove(&mut self, filter: &ByteString, session: SessionId) {
        self.cache.clear();
        if let Some(key) = share_key(filter) {
            if let Some(share) = self.shares.get_mut(&key) {
                share.members.retain(|member| member.session != session);
                if share.members.is_empty() {
                    self.shares.remove(&key);
                }
            }
            return;
        }
        let table = self.table(filter);
        if let Some(members) = table.get_mut(filter) {
            members.retain(|member| member.session != session);
            if members.is_empty() {
                table.remove(filter);
            }
        }
    }

    #[inline]
    pub(super) fn matches(&mut self, name: &str) -> Arc<Matches> {
        if let Some(found) = self.cache.get(name.as_bytes()) {
            return Arc::clone(found);
        }
        let found = Arc::new(self.find(name));
        if name.len() <= MAX_CACHED_LEN {
            if self.cache.len() >= MAX_CACHED {
                self.cache.clear();
            }
            self.cache.insert(name.as_bytes().into(), Arc::clone(&found));
        }
        found
    }

    fn find(&self, name: &str) -> Matches {
        let mut subscriptions = self.exact.get(name).cloned().unwrap_or_default();
        for (filter, members) in &self.wild {
            if topic::matches(filter, name) {
                subscriptions.extend_from_slice(members);
            }
        }
        subscriptions.sort_by_key(|subscription| (subscription.session, subscription.id));
        let mut shares: Vec<_> = self
            .shares
            .keys()
            .filter(|(_, filter)| topic::matches(filter, name))
            .cloned()
            .collect();
        shares.sort();
        Matches { subscriptions, shares }
    }

    fn table(&mut self, filter: &str) -> &mut HashMap<ByteString, Vec<Subscription>> {
        if filter.contains(['+', '#']) { &mut self.wild } else { &mut self.exact }
    }
}

fn share_key(filter: &str) -> Option<ShareKey> {
    let shared = topic::parse_shared(filter)?;
    Some((shared.share_name.into(), shared.filter.into()))
}
