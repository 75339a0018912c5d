//! `BrokerServer`: the embedded broker for `oxmqtt.testing`.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use oxmqtt_broker::server::{
    Authority, Clients, Found, Identity, ListenOptions, Server, TlsError, TlsSettings,
};
use oxmqtt_broker::{Authentication, AuthenticationStep, Broker, Message, Settings};
use oxmqtt_protocol::codec::{PublishParts, ReasonCode, Version};
use oxmqtt_protocol::topic;

use super::convert::{
    check_topic, extract_payload, extract_publish_properties, extract_qos, payload_into_py,
    properties_into_py,
};
use super::errors::encode_error;

/// How long a wait goes without a look at signals and cancellation.
const SLICE: Duration = Duration::from_millis(50);

/// Topic, payload, QoS, retain, properties (None before MQTT 5.0), client identifier.
type MessageFields = (String, Py<PyBytes>, u8, bool, Option<Py<PyAny>>, String);
/// Filter, QoS, no local, retain as published, retain handling.
type SubscriptionFields = (String, u8, bool, bool, u8);
/// Client identifier, protocol level, address, clean start, keep alive, subscriptions.
type ClientFields = (String, u8, String, bool, u16, Vec<SubscriptionFields>);
/// The authentication method; what is expected, and the answer to it.
type AuthenticationFields = (String, Vec<(Option<Vec<u8>>, Vec<u8>)>);

/// Ends a wait from another thread.
#[pyclass(frozen, module = "oxmqtt._native")]
pub(super) struct Cancellation(AtomicBool);

#[pymethods]
impl Cancellation {
    #[new]
    fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A running broker; a forked child has none.
#[pyclass(frozen, module = "oxmqtt._native")]
pub(super) struct BrokerServer {
    server: Server,
    authority: Option<Authority>,
}

impl BrokerServer {
    fn here(&self) -> PyResult<&Server> {
        if !self.server.is_here() {
            return Err(PyRuntimeError::new_err("the broker runs in the process that started it"));
        }
        if !self.server.is_running() {
            return Err(PyRuntimeError::new_err("the broker is closed"));
        }
        Ok(&self.server)
    }

