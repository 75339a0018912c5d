//! `MQTTMessageInfo`: what `publish()` returns, and the ways to follow a message with it.

use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyIndexError, PyStopIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyTuple};

use oxmqtt_protocol::codec::{PacketType, ReasonCode};
use oxmqtt_protocol::session::{Handover, LocalError, Ticket};

use super::codes::{ErrorCode, error_code};
use super::convert::extract_deadline;
use super::errors::{not_queued, publish_failed};
use super::exit;
use super::python;
use super::shared::Shared;

/// How long a waiter among greenlets sleeps before it looks again.
const SHORTEST_PAUSE: Duration = Duration::from_micros(500);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// How the message is followed.
#[derive(Clone)]
pub(super) enum Tracking {
    /// It was made by hand.
    Nothing,
    /// It was not accepted.
    Refused(LocalError),
    /// QoS 0: handed to the transport or lost with it.
    Handover { shared: Arc<Shared>, mark: u64 },
    /// QoS 1 and 2: ended by the server.
    Ticket { shared: Arc<Shared>, ticket: Arc<Ticket> },
}

impl Tracking {
    fn is_cooperative(&self) -> bool {
        match self {
            Self::Nothing => true, // nobody tells the engine
            Self::Refused(_) => false,
            Self::Handover { shared, .. } | Self::Ticket { shared, .. } => {
                shared.cooperative.load(Ordering::Relaxed)
            }
        }
    }

    /// The message waits for a connection that nobody makes.
    fn is_forsaken(&self) -> bool {
        matches!(self, Self::Ticket { shared, .. } if shared.is_forsaken())
    }

    /// Waits a while for the end of the message, and of its callback if another thread runs it.
    fn wait(&self, deadline: Option<Instant>) -> bool {
        match self {
            Self::Nothing => false,
            Self::Refused(_) => true,
            Self::Handover { shared, mark } => {
                shared.core.wait_for_handover(*mark, shared.callbacks_follow(), deadline)
            }
            Self::Ticket { shared, ticket } => {
                shared.core.wait_for_ticket(ticket, shared.callbacks_follow(), deadline)
            }
        }
    }
}

/// The result of :meth:`Client.publish`.
///
/// It unpacks as ``(rc, mid)``, is read as ``info[0]`` and ``info[1]``, and tells when the message is
/// published: for QoS 0 when the transport took its last byte, for QoS 1 and 2 when the broker has
/// taken it over (OASIS MQTT 5.0, clauses 4.3.2 and 4.3.3).
#[pyclass(frozen, subclass, weakref, module = "oxmqtt.client")]
pub(super) struct MQTTMessageInfo {
    mid: AtomicU32,
    rc: AtomicI32,
    position: AtomicU8,
    /// What a program said about it by itself; one of the constants below.
    declared: AtomicU8,
    pub(super) tracking: Tracking,
    /// A packet identifier that a program made up, and that is none.
    made_up_mid: Mutex<Option<Py<PyAny>>>,
}

const UNDECLARED: u8 = 0;
const DECLARED_UNPUBLISHED: u8 = 1;
const DECLARED_PUBLISHED: u8 = 2;

impl MQTTMessageInfo {
    pub(super) fn tracked(mid: u16, rc: ErrorCode, tracking: Tracking) -> Self {
        Self {
            mid: AtomicU32::new(u32::from(mid)),
            rc: AtomicI32::new(rc as i32),
            position: AtomicU8::new(0),
            declared: AtomicU8::new(UNDECLARED),
            tracking,
            made_up_mid: Mutex::new(None),
        }
    }

    fn made_up_mid(&self) -> MutexGuard<'_, Option<Py<PyAny>>> {
        self.made_up_mid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The packet identifier of a message that the session knows.
    pub(super) fn packet_id(&self) -> u32 {
        match (&self.tracking, self.mid.load(Ordering::Relaxed)) {
            (Tracking::Ticket { ticket, .. }, 0) => u32::from(ticket.packet_id()),
            (_, mid) => mid,
        }
    }

    fn is_declared_published(&self) -> bool {
        self.declared.load(Ordering::Acquire) == DECLARED_PUBLISHED
    }

    /// The error that the message ended with before any outcome, if it did.
    fn check_queued(&self, py: Python<'_>) -> PyResult<()> {
        let rc = self.rc.load(Ordering::Relaxed);
        if rc == ErrorCode::QueueSize as i32 {
            return Err(not_queued());
        }
        if let Tracking::Refused(error) = self.tracking
            && rc == ErrorCode::from(error) as i32
            && error.is_limit_of_server()
        {
            return Err(publish_failed(&error.to_string()));
        }
        let waits = matches!(self.tracking, Tracking::Ticket { .. });
        if rc > 0 && !(waits && rc == ErrorCode::NoConn as i32) {
            return Err(publish_failed(&error_string(py, rc)?));
        }
        Ok(())
    }

    /// Whether the message is through; one that failed raises.
    fn outcome(&self, py: Python<'_>) -> PyResult<bool> {
        self.check_queued(py)?;
        match self.declared.load(Ordering::Acquire) {
            UNDECLARED => {}
            declared => return Ok(declared == DECLARED_PUBLISHED),
        }
        match &self.tracking {
            Tracking::Nothing | Tracking::Refused(_) => Ok(false),
            Tracking::Handover { shared, mark } => {
                match shared.core.with_session(|session| session.handover(*mark)) {
                    Handover::Waiting => Ok(false),
                    Handover::Written => Ok(true),
                    Handover::Lost => {
                        self.rc.store(ErrorCode::ConnLost as i32, Ordering::Relaxed);
                        self.check_queued(py).map(|()| false)
                    }
                }
            }
            Tracking::Ticket { ticket, .. } => match ticket.outcome() {
                None => Ok(false),
                Some(_) if ticket.is_dropped() => Err(publish_failed("the client dropped it")),
                Some(reason) if reason.is_failure() => Err(publish_failed(reason_name(reason))),
                Some(_) => Ok(true),
            },
        }
    }
}

