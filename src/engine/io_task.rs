//! The task that drives one connection: large writes, large reads, timers.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::ReadBuf;
use tokio::time::{Sleep, sleep_until};

use oxmqtt_protocol::session::StallWatch;

use super::acks::LOOK_FOR_ACKS;
use super::coalesce::{self, Pace};
use super::core::{Core, Link, State};
use super::runtime;
use super::stream::{Reader, Writer};

/// Bytes taken from the socket at once.
const READ_SIZE: usize = 64 << 10;
/// Writes before the task looks at its input and other tasks get their turn.
const WRITES_IN_A_ROW: usize = 32;
/// After a hurried read, output may wait this long for the next one to take it along.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// How long the server gets to close its side when it has the last packet.
const LINGER: Duration = Duration::from_secs(1);
/// A server that has yet to take the last bytes may take none for this long.
const STALLED: Duration = Duration::from_secs(5);
/// A written buffer above this is given back to the allocator.
const KEEP_BUFFER: usize = 1 << 20;

thread_local! {
    /// All connections read into this, so an idle one holds no buffer.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

pub(super) struct IoTask {
    core: Arc<Core>,
    epoch: u32,
    reader: Reader,
    /// Dropping it, once nobody else has it, ends our side of the connection.
    writer: Option<Arc<Writer>>,
    lingering: Option<Linger>,
    /// Taken from the session; the first `written` bytes are through.
    buffer: Vec<u8>,
    written: usize,
    /// Of those, what the session does not know of yet.
    unreported: usize,
    writing: Pace,
    reading: Pace,
    /// The output was left to grow the last time.
    deferred: bool,
    timer: Pin<Box<Sleep>>,
    /// What `timer` is set to; it only moves when that is too late or has come.
    armed: Option<Instant>,
}

/// The time after the last packet.
struct Linger {
    /// When the server had yet to take bytes for the last time.
    held_until: Instant,
    watch: StallWatch,
}

/// Why the task ends.
enum End {
    /// The session wants it.
    Wanted,
    /// The transport does.
    Transport(String),
    /// Another connection or none has taken this one's place.
    Superseded,
}

impl IoTask {
    pub(super) fn new(core: Arc<Core>, epoch: u32, reader: Reader, writer: Arc<Writer>) -> Self {
        let now = Instant::now();
        Self {
            core,
            epoch,
            reader,
            writer: Some(writer),
            lingering: None,
            buffer: Vec::new(),
            written: 0,
            unreported: 0,
            writing: Pace::new(now),
            reading: Pace::new(now),
            deferred: false,
            timer: Box::pin(sleep_until(now.into())),
            armed: Some(now),
        }
    }

    /// Writes until the socket is full or nothing is left, within bounds.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        for _ in 0..WRITES_IN_A_ROW {
            if self.written == self.buffer.len() && !self.next_output(cx)? {
                return Ok(());
            }
            let rest = self.buffer.get(self.written..).unwrap_or_default();
            let Some(writer) = &self.writer else {
                return Err(End::Superseded);
            };
            match writer.try_write(rest) {
                Ok(count) => {
                    self.written += count;
                    self.unreported += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match writer.poll_write_ready(cx) {
                        Poll::Pending => return self.report_written(),
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(error)) => return Err(transport(&error)),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(transport(&error)),
            }
        }
        cx.waker().wake_by_ref();
        self.report_written()
    }

    /// Reports what was written and fetches what the session encoded meanwhile. False when that is
    /// nothing, or so little so soon that it is left to grow.
    fn next_output(&mut self, cx: &Context<'_>) -> Result<bool, End> {
        let size = self.buffer.len();
        self.buffer.clear();
        self.written = 0;
        if self.buffer.capacity() > KEEP_BUFFER {
            self.buffer = Vec::new();
        }
        let now = Instant::now();
        let core = Arc::clone(&self.core);
        let mut state = self.lock(&core)?;
        self.handle_unreported(&mut state, now);
        let state = &mut *state;
        if !state.session.has_output() {
            if state.session.wants_close() {
                return Err(End::Wanted);
            }
            if let Some(link) = &mut state.link {
                link.task_writes = false;
            }
            return Ok(false);
        }
        let hurried = size > 0 && self.writing.is_hurried(now, size);
        if hurried && !std::mem::replace(&mut self.deferred, true) {
            coalesce::defer(cx.waker());
            return Ok(false);
        }
        self.deferred = false;
        state.session.take_output(&mut self.buffer);
        Ok(true)
    }

    fn report_written(&mut self) -> Result<(), End> {
        let core = Arc::clone(&self.core);
        let mut state = self.lock(&core)?;
        self.handle_unreported(&mut state, Instant::now());
        // The end must not wait for a peer that takes nothing any more.
        if state.session.wants_close() { Err(End::Wanted) } else { Ok(()) }
    }

    /// The state, if this task's connection is still the one that stands.
    fn lock<'a>(&self, core: &'a Core) -> Result<MutexGuard<'a, State>, End> {
        let state = core.lock();
        match &state.link {
            Some(link) if link.epoch == self.epoch => Ok(state),
            _ => Err(End::Superseded),
        }
    }

    fn handle_unreported(&mut self, state: &mut State, now: Instant) {
        let count = std::mem::take(&mut self.unreported);
        let left = match &mut state.link {
            Some(link) if count > 0 => link.written(count),
            _ => 0,
        };
        if left > 0 {
            state.session.handle_written(left, now);
            self.push_events(state);
            self.core.offer_room(state);
        }
    }

    fn push_events(&self, state: &mut State) {
        if state.session.has_events() {
            self.core.inbox.push_all(state.session.drain_events());
        }
        self.core.notify_progress();
    }

    /// Reads once; true when there may be more.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        if self.core.inbox.is_full() {
            return Ok(false);
        }
        let chunk = SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            match self.reader.poll_read(cx, &mut buffer) {
                Poll::Pending => Ok(None),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    Err(End::Transport("the server closed the connection".into()))
                }
                Poll::Ready(Ok(())) => Ok(Some(Bytes::copy_from_slice(buffer.filled()))),
                Poll::Ready(Err(error)) => Err(transport(&error)),
            }
        })?;
        let Some(chunk) = chunk else { return Ok(false) };
        let now = Instant::now();
        let hurried = self.reading.is_hurried(now, chunk.len());
        if hurried {
            coalesce::want_nap();
        }
        let core = Arc::clone(&self.core);
        let mut state = self.lock(&core)?;
        // What the input makes the session send is written by this task, without a wake.
        if let Some(link) = &mut state.link {
            link.task_writes = true;
            if hurried && link.looks_again.is_none() {
                link.looks_again = Some(now + LOOK_AGAIN);
            }
        }
        let awaited = state.session.in_flight() > 0;
        state.session.handle_input(chunk, now);
        self.push_events(&mut state);
        drop(state);
        if awaited
            && !hurried
            && let Some(writer) = &self.writer
        {
            writer.acknowledge_promptly();
        }
        Ok(true)
    }

    /// Lets time pass for the session; true when that may have made output.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let core = Arc::clone(&self.core);
        let now = Instant::now();
        match (next_deadline(&*self.lock(&core)?), self.armed) {
            (Some(deadline), Some(armed)) if armed <= deadline => {}
            (Some(deadline), _) => self.arm(deadline),
            (None, _) => {
                self.armed = None;
                return Ok(false);
            }
        }
        // The clock is asked first: a timer counts as not elapsed when the reads of this task have used
        // up its share of the thread, as they do under a flood.
        if !self.is_due(now) && self.timer.as_mut().poll(cx).is_pending() {
            return Ok(false);
        }
        let now = Instant::now();
        let reading = !self.core.inbox.is_full();
        let mut state = self.lock(&core)?;
        let State { session, link, .. } = &mut *state;
        if let Some(link) = link {
            link.task_writes = true;
            link.looks_again = link.looks_again.filter(|at| *at > now);
            if link.acks_at.take_if(|at| *at <= now).is_some() {
                let overdue = core.acks.take_overdue();
                link.acks_at = (!overdue.is_empty()).then(|| now + LOOK_FOR_ACKS);
                for (packet_id, qos, epoch) in overdue {
                    session.acknowledge(packet_id, qos, epoch);
                }
            }
        }
        let writer = self.writer.as_ref();
        session.handle_timeout(now, reading, || writer.map_or(0, |writer| writer.held()));
        self.push_events(&mut state);
        let next = next_deadline(&state);
        drop(state);
        match next {
            Some(next) => self.arm(next),
            None => self.armed = None,
        }
        Ok(true)
    }

    /// Whether what the timer is armed for has come.
    fn is_due(&self, now: Instant) -> bool {
        self.armed.is_some_and(|armed| armed <= now)
    }

    fn arm(&mut self, deadline: Instant) {
        self.timer.as_mut().reset(deadline.into());
        self.armed = Some(deadline);
    }

    /// After the last packet: takes leave, waits for the server to close its side, and throws away what
    /// it still sends. Closing with unread bytes would make the kernel take back what was not delivered
    /// yet. A server that takes what the kernel still has gets as long as it needs.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.writer.take_if(|writer| writer.poll_finish(cx).is_ready());
        if self.poll_silence(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            let now = Instant::now();
            if !self.is_due(now) && self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let held = self.reader.held();
            let Some(linger) = &mut self.lingering else { return Poll::Ready(()) };
            if linger.is_over(held, now) {
                return Poll::Ready(());
            }
            let next = linger.deadline(now);
            self.arm(next);
        }
    }

    /// Reads and forgets until the server has closed its side.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                let mut buffer = ReadBuf::new(scratch);
                match ready!(self.reader.poll_read(cx, &mut buffer)) {
                    Ok(()) if !buffer.filled().is_empty() => {}
                    _ => return Poll::Ready(()),
                }
            }
        })
    }

    fn poll_all(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        self.core.io_waker.register(cx.waker());
        coalesce::resume_overdue();
        loop {
            self.poll_output(cx)?;
            let may_have_more = self.poll_input(cx)?;
            if may_have_more && !self.is_due(Instant::now()) {
                continue;
            }
            if !self.poll_timer(cx)? && !may_have_more {
                return Ok(());
            }
        }
    }

    /// Tells the session and the application; false when that is no longer this task's to do.
    fn close(&self, end: &End) -> bool {
        let error = match end {
            End::Superseded => return false,
            End::Wanted => None,
            End::Transport(error) => Some(error.as_str()),
        };
        let mut state = self.core.lock();
        if state.link.take_if(|link: &mut Link| link.epoch == self.epoch).is_none() {
            return false;
        }
        if state.session.is_leaving() {
            runtime::count_lost(state.session.not_handed_over());
        }
        state.session.handle_closed(error);
        self.core.inbox.push_all(state.session.drain_events());
        state.lingering += 1;
        drop(state);
        self.core.notify_progress();
        true
    }
}

