//! The handshakes of TLS by rustls and of WebSocket, for the thread that connects.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use pyo3::prelude::*;

use oxmqtt_engine::{self as engine, Layers, TlsConfig, TlsOptions, Upgrade};

use super::convert::extract_timeout;
use super::descriptor::adopt;
use super::errors::{handshake_error, tls_setup_error};

/// Layers on their way from a handshake to `Engine.connect`.
#[pyclass(frozen, module = "oxmqtt._native")]
pub(super) struct HandshakeLayers(Mutex<Option<Layers>>);

impl HandshakeLayers {
    pub(super) fn take(&self) -> Option<Layers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// How the thread that does TLS in Python tells the engine what it has passed on.
#[pyclass(frozen, module = "oxmqtt._native")]
#[derive(Default)]
pub(super) struct Relay(engine::Relay);

impl Relay {
    pub(super) fn inner(&self) -> &engine::Relay {
        &self.0
    }
}

#[pymethods]
impl Relay {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// So many bytes more are with the kernel.
    fn passed_on(&self, count: usize) {
        self.0.passed_on(count);
    }
}

/// What a client with `backend="rustls"` trusts and shows.
#[pyclass(frozen, module = "oxmqtt._native")]
pub(super) struct RustlsConfig(TlsConfig);

#[pymethods]
impl RustlsConfig {
    /// Certificates and key are PEM; without `ca_certs` the system's authorities are trusted.
    #[new]
    #[pyo3(signature = (*, ca_certs, certificate, key, alpn, tls13_only))]
    fn new(
        ca_certs: Option<&[u8]>,
        certificate: Option<&[u8]>,
        key: Option<&[u8]>,
        alpn: Vec<Vec<u8>>,
        tls13_only: bool,
    ) -> PyResult<Self> {
        let options = TlsOptions { ca_certs, identity: certificate.zip(key), alpn, tls13_only };
        TlsConfig::new(&options).map(Self).map_err(|error| tls_setup_error(&error))
    }
}

/// Takes over a duplicate of a connected socket and shakes hands on it: TLS if there is a
/// configuration for it, then WebSocket if there is a request.
#[pyfunction]
#[pyo3(signature = (descriptor, *, unix, timeout, tls=None, server_name="", any_name=false,
                    request=None, key=""))]
#[allow(clippy::too_many_arguments)]
pub(super) fn handshake(
    py: Python<'_>,
    descriptor: u64,
    unix: bool,
    timeout: f64,
    tls: Option<&RustlsConfig>,
    server_name: &str,
    any_name: bool,
    request: Option<Vec<u8>>,
    key: &str,
) -> PyResult<HandshakeLayers> {
    let socket = adopt(descriptor, unix, None)?.socket;
    let deadline = Instant::now() + extract_timeout(timeout)?;
    let connection = match tls {
        Some(config) => Some(config.0.connect(server_name, any_name).map_err(handshake_error)?),
        None => None,
    };
    let upgrade = request.map(|request| Upgrade { request, key: key.to_owned() });
    py.detach(|| engine::handshake(&socket, connection, upgrade.as_ref(), deadline))
        .map(|layers| HandshakeLayers(Mutex::new(Some(layers))))
        .map_err(handshake_error)
}
