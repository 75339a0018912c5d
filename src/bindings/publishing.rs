//! What every way to publish does with its arguments.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use oxmqtt_protocol::codec::{
    MAX_REMAINING_LENGTH, Properties, PublishParts, QoS, Version, publish_size,
};
use oxmqtt_protocol::session::{LocalError, Outgoing, Receipt};

use super::codes::ErrorCode;
use super::convert::{check_topic, extract_payload, extract_publish_properties, extract_qos};
use super::errors::out_of_memory;
use super::exit;
use super::handlers::handlers;
use super::message_info::{MQTTMessageInfo, Tracking};
use super::shared::Shared;

/// Hands a message of `client` to the session: its info, and whether too much is unsent.
pub(super) fn send(
    client: &Bound<'_, PyAny>,
    shared: &Arc<Shared>,
    topic: &Bound<'_, PyAny>,
    payload: Option<&Bound<'_, PyAny>>,
    qos: Given<'_, '_>,
    retain: Option<&Bound<'_, PyAny>>,
    properties: Option<&Bound<'_, PyAny>>,
) -> PyResult<(MQTTMessageInfo, bool)> {
    exit::guard_thread();
    let py = client.py();
    let version = shared.version();
    let encoded_topic;
    let topic_text = match topic.cast::<PyString>() {
        Ok(text) => text.to_cow()?,
        // As paho does, so that another type raises what it raises there.
        Err(_) if version != Version::V5 && (topic.is_none() || topic.len()? == 0) => {
            return Err(invalid_topic());
        }
        Err(_) => {
            encoded_topic = topic.call_method1(intern!(py, "encode"), (intern!(py, "utf-8"),))?;
            String::from_utf8_lossy(encoded_topic.cast::<PyBytes>()?.as_bytes())
        }
    };
    if topic_text.is_empty() && version != Version::V5 {
        return Err(invalid_topic());
    }
    check_topic(&topic_text)?;
    let qos = qos.0.map_or(Ok(QoS::AtMostOnce), |qos| extract_qos(&qos))?;
    let payload_bytes = match payload {
        Some(payload) => extract_payload(payload)?,
        None => (&[][..]).into(),
    };
    let retain = retain.map_or(Ok(false), |retain| retain.is_truthy())?;
    let list = match properties {
        Some(given) if version == Version::V5 => extract_publish_properties(given)?,
        _ => Properties::default(),
    };
    let message = Outgoing {
        topic: &topic_text,
        payload: &payload_bytes,
        qos,
        retain,
        properties: list.as_bytes(),
        topic_alias: if list.is_empty() { None } else { list.topic_alias() },
    };
    if payload_bytes.len() + topic_text.len() + list.as_bytes().len() + 16 > MAX_REMAINING_LENGTH
        && is_too_large(version, &message)
    {
        return Err(PyValueError::new_err("Packet too large"));
    }
    if shared.own_mids.load(Ordering::Relaxed) {
        handlers(py)?.take_own_mid.call1(py, (client,))?;
    }
    let outcome = shared.core.publish(&message);
    let info = match outcome.receipt {
        Ok(Receipt::Buffered { packet_id, mark }) => {
            let tracking = Tracking::Handover { shared: Arc::clone(shared), mark };
            MQTTMessageInfo::tracked(packet_id, ErrorCode::Success, tracking)
        }
        Ok(Receipt::Tracked { ticket }) => {
            let code = if outcome.offline { ErrorCode::NoConn } else { ErrorCode::Success };
            let packet_id = ticket.packet_id();
            let tracking = Tracking::Ticket { shared: Arc::clone(shared), ticket };
            MQTTMessageInfo::tracked(packet_id, code, tracking)
        }
        Err(refused) if refused.error == LocalError::OutOfMemory => return Err(out_of_memory()),
        Err(refused) => {
            let tracking = Tracking::Refused(refused.error);
            MQTTMessageInfo::tracked(refused.packet_id, refused.error.into(), tracking)
        }
    };
    if shared.trace.load(Ordering::Relaxed) {
        let size = payload_bytes.len();
        let arguments =
            (client, qos as u8, retain, info.packet_id(), &*topic_text, properties, size);
        handlers(py)?.log_publish.call1(py, arguments)?;
    }
    Ok((info, outcome.congested))
}

/// An argument as given, `None` included, or left out.
pub(super) struct Given<'a, 'py>(pub(super) Option<Borrowed<'a, 'py, PyAny>>);

impl<'a, 'py> FromPyObject<'a, 'py> for Given<'a, 'py> {
    type Error = std::convert::Infallible;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Self, Self::Error> {
        Ok(Self(Some(object)))
    }
}

impl<'a, 'py> From<&'a Bound<'py, PyAny>> for Given<'a, 'py> {
    fn from(object: &'a Bound<'py, PyAny>) -> Self {
        Self(Some(object.as_borrowed()))
    }
}

fn invalid_topic() -> PyErr {
    PyValueError::new_err("Invalid topic.")
}

fn is_too_large(version: Version, message: &Outgoing<'_>) -> bool {
    let parts = PublishParts {
        dup: false,
        qos: message.qos,
        retain: message.retain,
        topic: message.topic,
        packet_id: 1,
        properties: message.properties,
        payload: message.payload,
    };
    // Five bytes of fixed header are the most.
    publish_size(version, &parts) > MAX_REMAINING_LENGTH + 5
}
