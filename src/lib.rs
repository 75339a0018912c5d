//! oxmqtt: an MQTT client engine for Python.
//!
//! The layers, each using only those before it:
//! [`codec`] (bytes and packets) ◀ [`session`] (the client's state machine) ◀ [`engine`] (runtime,
//! sockets, inbox) ◀ `bindings` (PyO3, behind the feature `python`). Beside the session stands the
//! [`broker`], the server's state machine for tests and demos.

pub mod broker;
pub mod codec;
pub mod engine;
pub mod session;
pub mod topic;

#[cfg(feature = "python")]
mod bindings;
