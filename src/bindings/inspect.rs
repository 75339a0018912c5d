//! A client's unfinished messages as Python sees them: copies of what the session holds.

use std::collections::TryReserveError;
use std::sync::Arc;

use bytes::Bytes;
use pyo3::intern;
use pyo3::prelude::*;

use oxmqtt_protocol::codec::{Version, try_copy};
use oxmqtt_protocol::session::{Progress, Ticket};

use super::codes::ErrorCode;
use super::errors::out_of_memory;
use super::message::MQTTMessage;
use super::message_info::{MQTTMessageInfo, Tracking};
use super::python;
use super::shared::Shared;

/// An outgoing message, taken out of the session's lock.
pub(super) struct Copied {
    ticket: Arc<Ticket>,
    packet: Bytes,
    state: u8,
}

/// The unfinished outgoing messages, oldest first.
pub(super) fn unfinished(py: Python<'_>, shared: &Arc<Shared>) -> PyResult<Vec<Py<MQTTMessage>>> {
    let (copied, version) = shared.core.with_session(|session| {
        let copied = session.unfinished_messages().map(|(ticket, packet, progress)| {
            let packet = Bytes::from(try_copy(packet)?);
            Ok(Copied { ticket: Arc::clone(ticket), packet, state: state(progress) })
        });
        (copied.collect::<Result<_, TryReserveError>>(), session.config().version)
    });
    to_messages(py, shared, version, copied.map_err(|_| out_of_memory())?)
}

/// The same, taken out of the session for good.
pub(super) fn drop_unfinished(
    py: Python<'_>,
    shared: &Arc<Shared>,
) -> PyResult<Vec<Py<MQTTMessage>>> {
    let (dropped, version) = shared.core.with_session(|session| {
        let states: Vec<u8> =
            session.unfinished_messages().map(|(_, _, progress)| state(progress)).collect();
        let dropped = session.drop_unfinished().into_iter().zip(states);
        let copied = dropped.map(|((ticket, packet), state)| Copied { ticket, packet, state });
        (copied.collect(), session.config().version)
    });
    shared.core.notify_progress();
    to_messages(py, shared, version, dropped)
}

/// paho's `MessageState`.
const fn state(progress: Progress) -> u8 {
    match progress {
        Progress::AwaitsPubAck => 2,
        Progress::AwaitsPubRec => 3,
        Progress::AwaitsPubComp => 7,
        Progress::Queued => 9,
    }
}

fn to_messages(
    py: Python<'_>,
    shared: &Arc<Shared>,
    version: Version,
    copied: Vec<Copied>,
) -> PyResult<Vec<Py<MQTTMessage>>> {
    let states = python::message_state(py)?;
    let to_message = |Copied { ticket, packet, state }: Copied| {
        let packet_id = ticket.packet_id();
        let message = Bound::new(py, MQTTMessage::from_packet(py, version, packet_id, &packet)?)?;
        let tracking = Tracking::Ticket { shared: Arc::clone(shared), ticket };
        let info = MQTTMessageInfo::tracked(packet_id, ErrorCode::Success, tracking);
        message.setattr(intern!(py, "info"), Bound::new(py, info)?)?;
        message.setattr(intern!(py, "state"), states.call1((state,))?)?;
        Ok(message.unbind())
    };
    copied.into_iter().map(to_message).collect()
}
