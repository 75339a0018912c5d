//! paho's result codes.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::exit;

/// paho's `MQTTErrorCode`, as far as the engine decides on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum ErrorCode {
    Success = 0,
    NoMem = 1,
    NoConn = 4,
    ConnLost = 7,
    PayloadSize = 9,
    NotSupported = 10,
    QueueSize = 15,
}

/// A number as paho's `MQTTErrorCode`.
pub(super) fn error_code(py: Python<'_>, rc: i32) -> PyResult<Bound<'_, PyAny>> {
    exit::guard_thread();
    static CODES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let codes = CODES.get_or_try_init(py, || {
        let enums = py.import(intern!(py, "oxmqtt.enums"))?;
        PyResult::Ok(enums.getattr(intern!(py, "MQTTErrorCode"))?.unbind())
    })?;
    codes.bind(py).call1((rc,))
}
