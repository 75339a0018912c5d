//! `MQTTMessage`: a received application message.

use std::sync::OnceLock;

use pyo3::basic::CompareOp;
use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

use oxmqtt_protocol::codec::{Packet, Publish, QoS, Version, decode, parse_frame};

use super::convert::{copy_of, payload_into_py, properties_into_py};
use super::exit;
use super::message_info::MQTTMessageInfo;
use super::python;

/// A message that arrived, or one made by hand in a test.
///
/// ``topic`` (str), ``payload`` (bytes), ``qos`` (0, 1 or 2), ``retain`` and ``dup`` (bool), ``mid``
/// (packet identifier, 0 for QoS 0), ``properties`` (MQTT 5.0), ``timestamp`` (seconds of
/// ``time.monotonic()``), ``state`` and ``info``.  Messages compare by ``mid`` and have no hash.
/// (OASIS MQTT 5.0, clause 3.3.)
#[pyclass(frozen, weakref, module = "oxmqtt.client", subclass)]
pub(super) struct MQTTMessage {
    topic: Py<PyString>,
    payload: Py<PyBytes>,
    timestamp: f64,
    mid: u16,
    qos: u8,
    retain: bool,
    dup: bool,
    /// Packed; `None` in MQTT 3.x, where messages have none.
    properties: Option<Box<[u8]>>,
    /// Attributes that Python set, or that are made when first asked for.
    attributes: OnceLock<Py<PyDict>>,
}

impl MQTTMessage {
    pub(super) fn received(
        py: Python<'_>,
        topic: Py<PyString>,
        publish: &Publish,
        version: Version,
        timestamp: f64,
    ) -> PyResult<Self> {
        let properties = (version == Version::V5).then(|| publish.properties_bytes().into());
        Ok(Self {
            topic,
            payload: payload_into_py(py, publish.payload())?.unbind(),
            timestamp,
            mid: publish.packet_id(),
            qos: publish.qos() as u8,
            retain: publish.retain(),
            dup: publish.dup(),
            properties,
            attributes: OnceLock::new(),
        })
    }

    /// The message inside an encoded PUBLISH.
    pub(super) fn from_packet(
        py: Python<'_>,
        version: Version,
        mid: u16,
        packet: &bytes::Bytes,
    ) -> PyResult<Self> {
        let body = parse_frame(packet).ok().flatten().map(|frame| frame.header_len);
        // A message that waits for its identifier is no valid packet yet.
        let unnamed = if mid == 0 { Some(copy_of(packet)?) } else { None };
        let decoded = body.and_then(|at| {
            let source = match unnamed {
                Some(mut bytes) => {
                    stamp_any_id(&mut bytes, at);
                    bytes.into()
                }
                None => packet.clone(),
            };
            let first = *source.first()?;
            decode(version, first, source.get(at..)?, &source).ok()
        });
        match decoded {
            Some(Packet::Publish(publish)) => {
                let topic = PyString::new(py, publish.topic()).unbind();
                let message = Self::received(py, topic, &publish, version, 0.0)?;
                Ok(Self { mid: if mid == 0 { publish.packet_id() } else { mid }, ..message })
            }
            _ => Err(PyValueError::new_err("not a PUBLISH packet")),
        }
    }

    fn attribute<'py>(&self, name: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
        exit::guard_thread();
        match self.attributes.get() {
            None => Ok(None),
            Some(attributes) => attributes.bind(name.py()).get_item(name),
        }
    }

    fn set_attribute(&self, name: &Bound<'_, PyString>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        exit::guard_thread();
        let py = name.py();
        if self.attributes.get().is_none() {
            // Made before, not inside: Python may run then, and whoever waited would stop it.
            let _ = self.attributes.set(PyDict::new(py).unbind());
        }
        self.attributes.get().map_or(Ok(()), |attributes| attributes.bind(py).set_item(name, value))
    }

    /// The attribute as set, else what `default` makes, remembered.
    fn attribute_or<'py>(
        &self,
        name: &Bound<'py, PyString>,
        default: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(value) = self.attribute(name)? {
            return Ok(value);
        }
        let value = default()?;
        self.set_attribute(name, &value)?;
        Ok(value)
    }
}

fn stamp_any_id(packet: &mut [u8], body: usize) {
    let topic = match packet.get(body..body + 2) {
        Some(&[high, low]) => usize::from(high) << 8 | usize::from(low),
        _ => return,
    };
    if let Some(field) = packet.get_mut(body + 2 + topic..body + 4 + topic)
        && field == [0, 0]
    {
        field.copy_from_slice(&[0, 1]);
    }
}

