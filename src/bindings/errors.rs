//! Rust errors as the exceptions and result codes of paho. Nothing else converts errors.

use pyo3::exceptions::{PyMemoryError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use oxmqtt_engine::{ConnectError, HandshakeError, TlsSetupError};
use oxmqtt_protocol::codec::EncodeError;
use oxmqtt_protocol::session::{LocalError, RequestError};

use super::codes::{ErrorCode, error_code};

pyo3::import_exception!(oxmqtt.aio.exceptions, MqttCodeError);
pyo3::import_exception!(oxmqtt.client, WebsocketConnectionError);
pyo3::import_exception!(socket, timeout);
pyo3::import_exception!(ssl, SSLCertVerificationError);
pyo3::import_exception!(ssl, SSLEOFError);
pyo3::import_exception!(ssl, SSLError);

/// The numbers that `ssl` gives its errors: anything in the library, and an unexpected end.
const SSL_ERROR_SSL: i32 = 1;
const SSL_ERROR_EOF: i32 = 8;

impl From<LocalError> for ErrorCode {
    fn from(error: LocalError) -> Self {
        match error {
            LocalError::NotConnected => Self::NoConn,
            LocalError::QueueFull | LocalError::NoPacketIdentifier => Self::QueueSize,
            LocalError::PacketTooLarge => Self::PayloadSize,
            LocalError::QosNotSupported
            | LocalError::RetainNotSupported
            | LocalError::TopicAliasInvalid => Self::NotSupported,
            LocalError::OutOfMemory => Self::NoMem,
        }
    }
}

pub(super) fn encode_error(error: &EncodeError) -> PyErr {
    match error {
        EncodeError::OutOfMemory => out_of_memory(),
        _ => PyValueError::new_err(error.to_string()),
    }
}

/// There is no memory for what a call was given.
pub(super) fn out_of_memory() -> PyErr {
    PyMemoryError::new_err(())
}

pub(super) fn connect_error(error: ConnectError) -> PyErr {
    match error {
        ConnectError::Io(error) => error.into(),
        ConnectError::Encode(error) => encode_error(&error),
    }
}

pub(super) fn handshake_error(error: HandshakeError) -> PyErr {
    let text = error.to_string();
    match error {
        HandshakeError::TimedOut => timeout::new_err(text),
        HandshakeError::TlsEnd => {
            SSLEOFError::new_err((SSL_ERROR_EOF, "EOF occurred in violation of protocol (rustls)"))
        }
        // With the words of `ssl`, which programs look for.
        HandshakeError::Certificate(_) => SSLCertVerificationError::new_err((
            SSL_ERROR_SSL,
            format!("certificate verify failed: {text} (rustls)"),
        )),
        HandshakeError::Tls(_) => SSLError::new_err((SSL_ERROR_SSL, format!("{text} (rustls)"))),
        HandshakeError::Upgrade(_) => WebsocketConnectionError::new_err(text),
        HandshakeError::Io(error) => error.into(),
    }
}

pub(super) fn tls_setup_error(error: &TlsSetupError) -> PyErr {
    if matches!(error, TlsSetupError::EncryptedKey) {
        return PyValueError::new_err(format!(
            "{error}: not with backend=\"rustls\", use the default backend \"ssl\""
        ));
    }
    SSLError::new_err((SSL_ERROR_SSL, format!("{error} (rustls)")))
}

/// A request's packet identifier, or the code it is answered with.
pub(super) fn request_code(result: Result<u16, RequestError>) -> PyResult<(i32, Option<u16>)> {
    match result {
        Ok(packet_id) => Ok((ErrorCode::Success as i32, Some(packet_id))),
        Err(RequestError::Local(LocalError::OutOfMemory)) => Err(out_of_memory()),
        Err(RequestError::Local(error)) => Ok((ErrorCode::from(error) as i32, None)),
        Err(RequestError::Encode(error)) => Err(encode_error(&error)),
    }
}

/// What `is_published` and `wait_for_publish` raise for a message that was never queued.
pub(super) fn not_queued() -> PyErr {
    PyValueError::new_err("Message is not queued due to ERR_QUEUE_SIZE")
}

/// A publish of the asyncio API that was not accepted.
pub(super) fn publish_error(py: Python<'_>, code: ErrorCode) -> PyResult<PyErr> {
    let code = error_code(py, code as i32)?.unbind();
    Ok(MqttCodeError::new_err((code, "Could not publish message")))
}

pub(super) fn publish_failed(why: &str) -> PyErr {
    PyRuntimeError::new_err(format!("Message publish failed: {why}"))
}
