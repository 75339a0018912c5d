//! What Python tells the engine of a client, each in one piece.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use oxmqtt_protocol::codec::Version;
use oxmqtt_protocol::session::SessionConfig;

use super::shared::Shared;

/// The engine's part of `oxmqtt._client.settings.Settings`.
#[derive(FromPyObject)]
pub(super) struct Settings {
    #[pyo3(attribute("protocol_level"))]
    protocol: u8,
    manual_ack: Truth,
    max_inflight_messages: usize,
    max_queued_messages: usize,
    #[pyo3(attribute("packet_limit"))]
    max_packet_size: usize,
}

/// `oxmqtt._client.listening.Listeners`: which events somebody wants, and how callbacks are to be called.
#[derive(FromPyObject)]
pub(super) struct Listeners {
    trace: bool,
    acked: bool,
    sent: bool,
    event_driven: bool,
    pub(super) on_message_is_method: bool,
    own_mids: bool,
    cooperative: bool,
    awaits_callbacks: bool,
}

/// Whatever Python counts as true.
struct Truth(bool);

impl<'py> FromPyObject<'_, 'py> for Truth {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        object.is_truthy().map(Self)
    }
}

impl Settings {
    pub(super) fn apply(&self, shared: &Shared) -> PyResult<()> {
        let version = Version::from_level(self.protocol)
            .ok_or_else(|| PyValueError::new_err("unknown protocol version"))?;
        shared.core.with_session(|session| {
            session.set_version(version);
            let config = session.config_mut();
            config.max_inflight = u16::try_from(self.max_inflight_messages).unwrap_or(u16::MAX);
            config.max_queued = self.max_queued_messages;
            config.max_packet_size = self.max_packet_size;
        });
        store(&shared.manual_ack, self.manual_ack.0);
        Ok(())
    }
}

impl Listeners {
    pub(super) fn apply(&self, shared: &Shared) {
        shared.core.with_session(|session| {
            let config: &mut SessionConfig = session.config_mut();
            config.report_acked = self.acked;
            config.report_sent = self.sent;
            config.trace = self.trace;
        });
        store(&shared.trace, self.trace);
        store(&shared.reports_published, self.sent);
        store(&shared.event_driven, self.event_driven);
        store(&shared.own_mids, self.own_mids);
        store(&shared.cooperative, self.cooperative);
        store(&shared.awaits_callbacks, self.awaits_callbacks);
    }
}

fn store(flag: &AtomicBool, value: bool) {
    flag.store(value, Ordering::Relaxed);
}