    /// What `check` found; None when the time is over or the wait was cancelled.
    fn wait<T: Send>(
        &self,
        py: Python<'_>,
        timeout: Option<f64>,
        cancellation: &Cancellation,
        mut check: impl FnMut(&mut Broker) -> Option<T> + Send,
    ) -> PyResult<Option<T>> {
        let server = self.here()?;
        let deadline = super::convert::extract_deadline(timeout)?;
        loop {
            let left = deadline.map_or(SLICE, |at| at.saturating_duration_since(Instant::now()));
            let slice = left.min(SLICE);
            match py.detach(|| server.wait(slice, &cancellation.0, &mut check)) {
                Found::Yes(found) => return Ok(Some(found)),
                Found::Ended if cancellation.0.load(Ordering::Relaxed) => return Ok(None),
                Found::Ended => return Err(PyRuntimeError::new_err("the broker is closed")),
                Found::TimedOut if left <= SLICE && deadline.is_some() => return Ok(None),
                Found::TimedOut => py.check_signals()?,
            }
        }
    }
}

#[pymethods]
impl BrokerServer {
    /// Binds and starts. `tls` is a certificate chain and its key in PEM; `tls_names` asks for an
    /// authority that is made up, and its certificate for these names. `client_authorities`, in PEM,
    /// or else that authority, says whose certificates clients need, if they do.
    #[new]
    #[pyo3(signature = (*, address, port, users, authentication, maximum_packet_size,
                        receive_maximum, record, max_unsent, tls, tls_names, clients_need_certificates,
                        client_authorities, plain, websockets))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        address: &str,
        port: u16,
        users: Option<HashMap<Vec<u8>, Vec<u8>>>,
        authentication: Option<AuthenticationFields>,
        maximum_packet_size: u32,
        receive_maximum: u16,
        record: usize,
        max_unsent: usize,
        tls: Option<(Vec<u8>, Vec<u8>)>,
        tls_names: Option<Vec<String>>,
        clients_need_certificates: bool,
        client_authorities: Option<Vec<u8>>,
        plain: bool,
        websockets: bool,
    ) -> PyResult<Self> {
        let address: IpAddr = address
            .parse()
            .map_err(|_| PyValueError::new_err(format!("{address:?} is not an address")))?;
        let (authority, tls) =
            tls_of(tls, tls_names, clients_need_certificates, client_authorities)
                .map_err(tls_error)?;
        let users = users.map(|users| {
            users.into_iter().map(|(name, password)| (name.into(), password.into())).collect()
        });
        let settings = Settings {
            users,
            authentication: authentication.map(authentication_of),
            maximum_packet_size,
            receive_maximum,
            record,
            max_unsent,
            ..Settings::default()
        };
        let address = Some(SocketAddr::new(address, port));
        let options = ListenOptions { address, tls, tls_only: !plain, websockets };
        let server = py.detach(|| Server::start(settings, options))?;
        Ok(Self { server, authority })
    }

    /// Of TCP, TLS, WebSocket, and WebSocket in TLS.
    #[getter]
    fn ports(&self) -> (Option<u16>, Option<u16>, Option<u16>, Option<u16>) {
        let ports = self.server.ports();
        (ports.tcp, ports.tls, ports.websocket, ports.secure_websocket)
    }

    #[getter]
    fn ca_pem(&self) -> Option<&str> {
        self.authority.as_ref().map(|authority| authority.pem.as_str())
    }

    /// A client's certificate and its key, in PEM; None without an authority.
    fn issue(&self, name: &str) -> PyResult<Option<(String, String)>> {
        let issued = self.authority.as_ref().map(|authority| authority.issue_client(name));
        issued.transpose().map_err(tls_error)
    }

    #[getter]
    fn is_running(&self) -> bool {
        self.server.is_running()
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.server.close());
    }

    fn messages(&self, py: Python<'_>) -> PyResult<Vec<MessageFields>> {
        // Of a closed broker too: the record stays.
        if !self.server.is_here() {
            self.here()?;
        }
        let messages: Vec<_> =
            self.server.with(|broker, _| broker.record().messages().cloned().collect());
        messages.iter().map(|message| fields(py, message)).collect()
    }

    fn clear(&self) -> PyResult<()> {
        self.here()?.with(|broker, _| broker.record().clear());
        Ok(())
    }

    fn clients(&self) -> PyResult<Vec<ClientFields>> {
        let clients = self.here()?.with(|broker, _| broker.clients());
        let fields = clients.into_iter().map(|client| {
            let subscriptions = client.subscriptions.into_iter().map(|(filter, options)| {
                let handling = options.retain_handling as u8;
                let (no_local, as_published) = (options.no_local, options.retain_as_published);
                (filter, options.qos as u8, no_local, as_published, handling)
            });
            let subscriptions = subscriptions.collect();
            let level = client.version.level();
            let (clean_start, keep_alive) = (client.clean_start, client.keep_alive);
            (client.client_id, level, client.address, clean_start, keep_alive, subscriptions)
        });
        Ok(fields.collect())
    }

    /// Messages received, and deliveries given up.
    fn counters(&self) -> PyResult<(u64, u64)> {
        let counters = self.here()?.with(|broker, _| broker.counters());
        Ok((counters.received, counters.dropped))
    }

    /// Publishes a message of the broker's own; whether anybody had subscribed to it.
    fn publish(
        &self,
        topic: &str,
        payload: &Bound<'_, PyAny>,
        qos: &Bound<'_, PyAny>,
        retain: bool,
        properties: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        check_topic(topic)?;
        let payload = extract_payload(payload)?;
        let list = extract_publish_properties(properties)?;
        let parts = PublishParts {
            qos: extract_qos(qos)?,
            retain,
            topic,
            properties: list.as_bytes(),
            payload: &payload,
            ..PublishParts::default()
        };
        let published = self.here()?.with(|broker, now| broker.publish(&parts, now));
        published.map_err(|error| encode_error(&error))
    }

    fn wait_for_message(
        &self,
        py: Python<'_>,
        filter: &str,
        timeout: Option<f64>,
        cancellation: &Cancellation,
    ) -> PyResult<Option<MessageFields>> {
        if !topic::is_valid_filter(filter) {
            return Err(PyValueError::new_err("Invalid subscription filter."));
        }
        let mut from = 0;
        let found =
            self.wait(py, timeout, cancellation, |broker| broker.record().take(filter, &mut from))?;
        found.map(|message| fields(py, &message)).transpose()
    }

    /// Waits until the client is connected, or not.
    fn wait_for_client(
        &self,
        py: Python<'_>,
        client_id: &str,
        connected: bool,
        timeout: Option<f64>,
        cancellation: &Cancellation,
    ) -> PyResult<bool> {
        let found = self.wait(py, timeout, cancellation, |broker| {
            (broker.is_connected(client_id) == connected).then_some(())
        })?;
        Ok(found.is_some())
    }

    /// Waits until a connected client, or this one, has subscribed to exactly this filter.
    fn wait_for_subscription(
        &self,
        py: Python<'_>,
        filter: &str,
        client_id: Option<&str>,
        timeout: Option<f64>,
        cancellation: &Cancellation,
    ) -> PyResult<bool> {
        let found = self.wait(py, timeout, cancellation, |broker| {
            broker.is_subscribed(filter, client_id).then_some(())
        })?;
        Ok(found.is_some())
    }

    fn drop_connections(&self, client_id: Option<&str>) -> PyResult<usize> {
        Ok(self.here()?.with(|broker, now| broker.drop_connections(client_id, now)))
    }

    fn refuse(&self, reason: u8, times: u32) -> PyResult<()> {
        self.here()?.with(|broker, _| broker.refuse(ReasonCode(reason), times));
        Ok(())
    }

    fn delay_acks(&self, seconds: f64) -> PyResult<()> {
        let delay = super::convert::extract_seconds(seconds)?;
        self.here()?.with(|broker, _| broker.delay_acks(delay));
        Ok(())
    }

    fn lose_acks(&self, count: u32) -> PyResult<()> {
        self.here()?.with(|broker, _| broker.lose_acks(count));
        Ok(())
    }

    fn cut_after(&self, bytes: u64, times: u32) -> PyResult<()> {
        self.here()?.with(|broker, _| broker.cut_after(bytes, times));
        Ok(())
    }

    fn restart(&self, keep_sessions: bool) -> PyResult<()> {
        self.here()?.with(|broker, now| broker.restart(keep_sessions, now));
        Ok(())
    }
}