impl Drop for IoTask {
    /// A task that panicked leaves no connection behind that nobody serves, and says so.
    fn drop(&mut self) {
        let failed = End::Transport("the task of the connection failed".into());
        // The session may be what panicked.
        let closed = catch_unwind(AssertUnwindSafe(|| self.close(&failed)));
        if self.lingering.is_some() || closed.unwrap_or(false) {
            self.core.lock().lingering -= 1;
            self.core.notify_progress();
        }
    }
}

impl Linger {
    fn new(held: usize, now: Instant) -> Self {
        Self { held_until: now, watch: StallWatch::new(taken(held), now, STALLED) }
    }

    fn is_over(&mut self, held: usize, now: Instant) -> bool {
        if held > 0 {
            self.held_until = now;
        }
        self.watch.has_stalled(taken(held), now) || now >= self.held_until + LINGER
    }

    fn deadline(&self, now: Instant) -> Instant {
        // A fifth of the time, so that it is not late by more.
        self.watch.deadline().min(self.held_until + LINGER).min(now + LINGER / 5)
    }
}

/// Nothing is sent any more: what is held gets less as the server takes it.
fn taken(held: usize) -> u64 {
    u64::MAX - held as u64
}

impl Future for IoTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.lingering.is_some() {
            return self.poll_linger(cx);
        }
        match self.poll_all(cx) {
            Ok(()) => Poll::Pending,
            Err(end) => {
                if !self.close(&end) {
                    return Poll::Ready(());
                }
                let now = Instant::now();
                self.lingering = Some(Linger::new(self.reader.held(), now));
                self.arm(now + LINGER / 5);
                self.poll_linger(cx)
            }
        }
    }
}

