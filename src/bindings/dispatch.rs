//! From the inbox to the callbacks: the one place where the engine calls Python.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString, PyTuple};

use oxmqtt_engine::AckDue;
use oxmqtt_protocol::codec::{AckKind, Properties, QoS, Version};
use oxmqtt_protocol::session::{Closed, Event, Message, Trace};

use super::callbacks::{Callbacks, Topic};
use super::convert::packed_properties;
use super::handlers::{Handlers, handlers};
use super::mailbox::Mailbox;
use super::message::MQTTMessage;
use super::shared::Shared;

/// One call dispatches at most this many events, and for about this long.
const MOST_EVENTS: usize = 4096;
const LONGEST: Duration = Duration::from_millis(50);
/// How long a publish without a loop waits to call `on_publish` itself.
const HANDOVER: Duration = Duration::from_millis(20);

/// Dispatches waiting events; returns the result code that ended the connection, or 0.
pub(super) fn drain(
    shared: &Shared,
    callbacks: &Callbacks,
    client: &Bound<'_, PyAny>,
    mailbox: Option<&Bound<'_, Mailbox>>,
) -> PyResult<i32> {
    let Some(_guard) = shared.enter_callbacks() else {
        return Ok(0);
    };
    let mailbox = mailbox.map(Bound::get);
    let mut dispatcher = Dispatcher::new(shared, callbacks, client, mailbox)?;
    let mut ended = 0;
    for _ in 0..MOST_EVENTS {
        let Some(event) = shared.core.next_event() else {
            break;
        };
        if let Some(rc) = dispatcher.dispatch(event)? {
            ended = rc;
            break;
        }
        dispatcher.now = Instant::now();
        if shared.paused.swap(false, Ordering::Relaxed) {
            shared.core.inbox.settle_signal();
            break;
        }
        if dispatcher.now - dispatcher.start > LONGEST {
            break;
        }
    }
    if let Some(mailbox) = mailbox {
        mailbox.handle_drained(client.py(), dispatcher.version)?;
    }
    Ok(ended)
}

/// Calls `on_publish` for the QoS 0 message with this mark, which was published without a loop, for those
/// handed over before it, and for those that `on_publish` publishes in turn; for nothing else.
pub(super) fn dispatch_sent(
    shared: &Shared,
    callbacks: &Callbacks,
    client: &Bound<'_, PyAny>,
    mark: u64,
) -> PyResult<()> {
    let py = client.py();
    let mut through = mark + 1;
    loop {
        let deadline = Some(Instant::now() + HANDOVER);
        py.detach(|| shared.core.wait_for_handover(through - 1, false, deadline));
        let Some(_guard) = shared.enter_callbacks() else {
            return Ok(());
        };
        let mut dispatcher = Dispatcher::new(shared, callbacks, client, None)?;
        while let Some(event) = shared.core.inbox.next_sent() {
            dispatcher.dispatch(event)?;
        }
        through = shared.published_in_callback.swap(0, Ordering::Relaxed);
        if through == 0 {
            return Ok(());
        }
        py.check_signals()?;
    }
}

/// `time.monotonic`. The module asks for it when it is imported: at the end of the interpreter nothing can
/// be imported any more, and a finaliser may still disconnect.
pub(super) fn monotonic(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static MONOTONIC: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    MONOTONIC.import(py, "time", "monotonic")
}

struct Dispatcher<'a, 'py> {
    shared: &'a Shared,
    callbacks: &'a Callbacks,
    client: &'a Bound<'py, PyAny>,
    handlers: &'py Handlers,
    /// Where messages and outcomes go instead of callbacks.
    mailbox: Option<&'a Mailbox>,
    version: Version,
    start: Instant,
    /// After the last callback.
    now: Instant,
    /// Python's monotonic clock at `start`.
    monotonic: f64,
}

impl Drop for Dispatcher<'_, '_> {
    fn drop(&mut self) {
        self.send_acks();
    }
}

impl<'a, 'py> Dispatcher<'a, 'py> {
    fn new(
        shared: &'a Shared,
        callbacks: &'a Callbacks,
        client: &'a Bound<'py, PyAny>,
        mailbox: Option<&'a Mailbox>,
    ) -> PyResult<Self> {
        let py = client.py();
        let monotonic = monotonic(py)?.call0()?;
        let start = Instant::now();
        Ok(Self {
            shared,
            callbacks,
            client,
            handlers: handlers(py)?,
            mailbox,
            version: shared.version(),
            start,
            now: start,
            monotonic: monotonic.extract()?,
        })
    }

