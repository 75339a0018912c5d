//! Python values as the engine takes them; wrong ones raise paho's exceptions.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use bytes::Bytes;
use bytestring::ByteString;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{PyByteArray, PyBytes, PyFloat, PyInt, PyList, PyString};

use oxmqtt_protocol::codec::{
    EncodeError, PacketType, Properties, PropertyContext, PropertyId, QoS, put_variable, try_copy,
};

use super::errors::{encode_error, out_of_memory};
use super::exit;
use super::python;

/// The largest payload paho lets pass, which is the largest Remaining Length.
const MAX_PAYLOAD: usize = 268_435_455;
/// A payload for which memory may be lacking.
const LARGE: usize = 1 << 20;

/// Checks the topic name of a PUBLISH. `name` borrows from `topic`.
pub(super) fn check_topic(topic: &str) -> PyResult<()> {
    if memchr::memchr2(b'+', b'#', topic.as_bytes()).is_some() {
        return Err(PyValueError::new_err("Publish topic cannot contain wildcards."));
    }
    if memchr::memchr(0, topic.as_bytes()).is_some() {
        return Err(PyValueError::new_err("Publish topic cannot contain U+0000."));
    }
    if topic.len() > usize::from(u16::MAX) {
        return Err(PyValueError::new_err("Publish topic is too long."));
    }
    Ok(())
}

pub(super) fn extract_qos(qos: &Bound<'_, PyAny>) -> PyResult<QoS> {
    if let Ok(qos) = qos.extract::<u8>() {
        return QoS::try_from(qos).map_err(|_| invalid_qos());
    }
    // Not a small integer: compare as Python does, so that a wrong type raises TypeError.
    if qos.lt(0)? || qos.gt(2)? {
        return Err(invalid_qos());
    }
    let qos: f64 = qos.extract()?;
    QoS::try_from(qos as u8).map_err(|_| invalid_qos())
}

fn invalid_qos() -> PyErr {
    PyValueError::new_err("Invalid QoS level.")
}

/// A payload as bytes: text in UTF-8, numbers in decimal, nothing as empty.
pub(super) fn extract_payload<'a>(payload: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, [u8]>> {
    let bytes = if let Ok(bytes) = payload.cast::<PyBytes>() {
        Cow::Borrowed(bytes.as_bytes())
    } else if let Ok(text) = payload.cast::<PyString>() {
        match text.to_cow()? {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }
    } else if let Ok(bytes) = payload.cast::<PyByteArray>() {
        Cow::Owned(copy_of_bytearray(bytes)?)
    } else if payload.is_instance_of::<PyInt>() || payload.is_instance_of::<PyFloat>() {
        Cow::Owned(payload.str()?.to_cow()?.into_owned().into_bytes())
    } else if payload.is_none() {
        Cow::Borrowed(&[][..])
    } else {
        return Err(PyTypeError::new_err(
            "payload must be a string, bytearray, int, float or None.",
        ));
    };
    if bytes.len() > MAX_PAYLOAD {
        return Err(PyValueError::new_err("Payload too large."));
    }
    Ok(bytes)
}

/// A copy, or MemoryError: of what may be large.
pub(super) fn copy_of(bytes: &[u8]) -> PyResult<Vec<u8>> {
    try_copy(bytes).map_err(|_| out_of_memory())
}

fn copy_of_bytearray(bytes: &Bound<'_, PyByteArray>) -> PyResult<Vec<u8>> {
    with_critical_section(bytes, || {
        // SAFETY: the GIL, or the critical section in its place, keeps others off the bytes; nothing
        // here calls the interpreter while the slice lives.
        #[allow(unsafe_code)]
        let slice = unsafe { bytes.as_bytes() };
        copy_of(slice)
    })
}

/// A `bytes` object, or MemoryError, which [`PyBytes::new`] would make a panic.
pub(super) fn payload_into_py<'py>(
    py: Python<'py>,
    payload: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    if payload.len() < LARGE {
        return Ok(PyBytes::new(py, payload));
    }
    PyBytes::new_with(py, payload.len(), |bytes| {
        bytes.copy_from_slice(payload);
        Ok(())
    })
}

/// A field of a packet; too long a one is refused before it is copied.
pub(super) fn field(bytes: &[u8], what: &'static str) -> PyResult<Bytes> {
    if bytes.len() > usize::from(u16::MAX) {
        return Err(encode_error(&EncodeError::FieldTooLong(what)));
    }
    Ok(Bytes::copy_from_slice(bytes))
}

pub(super) fn text_field(text: &str, what: &'static str) -> PyResult<ByteString> {
    Ok(ByteString::try_from(field(text.as_bytes(), what)?).unwrap_or_default())
}

