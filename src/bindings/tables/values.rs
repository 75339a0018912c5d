//! Property values between Python and the codec.
//!
//! What does not fit raises Python's own error for the same conversion (`struct.error`, `ValueError`,
//! `TypeError`, `IndexError`): where Rust refuses a value, Python is asked to convert it and says why.

use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyByteArray, PyBytes, PyInt, PyMemoryView, PyString};

use oxmqtt_protocol::codec::{
    DecodeError, EncodeError, MAX_REMAINING_LENGTH, PropertiesBuilder, PropertyId, PropertyKind,
    PropertyValue, parse_frame, put_variable,
};

use crate::errors::out_of_memory;

pyo3::import_exception!(oxmqtt.exception, MQTTException);
pyo3::import_exception!(oxmqtt.exception, MalformedPacket);

/// The kinds in the order of paho's `Properties.types`.
const KINDS: [PropertyKind; 7] = [
    PropertyKind::Byte,
    PropertyKind::TwoByteInteger,
    PropertyKind::FourByteInteger,
    PropertyKind::VariableByteInteger,
    PropertyKind::BinaryData,
    PropertyKind::Utf8String,
    PropertyKind::Utf8StringPair,
];

pub(super) fn kind_number(kind: PropertyKind) -> usize {
    KINDS.iter().position(|each| *each == kind).unwrap_or(KINDS.len())
}

pub(super) fn kind_of(number: usize) -> PyResult<PropertyKind> {
    let kind = KINDS.get(number).copied();
    kind.ok_or_else(|| PyValueError::new_err(format!("no kind of value has the number {number}")))
}

/// Adds one property to a list.
pub(super) fn push(
    builder: &mut PropertiesBuilder,
    id: PropertyId,
    value: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = value.py();
    let pushed = match id.kind() {
        PropertyKind::Byte => builder.push(id, PropertyValue::Byte(byte(value)?)),
        PropertyKind::TwoByteInteger => builder.push(id, PropertyValue::TwoByte(two_byte(value)?)),
        PropertyKind::FourByteInteger => {
            builder.push(id, PropertyValue::FourByte(four_byte(value)?))
        }
        PropertyKind::VariableByteInteger => {
            builder.push(id, PropertyValue::VarInt(varint(value)?))
        }
        PropertyKind::BinaryData => {
            let data = binary(value)?;
            check_length(py, data.len())?;
            builder.push(id, PropertyValue::Binary(&data))
        }
        PropertyKind::Utf8String => {
            let data = raw_text(value)?;
            builder.push(id, PropertyValue::Text(checked_text(py, &data)?))
        }
        PropertyKind::Utf8StringPair => {
            let (name, value) = (raw_text(&value.get_item(0)?)?, raw_text(&value.get_item(1)?)?);
            let pair = PropertyValue::Pair(checked_text(py, &name)?, checked_text(py, &value)?);
            builder.push(id, pair)
        }
    };
    pushed.map(|_| ()).map_err(|error| encode_error(id, error))
}

/// Writes one value without its identifier.
pub(super) fn encode(
    kind: PropertyKind,
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    let py = value.py();
    match kind {
        PropertyKind::Byte => out.push(byte(value)?),
        PropertyKind::TwoByteInteger => out.extend(two_byte(value)?.to_be_bytes()),
        PropertyKind::FourByteInteger => out.extend(four_byte(value)?.to_be_bytes()),
        PropertyKind::VariableByteInteger => put_variable(out, varint(value)? as usize),
        PropertyKind::BinaryData => put_field(py, out, &binary(value)?)?,
        PropertyKind::Utf8String => put_field(py, out, &raw_text(value)?)?,
        PropertyKind::Utf8StringPair => {
            put_field(py, out, &raw_text(&value.get_item(0)?)?)?;
            put_field(py, out, &raw_text(&value.get_item(1)?)?)?;
        }
    }
    Ok(())
}

