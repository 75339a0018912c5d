//! `Mailbox`: what lies between a client's inbox and the coroutines of its event loop.
//!
//! Draining the inbox parks the messages here, as they came, and tells the publishes that wait for their
//! outcome. A message becomes a Python object when a coroutine takes it; until then it counts as
//! waiting in the inbox, so a slow program stops the reading and memory stays bounded. All of it
//! happens on the event loop's thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use oxmqtt_engine::{AckDue, Core, Patience};
use oxmqtt_protocol::codec::{ReasonCode, Version};
use oxmqtt_protocol::session::{Message as Received, Ticket};

use super::application_message::{Message, topic_class};
use super::codes::ErrorCode;
use super::convert::extract_timeout;
use super::errors::publish_error;
use super::exit;
use super::message_info::Tracking;
use super::pending::{Batch, PendingPublishes, Waiter, resolve};
use super::publishing::{Given, send};
use super::shared::Shared;
use super::topic_cache::TopicCache;

/// Places of an empty queue that are kept; those of a flood are given back.
const KEEP_PLACES: usize = 4096;

/// Messages and outcomes of one ``oxmqtt.aio.Client``; not for use on its own.
#[pyclass(frozen, module = "oxmqtt._native")]
pub(super) struct Mailbox {
    client: Py<PyAny>,
    pub(super) shared: Arc<Shared>,
    calls: Calls,
    /// Messages that may wait before reading stops; 0 for no bound but that of memory.
    most_waiting: usize,
    /// The connection speaks MQTT 5.0.
    has_properties: AtomicBool,
    state: Mutex<State>,
    topics: TopicCache<Py<PyAny>>,
}

/// What the mailbox calls in Python, with no lock held.
pub(super) struct Calls {
    /// ``(seconds) -> None``: call ``expire()`` then.
    pub(super) wake_in: Py<PyAny>,
    /// ``() -> None``: call ``send_acks()`` soon.
    pub(super) send_acks_soon: Py<PyAny>,
    /// ``(message) -> None``: an answer to a request.
    pub(super) reply: Py<PyAny>,
}

impl Calls {
    fn all(&self) -> [&Py<PyAny>; 3] {
        [&self.wake_in, &self.send_acks_soon, &self.reply]
    }
}

#[derive(Default)]
struct State {
    /// With the weight each has in the inbox.
    parked: VecDeque<(Received, usize)>,
    pending: PendingPublishes,
    /// Publishes of QoS 0 that wait for room.
    without_room: Vec<Waiter>,
    /// When ``expire()`` will be called.
    wakes_at: Option<Instant>,
    patience: Option<Patience>,
    /// Answers to other requests that coroutines wait for.
    answers_due: usize,
    /// ``() -> Future``, of the event loop that runs the client.
    create_future: Option<Py<PyAny>>,
    /// QoS 1 and 2 messages wait for the next connection.
    keeps_offline: bool,
    reply_topic: Option<Box<[u8]>>,
}

