//! MQTT 3.1, 3.1.1 and 5.0 without input and output.
//!
//! - [`topic`]: which topic names and topic filters are valid, and which filter matches which name.
//! - [`codec`]: bytes to packets and back. Topics and payloads are slices of the received bytes.
//! - [`session`]: a client's state machine. It numbers, queues, sends and resends messages, acknowledges
//!   what it receives, keeps the connection alive and keeps the limits of the server.
//!
//! There is no socket, thread, clock or random number in here. Whoever uses the crate brings bytes and the
//! time as arguments, so a test can let a week pass in a microsecond, and a driver may be synchronous,
//! asynchronous or a simulation.
//!
//! Errors say whose fault it is. What the caller did wrong is an error of the call:
//! [`EncodeError`](codec::EncodeError), [`LocalError`](session::LocalError). What the server did wrong,
//! [`DecodeError`](codec::DecodeError) or [`PeerError`](session::PeerError), has a reason code and ends
//! the connection. Nothing panics on bytes from the network.
//!
//! # A connection without a network
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use bytes::Bytes;
//! use oxmqtt_protocol::codec::{Properties, QoS, Version};
//! use oxmqtt_protocol::session::{
//!     ConnectOptions, Event, Outgoing, Receipt, Session, SessionConfig,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Instant::now();
//! let mut session = Session::new(SessionConfig { version: Version::V311, ..Default::default() });
//! session.connect(
//!     &ConnectOptions {
//!         client_id: "meter".into(),
//!         clean_start: true,
//!         keep_alive: 60,
//!         username: None,
//!         password: None,
//!         will: None,
//!         properties: Properties::default(),
//!         bridge: false,
//!         connack_timeout: Duration::from_secs(5),
//!     },
//!     now,
//! )?;
//!
//! // CONNECT is ready: write it to the server, and say that it was written.
//! let mut packets = Vec::new();
//! session.take_output(&mut packets);
//! assert_eq!(packets.first(), Some(&0x10));
//! session.handle_written(packets.len(), now);
//!
//! // The server answers with CONNACK.
//! session.handle_input(Bytes::from_static(&[0x20, 0x02, 0x00, 0x00]), now);
//! assert!(session.is_online());
//! assert!(matches!(session.drain_events().next(), Some(Event::ConnAck { .. })));
//!
//! // A message of QoS 1, and its PUBACK.
//! let message = Outgoing {
//!     topic: "meters/7",
//!     payload: b"3.1 kW",
//!     qos: QoS::AtLeastOnce,
//!     retain: false,
//!     properties: &[],
//!     topic_alias: None,
//! };
//! let Ok(Receipt::Tracked { ticket }) = session.publish(&message) else {
//!     return Err("not accepted".into());
//! };
//! assert_eq!(ticket.outcome(), None);
//! let [high, low] = ticket.packet_id().to_be_bytes();
//! session.handle_input(Bytes::copy_from_slice(&[0x40, 0x02, high, low]), now);
//! assert!(ticket.outcome().is_some_and(|reason| !reason.is_failure()));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]
// Nothing panics on bytes from the network. `clippy.toml` has the rest of what is not done here.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::dbg_macro,
        clippy::print_stdout,
        clippy::print_stderr,
        clippy::disallowed_methods,
        clippy::disallowed_types
    )
)]
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod codec;
pub mod session;
pub mod topic;
