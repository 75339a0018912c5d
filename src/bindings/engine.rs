//! `Engine`: the native side of one client, as `oxmqtt.client.Client` drives it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytestring::ByteString;
use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyList, PyString};

use oxmqtt_engine::{self as engine, Core};
use oxmqtt_protocol::codec::{
    PacketType, PropertyContext, QoS, ReasonCode, RetainHandling, SubscriptionOptions, Will,
};
use oxmqtt_protocol::session::{ConnectOptions, Session, SubscriptionRequest};

use super::callbacks::Callbacks;
use super::convert::{
    extract_filters, extract_properties, extract_qos, extract_seconds, extract_timeout, field,
    payload_into_py, text_field,
};
use super::descriptor::{adopt, into_descriptor};
use super::dispatch::drain;
use super::errors::{connect_error, encode_error, request_code};
use super::exit;
use super::handshake::{HandshakeLayers, Relay};
use super::inspect;
use super::mailbox::Mailbox;
use super::message::MQTTMessage;
use super::settings::{Listeners, Settings};
use super::shared::Shared;

/// The native engine of one client. Internal: `oxmqtt.client.Client` is its only user.
#[pyclass(frozen, module = "oxmqtt._native")]
pub(super) struct Engine {
    pub(super) shared: Arc<Shared>,
    pub(super) callbacks: Callbacks,
}

impl Engine {
    pub(super) fn new() -> Self {
        Self { shared: Arc::default(), callbacks: Callbacks::default() }
    }

    /// All that Python asks of the engine comes by here.
    fn core(&self) -> &Arc<Core> {
        exit::guard_thread();
        &self.shared.core
    }
}

type WillArguments<'py> = (PyBackedStr, PyBackedBytes, Bound<'py, PyAny>, bool, Bound<'py, PyAny>);

#[pymethods]
impl Engine {
    /// Takes the settings over, from now on.
    fn configure(&self, settings: Settings) -> PyResult<()> {
        exit::guard_thread();
        settings.apply(&self.shared)
    }

    /// Takes over who listens.
    fn listen(&self, listeners: Listeners) {
        exit::guard_thread();
        listeners.apply(&self.shared);
        self.callbacks.slots().on_message_is_method = listeners.on_message_is_method;
    }

    /// AUTH is for us: the client has an authentication method.
    fn accept_auth(&self) {
        self.core().with_session(|session| session.config_mut().accepts_auth = true);
    }

