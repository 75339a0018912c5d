//! `Message`: a received application message, as `oxmqtt.aio` hands it out.

use std::sync::OnceLock;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use oxmqtt_engine::AckDue;
use oxmqtt_protocol::codec::QoS;
use oxmqtt_protocol::session::Message as Received;

use super::convert::{payload_into_py, properties_into_py};
use super::exit;

/// A message that arrived (OASIS MQTT 5.0, clause 3.3).
///
/// :ivar topic: the topic name, a :class:`Topic`.
/// :ivar payload: bytes.
/// :ivar qos: 0, 1 or 2: that of the delivery.
/// :ivar retain: whether the broker had kept it for this subscription.
/// :ivar mid: the packet identifier; 0 for QoS 0.
/// :ivar properties: the properties of MQTT 5.0, None before.
#[pyclass(frozen, weakref, module = "oxmqtt.aio")]
pub(super) struct Message {
    #[pyo3(get)]
    topic: Py<PyAny>,
    #[pyo3(get)]
    payload: Py<PyAny>,
    #[pyo3(get)]
    qos: u8,
    #[pyo3(get)]
    retain: bool,
    #[pyo3(get)]
    mid: u16,
    properties: Option<Box<[u8]>>,
    given_properties: OnceLock<Py<PyAny>>,
    epoch: u32,
}

impl Message {
    pub(super) fn received(
        py: Python<'_>,
        topic: Py<PyAny>,
        message: &Received,
        has_properties: bool,
    ) -> PyResult<Self> {
        let publish = &message.publish;
        Ok(Self {
            topic,
            payload: payload_into_py(py, publish.payload())?.into_any().unbind(),
            qos: publish.qos() as u8,
            retain: publish.retain(),
            mid: publish.packet_id(),
            properties: has_properties.then(|| publish.properties_bytes().into()),
            given_properties: OnceLock::new(),
            epoch: message.epoch,
        })
    }

    /// What to acknowledge; nothing for QoS 0.
    pub(super) fn ack_due(&self) -> Option<AckDue> {
        let qos = QoS::try_from(self.qos).ok().filter(|qos| *qos != QoS::AtMostOnce)?;
        Some((self.mid, qos, self.epoch))
    }
}

#[pymethods]
impl Message {
    #[new]
    #[pyo3(signature = (topic, payload, qos, retain, mid, properties))]
    fn new(
        topic: &Bound<'_, PyAny>,
        payload: Py<PyAny>,
        qos: u8,
        retain: bool,
        mid: u16,
        properties: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        exit::guard_thread();
        let py = topic.py();
        let class = topic_class(py)?;
        let topic =
            if topic.is_instance(class)? { topic.clone() } else { class.call1((topic,))? };
        let given_properties = OnceLock::new();
        if let Some(properties) = properties {
            let _ = given_properties.set(properties);
        }
        Ok(Self {
            topic: topic.unbind(),
            payload,
            qos,
            retain,
            mid,
            properties: None,
            given_properties,
            epoch: 0,
        })
    }

    #[getter]
    fn properties(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        if self.given_properties.get().is_none()
            && let Some(list) = &self.properties
        {
            let _ = self.given_properties.set(properties_into_py(py, list)?.unbind());
        }
        Ok(self.given_properties.get().map(|given| given.clone_ref(py)))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.topic)?;
        visit.call(&self.payload)?;
        visit.call(self.given_properties.get())
    }

    /// Messages order by packet identifier, for priority queues.
    fn __lt__(&self, other: &Self) -> bool {
        self.mid < other.mid
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        exit::guard_thread();
        let topic = self.topic.bind(py).str()?;
        let size = self.payload.bind(py).len().unwrap_or(0);
        let name = topic.repr()?;
        Ok(format!("<Message {name} ({size} bytes, QoS {}, mid {})>", self.qos, self.mid))
    }
}

/// `oxmqtt.aio.Topic`.
pub(super) fn topic_class(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = CLASS.get_or_try_init(py, || {
        let module = py.import(intern!(py, "oxmqtt.aio.topic"))?;
        PyResult::Ok(module.getattr(intern!(py, "Topic"))?.unbind())
    })?;
    Ok(class.bind(py))
}
