//! One client's engine side: its session under a lock, its inbox, and the way to its I/O task.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use atomic_waker::AtomicWaker;

use oxmqtt_protocol::codec::{Properties, QoS, ReasonCode};
use oxmqtt_protocol::session::{
    Event, Handover, Outgoing, Receipt, RefusedPublish, RequestError, Session, SessionConfig,
    StallWatch, SubscriptionRequest, Ticket,
};

use super::acks::Acks;
use super::carried::Carried;
use super::gate;
use super::inbox::{Inbox, Patience};
use super::stream::Writer;

/// Unsent bytes at which an ordinary publishing thread waits.
const HIGH_WATER: usize = 4 << 20;
/// A connection that took nothing for this long holds no publisher up.
pub(super) const STALLED: Duration = Duration::from_millis(500);
/// Direct sends an idle connection has in hand, and how fast it regains one.
const DIRECT_CREDITS: u32 = 8;
const DIRECT_CREDIT_EVERY: Duration = Duration::from_micros(50);

/// The engine of one client; it outlives connections.
#[derive(Debug)]
pub struct Core {
    pub(super) state: Mutex<State>,
    pub inbox: Inbox,
    pub acks: Acks,
    pub(super) io_waker: AtomicWaker,
    progress: Condvar,
    waiting: AtomicUsize,
    /// QoS 0 messages before this mark have had their callback.
    reported: AtomicU64,
    /// An event loop is to be woken when the connection has room again.
    room_wanted: AtomicBool,
    /// The process knows of it.
    is_registered: AtomicBool,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) session: Session,
    pub(super) link: Option<Link>,
    /// Connections that only wait for the server to close its side.
    pub(super) lingering: usize,
    credits: DirectCredits,
}

/// The connection that stands.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) epoch: u32,
    pub(super) writer: Arc<Writer>,
    /// The I/O task knows of output, or has been told; it takes more when it is through.
    pub(super) task_writes: bool,
    /// Whether those who wait for room wait for a peer that takes anything.
    pub(super) room: StallWatch,
    /// By then the I/O task looks for output unasked.
    pub(super) looks_again: Option<Instant>,
    /// When the I/O task looks for acknowledgements that are due.
    pub(super) acks_at: Option<Instant>,
    /// What is on its way through a relay, if there is one.
    pub(super) carried: Option<Carried>,
    #[cfg(unix)]
    pub(super) descriptor: std::os::fd::RawFd,
}

impl Link {
    /// The socket took `count` bytes of the session; how many have left the process by now.
    pub(super) fn written(&mut self, count: usize) -> usize {
        match &mut self.carried {
            None => count,
            Some(carried) => carried.written(self.writer.take_raw_count(count), count),
        }
    }
}

impl State {
    /// The unsent bytes are well below the high-water mark, or nobody would send them.
    fn has_room(&self) -> bool {
        self.link.is_none() || self.session.unsent() <= HIGH_WATER / 2
    }
}

/// Direct sends save a thread switch on a quiet connection and would ruin a flood.
#[derive(Debug)]
struct DirectCredits {
    left: u32,
    refilled: Instant,
}