fn tls_of(
    given: Option<(Vec<u8>, Vec<u8>)>,
    names: Option<Vec<String>>,
    clients_need_certificates: bool,
    client_authorities: Option<Vec<u8>>,
) -> Result<(Option<Authority>, Option<TlsSettings>), TlsError> {
    let authority = names.is_some().then(Authority::generate).transpose()?;
    let identity = match (given, &authority, names) {
        (Some((chain, key)), ..) => Identity::from_pem(&chain, &key)?,
        (None, Some(authority), Some(names)) => Identity::generate(authority, names)?,
        _ => return Ok((None, None)),
    };
    let clients = match (client_authorities, &authority) {
        (Some(pem), _) => Clients::from_pem(&pem)?,
        (None, Some(authority)) if clients_need_certificates => Clients::of_authority(authority),
        _ => Clients::Anyone,
    };
    Ok((authority, Some(TlsSettings::new(identity, clients)?)))
}

fn authentication_of((method, steps): AuthenticationFields) -> Authentication {
    let steps = steps.into_iter().map(|(expected, answer)| AuthenticationStep {
        expected: expected.map(Bytes::from),
        answer: Bytes::from(answer),
    });
    Authentication { method, steps: steps.collect() }
}

fn fields(py: Python<'_>, message: &Arc<Message>) -> PyResult<MessageFields> {
    let publish = &message.publish;
    let properties = match message.version {
        Version::V5 => Some(properties_into_py(py, publish.properties_bytes())?.unbind()),
        Version::V31 | Version::V311 => None,
    };
    Ok((
        publish.topic().to_owned(),
        payload_into_py(py, publish.payload())?.unbind(),
        publish.qos() as u8,
        publish.retain(),
        properties,
        message.publisher.to_string(),
    ))
}

fn tls_error(error: TlsError) -> PyErr {
    PyValueError::new_err(error.to_string())
}
