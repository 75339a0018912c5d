//! `ClientBase`: the native part of `oxmqtt.client.Client`, its hot methods.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use oxmqtt_protocol::codec::QoS;

use super::codes::{ErrorCode, error_code};
use super::dispatch::{dispatch_sent, log_ack};
use super::engine::Engine;
use super::exit;
use super::handlers::handlers;
use super::mailbox::{Calls, Mailbox};
use super::message_info::{MQTTMessageInfo, Tracking};
use super::publishing::{Given, send};
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
        handlers(py)?;
        let engine = Engine::new();
        let shared = Arc::clone(&engine.shared);
        Ok(Self { engine: Py::new(py, engine)?, shared })
    }

    /// What callbacks get as ``userdata``.
    #[getter]
    fn _userdata(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.engine.get().callbacks.slots().userdata.as_ref().map(|userdata| userdata.clone_ref(py))
    }

    #[setter(_userdata)]
    fn set_userdata(&self, userdata: Option<Py<PyAny>>) {
        exit::guard_thread();
        let before = std::mem::replace(&mut self.engine.get().callbacks.slots().userdata, userdata);
        drop(before);
    }

    /// The callback of :attr:`on_message`.
    #[getter]
    fn _on_message(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.engine
            .get()
            .callbacks
            .slots()
            .on_message
            .as_ref()
            .map(|callback| callback.clone_ref(py))
    }

    #[setter(_on_message)]
    fn set_on_message(&self, callback: Option<Py<PyAny>>) {
        exit::guard_thread();
        let before =
            std::mem::replace(&mut self.engine.get().callbacks.slots().on_message, callback);
        drop(before);
    }

    #[getter]
    fn _ox_engine(&self, py: Python<'_>) -> Py<Engine> {
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
        let (info, congested) =
            send(slf.as_any(), shared, topic, payload, qos, retain, properties)?;
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
            let callbacks = &slf.get().engine.get().callbacks;
            dispatch_sent(shared, callbacks, slf.as_any(), *mark)?;
        }
        Ok(info)
    }

    /// Acknowledges a message received with ``manual_ack``: PUBACK for QoS 1, PUBREC for QoS 2
    /// (OASIS MQTT 5.0, clauses 4.3.2 and 4.3.3).
    ///
    /// :param mid: the packet identifier of the message.
    /// :param qos: the QoS it came with; 0 needs no acknowledgement.
    /// :returns: ``MQTT_ERR_SUCCESS``, also without effect when ``manual_ack`` is off; without a connection
    ///     ``MQTT_ERR_NO_CONN``: a message of QoS 2 is then acknowledged by the next one, one of QoS 1
    ///     comes again.
    #[pyo3(text_signature = "($self, mid, qos)")]
    fn ack<'py>(slf: &Bound<'py, Self>, mid: u16, qos: u8) -> PyResult<Bound<'py, PyAny>> {
        exit::guard_thread();
        let core = &slf.get().shared.core;
        let mut code = ErrorCode::Success;
        if slf.get().shared.manual_ack.load(Ordering::Relaxed)
            && let Ok(qos) = QoS::try_from(qos)
        {
            let epoch = core.with_session(|session| session.epoch());
            if slf.get().shared.trace.load(Ordering::Relaxed) && qos != QoS::AtMostOnce {
                log_ack(slf.as_any(), mid, qos)?;
            }
            core.acknowledge(&[(mid, qos, epoch)]);
            if qos != QoS::AtMostOnce && !core.is_linked() {
                code = ErrorCode::NoConn;
            }
        }
        error_code(slf.py(), code as i32)
    }

    /// A mailbox that takes messages and outcomes in place of the callbacks.
    #[pyo3(signature = (*, wake_in, send_acks_soon, reply, most_waiting))]
    fn _ox_new_mailbox(
        slf: &Bound<'_, Self>,
        wake_in: Py<PyAny>,
        send_acks_soon: Py<PyAny>,
        reply: Py<PyAny>,
        most_waiting: usize,
    ) -> Mailbox {
        let shared = Arc::clone(&slf.get().shared);
        let calls = Calls { wake_in, send_acks_soon, reply };
        Mailbox::new(slf.as_any().clone().unbind(), shared, calls, most_waiting)
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

/// Lets the connection catch up, unless the thread must not wait.
fn wait_for_room(py: Python<'_>, shared: &Shared) -> PyResult<()> {
    let since = Instant::now();
    while shared.may_wait() && !py.detach(|| shared.core.wait_for_room(since)) {
        py.check_signals()?;
    }
    Ok(())
}