/// The class's methods: for each attribute a getter that prefers what Python set, and its setter.
macro_rules! methods {
    ({ $($name:ident, $set:ident => |$message:ident, $py:ident| $default:expr;)* } $($others:tt)*) => {
        #[pymethods]
        impl MQTTMessage {
            $(
                #[getter]
                fn $name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                    if let Some(value) = self.attribute(intern!(py, stringify!($name)))? {
                        return Ok(value);
                    }
                    let ($message, $py) = (self, py);
                    $default
                }

                #[setter]
                fn $set(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
                    self.set_attribute(intern!(value.py(), stringify!($name)), value)
                }
            )*

            // Here, because its slot is generated with names that a macro's argument does not see.
            #[pyo3(signature = (mid = None, topic = None))]
            fn __init__(
                &self,
                mid: Option<&Bound<'_, PyAny>>,
                topic: Option<&Bound<'_, PyAny>>,
            ) -> PyResult<()> {
                if let Some(mid) = mid {
                    self.set_mid(mid)?;
                }
                topic.map_or(Ok(()), |topic| self.set_topic(topic))
            }

            $($others)*
        }
    };
}

methods! {
{
    payload, set_payload => |message, py| Ok(message.payload.bind(py).clone().into_any());
    qos, set_qos => |message, py| Ok(message.qos.into_pyobject(py)?.into_any());
    mid, set_mid => |message, py| Ok(message.mid.into_pyobject(py)?.into_any());
    retain, set_retain => |message, py| Ok(message.retain.into_pyobject(py)?.to_owned().into_any());
    dup, set_dup => |message, py| Ok(message.dup.into_pyobject(py)?.to_owned().into_any());
    timestamp, set_timestamp => |message, py| Ok(message.timestamp.into_pyobject(py)?.into_any());
    state, set_state => |_message, py| {
        python::message_state(py)?.getattr(intern!(py, "MQTT_MS_INVALID"))
    };
    properties, set_properties => |message, py| {
        let Some(list) = &message.properties else { return Ok(py.None().into_bound(py)) };
        message.attribute_or(intern!(py, "properties"), || {
            properties_into_py(py, list)
        })
    };
    info, set_info => |message, py| {
        message.attribute_or(intern!(py, "info"), || {
            let mid = message.mid(py)?;
            py.get_type::<MQTTMessageInfo>().call1((mid,))
        })
    };
}

    /// Takes anything, so that a subclass may have a constructor of its own.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(mid=0, topic=b'')")]
    fn new(
        py: Python<'_>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> Self {
        Self {
            topic: PyString::new(py, "").unbind(),
            payload: PyBytes::new(py, b"").unbind(),
            timestamp: 0.0,
            mid: 0,
            qos: QoS::AtMostOnce as u8,
            retain: false,
            dup: false,
            properties: None,
            attributes: OnceLock::new(),
        }
    }

    /// The topic name.
    #[getter]
    fn topic<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.attribute(intern!(py, "topic"))? {
            Some(bytes) => bytes.call_method1(intern!(py, "decode"), (intern!(py, "utf-8"),)),
            None => Ok(self.topic.bind(py).clone().into_any()),
        }
    }

    /// Sets it from bytes of UTF-8.
    #[setter]
    fn set_topic(&self, topic: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_attribute(intern!(topic.py(), "topic"), topic)
    }

    #[getter]
    fn _topic<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.attribute(intern!(py, "topic"))? {
            Some(bytes) => Ok(bytes),
            None => self.topic.bind(py).call_method1(intern!(py, "encode"), ("utf-8",)),
        }
    }

    #[setter]
    #[allow(non_snake_case)]
    fn set__topic(&self, topic: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_topic(topic)
    }

    fn __richcmp__<'py>(
        &self,
        other: &Bound<'py, PyAny>,
        op: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        match (op, other.cast::<Self>()) {
            (CompareOp::Eq | CompareOp::Ne, Ok(other)) => {
                self.mid(py)?.rich_compare(other.get().mid(py)?, op)
            }
            (CompareOp::Eq, Err(_)) => Ok(false.into_pyobject(py)?.to_owned().into_any()),
            (CompareOp::Ne, Err(_)) => Ok(true.into_pyobject(py)?.to_owned().into_any()),
            _ => Ok(py.NotImplemented().into_bound(py)),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.attributes.get())
    }

    fn __copy__(slf: &Bound<'_, Self>) -> PyResult<Self> {
        let py = slf.py();
        let message = slf.get();
        let copy = Self {
            topic: message.topic.clone_ref(py),
            payload: message.payload.clone_ref(py),
            properties: message.properties.clone(),
            attributes: OnceLock::new(),
            ..*message
        };
        if let Some(attributes) = message.attributes.get() {
            let attributes = attributes.bind(py).copy()?;
            let _ = copy.attributes.set(attributes.unbind());
        }
        Ok(copy)
    }
}
