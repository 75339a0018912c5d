//! The embedded broker's state machine: packets and virtual time in, packets out, no sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod broker_connecting;
mod broker_delivery;
mod broker_faults;
mod broker_hostile;
mod broker_memory;
mod broker_rig;
mod broker_sessions;

use oxmqtt_protocol::codec::Version;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];