fn next_deadline(state: &State) -> Option<Instant> {
    let looks = state.link.iter().flat_map(|link| [link.looks_again, link.acks_at]);
    looks.chain([state.session.poll_timeout()]).flatten().min()
}

fn transport(error: &io::Error) -> End {
    End::Transport(error.to_string())
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::{Socket, SocketFamily};
    use oxmqtt_protocol::codec::{Properties, Version};
    use oxmqtt_protocol::session::{Closed, ConnectOptions, Event, SessionConfig};

    use super::*;

    /// What a panic in a task comes to: the runtime drops it before it has ended.
    #[test]
    fn a_task_that_fails_ends_its_connection_and_says_so() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _context = runtime.enter();
        let core = Core::new(SessionConfig { version: Version::V311, ..Default::default() });
        let (socket, _peer) =
            socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        let socket = Socket { family: SocketFamily::Unix, socket, below: None };
        let options = ConnectOptions {
            client_id: "c".into(),
            clean_start: true,
            keep_alive: 0,
            username: None,
            password: None,
            will: None,
            properties: Properties::default(),
            bridge: false,
            connack_timeout: Duration::from_secs(5),
        };
        let task = core.start(socket, None, None, &options, None).unwrap();
        assert!(core.lock().link.is_some());
        drop(task);
        assert!(core.lock().link.is_none());
        assert_eq!(core.lock().lingering, 0);
        match core.next_event() {
            Some(Event::Closed(Closed::Lost(why))) => assert!(why.contains("failed"), "{why}"),
            other => panic!("{other:?}"),
        }
        assert!(core.next_event().is_none());
    }
}
