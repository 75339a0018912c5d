//! MQTT 3.1, 3.1.1 and 5.0 without input and output.
//!
//! [`codec`] turns bytes into packets and back, [`session`] is a client's state machine on top of it,
//! and [`topic`] has the rules for topic names and filters.
#![forbid(unsafe_code)]
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