impl DirectCredits {
    fn take(&mut self, now: Instant) -> bool {
        let gained = now.duration_since(self.refilled).as_nanos() / DIRECT_CREDIT_EVERY.as_nanos();
        if gained > 0 {
            let gained = u32::try_from(gained).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(gained).min(DIRECT_CREDITS);
            self.refilled = now;
        }
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

/// What came of a publish, and whether the caller should wait for room.
#[derive(Debug)]
pub struct PublishOutcome {
    pub receipt: Result<Receipt, RefusedPublish>,
    /// The message waits for a connection.
    pub offline: bool,
    pub congested: bool,
}

impl Core {
    pub fn new(config: SessionConfig) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                session: Session::new(config),
                link: None,
                lingering: 0,
                credits: DirectCredits { left: DIRECT_CREDITS, refilled: Instant::now() },
            }),
            inbox: Inbox::default(),
            acks: Acks::default(),
            io_waker: AtomicWaker::new(),
            progress: Condvar::new(),
            waiting: AtomicUsize::new(0),
            reported: AtomicU64::new(0),
            room_wanted: AtomicBool::new(false),
            is_registered: AtomicBool::new(false),
        })
    }

    /// Whether the process is to be told of it now.
    pub(super) fn begin_registration(&self) -> bool {
        !self.is_registered.swap(true, Ordering::Relaxed)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads or changes the session; what that encodes is sent.
    pub fn with_session<T>(&self, change: impl FnOnce(&mut Session) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state.session);
        self.send_output(state);
        result
    }

    /// Gives the connection up at once; no event tells of it.
    pub fn abandon(&self) {
        let mut state = self.lock();
        state.link = None;
        state.session.handle_closed(None);
        state.session.drain_events();
        self.inbox.forget_connection();
        drop(state);
        self.io_waker.wake();
        self.notify_progress();
    }

    /// The client has gone: the I/O task hands over what it accepted, and ends the connection then.
    pub fn leave(&self) {
        let mut state = self.lock();
        state.session.leave(Instant::now());
        self.inbox.discard();
        drop(state);
        self.io_waker.wake();
    }

    /// Cuts the connection, as if the transport had failed.
    pub fn abort(&self) {
        let mut state = self.lock();
        state.link = None;
        state.session.handle_closed(Some("closed by the application"));
        self.inbox.push_all(state.session.drain_events());
        drop(state);
        self.io_waker.wake();
        self.notify_progress();
    }

    /// Whether there is a connection, accepted by the server or not.
    pub fn is_linked(&self) -> bool {
        self.lock().link.is_some()
    }

    /// A duplicate of the connected socket, while there is one.
    pub fn duplicate_socket(&self) -> Option<socket2::Socket> {
        self.lock().link.as_ref()?.writer.duplicate().ok()
    }

    pub fn publish(&self, message: &Outgoing<'_>) -> PublishOutcome {
        let mut state = self.lock();
        let receipt = state.session.publish(message);
        let offline = state.link.is_none();
        let congested = state.session.unsent() > HIGH_WATER;
        self.send_output(state);
        PublishOutcome { receipt, offline, congested }
    }

    pub fn request(
        &self,
        request: SubscriptionRequest,
        properties: Properties,
    ) -> Result<u16, RequestError> {
        self.with_session(|session| session.request(request, properties))
    }

    /// Acknowledges received messages; all in one lock.
    pub fn acknowledge(&self, messages: &[(u16, QoS, u32)]) {
        let mut state = self.lock();
        for &(packet_id, qos, epoch) in messages {
            state.session.acknowledge(packet_id, qos, epoch);
        }
        // Under load the I/O task is about to read more, and sends these on the way.
        if !matches!(&state.link, Some(link) if link.looks_again.is_some()) {
            self.send_output(state);
        }
    }

    /// The I/O task is to look then for acknowledgements that are due.
    pub(super) fn look_for_acks(&self, at: Instant) {
        let mut state = self.lock();
        match &mut state.link {
            Some(link) => link.acks_at = Some(at),
            None => return self.acks.stop_watching(),
        }
        drop(state);
        self.io_waker.wake();
    }

    pub fn disconnect(&self, reason: ReasonCode, properties: Properties) -> bool {
        let now = Instant::now();
        self.with_session(|session| session.disconnect(reason, properties, now))
    }

    /// Sends AUTH; false when it is not due.
    pub fn authenticate(&self, reason: ReasonCode, data: Option<&[u8]>) -> bool {
        let now = Instant::now();
        self.with_session(|session| session.authenticate(reason, data, now))
    }

    /// Sends the output directly when the connection is quiet, else tells the I/O task, unless it
    /// knows already.
    fn send_output(&self, mut state: MutexGuard<'_, State>) {
        let State { session, link, credits, .. } = &mut *state;
        if session.has_events() {
            self.inbox.push_all(session.drain_events());
        }
        let Some(link) = link else { return };
        if link.task_writes || !(session.has_output() || session.wants_close()) {
            return;
        }
        let now = Instant::now();
        if session.has_output()
            && credits.take(now)
            && let Ok(count) = link.writer.try_write(session.output())
        {
            session.remove_output(count);
            let left = link.written(count);
            if left > 0 {
                session.handle_written(left, now);
            }
            if session.has_events() {
                self.inbox.push_all(session.drain_events());
            }
            if !session.has_output() && !session.wants_close() {
                drop(state);
                self.notify_progress();
                return;
            }
        }
        link.task_writes = true;
        drop(state);
        self.io_waker.wake();
    }

    /// A relay has passed on so many bytes more of a connection.
    pub(super) fn handle_passed_on(&self, epoch: u32, count: usize) {
        let mut state = self.lock();
        let State { session, link, .. } = &mut *state;
        let Some(link) = link.as_mut().filter(|link| link.epoch == epoch) else { return };
        let left = link.carried.as_mut().map_or(0, |carried| carried.passed_on(count));
        if left == 0 {
            return;
        }
        session.handle_written(left, Instant::now());
        if session.has_events() {
            self.inbox.push_all(session.drain_events());
        }
        let wants_close = session.wants_close();
        self.offer_room(&state);
        drop(state);
        if wants_close {
            self.io_waker.wake();
        }
        self.notify_progress();
    }

    /// The next event for the application.
    pub fn next_event(&self) -> Option<Event> {
        self.inbox.pop(|| self.io_waker.wake())
    }

    /// The application is through with an event that it had kept by [`Inbox::hold`].
    pub fn release(&self, weight: usize) {
        self.inbox.release(weight, || self.io_waker.wake());
    }

    /// How much may wait in the inbox before reading stops.
    pub fn set_patience(&self, patience: Patience) {
        self.inbox.set_patience(patience, || self.io_waker.wake());
    }

    /// Wakes the threads that wait for a message, or for room, to look again.
    pub fn notify_progress(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.progress.notify_all();
        }
    }

    /// Waits until `done`, a deadline, or a moment, so that callers can look for signals.
    fn wait_a_while(&self, deadline: Option<Instant>, done: impl Fn(&State) -> bool) -> bool {
        const SLICE: Duration = Duration::from_millis(50);
        let slice_end = Instant::now() + SLICE;
        let end = deadline.map_or(slice_end, |deadline| deadline.min(slice_end));
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let waiting = gate::Waiting::enter();
        let mut state = self.lock();
        let reached = loop {
            if done(&state) {
                break true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || gate::is_forking() {
                break false;
            }
            state = match self.progress.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        };
        drop(state);
        drop(waiting);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        reached
    }

    /// Waits for the end of a QoS > 0 message; `reported` asks for its callback to be over too.
    pub fn wait_for_ticket(
        &self,
        ticket: &Ticket,
        reported: bool,
        deadline: Option<Instant>,
    ) -> bool {
        self.wait_a_while(deadline, |_| match reported {
            true => ticket.reported_outcome().is_some(),
            false => ticket.outcome().is_some(),
        })
    }

    /// Waits until a QoS 0 message is written or lost; `reported` as above.
    pub fn wait_for_handover(&self, mark: u64, reported: bool, deadline: Option<Instant>) -> bool {
        self.wait_a_while(deadline, |state| match state.session.handover(mark) {
            Handover::Waiting => false,
            Handover::Lost => true,
            Handover::Written if reported && state.session.config().report_sent => {
                self.reported.load(Ordering::Acquire) > mark
            }
            Handover::Written => true,
        })
    }

    /// Waits until the unsent bytes are well below the high-water mark, the connection ended, or it
    /// has stalled: true. False asks for another call.
    pub fn wait_for_room(&self, since: Instant) -> bool {
        if self.wait_a_while(None, State::has_room) {
            return true;
        }
        let mut state = self.lock();
        let State { session, link, .. } = &mut *state;
        let Some(link) = link else { return true };
        let has_stalled = link.room.has_stalled(session.taken(link.writer.held()), Instant::now());
        has_stalled && since.elapsed() > STALLED
    }

    /// The same for those who must not wait: whether there is room. If not, the inbox's descriptor
    /// becomes readable when there is.
    pub fn has_room_or_wakes(&self) -> bool {
        let state = self.lock();
        let has_room = state.has_room();
        self.room_wanted.store(!has_room, Ordering::Relaxed);
        has_room
    }

    /// Wakes the event loop that waits for room, if there is some.
    pub(super) fn offer_room(&self, state: &State) {
        if self.room_wanted.load(Ordering::Relaxed) && state.has_room() {
            self.room_wanted.store(false, Ordering::Relaxed);
            self.inbox.interrupt();
        }
    }

    /// Waits a moment until everything that was accepted is handed over to the server, and a requested
    /// disconnect carried out; whether that is so.
    pub fn wait_for_handing_over(&self, deadline: Instant) -> bool {
        self.wait_a_while(Some(deadline), |state| {
            state.lingering == 0 && (state.link.is_none() || state.session.is_handed_over())
        })
    }

    /// Changes when the connection makes progress.
    pub fn progress(&self) -> (u64, usize, bool) {
        let state = self.lock();
        state.session.progress(state.link.as_ref().map_or(0, |link| link.writer.held()))
    }

    /// Waits so to the end; how many messages are left.
    pub fn wait_until_handed_over(&self, deadline: Instant) -> usize {
        while !self.wait_for_handing_over(deadline) {
            if Instant::now() >= deadline {
                let state = self.lock();
                return state.link.as_ref().map_or(0, |_| state.session.not_handed_over());
            }
        }
        0
    }

    /// Says that the callback for a finished message has returned.
    pub fn mark_reported(&self, ticket: &Ticket) {
        ticket.mark_reported();
        self.notify_reported();
    }

    /// Says that the callbacks of the QoS 0 messages before a mark have returned.
    pub fn mark_handed_over(&self, through: u64) {
        self.reported.store(through, Ordering::Release);
        self.notify_reported();
    }

    fn notify_reported(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            // The lock orders this after a waiter's look at the ticket.
            drop(self.lock());
            self.progress.notify_all();
        }
    }

    /// In a forked child: the connection is the parent's; this client starts disconnected.
    pub(super) fn reset_after_fork(&self) {
        let mut state = self.lock();
        if let Some(link) = state.link.take() {
            link.leave_to_parent();
        }
        state.lingering = 0;
        state.session.handle_closed(None);
        state.session.drain_events();
        state.session.forget_unacknowledged();
        drop(state);
        self.inbox.reset();
    }
}
