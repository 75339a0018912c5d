//! The functions of Python that the engine calls, read once.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// `oxmqtt._client.handlers`: each gets the client first.
#[derive(FromPyObject)]
pub(super) struct Handlers {
    pub(super) callbacks_for: Py<PyAny>,
    pub(super) connack_came: Py<PyAny>,
    pub(super) defer: Py<PyAny>,
    pub(super) handle_auth: Py<PyAny>,
    pub(super) handle_closed: Py<PyAny>,
    pub(super) handle_published: Py<PyAny>,
    pub(super) log_message: Py<PyAny>,
    pub(super) log_packet: Py<PyAny>,
    pub(super) log_publish: Py<PyAny>,
    pub(super) log_resend: Py<PyAny>,
    pub(super) message_callback_failed: Py<PyAny>,
    pub(super) suback_came: Py<PyAny>,
    pub(super) take_own_mid: Py<PyAny>,
    pub(super) unsuback_came: Py<PyAny>,
}

/// The handlers. The first client reads them: at the end of the interpreter nothing can be imported any
/// more, and a finaliser may still disconnect.
pub(super) fn handlers(py: Python<'_>) -> PyResult<&Handlers> {
    static HANDLERS: PyOnceLock<Handlers> = PyOnceLock::new();
    HANDLERS.get_or_try_init(py, || py.import("oxmqtt._client.handlers")?.extract())
}
