//! The engine moves the bytes: one runtime per process, one I/O task per connection.
//!
//! Python threads meet it in three places: they put packets into the session under a short lock,
//! they wait on [`Core`]'s progress, and they take events from the [`Inbox`]. I/O threads never
//! attach to the interpreter.

mod acknowledging;
mod acks;
mod carried;
mod coalesce;
mod connecting;
mod core;
mod fork;
mod gate;
mod halves;
mod handshake;
mod inbox;
mod io_task;
mod layers;
mod relay;
mod runtime;
mod stream;
mod tls;
#[cfg(unix)]
mod turns;
mod upgrade;
mod waker;
pub mod websocket;

pub use self::core::{Core, PublishOutcome};
pub use acks::AckDue;
pub use connecting::ConnectError;
pub use fork::{after_in_child, after_in_parent, before};
pub use halves::Below;
pub use handshake::{HandshakeError, Upgrade, handshake};
pub use inbox::{Inbox, Patience};
pub use layers::Layers;
pub use relay::Relay;
pub use runtime::flush_all;
pub use stream::{Socket, SocketFamily};
pub use tls::{TlsConfig, TlsOptions, TlsSetupError};
#[cfg(unix)]
pub use turns::{leave_turn, wait_in_turn};
pub use upgrade::{MAX_HEAD, UpgradeError, check_answer};
