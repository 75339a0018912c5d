//! The codec's tables and its property, number and topic functions, for Python.
//!
//! `oxmqtt.properties`, `oxmqtt.reasoncodes` and `oxmqtt.subscribeoptions` are built on what is here;
//! they hold no table and no encoding of their own. A value that does not fit its type raises what
//! the same conversion raises in Python, because programs written for paho see those errors.

mod values;

use std::sync::LazyLock;

use bytes::Bytes;
use pyo3::exceptions::PyAssertionError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use rustc_hash::FxHashMap;

use self::values::{
    MQTTException, MalformedPacket, bytes_of, decode_error, kind_number, kind_of, parse_varint,
};
use oxmqtt_protocol::codec::{
    PROPERTIES, PacketSet, PacketType, Properties, PropertiesBuilder, PropertyContext, PropertyId,
    PropertyKind, QoS, REASON_CODES, RetainHandling, SubscriptionOptions, Version,
};
use oxmqtt_protocol::topic;

use super::convert::{copy_of, packed_properties};
use super::exit;

/// The packet type that stands for the properties of a will.
const WILL: u8 = 99;

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = m.py();
    let mut properties = Vec::new();
    for row in PROPERTIES {
        let (name, kind) = (spaced(row.name), kind_number(row.kind));
        properties.push((row.id, name, kind, packet_types(py, row.packets)?, row.multiple));
    }
    m.add("PROPERTIES", PyTuple::new(py, properties)?)?;
    let mut reasons = Vec::new();
    for row in REASON_CODES {
        reasons.push((row.value, row.name, packet_types(py, row.packets)?));
    }
    m.add("REASON_CODES", PyTuple::new(py, reasons)?)?;
    m.add_function(wrap_pyfunction!(encode_properties, m)?)?;
    m.add_function(wrap_pyfunction!(decode_properties, m)?)?;
    m.add_function(wrap_pyfunction!(encode_value, m)?)?;
    m.add_function(wrap_pyfunction!(decode_value, m)?)?;
    m.add_function(wrap_pyfunction!(encode_varint, m)?)?;
    m.add_function(wrap_pyfunction!(decode_varint, m)?)?;
    m.add_function(wrap_pyfunction!(encode_subscribe_options, m)?)?;
    m.add_function(wrap_pyfunction!(decode_subscribe_options, m)?)?;
    m.add_function(wrap_pyfunction!(topic_matches_sub, m)?)
}

/// The properties of a packet as it carries them: their length, then each, by identifier.
///
/// `attributes` maps names without spaces to values; of what may occur more than once the value is a
/// sequence. Other names are passed over, so that an object's `__dict__` serves.
#[pyfunction]
#[pyo3(signature = (packet_type, attributes, /))]
fn encode_properties<'py>(
    packet_type: &Bound<'py, PyAny>,
    attributes: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyBytes>> {
    exit::guard_thread();
    // A copy of the items: another thread may set one meanwhile.
    let mut present = Vec::new();
    for item in attributes.items() {
        let (name, value): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item.extract()?;
        present.extend(property(&name).map(|id| (id, value)));
    }
    if present.is_empty() {
        return Ok(PyBytes::new(attributes.py(), &[0]));
    }
    present.sort_unstable_by_key(|(id, _)| *id);
    let mut builder = PropertiesBuilder::new(context(packet_type)?);
    for (id, value) in present {
        if id.row().multiple {
            for one in value.try_iter()? {
                values::push(&mut builder, id, &one?)?;
            }
        } else {
            values::push(&mut builder, id, &value)?;
        }
    }
    packed_properties(attributes.py(), builder.build().as_bytes())
}

/// Adds the properties at the front of a buffer to `attributes`; returns the bytes they took.
///
/// On an error `attributes` stays as it was.
#[pyfunction]
#[pyo3(signature = (packet_type, buffer, attributes, /))]
fn decode_properties(
    packet_type: &Bound<'_, PyAny>,
    buffer: &Bound<'_, PyAny>,
    attributes: &Bound<'_, PyDict>,
) -> PyResult<usize> {
    exit::guard_thread();
    let py = buffer.py();
    let buffer = bytes_of(buffer)?;
    let (len, start) = parse_varint(&buffer)?;
    let end = start + len;
    let list = buffer
        .get(start..end)
        .ok_or_else(|| MalformedPacket::new_err("Not enough data to decode the properties"))?;
    if list.is_empty() {
        return Ok(end);
    }
    let list = Bytes::from(copy_of(list)?);
    let properties =
        Properties::decode(context(packet_type)?, &list, &list).map_err(decode_error)?;
    for (id, value) in &properties {
        let name = PyString::intern(py, id.name());
        let value = values::into_py(py, value)?;
        if !id.row().multiple {
            attributes.set_item(name, value)?;
        } else if let Some(earlier) = attributes.get_item(&name)? {
            earlier.cast::<PyList>()?.append(value)?;
        } else {
            attributes.set_item(name, [value])?;
        }
    }
    Ok(end)
}

