//! The session from outside: bytes and time in, bytes and events out. The bytes come from a builder
//! that shares no code with the codec, the time is virtual.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod session_alias;
mod session_auth;
mod session_close;
mod session_connect;
mod session_frames;
mod session_handover;
mod session_identifiers;
mod session_leaving;
mod session_limits;
mod session_memory;
mod session_own_alias;
mod session_protocol;
mod session_qos2;
mod session_quota;
mod session_receive;
mod session_requests;
mod session_resume;
mod session_rig;
mod session_send;
mod session_time;
mod session_wire;
mod sim;

use oxmqtt_protocol::codec::Version;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];
