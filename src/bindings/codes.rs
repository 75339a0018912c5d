//! paho's result codes.

use pyo3::prelude::*;

use super::{exit, python};

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
    python::error_code(py)?.call1((rc,))
}
