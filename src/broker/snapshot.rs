//! What can be seen of a broker from outside.

use super::broker::{Broker, Counters};
use oxmqtt_protocol::codec::{SubscriptionOptions, Version};

/// A connected client.
#[derive(Clone, Debug)]
pub struct ClientSnapshot {
    pub client_id: String,
    pub version: Version,
    pub address: String,
    pub clean_start: bool,
    /// In seconds.
    pub keep_alive: u16,
    pub subscriptions: Vec<(String, SubscriptionOptions)>,
}

impl Broker {
    /// The connected clients, in the order of their identifiers.
    pub fn clients(&self) -> Vec<ClientSnapshot> {
        let mut clients: Vec<_> = self
            .connections
            .values()
            .filter_map(|connection| {
                let session = self.sessions.get(&connection.session()?)?;
                let subscriptions = session.subscriptions.iter();
                Some(ClientSnapshot {
                    client_id: session.client_id.to_string(),
                    version: connection.version,
                    address: connection.address.clone(),
                    clean_start: connection.clean_start,
                    keep_alive: connection.keep_alive,
                    subscriptions: subscriptions
                        .map(|(filter, subscribed)| (filter.to_string(), subscribed.options))
                        .collect(),
                })
            })
            .collect();
        clients.sort_by(|a, b| a.client_id.cmp(&b.client_id));
        clients
    }

    /// Whether a connected client, this one if a name is given, has subscribed to exactly this filter.
    pub fn is_subscribed(&self, filter: &str, client_id: Option<&str>) -> bool {
        self.sessions.values().any(|session| {
            session.connection.is_some()
                && client_id.is_none_or(|wanted| &*session.client_id == wanted)
                && session.subscriptions.contains_key(filter)
        })
    }

    pub fn is_connected(&self, client_id: &str) -> bool {
        let session = self.by_client_id.get(client_id).and_then(|id| self.sessions.get(id));
        session.is_some_and(|session| session.connection.is_some())
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }
}
