//! The embedded broker: for tests and demos, on the client's own codec.
//!
//! [`Broker`] is the server's state machine, without sockets, threads or clocks: bytes and time go in,
//! bytes come out. It keeps its bounds by itself: what a client does not read is dropped (QoS 0) or
//! waits (QoS 1 and 2) up to a limit, and then is dropped and counted too; all that is kept for clients
//! counts in one place (`memory.rs`). [`server`] runs it on sockets.

#[allow(clippy::module_inception)]
mod broker;
mod connecting;
mod connection;
mod delivering;
mod ending;
mod faults;
mod ids;
mod memory;
mod message;
mod misbehaving;
mod publishing;
mod record;
mod retained;
pub mod server;
mod session;
mod settings;
mod snapshot;
mod subscribing;
mod subscriptions;
mod timers;

pub use broker::{Broker, Counters};
pub use ids::ConnectionId;
pub use message::Message;
pub use record::Record;
pub use settings::{Authentication, AuthenticationStep, Settings};
pub use snapshot::ClientSnapshot;