impl Mailbox {
    pub(super) fn new(
        client: Py<PyAny>,
        shared: Arc<Shared>,
        calls: Calls,
        most_waiting: usize,
    ) -> Self {
        Self {
            client,
            shared,
            calls,
            most_waiting,
            has_properties: AtomicBool::new(false),
            state: Mutex::default(),
            topics: TopicCache::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        exit::guard_thread();
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn core(&self) -> &Core {
        &self.shared.core
    }

    pub(super) fn acknowledges_itself(&self) -> bool {
        !self.shared.manual_ack.load(Ordering::Relaxed)
    }

    /// Messages that wait for a consumer.
    pub(super) fn waiting(&self) -> usize {
        self.state().parked.len()
    }

    /// Keeps a message for the next consumer that asks.
    pub(super) fn park(&self, py: Python<'_>, message: Received, weight: usize) -> PyResult<()> {
        let mut state = self.state();
        if state.reply_topic.as_deref() == Some(message.topic_bytes()) {
            drop(state);
            let reply = self.message(py, &message)?;
            let due = reply.ack_due();
            self.calls.reply.call1(py, (reply,))?;
            return self.acknowledge(py, due);
        }
        self.core().inbox.hold(weight);
        state.parked.push_back((message, weight));
        Ok(())
    }

    /// Takes the oldest message.
    pub(super) fn pop(&self, py: Python<'_>) -> PyResult<Option<Message>> {
        let mut state = self.state();
        let Some((message, weight)) = state.parked.pop_front() else { return Ok(None) };
        if state.parked.is_empty() && state.parked.capacity() > KEEP_PLACES {
            state.parked = VecDeque::new();
        }
        if state.patience.is_some() {
            self.adjust_patience(&mut state);
        }
        drop(state);
        self.core().release(weight);
        self.core().watch_acks();
        self.message(py, &message).map(Some)
    }

    fn message(&self, py: Python<'_>, message: &Received) -> PyResult<Message> {
        let topic = self.topics.get_or_make(py, message.topic_bytes(), |name| {
            Ok(topic_class(py)?.call1((name,))?.unbind())
        })?;
        let has_properties = self.has_properties.load(Ordering::Relaxed);
        Message::received(py, topic, message, has_properties)
    }

    pub(super) fn acknowledge(
        &self,
        py: Python<'_>,
        dues: impl IntoIterator<Item = AckDue>,
    ) -> PyResult<()> {
        if self.core().add_acks(Instant::now(), dues) {
            self.calls.send_acks_soon.call0(py)?;
        }
        Ok(())
    }

    /// Tells who waits for a message that it came to its end; false if nobody does.
    pub(super) fn end(
        &self,
        py: Python<'_>,
        ticket: &Arc<Ticket>,
        reason: ReasonCode,
    ) -> PyResult<bool> {
        let (was_awaited, told) = self.state().pending.end(ticket, reason);
        if let Some((waiter, reason)) = told {
            resolve(py, &waiter.future, reason)?;
        }
        Ok(was_awaited)
    }

    /// Looks after what a drain may have changed.
    pub(super) fn handle_drained(&self, py: Python<'_>, version: Version) -> PyResult<()> {
        self.has_properties.store(version.has_properties(), Ordering::Relaxed);
        let mut state = self.state();
        self.adjust_patience(&mut state);
        if state.without_room.is_empty() || !self.core().has_room_or_wakes() {
            return Ok(());
        }
        let waiters = std::mem::take(&mut state.without_room);
        drop(state);
        waiters.iter().try_for_each(|waiter| resolve(py, &waiter.future, ReasonCode::SUCCESS))
    }

    /// A full inbox must not keep out the answer that a coroutine waits for.
    fn adjust_patience(&self, state: &mut State) {
        let answers_due = !state.pending.is_empty() || state.answers_due > 0;
        let is_crowded = self.most_waiting > 0 && state.parked.len() >= self.most_waiting;
        let extended = state.patience == Some(Patience::ForAnswer);
        let patience = if answers_due && (extended || self.core().inbox.is_full()) {
            Some(Patience::ForAnswer)
        } else if is_crowded && !answers_due {
            Some(Patience::None)
        } else {
            None
        };
        if patience != state.patience {
            state.patience = patience;
            self.core().set_patience(patience.unwrap_or(Patience::Usual));
        }
    }

    /// A future for a publish, and the call that ends it in time.
    fn wait_for<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
        add: impl FnOnce(&mut State, Waiter),
    ) -> PyResult<Bound<'py, PyAny>> {
        let timeout = timeout.map(extract_timeout).transpose()?;
        let create_future = self.state().create_future.as_ref().map(|call| call.clone_ref(py));
        let create_future =
            create_future.ok_or_else(|| PyRuntimeError::new_err("no event loop"))?;
        let future = create_future.bind(py).call0()?;
        let now = Instant::now();
        let deadline = timeout.map(|timeout| now + timeout);
        let mut state = self.state();
        add(&mut state, Waiter { future: future.clone().unbind(), deadline });
        if self.core().inbox.is_full() {
            self.adjust_patience(&mut state);
        }
        let wakes = deadline.filter(|at| state.wakes_at.is_none_or(|wakes_at| *at < wakes_at));
        state.wakes_at = wakes.or(state.wakes_at);
        drop(state);
        if let Some(wakes) = wakes {
            self.calls.wake_in.call1(py, ((wakes - now).as_secs_f64(),))?;
        }
        Ok(future)
    }
}

