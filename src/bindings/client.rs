//! `ClientBase`: the native part of `oxmqtt.client.Client`, its hot methods.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

use oxmqtt_protocol::codec::{
    MAX_REMAINING_LENGTH, Properties, PublishParts, QoS, Version, publish_size,
};
use oxmqtt_protocol::session::{LocalError, Outgoing, Receipt};

use super::convert::{check_topic, extract_payload, extract_publish_properties, extract_qos};
use super::engine::Engine;
use super::errors::{ErrorCode, out_of_memory};
use super::exit;
use super::message_info::{MQTTMessageInfo, Tracking};
use super::shared::Shared;

/// The native base of :class:`oxmqtt.client.Client`; not for use on its own.
#[pyclass(frozen, subclass, weakref, module = "oxmqtt._native")]
pub(super) struct ClientBase {
    engine: Py<Engine>,
    pub(super) shared: Arc<Shared>,
}

#[pymethods]
impl ClientBase {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(
        py: Python<'_>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        exit::guard_thread();
        let engine = Engine::new();
        let shared = Arc::clone(&engine.shared);
        Ok(Self { engine: Py::new(py, engine)?, shared })
    }

    /// What callbacks get as ``userdata``.
    #[getter]
    fn _userdata(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.engine.get().slots().userdata.as_ref().map(|userdata| userdata.clone_ref(py))
    }

    #[setter(_userdata)]
    fn set_userdata(&self, userdata: Option<Py<PyAny>>) {
        exit::guard_thread();
        let before = std::mem::replace(&mut self.engine.get().slots().userdata, userdata);
        drop(before);
    }

    /// The callback of :attr:`on_message`.
    #[getter]
    fn _on_message(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.engine.get().slots().on_message.as_ref().map(|callback| callback.clone_ref(py))
    }

    #[setter(_on_message)]
    fn set_on_message(&self, callback: Option<Py<PyAny>>) {
        exit::guard_thread();
        let before = std::mem::replace(&mut self.engine.get().slots().on_message, callback);
        drop(before);
    }

    #[getter]
    fn _engine(&self, py: Python<'_>) -> Py<Engine> {
        self.engine.clone_ref(py)
    }

    /// Publishes a message (OASIS MQTT 5.0, clause 3.3).
    ///
    /// :param topic: the topic name, without wildcards, at most 65,535 bytes of UTF-8.
    /// :param payload: bytes, bytearray, str (sent as UTF-8), int or float (sent in decimal), or None
    ///     for an empty one; at most 268,435,455 bytes.
    /// :param qos: 0, 1 or 2.
    /// :param retain: whether the broker keeps the message for later subscribers.
    /// :param properties: MQTT 5.0 properties of the PUBLISH.
    /// :returns: a :class:`MQTTMessageInfo`; its ``rc`` is ``MQTT_ERR_SUCCESS``,
    ///     ``MQTT_ERR_NO_CONN`` (QoS 0 is dropped, QoS 1 and 2 wait for the connection),
    ///     ``MQTT_ERR_QUEUE_SIZE`` (too many wait, or 256 MiB are unsent), or ``MQTT_ERR_NOT_SUPPORTED`` and ``MQTT_ERR_PAYLOAD_SIZE`` when
    ///     the broker announced that it refuses such a message.
    /// :raises ValueError: topic, QoS or size are not valid.
    /// :raises TypeError: the payload has another type.
    /// :raises MemoryError: there is no memory for it.
    #[pyo3(signature = (topic, payload=None, qos=Given(None), retain=None, properties=None),
           text_signature = "($self, topic, payload=None, qos=0, retain=False, properties=None)")]
    fn publish(
        slf: &Bound<'_, Self>,
        topic: &Bound<'_, PyAny>,
        payload: Option<&Bound<'_, PyAny>>,
        qos: Given<'_, '_>,
        retain: Option<&Bound<'_, PyAny>>,
        properties: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<MQTTMessageInfo> {
        let py = slf.py();
        let shared = &slf.get().shared;
        let (info, congested) = Self::send(slf, topic, payload, qos, retain, properties)?;
        if congested {
            wait_for_room(py, shared)?;
        }
        if shared.reports_published.load(Ordering::Relaxed)
            && let Tracking::Handover { shared, mark } = &info.tracking
        {
            if !shared.is_without_loop() {
                if shared.in_callback() {
                    shared.published_in_callback.store(mark + 1, Ordering::Relaxed);
                }
                return Ok(info);
            }
            let engine = slf.get().engine.bind(py);
            super::dispatch::dispatch_sent(engine, slf.as_any(), *mark)?;
        }
        Ok(info)
    }

    /// Acknowledges a message received with ``manual_ack``: PUBACK for QoS 1, PUBREC for QoS 2
    /// (OASIS MQTT 5.0, clauses 4.3.2 and 4.3.3).
    ///
    /// :param mid: the packet identifier of the message.
    /// :param qos: the QoS it came with; 0 needs no acknowledgement.
    /// :returns: ``MQTT_ERR_SUCCESS``, also without effect when ``manual_ack`` is off.
    #[pyo3(text_signature = "($self, mid, qos)")]
    fn ack<'py>(slf: &Bound<'py, Self>, mid: u16, qos: u8) -> PyResult<Bound<'py, PyAny>> {
        exit::guard_thread();
        let core = &slf.get().shared.core;
        if slf.get().shared.manual_ack.load(Ordering::Relaxed)
            && let Ok(qos) = QoS::try_from(qos)
        {
            let epoch = core.with_session(|session| session.epoch());
            if slf.get().shared.trace.load(Ordering::Relaxed) && qos != QoS::AtMostOnce {
                super::dispatch::log_ack(slf.as_any(), mid, qos)?;
            }
            core.acknowledge(&[(mid, qos, epoch)]);
        }
        super::message_info::error_code(slf.py(), ErrorCode::Success as i32)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.engine)
    }
}

