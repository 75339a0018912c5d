//! What the application asks for: settings that hold for the client and those of one connection.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use crate::codec::{Properties, Version, Will};

/// Settings a client keeps over all its connections.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The protocol version of the next connection.
    pub version: Version,
    /// Quota of unacknowledged QoS > 0 messages; 0 means as many as the server grants.
    pub max_inflight: u16,
    /// Bound of unfinished QoS > 0 messages, in flight ones included; 0 means none.
    pub max_queued: usize,
    /// Larger packets of the server end the connection before they are buffered; a bound that
    /// CONNECT announces takes its place.
    pub max_packet_size: usize,
    /// The application answers AUTH of the server; else any AUTH ends the connection.
    pub accepts_auth: bool,
    /// Report QoS 1 and 2 publishes that came to their end as events.
    pub report_acked: bool,
    /// Report QoS 0 publishes that were handed to the transport as events.
    pub report_sent: bool,
    /// Report packets that the engine sends by itself as events.
    pub trace: bool,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            version: Version::V311,
            max_inflight: 20,
            max_queued: 0,
            max_packet_size: 16 << 20,
            accepts_auth: false,
            report_acked: false,
            report_sent: false,
            trace: false,
        }
    }
}

/// The CONNECT packet of one connection, and the bounds that go with it.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The client identifier; if it is empty the server may choose one.
    pub client_id: ByteString,
    /// Clean Session of MQTT 3.x, Clean Start of MQTT 5.0.
    pub clean_start: bool,
    /// Seconds; 0 switches keep-alive off.
    pub keep_alive: u16,
    /// The user name; text by the standard.
    pub username: Option<Bytes>,
    /// The password.
    pub password: Option<Bytes>,
    /// What the server publishes when the connection is lost.
    pub will: Option<Will>,
    /// Properties of CONNECT (MQTT 5.0).
    pub properties: Properties,
    /// Sets the bridge bit of the protocol level (MQTT 3.x).
    pub bridge: bool,
    /// How long the server may take to answer with CONNACK.
    pub connack_timeout: Duration,
}