/// The topic filters of a list, with what else an item says; all in one piece of memory.
pub(super) fn extract_filters<'py, T>(
    list: &Bound<'py, PyList>,
    of_item: impl Fn(Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyString>, T)>,
) -> PyResult<Vec<(ByteString, T)>> {
    let mut text: Vec<u8> = Vec::new();
    let mut ends = Vec::new();
    ends.try_reserve(list.len()).map_err(|_| out_of_memory())?;
    for item in list {
        let (filter, rest) = of_item(item)?;
        let filter = filter.to_str()?;
        text.try_reserve(filter.len()).map_err(|_| out_of_memory())?;
        text.extend_from_slice(filter.as_bytes());
        ends.push((text.len(), rest));
    }
    let text = Bytes::from(text);
    let mut filters = Vec::new();
    filters.try_reserve_exact(ends.len()).map_err(|_| out_of_memory())?;
    let mut start = 0;
    for (end, rest) in ends {
        filters.push((ByteString::try_from(text.slice(start..end)).unwrap_or_default(), rest));
        start = end;
    }
    Ok(filters)
}

/// A `Properties` object of Python, by its `pack()`; `None` is none.
pub(super) fn extract_properties(
    properties: &Bound<'_, PyAny>,
    context: impl Into<PropertyContext>,
) -> PyResult<Properties> {
    if properties.is_none() {
        return Ok(Properties::default());
    }
    exit::guard_thread();
    let packed = properties.call_method0(intern!(properties.py(), "pack"))?;
    let packed: &Bound<'_, PyBytes> = packed.cast()?;
    let list = without_length(packed.as_bytes());
    Properties::from_encoded(context.into(), Bytes::from(copy_of(list)?))
        .map_err(|error| encode_error(&error))
}

pub(super) fn extract_publish_properties(properties: &Bound<'_, PyAny>) -> PyResult<Properties> {
    let list = extract_properties(properties, PacketType::Publish)?;
    if list.subscription_identifiers().next().is_some() {
        // Only a server may send it [MQTT-3.3.4-6].
        let error = EncodeError::PropertyNotAllowed(PropertyId::SubscriptionIdentifier);
        return Err(encode_error(&error));
    }
    Ok(list)
}

fn without_length(packed: &[u8]) -> &[u8] {
    let length_field = 1 + packed.iter().take_while(|byte| **byte & 0x80 != 0).count();
    packed.get(length_field..).unwrap_or_default()
}

/// A property list as a packet carries it and `Properties.unpack` reads it: its length, then the list.
pub(super) fn packed_properties<'py>(
    py: Python<'py>,
    properties: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let mut length = Vec::with_capacity(4);
    put_variable(&mut length, properties.len());
    PyBytes::new_with(py, length.len() + properties.len(), |packed| {
        let (front, rest) = packed.split_at_mut(length.len());
        front.copy_from_slice(&length);
        rest.copy_from_slice(properties);
        Ok(())
    })
}

/// The properties of a received PUBLISH as a `Properties` object.
pub(super) fn properties_into_py<'py>(py: Python<'py>, list: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    exit::guard_thread();
    let properties = python::properties(py)?.call1((PacketType::Publish as u8,))?;
    properties.call_method1("unpack", (packed_properties(py, list)?,))?;
    Ok(properties)
}

/// More seconds than any wait needs, as `threading.TIMEOUT_MAX`; clocks hold their sum with the time of day.
const MOST_SECONDS: f64 = 9_223_372_036.0;

/// A duration in seconds: neither negative nor longer than clocks can tell.
pub(super) fn extract_seconds(seconds: f64) -> PyResult<Duration> {
    if seconds.is_nan() || seconds < 0.0 {
        return Err(PyValueError::new_err(format!("a duration of {seconds} seconds")));
    }
    if seconds > MOST_SECONDS {
        return Err(PyOverflowError::new_err(format!("a duration of {seconds} seconds")));
    }
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// A `timeout` argument: a negative one is over at once, an infinite one never.
pub(super) fn extract_timeout(seconds: f64) -> PyResult<Duration> {
    extract_seconds(match seconds {
        f64::INFINITY => MOST_SECONDS,
        seconds if seconds < 0.0 => 0.0,
        seconds => seconds,
    })
}

/// The end of a `timeout` from now; `None` waits for ever.
pub(super) fn extract_deadline(timeout: Option<f64>) -> PyResult<Option<Instant>> {
    timeout.map(|seconds| Ok(Instant::now() + extract_timeout(seconds)?)).transpose()
}