fn reason_name(reason: ReasonCode) -> &'static str {
    reason.name(PacketType::PubAck).unwrap_or("Unspecified error")
}

#[pymethods]
impl MQTTMessageInfo {
    /// Takes anything, so that a subclass may have a constructor of its own.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(mid)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::tracked(0, ErrorCode::Success, Tracking::Nothing)
    }

    #[pyo3(signature = (mid))]
    fn __init__(&self, mid: &Bound<'_, PyAny>) {
        self.set_mid(mid);
    }

    /// The packet identifier; 0 while all identifiers are in use and the message waits for one.
    #[getter]
    fn mid<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(mid) = &*self.made_up_mid() {
            return Ok(mid.bind(py).clone());
        }
        Ok(self.packet_id().into_pyobject(py)?.into_any())
    }

    #[setter]
    fn set_mid(&self, mid: &Bound<'_, PyAny>) {
        let number = mid.cast_exact::<PyInt>().ok().and_then(|mid| mid.extract::<u32>().ok());
        let before = match number {
            Some(number) => {
                self.mid.store(number, Ordering::Relaxed);
                self.made_up_mid().take()
            }
            None => self.made_up_mid().replace(mid.clone().unbind()),
        };
        drop(before);
    }

    /// Whether the message counts as published; programs set it in their tests.
    #[getter]
    fn _published(&self, py: Python<'_>) -> bool {
        self.outcome(py).unwrap_or_else(|_| self.is_declared_published())
    }

    #[setter(_published)]
    fn set_published(&self, published: &Bound<'_, PyAny>) -> PyResult<()> {
        let is_published = published.is_truthy()?;
        let declared = if is_published { DECLARED_PUBLISHED } else { DECLARED_UNPUBLISHED };
        self.declared.store(declared, Ordering::Release);
        Ok(())
    }

    /// Declares the message published, as if the broker had answered; programs call it in their tests.
    fn _set_as_published(&self) {
        self.declared.store(DECLARED_PUBLISHED, Ordering::Release);
    }

    /// ``MQTT_ERR_SUCCESS`` (0) or why the message did not go out at once.
    #[getter]
    fn rc<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        error_code(py, self.rc.load(Ordering::Relaxed))
    }

    #[setter]
    fn set_rc(&self, rc: i32) {
        self.rc.store(rc, Ordering::Relaxed);
    }

    /// Waits until the message is published, for ``timeout`` seconds at the most.
    ///
    /// Returns silently when the time is up: ask :meth:`is_published`.  It also works in callbacks,
    /// and for messages that wait for a connection.
    ///
    /// :raises ValueError: the message was not queued: the queue was full.
    /// :raises RuntimeError: the message failed, for the reason in the text; or there is no time-out and
    ///     nothing that could send it: no connection, no loop, and nobody who connects.
    #[pyo3(signature = (timeout = None))]
    fn wait_for_publish(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        exit::guard_thread();
        self.check_queued(py)?;
        let deadline = extract_deadline(timeout)?;
        let cooperative = self.tracking.is_cooperative();
        let mut pause = SHORTEST_PAUSE;
        loop {
            let now = Instant::now();
            let until = if cooperative { Some(now) } else { deadline };
            let done = self.is_declared_published() || py.detach(|| self.tracking.wait(until));
            py.check_signals()?;
            if done || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return self.outcome(py).map(drop);
            }
            if deadline.is_none() && self.tracking.is_forsaken() {
                // Its end may have come in between, and the end of the connection after it.
                if py.detach(|| self.tracking.wait(Some(now))) {
                    return self.outcome(py).map(drop);
                }
                let rc = ErrorCode::NoConn as i32;
                return Err(publish_failed(&error_string(py, rc)?));
            }
            if cooperative {
                let left = deadline.map_or(pause, |deadline| deadline - now);
                let seconds = pause.min(left).as_secs_f64();
                py.import(intern!(py, "time"))?.call_method1(intern!(py, "sleep"), (seconds,))?;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
        }
    }

    /// Whether the message is published.
    ///
    /// :raises ValueError: the message was not queued: the queue was full.
    /// :raises RuntimeError: the message failed, for the reason in the text.
    fn is_published(&self, py: Python<'_>) -> PyResult<bool> {
        self.outcome(py)
    }

    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("({}, {})", self.rc(py)?.repr()?, self.mid(py)?.repr()?))
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf.position.store(0, Ordering::Relaxed);
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.next(py)
    }

    /// The next of ``rc`` and ``mid``.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.position.fetch_add(1, Ordering::Relaxed) {
            0 => self.rc(py),
            1 => self.mid(py),
            _ => {
                self.position.store(2, Ordering::Relaxed);
                Err(PyStopIteration::new_err(()))
            }
        }
    }

    fn __getitem__<'py>(&self, py: Python<'py>, index: i64) -> PyResult<Bound<'py, PyAny>> {
        match index {
            0 => self.rc(py),
            1 => self.mid(py),
            _ => Err(PyIndexError::new_err("index out of range")),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.made_up_mid.try_lock() {
            Ok(mid) => visit.call(&*mid),
            Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        let mid = self.made_up_mid.try_lock().ok().and_then(|mut mid| mid.take());
        drop(mid);
    }
}

fn error_string(py: Python<'_>, rc: i32) -> PyResult<String> {
    exit::guard_thread();
    python::error_string(py)?.call1((rc,))?.extract()
}