    /// Sends the acknowledgements that callbacks made due; consumers look after theirs.
    fn send_acks(&self) {
        if self.mailbox.is_none() {
            self.shared.core.send_acks();
        }
    }

    /// Ends a round of `loop()` or `loop_read()`: the program may set its callbacks before what follows.
    fn end_round(&self) {
        if self.mailbox.is_none() && !self.shared.looping.load(Ordering::Relaxed) {
            self.shared.paused.store(true, Ordering::Relaxed);
        }
    }

    fn dispatch(&mut self, event: Event) -> PyResult<Option<i32>> {
        let py = self.client.py();
        let client = self.client;
        let core = &self.shared.core;
        core.watch_acks();
        let weight = if self.mailbox.is_some() { event.weight() } else { 0 };
        match event {
            Event::Message(message) => match self.mailbox {
                Some(mailbox) => self.park(mailbox, message, weight)?,
                None => self.deliver(&message)?,
            },
            Event::Acked { ticket, packet_id, kind, reason, properties } => {
                if let Some(mailbox) = self.mailbox {
                    mailbox.end(py, &ticket, reason)?;
                    if !self.shared.reports_published.load(Ordering::Relaxed) {
                        core.mark_reported(&ticket);
                        return Ok(None);
                    }
                }
                let result = self.published(packet_id, kind, reason.0, &properties);
                core.mark_reported(&ticket);
                result?;
            }
            Event::Sent { packet_ids, through } => self.sent(&packet_ids, through)?,
            Event::ConnAck { session_present, reason, properties } => {
                let arguments = (client, session_present, reason.0, to_python(py, &properties)?);
                self.end_round();
                self.handlers.connack_came.call1(py, arguments)?;
            }
            Event::Auth { reason, properties } => {
                let arguments = (client, reason.0, to_python(py, &properties)?);
                self.handlers.handle_auth.call1(py, arguments)?;
            }
            Event::SubAck { packet_id, reasons, properties } => {
                let reasons = PyBytes::new(py, &reasons);
                let arguments = (client, packet_id, reasons, to_python(py, &properties)?);
                self.end_round();
                self.handlers.suback_came.call1(py, arguments)?;
            }
            Event::UnsubAck { packet_id, reasons, properties } => {
                let reasons = PyBytes::new(py, &reasons);
                let arguments = (client, packet_id, reasons, to_python(py, &properties)?);
                self.handlers.unsuback_came.call1(py, arguments)?;
            }
            Event::Trace(trace) => self.trace(&trace)?,
            Event::Closed(closed) => {
                self.send_acks();
                return self.closed(&closed).map(Some);
            }
        }
        Ok(None)
    }

    fn park(&self, mailbox: &Mailbox, message: Message, weight: usize) -> PyResult<()> {
        let py = self.client.py();
        if self.shared.trace.load(Ordering::Relaxed) {
            let topic = PyString::new(py, &String::from_utf8_lossy(message.topic_bytes()));
            self.log_message(&self.message(topic.unbind(), &message)?)?;
        }
        mailbox.park(py, message, weight)
    }

