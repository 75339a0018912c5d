//! What a broker is made with, and the bounds that nobody needs to change.

use std::collections::HashMap;

use bytes::Bytes;

/// Seconds that a client has between the connection and its CONNECT.
pub(super) const CONNECT_SECONDS: u64 = 10;
/// Topic aliases that a client may set up.
pub(super) const TOPIC_ALIASES: u16 = 16;
/// QoS 1 and 2 messages in flight to a client that does not say how many it takes.
pub(super) const DEFAULT_WINDOW: u16 = 1_000;
/// The out-buffer above which QoS 1 and 2 messages wait in the queue.
pub(super) const HIGH_WATER: usize = 1 << 20;
/// Bytes of messages that wait for one client.
pub(super) const MAX_QUEUED_BYTES: usize = 64 << 20;
/// What a subscription takes besides its filter, in the session and in the tables.
pub(super) const SUBSCRIPTION: usize = 256;
/// Messages that wait for one client.
pub(super) const MAX_QUEUED: usize = 100_000;
/// Retained messages.
pub(super) const MAX_RETAINED: usize = 100_000;
/// Sessions, connected or not.
pub(super) const MAX_SESSIONS: usize = 100_000;
/// Subscriptions of one session.
pub(super) const MAX_SUBSCRIPTIONS: usize = 10_000;

/// What a broker is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names and passwords; with `None` everybody may connect.
    pub users: Option<HashMap<Bytes, Bytes>>,
    /// Enhanced authentication (MQTT 5.0, clause 4.12), which every client must then use.
    pub authentication: Option<Authentication>,
    /// The largest packet that a client may send, in bytes.
    pub maximum_packet_size: u32,
    /// QoS 1 and 2 messages that an MQTT 5.0 client may have unacknowledged.
    pub receive_maximum: u16,
    /// Messages that are recorded; older ones are forgotten.
    pub record: usize,
    /// Bytes that wait for a client that reads slowly, above which QoS 0 messages to it are dropped.
    pub max_unsent: usize,
    /// Bytes of all that is kept for clients: messages that wait, are recorded or retained, sessions,
    /// subscriptions. Above, no more is taken.
    pub max_kept: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            users: None,
            authentication: None,
            maximum_packet_size: 16 << 20,
            receive_maximum: u16::MAX,
            record: 10_000,
            max_unsent: 16 << 20,
            max_kept: 256 << 20,
        }
    }
}

/// A dialogue of AUTH packets: what the client has to send, and what it is answered.
#[derive(Clone, Debug)]
pub struct Authentication {
    pub method: String,
    /// The first one is about CONNECT; the answer of the last comes with the success.
    pub steps: Vec<AuthenticationStep>,
}

/// One step: the Authentication Data expected from the client, or any, and the broker's.
#[derive(Clone, Debug)]
pub struct AuthenticationStep {
    pub expected: Option<Bytes>,
    pub answer: Bytes,
}