impl Drop for ClientBase {
    /// However a client goes away, it ends here.
    fn drop(&mut self) {
        self.shared.core.leave();
    }
}

impl ClientBase {
    /// Hands a message to the session: its info, and whether too much is unsent.
    pub(super) fn send(
        slf: &Bound<'_, Self>,
        topic: &Bound<'_, PyAny>,
        payload: Option<&Bound<'_, PyAny>>,
        qos: Given<'_, '_>,
        retain: Option<&Bound<'_, PyAny>>,
        properties: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(MQTTMessageInfo, bool)> {
        exit::guard_thread();
        let py = slf.py();
        let shared = &slf.get().shared;
        let version = shared.version();
        let encoded_topic;
        let topic_text = match topic.cast::<PyString>() {
            Ok(text) => text.to_cow()?,
            // As paho does, so that another type raises what it raises there.
            Err(_) if version != Version::V5 && (topic.is_none() || topic.len()? == 0) => {
                return Err(invalid_topic());
            }
            Err(_) => {
                encoded_topic =
                    topic.call_method1(intern!(py, "encode"), (intern!(py, "utf-8"),))?;
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
        if payload_bytes.len() + topic_text.len() + list.as_bytes().len() + 16
            > MAX_REMAINING_LENGTH
            && is_too_large(version, &message)
        {
            return Err(PyValueError::new_err("Packet too large"));
        }
        if shared.own_mids.load(Ordering::Relaxed) {
            slf.call_method0(intern!(py, "_take_own_mid"))?;
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
            let traits = (qos as u8, retain, info.packet_id(), &*topic_text, properties, size);
            slf.call_method1(intern!(py, "_log_publish"), traits)?;
        }
        Ok((info, outcome.congested))
    }
}

/// An argument as given, `None` included, or left out.
pub(super) struct Given<'a, 'py>(Option<Borrowed<'a, 'py, PyAny>>);

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

/// Lets the connection catch up, unless the thread must not wait.
fn wait_for_room(py: Python<'_>, shared: &Shared) -> PyResult<()> {
    let since = Instant::now();
    while shared.may_wait() && !py.detach(|| shared.core.wait_for_room(since)) {
        py.check_signals()?;
    }
    Ok(())
}