/// Reads one value without its identifier, and says how many bytes it took.
pub(super) fn decode<'py>(
    py: Python<'py>,
    kind: PropertyKind,
    buffer: &[u8],
    limit: isize,
) -> PyResult<(Bound<'py, PyAny>, usize)> {
    match kind {
        PropertyKind::Byte => match buffer.first() {
            Some(byte) => Ok((into_py(py, PropertyValue::Byte(*byte))?, 1)),
            None => Err(PyIndexError::new_err("index out of range")),
        },
        PropertyKind::TwoByteInteger => match buffer.first_chunk() {
            Some(bytes) => {
                Ok((into_py(py, PropertyValue::TwoByte(u16::from_be_bytes(*bytes)))?, 2))
            }
            None => Err(python_error(struct_call(py, "unpack", "!H", PyBytes::new(py, buffer)))),
        },
        PropertyKind::FourByteInteger => match buffer.first_chunk() {
            Some(bytes) => {
                Ok((into_py(py, PropertyValue::FourByte(u32::from_be_bytes(*bytes)))?, 4))
            }
            None => Err(python_error(struct_call(py, "unpack", "!L", PyBytes::new(py, buffer)))),
        },
        PropertyKind::VariableByteInteger => {
            let (value, used) = parse_varint(buffer)?;
            Ok((value.into_pyobject(py)?.into_any(), used))
        }
        PropertyKind::BinaryData => {
            let data = field(buffer, limit, "binary data")?;
            Ok((PyBytes::new(py, data).into_any(), data.len() + 2))
        }
        PropertyKind::Utf8String => {
            let data = field(buffer, limit, "string")?;
            Ok((received_text(py, data)?.into_any(), data.len() + 2))
        }
        PropertyKind::Utf8StringPair => {
            let name = field(buffer, limit, "string")?;
            let used = name.len() + 2;
            let rest = buffer.get(used..).unwrap_or_default();
            let value = field(rest, limit.saturating_sub_unsigned(used), "string")?;
            let pair = (received_text(py, name)?, received_text(py, value)?);
            Ok((pair.into_pyobject(py)?.into_any(), used + value.len() + 2))
        }
    }
}

/// A value of a received property: `int`, `bytes`, `str` or a pair of `str`.
pub(super) fn into_py<'py>(
    py: Python<'py>,
    value: PropertyValue<'_>,
) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        PropertyValue::Byte(value) => value.into_pyobject(py)?.into_any(),
        PropertyValue::TwoByte(value) => value.into_pyobject(py)?.into_any(),
        PropertyValue::FourByte(value) | PropertyValue::VarInt(value) => {
            value.into_pyobject(py)?.into_any()
        }
        PropertyValue::Binary(data) => PyBytes::new(py, data).into_any(),
        PropertyValue::Text(text) => PyString::new(py, text).into_any(),
        PropertyValue::Pair(name, value) => (name, value).into_pyobject(py)?.into_any(),
    })
}

/// The bytes of any object with a buffer.
pub(super) fn bytes_of(buffer: &Bound<'_, PyAny>) -> PyResult<PyBackedBytes> {
    match buffer.extract() {
        Ok(bytes) => Ok(bytes),
        Err(_) => Ok(PyMemoryView::from(buffer)?.call_method0("tobytes")?.extract()?),
    }
}

/// The variable byte integer at the front of `buffer`, and how many bytes it takes: what the codec
/// reads behind the first byte of a packet.
pub(super) fn parse_varint(buffer: &[u8]) -> PyResult<(usize, usize)> {
    let mut header = [0x10; 6];
    let len = buffer.len().min(5);
    header[1..=len].copy_from_slice(&buffer[..len]);
    match parse_frame(&header[..=len]) {
        Ok(Some(frame)) => Ok((frame.remaining, frame.header_len - 1)),
        Ok(None) => {
            Err(MalformedPacket::new_err("Not enough data to decode Variable Byte Integer"))
        }
        Err(DecodeError::Malformed(_)) if buffer.iter().take(4).all(|byte| byte & 0x80 != 0) => {
            Err(MalformedPacket::new_err("Variable Byte Integer is more than four bytes long"))
        }
        Err(error) => Err(decode_error(error)),
    }
}

fn byte(value: &Bound<'_, PyAny>) -> PyResult<u8> {
    let bytes = || value.py().get_type::<PyBytes>().call1(([value],));
    value.extract().map_err(|_: PyErr| python_error(bytes()))
}

fn two_byte(value: &Bound<'_, PyAny>) -> PyResult<u16> {
    let pack = || struct_call(value.py(), "pack", "!H", value);
    value.extract().map_err(|_: PyErr| python_error(pack()))
}

