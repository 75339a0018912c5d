//! What the engine calls of oxmqtt's Python modules, beside the client.
//!
//! Finalisers publish and ask while the interpreter goes down, when nothing can be imported any more. So
//! all of it is looked up by [`prepare`], which `oxmqtt.client` calls when it is imported.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

static ERROR_CODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static MESSAGE_STATE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static PROPERTIES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static ERROR_STRING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Looks everything up that will be called.
#[pyfunction]
pub(super) fn prepare(py: Python<'_>) -> PyResult<()> {
    for find in [error_code, message_state, properties, error_string] {
        find(py)?;
    }
    Ok(())
}

/// `MQTTErrorCode`.
pub(super) fn error_code(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    ERROR_CODE.import(py, "oxmqtt.enums", "MQTTErrorCode")
}

/// `MessageState`.
pub(super) fn message_state(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    MESSAGE_STATE.import(py, "oxmqtt.enums", "MessageState")
}

/// `Properties`.
pub(super) fn properties(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    PROPERTIES.import(py, "oxmqtt.properties", "Properties")
}

/// `error_string`.
pub(super) fn error_string(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    ERROR_STRING.import(py, "oxmqtt._client.codes", "error_string")
}