    /// Takes a connected socket over, by its descriptor, with the layers whose handshakes are done on
    /// it, and sends CONNECT; `rewrite` gets the packet and returns what goes out in its place. With a
    /// `relay`, bytes are sent when that has passed them on. `below` is the descriptor of the socket to
    /// the server, if another.
    #[pyo3(signature = (descriptor, *, unix, relay, below, layers, client_id, clean_start, keep_alive,
                        username, password, will, properties, bridge, connack_timeout, rewrite=None))]
    #[allow(clippy::too_many_arguments)]
    fn connect(
        &self,
        descriptor: u64,
        unix: bool,
        relay: Option<&Relay>,
        below: Option<i32>,
        layers: Option<&HandshakeLayers>,
        client_id: &[u8],
        clean_start: bool,
        keep_alive: u16,
        username: Option<&[u8]>,
        password: Option<&[u8]>,
        will: Option<WillArguments<'_>>,
        properties: &Bound<'_, PyAny>,
        bridge: bool,
        connack_timeout: f64,
        rewrite: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let socket = adopt(descriptor, unix, below)?;
        let will = match will {
            None => None,
            Some((topic, payload, qos, retain, properties)) => Some(Will {
                topic: text_field(&topic, "will topic")?,
                payload: field(&payload, "will payload")?,
                qos: extract_qos(&qos)?,
                retain,
                properties: extract_properties(&properties, PropertyContext::Will)?,
            }),
        };
        let options = ConnectOptions {
            client_id: ByteString::try_from(field(client_id, "client identifier")?)
                .map_err(|_| PyValueError::new_err("client_id must be valid UTF-8"))?,
            clean_start,
            keep_alive,
            username: username.map(|name| field(name, "user name")).transpose()?,
            password: password.map(|word| field(word, "password")).transpose()?,
            will,
            properties: extract_properties(properties, PacketType::Connect)?,
            bridge,
            connack_timeout: extract_seconds(connack_timeout)?,
        };
        let packet = match rewrite {
            None => None,
            Some(rewrite) => {
                let encode =
                    |session: &mut Session| session.encode_connect(&options, Instant::now());
                let packet =
                    self.core().with_session(encode).map_err(|error| encode_error(&error))?;
                let packet = payload_into_py(rewrite.py(), &packet)?;
                Some(rewrite.call1((packet,))?.extract::<Vec<u8>>()?)
            }
        };
        let layers = layers.and_then(HandshakeLayers::take);
        self.shared.said_goodbye.store(false, Ordering::Relaxed);
        let packet = packet.as_deref();
        let relay = relay.map(Relay::inner);
        self.core().connect(socket, layers, relay, &options, packet).map_err(connect_error)?;
        Ok(())
    }

    /// Sends a packet that the program encoded, as it is; false when there is no connection.
    fn send_own_packet(&self, packet: &[u8]) -> bool {
        self.core().with_session(|session| session.send_own_packet(packet))
    }

    /// Gives the connection up at once, without DISCONNECT and without an event.
    fn abandon(&self) {
        self.core().abandon();
    }

    /// The client has gone: what it accepted is handed over, then the connection ends.
    fn leave(&self) {
        self.core().leave();
    }

    /// Cuts the connection, as if the network had.
    fn abort(&self) {
        self.core().abort();
    }

    /// A duplicate of the connected socket's descriptor, which the caller owns.
    fn duplicate_socket(&self) -> Option<u64> {
        self.core().duplicate_socket().map(into_descriptor)
    }

    /// Sends DISCONNECT behind everything accepted so far; false when there is no connection.
    #[pyo3(signature = (reason, properties))]
    fn disconnect(&self, reason: u8, properties: &Bound<'_, PyAny>) -> PyResult<bool> {
        let properties = extract_properties(properties, PacketType::Disconnect)?;
        let in_callback = self.shared.in_callback();
        self.core().send_acks_before_goodbye(in_callback);
        let had_connection = self.core().disconnect(ReasonCode(reason), properties);
        self.shared.said_goodbye.store(had_connection, Ordering::Relaxed);
        Ok(had_connection)
    }

    /// Sends AUTH with the method of CONNECT; false when it is not due.
    #[pyo3(signature = (reason, data))]
    fn authenticate(&self, reason: u8, data: Option<&[u8]>) -> bool {
        self.core().authenticate(ReasonCode(reason), data)
    }

    /// Sends SUBSCRIBE; filters with their options byte. Returns `(rc, mid)`.
    fn subscribe(
        &self,
        filters: &Bound<'_, PyList>,
        properties: &Bound<'_, PyAny>,
    ) -> PyResult<(i32, Option<u16>)> {
        let filters = extract_filters(filters, |pair| {
            let (filter, options): (Bound<'_, PyString>, u8) = pair.extract()?;
            Ok((filter, subscription_options(options)))
        })?;
        let properties = extract_properties(properties, PacketType::Subscribe)?;
        request_code(self.core().request(SubscriptionRequest::Subscribe(filters), properties))
    }

    /// Sends UNSUBSCRIBE. Returns `(rc, mid)`.
    fn unsubscribe(
        &self,
        filters: &Bound<'_, PyList>,
        properties: &Bound<'_, PyAny>,
    ) -> PyResult<(i32, Option<u16>)> {
        let filters = extract_filters(filters, |filter| Ok((filter.extract()?, ())))?;
        let filters = filters.into_iter().map(|(filter, ())| filter).collect();
        let properties = extract_properties(properties, PacketType::Unsubscribe)?;
        request_code(self.core().request(SubscriptionRequest::Unsubscribe(filters), properties))
    }

    /// Dispatches waiting events to the client's callbacks. Returns the result code that ended the
    /// connection, or 0.
    ///
    /// With a `mailbox`, messages and the outcomes of publishes go there instead.
    #[pyo3(signature = (client, mailbox=None))]
    fn drain(
        slf: &Bound<'_, Self>,
        client: &Bound<'_, PyAny>,
        mailbox: Option<&Bound<'_, Mailbox>>,
    ) -> PyResult<i32> {
        exit::guard_thread();
        drain(&slf.get().shared, &slf.get().callbacks, client, mailbox)
    }

    /// Lets `drain()` return after the event at hand.
    fn pause(&self) {
        self.shared.paused.store(true, Ordering::Relaxed);
    }

    /// Acknowledges a message whose callback was awaited; `due` as `defer()` got it.
    fn acknowledge(&self, due: (u16, u8, u32)) {
        let (packet_id, qos, epoch) = due;
        if let Ok(qos) = QoS::try_from(qos) {
            self.core().acknowledge(&[(packet_id, qos, epoch)]);
        }
    }

    /// The descriptor that is readable while events wait.
    fn descriptor(&self) -> PyResult<u64> {
        Ok(self.core().inbox.descriptor()? as u64)
    }

    /// Gives the descriptor back until the next `descriptor()`.
    fn release_descriptor(&self) {
        self.core().inbox.release_descriptor();
    }

    /// Makes the descriptor readable once.
    fn interrupt(&self) {
        self.core().inbox.interrupt();
    }

    /// Forgets which callbacks belong to which topic.
    fn forget_topics(&self) {
        exit::guard_thread();
        self.callbacks.topics.clear();
    }

    /// Waits a moment, at most `timeout` seconds, until everything that was accepted is handed over to
    /// the broker and a disconnect carried out; whether that is so. Without a connection it is so at once.
    fn flush(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let deadline = Instant::now() + extract_timeout(timeout)?;
        let core = self.core();
        Ok(py.detach(|| core.wait_for_handing_over(deadline)))
    }

    /// Messages that were accepted and are not handed over.
    #[getter]
    fn not_handed_over(&self) -> usize {
        self.core().with_session(|session| session.not_handed_over())
    }

    /// Changes when the connection makes progress.
    #[getter]
    fn progress(&self) -> (u64, usize, bool) {
        self.core().progress()
    }

    /// Takes all QoS > 0 messages out that are not finished.
    fn drop_unfinished(&self, py: Python<'_>) -> PyResult<Vec<Py<MQTTMessage>>> {
        inspect::drop_unfinished(py, &self.shared)
    }

    /// Copies of the QoS > 0 messages that are not finished, oldest first.
    fn unfinished_messages(&self, py: Python<'_>) -> PyResult<Vec<Py<MQTTMessage>>> {
        inspect::unfinished(py, &self.shared)
    }

    /// The QoS 2 messages that arrived and that the broker has not released: packet identifiers, and
    /// whether they were acknowledged.
    fn unreleased(&self) -> Vec<(u16, bool)> {
        self.core().with_session(|session| session.unreleased().collect())
    }

    /// The next free packet identifier, as if a QoS 0 message had it; 0 when all are in use.
    fn next_packet_id(&self) -> u16 {
        self.core().with_session(|session| session.next_packet_id()).unwrap_or(0)
    }

    /// Packet identifiers go on after `last`.
    fn continue_after(&self, last: u16) {
        self.core().with_session(|session| session.continue_after(last));
    }

    /// Forgets messages, identifiers and the assigned client identifier.
    fn reset(&self) {
        self.core().abandon();
        self.core().with_session(Session::reset);
        self.core().notify_progress();
    }

    #[getter]
    fn online(&self) -> bool {
        self.core().with_session(|session| session.is_online())
    }

    #[getter]
    fn unfinished(&self) -> usize {
        self.core().with_session(|session| session.unfinished())
    }

    #[getter]
    fn in_flight(&self) -> usize {
        self.core().with_session(|session| session.in_flight())
    }

    #[getter]
    fn unsent(&self) -> usize {
        self.core().with_session(|session| session.unsent())
    }

    #[getter]
    fn unsent_packets(&self) -> usize {
        self.core().with_session(|session| session.unsent_packets())
    }

    #[getter]
    fn last_packet_id(&self) -> u16 {
        self.core().with_session(|session| session.last_packet_id())
    }

    /// Seconds since bytes were last received and sent; None before the first connection.
    #[getter]
    fn idle(&self) -> Option<(f64, f64)> {
        let (received, sent) = self.core().with_session(|session| session.last_moves())?;
        Some((received.elapsed().as_secs_f64(), sent.elapsed().as_secs_f64()))
    }

    #[getter]
    fn waiting_events(&self) -> usize {
        self.core().inbox.len()
    }

    /// A loop function runs.
    #[getter]
    fn looping(&self) -> bool {
        self.shared.looping.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_looping(&self, looping: bool) {
        self.shared.looping.store(looping, Ordering::Relaxed);
    }

    /// The loop has a thread of its own.
    #[setter]
    fn set_threaded(&self, threaded: bool) {
        self.shared.threaded.store(threaded, Ordering::Relaxed);
    }

    /// Somebody makes a connection.
    #[setter]
    fn set_dialling(&self, dialling: bool) {
        self.shared.dialling.store(dialling, Ordering::Relaxed);
    }

    /// The loop goes on behind a callback's exception.
    #[setter]
    fn set_survives_exceptions(&self, survives: bool) {
        self.shared.survives_exceptions.store(survives, Ordering::Relaxed);
    }

    #[getter]
    fn in_callback(&self) -> bool {
        self.shared.in_callback()
    }

    /// Whether any thread runs callbacks now.
    #[getter]
    fn callback_runs(&self) -> bool {
        self.shared.callback_runs()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.callbacks.traverse(&visit)
    }

    fn __clear__(&self) {
        self.callbacks.clear();
    }
}

fn subscription_options(byte: u8) -> SubscriptionOptions {
    SubscriptionOptions {
        qos: QoS::try_from(byte & 3).unwrap_or(QoS::ExactlyOnce),
        no_local: byte & 0x04 != 0,
        retain_as_published: byte & 0x08 != 0,
        retain_handling: RetainHandling::try_from((byte >> 4) & 3).unwrap_or_default(),
    }
}

/// Waits until all clients have handed over what they accepted, at most `timeout` seconds; how many
/// messages are lost. Where the interpreter is `finalizing` already, as a subinterpreter sees it, a thread
/// that lets go of it never gets it back.
#[pyfunction]
#[pyo3(signature = (timeout, finalizing=false))]
pub(super) fn flush_all(py: Python<'_>, timeout: f64, finalizing: bool) -> PyResult<usize> {
    let timeout = extract_timeout(timeout)?;
    if finalizing {
        return Ok(engine::flush_all(timeout));
    }
    Ok(py.detach(|| engine::flush_all(timeout)))
}

/// The interpreter is about to go: its threads end now where they stand.
#[pyfunction]
pub(super) fn begin_exit() {
    exit::begin();
}

#[pyfunction]
pub(super) fn before_fork() {
    engine::before();
}

#[pyfunction]
pub(super) fn after_fork_in_parent() {
    engine::after_in_parent();
}

#[pyfunction]
pub(super) fn after_fork_in_child() {
    engine::after_in_child();
}