fn four_byte(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    let pack = || struct_call(value.py(), "pack", "!L", value);
    value.extract().map_err(|_: PyErr| python_error(pack()))
}

/// A number that a variable byte integer can hold.
fn varint(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    let zero = PyInt::new(value.py(), 0);
    if zero.le(value)? && value.le(MAX_REMAINING_LENGTH)? {
        return value.extract();
    }
    let value = value.repr()?;
    Err(PyValueError::new_err(format!("Value {value} must be in range 0-{MAX_REMAINING_LENGTH}")))
}

/// Whatever Python can append to a bytearray.
fn binary(value: &Bound<'_, PyAny>) -> PyResult<PyBackedBytes> {
    if let Ok(bytes) = value.extract() {
        return Ok(bytes);
    }
    let py = value.py();
    check_length(py, value.len()?)?;
    Ok(PyByteArray::new(py, b"").add(value)?.extract()?)
}

/// A string as UTF-8, or bytes as they are.
fn raw_text(value: &Bound<'_, PyAny>) -> PyResult<PyBackedBytes> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(text.encode_utf8()?.into());
    }
    match value.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.clone().into()),
        Err(_) => Err(PyTypeError::new_err("encoding without a string argument")),
    }
}

/// UTF-8 that may go on the wire; `UnicodeDecodeError` for bytes that are none.
fn checked_text<'a>(py: Python<'_>, data: &'a [u8]) -> PyResult<&'a str> {
    check_length(py, data.len())?;
    std::str::from_utf8(data).map_err(|_| python_error(PyString::from_bytes(py, data)))
}

/// UTF-8 that came from the peer, without U+0000 [MQTT-1.5.4-2].
fn received_text<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyString>> {
    if data.contains(&0) {
        return Err(MalformedPacket::new_err("[MQTT-1.5.4-2] Null found in UTF-8 data"));
    }
    PyString::from_bytes(py, data)
}

/// The bytes behind a two byte length, all within `limit`.
fn field<'a>(buffer: &'a [u8], limit: isize, what: &str) -> PyResult<&'a [u8]> {
    let short = || MalformedPacket::new_err(format!("Not enough data to read {what} length"));
    let (len, rest) = buffer.split_first_chunk().filter(|_| limit >= 2).ok_or_else(short)?;
    let len = usize::from(u16::from_be_bytes(*len));
    let fits = isize::try_from(len).is_ok_and(|len| len <= limit - 2);
    let data = rest.get(..len).filter(|_| fits);
    data.ok_or_else(|| MalformedPacket::new_err(format!("Length delimited {what} too long")))
}

fn put_field(py: Python<'_>, out: &mut Vec<u8>, data: &[u8]) -> PyResult<()> {
    check_length(py, data.len())?;
    out.extend((data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
    Ok(())
}

/// The length of a string or binary data must fit two bytes.
fn check_length(py: Python<'_>, len: usize) -> PyResult<()> {
    match u16::try_from(len) {
        Ok(_) => Ok(()),
        Err(_) => Err(python_error(struct_call(py, "pack", "!H", len))),
    }
}

fn encode_error(id: PropertyId, error: EncodeError) -> PyErr {
    if error == EncodeError::OutOfMemory {
        return out_of_memory();
    }
    let name = id.name();
    MQTTException::new_err(match error {
        EncodeError::PropertyNotAllowed(_) => format!("Property {name} is not allowed here"),
        EncodeError::PropertyRepeated(_) => {
            format!("Property '{name}' must not exist more than once")
        }
        EncodeError::PropertyValue(_) => format!("{name} property value is out of range"),
        other => format!("Property {other}"),
    })
}

fn struct_call<'py>(
    py: Python<'py>,
    function: &str,
    format: &str,
    argument: impl IntoPyObject<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    py.import("struct")?.call_method1(function, (format, argument))
}

/// The error of a conversion that Python was expected to refuse.
fn python_error<T>(result: PyResult<T>) -> PyErr {
    match result {
        Err(error) => error,
        Ok(_) => PyRuntimeError::new_err("value refused"),
    }
}

/// Breaking a rule of MQTT is the base class, bytes that cannot be parsed are the special one.
pub(super) fn decode_error(error: DecodeError) -> PyErr {
    match error {
        DecodeError::Malformed(what) => MalformedPacket::new_err(what),
        other => MQTTException::new_err(other.to_string()),
    }
}