/// A value of one kind (its number in `PROPERTIES`) as it stands in a packet.
#[pyfunction]
#[pyo3(signature = (kind, value, /))]
fn encode_value<'py>(kind: usize, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::new();
    values::encode(kind_of(kind)?, value, &mut out)?;
    Ok(PyBytes::new(value.py(), &out))
}

/// The value of one kind at the front of a buffer, at most `limit` bytes long, and the bytes it took.
#[pyfunction]
#[pyo3(signature = (kind, buffer, limit, /))]
fn decode_value<'py>(
    kind: usize,
    buffer: &Bound<'py, PyAny>,
    limit: isize,
) -> PyResult<(Bound<'py, PyAny>, usize)> {
    values::decode(buffer.py(), kind_of(kind)?, &bytes_of(buffer)?, limit)
}

/// A number as a variable byte integer.
#[pyfunction]
#[pyo3(signature = (value, /))]
fn encode_varint<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::with_capacity(4);
    values::encode(PropertyKind::VariableByteInteger, value, &mut out)?;
    Ok(PyBytes::new(value.py(), &out))
}

/// The variable byte integer at the front of a buffer, and the bytes it took.
#[pyfunction]
#[pyo3(signature = (buffer, /))]
fn decode_varint(buffer: &Bound<'_, PyAny>) -> PyResult<(usize, usize)> {
    parse_varint(&bytes_of(buffer)?)
}

/// The options byte of a subscription.
#[pyfunction]
#[pyo3(signature = (qos, no_local, retain_as_published, retain_handling, /))]
fn encode_subscribe_options(
    py: Python<'_>,
    qos: u8,
    no_local: bool,
    retain_as_published: bool,
    retain_handling: u8,
) -> PyResult<Bound<'_, PyBytes>> {
    let options = SubscriptionOptions {
        qos: QoS::try_from(qos).map_err(qos_error)?,
        no_local,
        retain_as_published,
        retain_handling: RetainHandling::try_from(retain_handling).map_err(retain_error)?,
    };
    Ok(PyBytes::new(py, &[options.to_byte(Version::V5)]))
}

/// QoS, no local, retain as published and retain handling of an options byte.
#[pyfunction]
#[pyo3(signature = (byte, /))]
fn decode_subscribe_options(byte: u8) -> PyResult<(u8, bool, bool, u8)> {
    RetainHandling::try_from(byte >> 4 & 3).map_err(retain_error)?;
    QoS::try_from(byte & 3).map_err(qos_error)?;
    let options = SubscriptionOptions::from_byte(Version::V5, byte).map_err(decode_error)?;
    Ok((
        options.qos.into(),
        options.no_local,
        options.retain_as_published,
        options.retain_handling as u8,
    ))
}

/// Whether a topic filter matches a topic name.
#[pyfunction]
#[pyo3(signature = (sub, topic))]
fn topic_matches_sub(sub: &str, topic: &str) -> bool {
    topic::matches(sub, topic)
}

fn qos_error(value: u8) -> PyErr {
    PyAssertionError::new_err(format!("QoS should be 0, 1 or 2, not {value}"))
}

fn retain_error(value: u8) -> PyErr {
    PyAssertionError::new_err(format!("Retain handling should be 0, 1 or 2, not {value}"))
}

fn context(packet_type: &Bound<'_, PyAny>) -> PyResult<PropertyContext> {
    let found = match packet_type.extract::<u8>() {
        Ok(WILL) => Some(PropertyContext::Will),
        Ok(number) => PacketType::try_from(number).ok().map(PropertyContext::Packet),
        Err(_) => None,
    };
    found.ok_or_else(|| {
        MQTTException::new_err(format!("no packet type has the number {packet_type}"))
    })
}

/// The property that an attribute of `Properties` is.
fn property(name: &Bound<'_, PyAny>) -> Option<PropertyId> {
    static BY_NAME: LazyLock<FxHashMap<&str, PropertyId>> = LazyLock::new(|| {
        let ids = PROPERTIES.iter().filter_map(|row| PropertyId::from_id(row.id.into()));
        ids.map(|id| (id.name(), id)).collect()
    });
    BY_NAME.get(name.cast::<PyString>().ok()?.to_str().ok()?).copied()
}

/// The packet types of a set as the numbers of `PacketTypes`.
fn packet_types(py: Python<'_>, set: PacketSet) -> PyResult<Bound<'_, PyTuple>> {
    let contains = |&number: &u8| PacketType::try_from(number).is_ok_and(|it| set.contains(it));
    let packets = (1..WILL).filter(contains);
    let will = set.contains_will().then_some(WILL);
    PyTuple::new(py, packets.chain(will).collect::<Vec<_>>())
}

/// `TopicAlias` as `Topic Alias`; "QoS" is one word.
fn spaced(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    for (i, letter) in name.char_indices() {
        let starts_word = letter.is_ascii_uppercase() && !name[..i].ends_with("Qo");
        if i > 0 && starts_word {
            words.push(' ');
        }
        words.push(letter);
    }
    words
}