#[pymethods]
impl Mailbox {
    /// Publishes; None if nothing is to be waited for, else a future of the reason code.
    ///
    /// A QoS 1 or 2 message is awaited until the broker has it, QoS 0 only while too much is unsent.
    #[pyo3(signature = (topic, payload, qos, retain, properties, timeout))]
    #[allow(clippy::too_many_arguments)]
    fn publish<'py>(
        &self,
        py: Python<'py>,
        topic: &Bound<'py, PyAny>,
        payload: Option<&Bound<'py, PyAny>>,
        qos: &Bound<'py, PyAny>,
        retain: &Bound<'py, PyAny>,
        properties: Option<&Bound<'py, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.send(py, topic, payload, qos, retain, properties)? {
            Sent::Ticket(ticket) => {
                let add = |state: &mut State, waiter| state.pending.insert(ticket, waiter, None);
                self.wait_for(py, timeout, add).map(Some)
            }
            Sent::Buffered { congested: true } if !self.core().has_room_or_wakes() => {
                let add = |state: &mut State, waiter| state.without_room.push(waiter);
                self.wait_for(py, timeout, add).map(Some)
            }
            Sent::Buffered { .. } => Ok(None),
        }
    }

    /// Publishes ``(topic, payload)`` pairs; as :meth:`publish`, with one future for all.
    #[pyo3(signature = (messages, qos, retain, properties, timeout))]
    fn publish_many<'py>(
        &self,
        py: Python<'py>,
        messages: Vec<Bound<'py, PyTuple>>,
        qos: &Bound<'py, PyAny>,
        retain: &Bound<'py, PyAny>,
        properties: Option<&Bound<'py, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut tickets = Vec::new();
        let mut is_congested = false;
        for message in messages {
            let (topic, payload): (Bound<'_, PyAny>, Option<Bound<'_, PyAny>>) =
                message.extract()?;
            match self.send(py, &topic, payload.as_ref(), qos, retain, properties)? {
                Sent::Ticket(ticket) => tickets.push(ticket),
                Sent::Buffered { congested } => is_congested = congested,
            }
        }
        if !tickets.is_empty() {
            let batch = Batch::of(tickets.len());
            let add = |state: &mut State, waiter: Waiter| {
                for ticket in tickets {
                    let waiter = Waiter { future: waiter.future.clone_ref(py), ..waiter };
                    state.pending.insert(ticket, waiter, Some(Arc::clone(&batch)));
                }
            };
            return self.wait_for(py, timeout, add).map(Some);
        }
        if is_congested && !self.core().has_room_or_wakes() {
            let add = |state: &mut State, waiter| state.without_room.push(waiter);
            return self.wait_for(py, timeout, add).map(Some);
        }
        Ok(None)
    }

    /// Acknowledges a message: PUBACK for QoS 1, PUBREC for QoS 2, nothing for QoS 0.
    #[pyo3(name = "acknowledge")]
    fn acknowledge_message(&self, py: Python<'_>, message: &Message) -> PyResult<()> {
        self.acknowledge(py, message.ack_due())
    }

    /// Makes acknowledgements of messages due that consumers had in hand when they went away.
    fn settle_left_over(&self, py: Python<'_>) -> PyResult<()> {
        self.acknowledge(py, None)?;
        self.send_acks();
        Ok(())
    }

    /// Sends the acknowledgements that are due.
    pub(super) fn send_acks(&self) {
        self.core().send_acks();
    }

    /// Takes out the futures whose time is up.
    fn expire(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let now = Instant::now();
        let mut state = self.state();
        let mut expired = state.pending.take_expired(now);
        let is_due = |waiter: &mut Waiter| waiter.deadline.is_some_and(|at| at <= now);
        expired.extend(state.without_room.extract_if(.., is_due));
        let rooms = state.without_room.iter().filter_map(|waiter| waiter.deadline).min();
        state.wakes_at = state.pending.next_deadline().into_iter().chain(rooms).min();
        let wakes_at = state.wakes_at;
        self.adjust_patience(&mut state);
        drop(state);
        if let Some(wakes_at) = wakes_at {
            self.calls.wake_in.call1(py, ((wakes_at - now).as_secs_f64(),))?;
        }
        Ok(futures(py, expired))
    }

    /// Takes out all futures.
    fn take_pending(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        let mut state = self.state();
        let mut all = state.pending.take_all();
        all.append(&mut state.without_room);
        drop(state);
        futures(py, all)
    }

    /// Coroutines wait for so many answers more to other requests, or less.
    fn await_answers(&self, change: isize) {
        let mut state = self.state();
        state.answers_due = state.answers_due.saturating_add_signed(change);
        self.adjust_patience(&mut state);
    }

    /// Futures are made by this, ``loop.create_future`` of the event loop that runs the client.
    #[setter]
    fn set_create_future(&self, call: Option<Py<PyAny>>) {
        let before = std::mem::replace(&mut self.state().create_future, call);
        drop(before);
    }

    /// Whether QoS 1 and 2 messages wait for the next connection, instead of being refused.
    #[setter]
    fn set_keeps_offline(&self, keeps: bool) {
        self.state().keeps_offline = keeps;
    }

    /// Messages of this topic are answers to requests, and no consumer's.
    #[setter]
    fn set_reply_topic(&self, topic: &str) {
        self.state().reply_topic = Some(topic.as_bytes().into());
    }

    /// Publishes whose outcome is awaited.
    #[getter]
    fn pending(&self) -> usize {
        self.state().pending.len()
    }

    fn __len__(&self) -> usize {
        self.waiting()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.client)?;
        self.calls.all().into_iter().try_for_each(|call| visit.call(call))?;
        self.topics.traverse(&visit)?;
        match self.state.try_lock() {
            Ok(state) => {
                state.pending.traverse(&visit)?;
                visit.call(&state.create_future)?;
                state.without_room.iter().try_for_each(|waiter| visit.call(&waiter.future))
            }
            Err(_) => Ok(()),
        }
    }
}