    fn message(&self, topic: Py<PyString>, message: &Message) -> PyResult<Bound<'py, MQTTMessage>> {
        let py = self.client.py();
        let timestamp = self.monotonic + (self.now - self.start).as_secs_f64();
        let publish = &message.publish;
        Bound::new(py, MQTTMessage::received(py, topic, publish, self.version, timestamp)?)
    }

    fn log_message(&self, message: &Bound<'py, MQTTMessage>) -> PyResult<()> {
        let py = self.client.py();
        self.handlers.log_message.call1(py, (self.client, message))?;
        Ok(())
    }

    /// Calls the callbacks for a message, then acknowledges it.
    fn deliver(&mut self, message: &Message) -> PyResult<()> {
        let py = self.client.py();
        let shared = self.shared;
        let qos = message.publish.qos();
        let ack = (message.publish.packet_id(), qos, message.epoch);
        if shared.said_goodbye.load(Ordering::Relaxed)
            && shared.core.with_session(|session| session.hand_back(ack.0, ack.1, ack.2))
        {
            return Ok(());
        }
        let (topic, callbacks) = self.topic(message.topic_bytes())?;
        let object = self.message(topic, message)?;
        if self.shared.trace.load(Ordering::Relaxed) {
            self.log_message(&object)?;
        }
        let itself = qos != QoS::AtMostOnce && !shared.manual_ack.load(Ordering::Relaxed);
        if itself {
            shared.core.acks.begin(ack);
        }
        let result = self.call_back(callbacks.bind(py), &object);
        // Nothing is due any more if the callback said goodbye.
        let due = if itself { shared.core.acks.end() } else { None };
        if let Ok(awaitables) = &result
            && !awaitables.is_empty()
        {
            let due = due.map(|(packet_id, qos, epoch)| (packet_id, qos as u8, epoch));
            self.handlers.defer.call1(py, (self.client, awaitables, due))?;
            return Ok(());
        }
        if let Some(ack) = due {
            if self.is_handled(&result) {
                self.acknowledge(ack)?;
            } else {
                let (packet_id, qos, epoch) = ack;
                shared.core.with_session(|s| s.leave_unacknowledged(packet_id, qos, epoch));
            }
        }
        result.map(drop)
    }

    /// Whether the program is through with a message: its callback returned, or raised what the loop
    /// survives. `SystemExit` and its like end any loop.
    fn is_handled<T>(&self, result: &PyResult<T>) -> bool {
        let survives = self.shared.survives_exceptions.load(Ordering::Relaxed);
        match result {
            Ok(_) => true,
            Err(error) => survives && error.is_instance_of::<PyException>(self.client.py()),
        }
    }

    fn acknowledge(&self, ack: AckDue) -> PyResult<()> {
        let shared = self.shared;
        if shared.trace.load(Ordering::Relaxed) {
            log_ack(self.client, ack.0, ack.1)?;
        }
        shared.core.add_acks(self.now, [ack]);
        Ok(())
    }

    /// Calls the callbacks; what they gave to await.
    fn call_back(
        &self,
        callbacks: &Bound<'py, PyTuple>,
        message: &Bound<'py, MQTTMessage>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let mut awaitables = Vec::new();
        let py = self.client.py();
        let (userdata, on_message, is_method) = {
            let slots = self.callbacks.slots();
            let bound = |object: &Option<Py<PyAny>>| object.as_ref().map(|o| o.bind(py).clone());
            (bound(&slots.userdata), bound(&slots.on_message), slots.on_message_is_method)
        };
        if callbacks.is_empty() {
            let callback = match on_message {
                _ if is_method => Some(self.client.getattr(intern!(py, "on_message"))?),
                on_message => on_message,
            };
            let Some(callback) = callback else {
                return Ok(awaitables);
            };
            match callback.call1((self.client, &userdata, message)) {
                Ok(result) => self.note(&mut awaitables, result)?,
                Err(error) => self.failed(&py.None().into_bound(py), error)?,
            }
            return Ok(awaitables);
        }
        for callback in callbacks {
            match callback.call1((self.client, &userdata, message)) {
                Ok(result) => self.note(&mut awaitables, result)?,
                Err(error) => self.failed(&callback, error)?,
            }
        }
        Ok(awaitables)
    }

    /// Notes what a callback returned, if it is to be awaited.
    fn note(
        &self,
        awaitables: &mut Vec<Bound<'py, PyAny>>,
        result: Bound<'py, PyAny>,
    ) -> PyResult<()> {
        let awaits = || self.shared.awaits_callbacks.load(Ordering::Relaxed);
        if !result.is_none() && awaits() && result.hasattr(intern!(result.py(), "__await__"))? {
            awaitables.push(result);
        }
        Ok(())
    }

    /// Reports a callback's exception; it goes on unless the client suppresses exceptions.
    fn failed(&self, callback: &Bound<'py, PyAny>, error: PyErr) -> PyResult<()> {
        let py = self.client.py();
        let arguments = (self.client, callback, error.value(py));
        let suppressed = self.handlers.message_callback_failed.call1(py, arguments)?;
        if suppressed.is_truthy(py)? { Ok(()) } else { Err(error) }
    }

    fn topic(&self, name: &[u8]) -> PyResult<Topic> {
        let py = self.client.py();
        self.callbacks.topics.get_or_make(py, name, |name| {
            let topic = PyString::new(py, name);
            let callbacks =
                self.handlers.callbacks_for.bind(py).call1((self.client, &topic))?.cast_into()?;
            Ok((topic.unbind(), callbacks.unbind()))
        })
    }

    fn published(
        &self,
        packet_id: u16,
        kind: AckKind,
        reason: u8,
        properties: &Properties,
    ) -> PyResult<()> {
        let py = self.client.py();
        let packet_type = kind.packet_type() as u8;
        let arguments = (self.client, packet_id, packet_type, reason, to_python(py, properties)?);
        self.handlers.handle_published.call1(py, arguments)?;
        Ok(())
    }

    fn sent(&self, packet_ids: &[u16], through: u64) -> PyResult<()> {
        let core = &self.shared.core;
        for (index, packet_id) in packet_ids.iter().enumerate() {
            let result = self.published(*packet_id, AckKind::PubAck, 0, &Properties::default());
            let rest = packet_ids.get(index + 1..).unwrap_or_default();
            core.mark_handed_over(through - rest.len() as u64);
            if result.is_err() && !rest.is_empty() {
                core.inbox.put_back(Event::Sent { packet_ids: rest.into(), through });
            }
            result?;
        }
        Ok(())
    }

    fn trace(&self, trace: &Trace) -> PyResult<()> {
        let py = self.client.py();
        let (sent, name, packet_id) = match trace {
            Trace::SentPingReq => (true, "PINGREQ", None),
            Trace::ReceivedPingResp => (false, "PINGRESP", None),
            Trace::SentAck(kind, packet_id) => (true, ack_name(*kind), Some(*packet_id)),
            Trace::ReceivedAck(kind, packet_id) => (false, ack_name(*kind), Some(*packet_id)),
            Trace::SentPublish { packet } => {
                let message = MQTTMessage::from_packet(py, self.version, 0, packet)?;
                self.handlers.log_resend.call1(py, (self.client, message))?;
                return Ok(());
            }
        };
        self.handlers.log_packet.call1(py, (self.client, sent, name, packet_id))?;
        Ok(())
    }

    fn closed(&self, closed: &Closed) -> PyResult<i32> {
        let py = self.client.py();
        let (kind, reason, properties, text) = match closed {
            Closed::Requested => ("requested", None, None, String::new()),
            Closed::ByServer { reason, properties } => {
                let packed = |list: &Properties| packed_properties(py, list.as_bytes());
                ("by_server", *reason, properties.as_ref().map(packed).transpose()?, String::new())
            }
            Closed::Refused(reason) => ("refused", Some(*reason), None, String::new()),
            Closed::Protocol(error) => {
                ("protocol", Some(error.reason_code()), None, error.to_string())
            }
            Closed::KeepAlive => ("keep_alive", None, None, String::new()),
            Closed::ConnAckTimeout => ("connack_timeout", None, None, String::new()),
            Closed::Lost(error) => ("lost", None, None, error.to_string()),
        };
        let arguments = (self.client, kind, reason.map(|reason| reason.0), properties, text);
        self.handlers.handle_closed.bind(py).call1(arguments)?.extract()
    }
}

/// Logs the acknowledgement of a received message.
pub(super) fn log_ack(client: &Bound<'_, PyAny>, packet_id: u16, qos: QoS) -> PyResult<()> {
    let py = client.py();
    let kind = if qos == QoS::AtLeastOnce { AckKind::PubAck } else { AckKind::PubRec };
    handlers(py)?.log_packet.call1(py, (client, true, ack_name(kind), packet_id))?;
    Ok(())
}

fn ack_name(kind: AckKind) -> &'static str {
    match kind {
        AckKind::PubAck => "PUBACK",
        AckKind::PubRec => "PUBREC",
        AckKind::PubRel => "PUBREL",
        AckKind::PubComp => "PUBCOMP",
    }
}

/// Properties as `Properties.unpack` reads them; `None` for none.
fn to_python<'py>(
    py: Python<'py>,
    properties: &Properties,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    (!properties.is_empty()).then(|| packed_properties(py, properties.as_bytes())).transpose()
}