/// What became of a message that was accepted.
enum Sent {
    Ticket(Arc<Ticket>),
    Buffered { congested: bool },
}

impl Mailbox {
    fn send(
        &self,
        py: Python<'_>,
        topic: &Bound<'_, PyAny>,
        payload: Option<&Bound<'_, PyAny>>,
        qos: &Bound<'_, PyAny>,
        retain: &Bound<'_, PyAny>,
        properties: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Sent> {
        let client = self.client.bind(py);
        let qos = Given::from(qos);
        if !self.state().keeps_offline && !self.core().is_linked() {
            return Err(publish_error(py, ErrorCode::NoConn)?); // and it is never sent
        }
        let (info, congested) =
            send(client, &self.shared, topic, payload, qos, Some(retain), properties)?;
        match info.tracking {
            Tracking::Ticket { ticket, .. } => Ok(Sent::Ticket(ticket)),
            Tracking::Refused(error) => Err(publish_error(py, error.into())?),
            Tracking::Handover { .. } | Tracking::Nothing => Ok(Sent::Buffered { congested }),
        }
    }
}

fn futures(py: Python<'_>, waiters: Vec<Waiter>) -> Vec<Py<PyAny>> {
    waiters.iter().map(|waiter| waiter.future.clone_ref(py)).collect()
}
